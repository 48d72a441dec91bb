"""The serving process's side: connectors whose statements run in a data plane."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from core.context import Cancellation
from core.errors import Cancelled, PlatformError, Timeout, Unavailable
from engine.connectors.connector import ArrowStream, ConnectionSpec, Connector, QueryLimits, RelationInfo, RunStats
from engine.connectors.ipc import load_arrow
from engine.connectors.stream import in_thread
from headwater.edge import wire

if TYPE_CHECKING:
    import grpc
    import grpc.aio
    import pyarrow as pa

LATE_S = 10.0  # the data plane keeps the time; this is for one that does not answer at all
CALL_S = 40.0
REACH_S, REACH_AGAIN_S = 3.0, 0.05
SMALL = 64 * 1024


class NotReached(Unavailable):
    """The data plane is not there: the call has not begun."""


class Link:
    """An open channel to one data plane."""

    def __init__(self, channel: "grpc.aio.Channel", token: str):
        self.channel = channel
        self._metadata = (("authorization", f"Bearer {token}"),)
        path = f"/{wire.SERVICE}/"
        self._unary = {name: channel.unary_unary(path + name, None, None) for name in (wire.GET_SCHEMA, wire.PING)}
        self._query = channel.unary_stream(path + wire.QUERY, None, None)

    async def ask(self, method: str, request: Mapping[str, Any]) -> bytes:
        """Raises what the data plane raised, Unavailable when it is gone."""
        import grpc

        try:
            answer: bytes = await self._unary[method](wire.pack(request), metadata=self._metadata, timeout=CALL_S)
        except grpc.aio.AioRpcError as error:
            raise translated(error) from None
        except asyncio.CancelledError:
            raise _end_of_call() from None
        return answer

    def query(self, request: Mapping[str, Any], timeout_s: float) -> Any:
        return self._query(wire.pack(request), metadata=self._metadata, timeout=timeout_s + LATE_S)


GetLink = Callable[[], Awaitable[Link]]
"""The data plane to use now; waits while it starts. Raises Unavailable."""


class RemoteConnector:
    """A connector whose statements run in a data plane; names are resolved here, by the one it stands for."""

    def __init__(self, spec: ConnectionSpec, local: Connector, link: GetLink, place: str):
        self._local = local
        self._link = link
        self._connection = wire.pack_spec(spec, place)

    @property
    def kind(self) -> str:
        return self._local.kind

    @property
    def dialect(self) -> str:
        return self._local.dialect

    async def schema(self) -> list[RelationInfo]:
        answer = await (await self._link()).ask(wire.GET_SCHEMA, {"connection": self._connection})
        return wire.unpack_relations(answer)

    async def sources(self, names: Iterable[str]) -> Mapping[str, str]:
        return await self._local.sources(names)

    async def execute(
        self, sql: str, parameters: Mapping[str, str], *, limits: QueryLimits, cancelled: Cancellation
    ) -> ArrowStream:
        request, give_up = self._request(sql, parameters, limits), time.monotonic() + REACH_S
        while True:
            link = await self._link()
            try:
                return await RemoteStream.open(link.query(request, limits.timeout_s), limits, cancelled)
            except NotReached:  # it ended, and nobody knew yet: nothing has begun to run
                if time.monotonic() > give_up:
                    raise
                await asyncio.sleep(REACH_AGAIN_S)

    async def explain(self, sql: str, parameters: Mapping[str, str]) -> str:
        limits = QueryLimits(max_rows=1, max_bytes=1, timeout_s=CALL_S)
        call = (await self._link()).query({**self._request(sql, parameters, limits), "explain": True}, CALL_S)
        return b"".join([part async for part in _reading(call)]).decode()

    async def check(self) -> str:
        answer = await (await self._link()).ask(wire.PING, {"connection": self._connection})
        return str(wire.unpack(answer)["version"])

    async def close(self) -> None:
        await self._local.close()

    def _request(self, sql: str, parameters: Mapping[str, str], limits: QueryLimits) -> dict[str, Any]:
        values = {"sql": sql, "parameters": dict(parameters), "limits": asdict(limits)}
        return {"connection": self._connection, **values}


class RemoteLakehouse(RemoteConnector):
    """The catalog is read here: it is small, and its database lies outside what a data plane may open."""

    async def schema(self) -> list[RelationInfo]:
        return await self._local.schema()

    async def version(self) -> str:
        return await self._local.version()  # type: ignore[attr-defined,no-any-return]

    def past(self, name: str, as_of: str) -> RelationInfo:
        return self._local.past(name, as_of)  # type: ignore[attr-defined,no-any-return]


class RemoteStream:
    """The rows of a statement that runs in a data plane."""

    def __init__(self, call: Any, limits: QueryLimits, cancelled: Cancellation):
        self._call = call
        self._limits = limits
        self._cancelled = cancelled
        self._schema: pa.Schema | None = None
        self.is_truncated = False
        self.stats = RunStats()

    @classmethod
    async def open(cls, call: Any, limits: QueryLimits, cancelled: Cancellation) -> "RemoteStream":
        stream = cls(call, limits, cancelled)
        cancelled.on_set(call.cancel)
        try:
            async for message in stream._messages():
                stream._schema = await in_thread(lambda: _read_schema(message))  # noqa: B023 - awaited at once
                return stream
        except BaseException:
            await stream.close()
            raise
        raise _stopped()

    @property
    def schema(self) -> "pa.Schema":
        assert self._schema is not None, "open() sets the schema"
        return self._schema

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for message in self._messages():
                yield message
            self.stats, self.is_truncated = wire.unpack_end(await self._call.trailing_metadata())
        finally:
            await self.close()

    async def __aiter__(self) -> "AsyncIterator[pa.RecordBatch]":
        async for chunk in self.chunks():
            for batch in _read_batches(chunk) if len(chunk) < SMALL else await _read_aside(chunk):
                if batch.num_rows:
                    yield batch if batch.schema.names == self.schema.names else _renamed(batch, self.schema)

    async def close(self) -> None:
        self._call.cancel()

    async def _messages(self) -> AsyncIterator[bytes]:
        try:
            async for message in _reading(self._call):
                yield message
        except Timeout:
            raise Timeout(
                f"The query took longer than {self._limits.timeout_s:g} s.",
                hint="Ask for less: filter, aggregate, or allow more time with timeout_seconds.",
            ) from None
        except PlatformError:
            if self._cancelled:
                raise Cancelled("The query was cancelled.") from None
            raise


async def _reading(call: Any) -> AsyncIterator[bytes]:
    import grpc

    try:
        async for message in call:
            yield message
    except grpc.aio.AioRpcError as error:
        raise translated(error) from None
    except asyncio.CancelledError:
        raise _end_of_call() from None


def translated(error: "grpc.aio.AioRpcError") -> PlatformError:
    """What a failed call means: the data plane's own error, or that it is gone."""
    import grpc

    told = wire.unpack_error(error.trailing_metadata())
    if told is not None and told.code == "UNAUTHENTICATED":
        return Unavailable("The data plane refuses this server.", hint="Give both the same folder of edge.credentials.")
    if told is not None:
        return told
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return Timeout("The data plane did not answer in time.")
    if "failed to connect" in (error.details() or ""):
        return NotReached("The data plane is not reached.", hint="Retry in a moment; `headwater doctor` says more.")
    return _stopped()


def _stopped() -> Unavailable:
    return Unavailable(
        "The data plane stopped while the query ran in it.",
        hint="It starts again by itself: run the query again in a moment. If it stops again, ask for less at a time.",
        retry_after_s=1.0,
    )


def _end_of_call() -> BaseException:
    """gRPC says of a call that was cancelled, or whose channel was closed, that its reader was cancelled."""
    task = asyncio.current_task()
    is_reader_cancelled = task is not None and task.cancelling() > 0
    return asyncio.CancelledError() if is_reader_cancelled else _stopped()


def _read_schema(data: bytes) -> "pa.Schema":
    load_arrow()
    import pyarrow as pa

    return pa.ipc.read_schema(pa.py_buffer(data))


def _read_batches(data: bytes) -> "list[pa.RecordBatch]":
    import pyarrow as pa

    return list(pa.ipc.open_stream(data))


async def _read_aside(data: bytes) -> "list[pa.RecordBatch]":
    return await in_thread(lambda: _read_batches(data))


def _renamed(batch: "pa.RecordBatch", schema: "pa.Schema") -> "pa.RecordBatch":
    import pyarrow as pa

    return pa.RecordBatch.from_arrays(batch.columns, schema=schema)
