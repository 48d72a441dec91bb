"""The gRPC-Web face: the methods of gRPC for browsers, over HTTP/1.1 and with the same errors."""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from connectrpc.code import Code
from connectrpc.errors import ConnectError, ErrorDetail
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.request import RequestContext
from connectrpc.server import ConnectASGIApplication, Endpoint
from protobuf.wkt import Any as WireAny
from pydantic import BaseModel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import MethodNotAllowed, UnsupportedMediaType, request_id_of, send_error
from api.grpc_errors import status_code, status_of
from api.guards import EXPOSED, HostOriginGuard, allowed_hosts, allowed_origins, is_loopback
from api.rpc import REQUEST_ID_KEY, Gate, Metadata, Rpc, Rpcs, own_timeout_s
from core.dispatch import Call
from core.errors import NotFound, PlatformError
from core.settings import ServerSettings

FACE = "grpc_web"
TRAILERS = ("grpc-status", "grpc-message", "grpc-status-details-bin")
BINARY_TYPES = ("application/grpc-web", "application/grpc-web+proto")
TEXT_TYPES = ("application/grpc-web-text", "application/grpc-web-text+proto")
CONNECT_UNARY, CONNECT_STREAM = "application/proto", "application/connect+proto"
PARTS_AHEAD = 2

Connect = RequestContext[bytes, bytes]
Parts = asyncio.Queue[bytes | PlatformError | None]


def grpc_web_app(gate: Gate, rpcs: Rpcs, *, settings: ServerSettings) -> ASGIApp:
    """The ASGI app: Host and Origin guard, then the methods.

    Pages of other origins may call when `cors_origins` names them. A server that listens on loopback
    only also takes pages served from loopback: such a page is the user's own, and still needs a token."""
    origins = allowed_origins(settings)
    if is_loopback(settings.host):
        origins = LoopbackOrigins(origins)
    return HostOriginGuard(
        _Front(_Methods(gate, rpcs, settings.max_body_mb * 2**20), rpcs.methods),
        hosts=allowed_hosts(settings),
        origins=origins,
        exposed=(*EXPOSED, *TRAILERS),
    )


class LoopbackOrigins(frozenset[str]):
    """The origins it is made of, and every page of this machine."""

    def __contains__(self, origin: object) -> bool:
        return super().__contains__(origin) or is_loopback(urlsplit(str(origin)).hostname or "")


class _Methods(ConnectASGIApplication[None]):
    path = "/"

    def __init__(self, gate: Gate, rpcs: Rpcs, max_bytes: int):
        endpoints: dict[str, Any] = {path: _endpoint(gate, rpc) for path, rpc in rpcs.methods.items()}
        super().__init__(
            service=None, endpoints=lambda service: endpoints, read_max_bytes=max_bytes, codecs=[RawBytes()]
        )


class RawBytes:
    """A codec that leaves messages alone: they are read where native gRPC reads them, with the same errors."""

    def name(self) -> str:
        return "proto"

    def encode(self, message: bytes) -> bytes:
        return message

    def decode(self, data: bytes | bytearray, message_class: type[bytes]) -> bytes:
        return bytes(data)


def _endpoint(gate: Gate, rpc: Rpc) -> Endpoint[bytes, bytes]:
    info = MethodInfo(
        name=rpc.name,
        service_name=rpc.service,
        input=bytes,
        output=bytes,
        idempotency_level=IdempotencyLevel.UNKNOWN,
        stream_type=StreamType.SERVER_STREAM if rpc.is_streaming else StreamType.UNARY,
    )
    if rpc.is_streaming:
        return Endpoint.server_stream(info, _stream(gate, rpc))
    return Endpoint.unary(info, _unary(gate, rpc))


def _unary(gate: Gate, rpc: Rpc) -> Callable[[bytes, Connect], Awaitable[bytes]]:
    async def answer(raw: bytes, context: Connect) -> bytes:
        metadata = _metadata(context)
        call = rpc.call(raw, metadata, face=FACE, timeout_s=_timeout_s(context))
        try:
            return await rpc.answer(gate, call, metadata)
        except PlatformError as error:
            raise as_connect_error(error, call.request_id) from error

    return answer


