"""Streamable HTTP at `/mcp`: both protocol eras on one endpoint, stateless, guarded."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from fastmcp.server.http import HostOriginGuardMiddleware
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from core.dispatch import Dispatcher
from core.errors import InvalidArgument, NotFound
from core.settings import ServerSettings
from mcp_server.auth import BODY_KEY, Admission, refuse, request_id_of
from mcp_server.envelope import rpc_error, wrong_envelope


class Transports:
    """ASGI: the SDK's transport, answering with plain JSON or able to stream.

    Streaming is chosen where it costs nothing unless used (2026-07-28: the first notification opens the
    stream, and a client that leaves cancels its call), and before that only when progress is wanted."""

    def __init__(self, server: Server[Any], *, max_body_bytes: int):
        self._server = server
        self._max_body_bytes = max_body_bytes
        self._plain: StreamableHTTPSessionManager | None = None
        self._streaming: StreamableHTTPSessionManager | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self._plain = self._transport(is_json=True)
        self._streaming = self._transport(is_json=False)
        async with self._plain.run(), self._streaming.run():
            yield

    def _transport(self, *, is_json: bool) -> StreamableHTTPSessionManager:
        return StreamableHTTPSessionManager(
            self._server,
            json_response=is_json,
            stateless=True,
            max_request_body_size=self._max_body_bytes,  # the SDK has a lower one of its own
            security_settings=TransportSecuritySettings(enable_dns_rebinding_protection=False),  # guarded() does it
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("POST", "DELETE"):
            await refuse(wrong_method(), scope, receive, send, status=405, allow="POST, DELETE")
            return
        wrong = wrong_envelope(scope[BODY_KEY]) if scope["method"] == "POST" else None
        if wrong is not None:
            await JSONResponse(rpc_error(*wrong, request_id_of(scope)), 400)(scope, receive, send)
            return
        chosen = self._streaming if wants_stream(Headers(scope=scope), scope[BODY_KEY]) else self._plain
        if chosen is None:
            raise RuntimeError("the MCP app is used without its lifespan")
        await chosen.handle_request(scope, receive, send)


def wants_stream(headers: Headers, body: bytes) -> bool:
    """Whether the streaming transport serves a request."""
    accepted = headers.get("accept", "")
    if "text/event-stream" not in accepted and "*/*" not in accepted:
        return False
    version = headers.get("mcp-protocol-version")
    is_modern = version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS
    return is_modern or b'"progressToken"' in body


Beside = Callable[[ASGIApp], Sequence[BaseRoute]]
"""Routes of others to serve beside `/mcp`; they are given the app that serves it."""


def http_app(
    server: Server[Any], dispatcher: Dispatcher[Any], settings: ServerSettings, beside: Beside = lambda app: ()
) -> Starlette:
    """The app to serve; its lifespan starts and stops the transports."""
    max_body_bytes = settings.max_body_mb << 20
    transports = Transports(server, max_body_bytes=max_body_bytes)
    door = Admission(transports, dispatcher, max_body_bytes=max_body_bytes, public_url=settings.public_url)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with transports.running():
            yield

    routes: list[BaseRoute] = [Route(path, endpoint=door) for path in ("/mcp", "/mcp/")]
    routes += beside(door)
    routes.append(Route("/{path:path}", endpoint=NoSuchPath()))
    return Starlette(routes=routes, middleware=guards(settings), lifespan=lifespan)


class NoSuchPath:
    """ASGI: every other path."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = NotFound("No such path.", hint="MCP is served at /mcp; REST has a port of its own.")
        await refuse(error, scope, receive, send, status=404)


def wrong_method() -> InvalidArgument:
    return InvalidArgument("This method is not allowed here.", hint="POST requests; this server keeps no sessions.")


def guards(settings: ServerSettings) -> list[Middleware]:
    """Host and Origin are checked first, against DNS rebinding; then CORS where origins are allowed."""
    public = urlsplit(settings.public_url)
    origins = [*settings.cors_origins, *([f"{public.scheme}://{public.netloc}"] if public.netloc else [])]
    hosts = [*settings.allowed_hosts, *([public.hostname] if public.hostname else [])]
    found = [Middleware(HostOriginGuardMiddleware, allowed_hosts=hosts, allowed_origins=origins, mode="strict")]
    if settings.cors_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=["WWW-Authenticate", "Retry-After", "X-Request-Id"],
        )
        found.append(cors)
    return found
