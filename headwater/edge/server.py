"""The three RPCs of a data plane, for callers that know its token."""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio

from core.context import Cancellation
from core.errors import Conflict, PlatformError, Unauthenticated
from engine.connectors.connector import ArrowStream
from headwater.edge import wire
from headwater.edge.plane import Plane

CALL_S = 30.0
STATUS = {
    "UNAUTHENTICATED": grpc.StatusCode.UNAUTHENTICATED,
    "INVALID_ARGUMENT": grpc.StatusCode.INVALID_ARGUMENT,
    "UNAVAILABLE": grpc.StatusCode.UNAVAILABLE,
    "TIMEOUT": grpc.StatusCode.DEADLINE_EXCEEDED,
    "CANCELLED": grpc.StatusCode.CANCELLED,
}
Context = Any  # grpc.aio's context is generic in types that bytes have none of


class EdgeService:
    """Checks the token of each call before it looks at what it asks."""

    def __init__(self, plane: Plane, token: str, facts: Mapping[str, Any]):
        self._plane = plane
        self._expected = f"Bearer {token}".encode()
        self._facts = facts

    def methods(self) -> "grpc.GenericRpcHandler[bytes, bytes]":
        unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        return grpc.method_handlers_generic_handler(
            wire.SERVICE,
            {
                wire.GET_SCHEMA: unary(self._answering(self.get_schema)),
                wire.PING: unary(self._answering(self.ping)),
                wire.QUERY: stream(self._query),
            },
        )

    async def get_schema(self, request: dict[str, Any]) -> bytes:
        """Every relation of a connection."""
        spec, place = wire.unpack_spec(request.get("connection"))
        async with self._plane.open(spec, place, patience_s=CALL_S) as connector:
            return wire.pack_relations(await connector.schema())

    async def ping(self, request: dict[str, Any]) -> bytes:
        """What holds here; with a connection, connect to it and say its version."""
        if "connection" not in request:
            share = self._plane.share
            return wire.pack({**self._facts, "running": share.running, "waiting": share.waiting})
        spec, place = wire.unpack_spec(request["connection"])
        if request.get("forget") is True:
            await self._plane.connectors.drop(spec.tenant, spec.connection_id)
            return wire.pack({})
        async with self._plane.open(spec, place, patience_s=CALL_S) as connector:
            return wire.pack({"version": await connector.check()})

    async def query(self, request: dict[str, Any], context: Context) -> AsyncIterator[bytes]:
        """The schema, then chunks; or the engine's plan as text."""
        spec, place = wire.unpack_spec(request.get("connection"))
        sql, parameters, limits = wire.unpack_query(request)
        started = time.monotonic()
        async with self._plane.open(spec, place, patience_s=limits.timeout_s) as connector:
            if request.get("explain") is True:
                yield (await connector.explain(sql, parameters)).encode()
                return
            left_s = max(0.05, limits.timeout_s - (time.monotonic() - started))
            limits = replace(limits, timeout_s=left_s)
            stream = await connector.execute(sql, parameters, limits=limits, cancelled=Cancellation())
            try:
                yield stream.schema.serialize().to_pybytes()
                async for chunk in _ahead(stream):
                    yield chunk
            finally:
                await stream.close()
            context.set_trailing_metadata(wire.pack_end(stream.stats, is_truncated=stream.is_truncated))

    async def _query(self, data: bytes, context: Context) -> AsyncIterator[bytes]:
        async with self._telling(context):
            answers = self.query(wire.unpack(data), context)
            try:
                async for message in answers:
                    yield message
            finally:  # else it would be closed by a later collection, its slot held until then
                await answers.aclose()  # type: ignore[attr-defined]

    def _answering(
        self, method: Callable[[dict[str, Any]], Awaitable[bytes]]
    ) -> Callable[[bytes, Context], Awaitable[bytes]]:
        async def answer(data: bytes, context: Context) -> bytes:
            async with self._telling(context):
                return await method(wire.unpack(data))
            raise AssertionError("unreachable: an error ends the call")

        return answer

    @asynccontextmanager
    async def _telling(self, context: Context) -> AsyncIterator[None]:
        """Ends the call with the error that is raised inside."""
        try:
            self._check(context)
            yield
        except MemoryError:
            error: PlatformError = Conflict("The query needs more memory than it may use.", hint="Filter earlier.")
        except PlatformError as raised:
            error = raised
        else:
            return
        status = STATUS.get(error.code, grpc.StatusCode.FAILED_PRECONDITION)
        await context.abort(status, error.code, trailing_metadata=wire.pack_error(error))

    def _check(self, context: Context) -> None:
        given = dict(context.invocation_metadata() or ()).get("authorization", "")
        if not hmac.compare_digest(str(given).encode(), self._expected):
            raise Unauthenticated("The token of this data plane is needed.")


async def _ahead(stream: ArrowStream) -> AsyncIterator[bytes]:
    """The chunks, each made while the one before it is sent."""
    chunks = stream.chunks()
    following: asyncio.Task[bytes] | None = None
    try:
        while True:
            following = following or asyncio.ensure_future(anext(chunks))
            try:
                chunk = await following
            except StopAsyncIteration:
                following = None
                return
            following = asyncio.ensure_future(anext(chunks))
            yield chunk
    finally:
        if following is not None:
            following.cancel()
            await asyncio.wait([following])
            if not following.cancelled():
                following.exception()