def _stream(gate: Gate, rpc: Rpc) -> Callable[[bytes, Connect], AsyncIterator[bytes]]:
    async def answer(raw: bytes, context: Connect) -> AsyncIterator[bytes]:
        metadata, parts = _metadata(context), Parts(PARTS_AHEAD)

        async def emit(part: BaseModel) -> None:
            content = rpc.part(part, metadata, call.request_id)
            if content is not None:
                await parts.put(content)

        call = rpc.call(raw, metadata, face=FACE, timeout_s=_timeout_s(context), emit=emit)
        runner = asyncio.create_task(_run(gate, rpc, call, metadata, parts))
        try:
            while (part := await parts.get()) is not None:
                if isinstance(part, PlatformError):
                    raise as_connect_error(part, call.request_id)
                yield part
        finally:  # also when the client went away
            runner.cancel()
            with suppress(asyncio.CancelledError):
                await runner

    return answer


async def _run(gate: Gate, rpc: Rpc, call: Call, metadata: Metadata, parts: Parts) -> None:
    try:
        await parts.put(await rpc.answer(gate, call, metadata))
        await parts.put(None)
    except PlatformError as error:
        await parts.put(error)


def _metadata(context: Connect) -> Metadata:
    return dict(context.request_headers.allitems())


def _timeout_s(context: Connect) -> float | None:
    return None if context.timeout_ms is None else own_timeout_s(context.timeout_ms / 1000)


def as_connect_error(error: PlatformError, request_id: str) -> ConnectError:
    """The error as native gRPC shows it: same code, message and details."""
    status = status_of(error, request_id)
    details = [ErrorDetail(WireAny(type_url=detail.type_url, value=detail.value)) for detail in status.details]
    return ConnectError(_CODES[status_code(error).name], status.message, details)


# The two libraries spell one code differently.
_CODES = {code.name: code for code in Code} | {"CANCELLED": Code.CANCELED}


class _Front:
    """Before the methods: unknown paths and media types in our error's form, and the text form of gRPC-Web."""

    def __init__(self, app: ASGIApp, methods: Mapping[str, Rpc]):
        self._app = app
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope, send = _identified(scope, send)
        kind = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"content-type"), "")
        error = self._wrong(scope, kind)
        if error:
            await send_error(scope, send, error)
        elif kind in TEXT_TYPES:
            headers = [pair for pair in scope["headers"] if pair[0] not in (b"content-type", b"content-length")]
            headers.append((b"content-type", BINARY_TYPES[1].encode()))
            await self._app({**scope, "headers": headers}, _decoded(receive), _encoded(send, kind))
        else:
            await self._app(scope, receive, send)

    def _wrong(self, scope: Scope, kind: str) -> PlatformError | None:
        rpc = self._methods.get(scope["path"])
        if rpc is None:
            return NotFound("No such method.", hint="Methods are called as POST /headwater.v1.SomeService/Method.")
        if scope["method"] != "POST":
            return MethodNotAllowed(scope["method"], ["POST"])
        if kind in (*BINARY_TYPES, *TEXT_TYPES, CONNECT_STREAM if rpc.is_streaming else CONNECT_UNARY):
            return None
        return UnsupportedMediaType(
            "This media type is not read here.",
            hint="Send application/grpc-web+proto; native gRPC has a port of its own.",
        )


def _identified(scope: Scope, send: Send) -> tuple[Scope, Send]:
    """One id for the call and for its answer, also where the protocol library refuses before us."""
    name, value = REQUEST_ID_KEY.encode(), request_id_of(scope).encode()
    others = [pair for pair in scope["headers"] if pair[0] != name]

    async def send_identified(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [pair for pair in message.get("headers", ()) if pair[0] != name]
            message = {**message, "headers": [*headers, (name, value)]}
        await send(message)

    return {**scope, "headers": [*others, (name, value)]}, send_identified


def _decoded(receive: Receive) -> Receive:
    """Base64 in, bytes out; a chunk may end inside a group of four."""
    rest = b""

    async def read() -> Message:
        nonlocal rest
        message = await receive()
        if message["type"] == "http.request":
            text = rest + message.get("body", b"")
            whole = len(text) if not message.get("more_body") else len(text) // 4 * 4
            rest = text[whole:]
            try:
                message = {**message, "body": base64.b64decode(text[:whole], validate=True)}
            except binascii.Error:
                raise ConnectError(Code.INVALID_ARGUMENT, "The body is not base64.") from None
        return message

    return read


def _encoded(send: Send, kind: str) -> Send:
    """Bytes in, base64 out: each chunk on its own, as the protocol allows."""

    async def write(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: list[Any] = [pair for pair in message["headers"] if pair[0] != b"content-type"]
            message = {**message, "headers": [*headers, (b"content-type", kind.encode("latin-1"))]}
        elif message.get("body"):
            message = {**message, "body": base64.b64encode(message["body"])}
        await send(message)

    return write
