"""The REST face: every tool of the registry under `/v1` and `/api`, in one FastAPI application."""

import asyncio
import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth import AuthPort, auth_routes
from api.errors import MethodNotAllowed, error_body, error_headers, request_id_of, status_of
from api.guards import HostOriginGuard, allowed_hosts, allowed_origins
from api.limits import BodyLimit
from api.openapi import openapi_document
from api.rest_calls import ToolCalls
from api.rest_routes import ToolRoutes
from core.dispatch import Dispatcher
from core.errors import Internal, InvalidArgument, NotFound, PlatformError
from core.settings import ServerSettings

WEB = Path(__file__).with_name("web")
# The gate has the spans, which name no path and no argument; FastAPI would look for a provider at each request.
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
DOCS_CSP = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:"


def rest_app(
    dispatcher: Dispatcher[Any],
    *,
    settings: ServerSettings,
    auth: AuthPort,
    version: str,
    extra_routes: Sequence[BaseRoute] = (),
) -> FastAPI:
    """The application. `extra_routes` are served beside the tools, at the root, and keep their own error bodies."""
    app = FastAPI(
        title="Headwater", version=version, openapi_url=None, docs_url=None, redoc_url=None, telemetry=NO_TELEMETRY
    )
    app.router.redirect_slashes = False

    @functools.cache
    def document() -> bytes:
        return json.dumps(
            openapi_document(dispatcher.registry, version=version, public_url=settings.public_url)
        ).encode()

    app.router.routes[:] = [
        ToolRoutes(dispatcher.registry, ToolCalls(dispatcher).serve, extra_routes),
        *auth_routes(auth),
        *_document_routes(document),
        *extra_routes,
    ]
    app.add_exception_handler(PlatformError, _answer_error)
    app.add_exception_handler(HTTPException, _answer_error)
    app.add_exception_handler(Exception, _answer_error)
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_mb * 2**20)
    app.add_middleware(HostOriginGuard, hosts=allowed_hosts(settings), origins=allowed_origins(settings))
    app.add_middleware(ResponseHeaders)
    return app


async def _answer_error(request: Request, error: Exception) -> Response:
    """What the router refuses, and what no one foresaw, in the shape of all errors."""
    known = _as_platform_error(request, error)
    headers = {name.decode(): value.decode() for name, value in error_headers(known)}
    request_id = request_id_of(request.scope)
    headers["x-request-id"] = request_id
    status = error.status_code if isinstance(error, HTTPException) else status_of(known)
    return Response(error_body(known, request_id), status, headers, "application/json")


def _as_platform_error(request: Request, error: Exception) -> PlatformError:
    if isinstance(error, PlatformError):
        return error
    if not isinstance(error, HTTPException):
        return Internal(hint="Report the request id; the details are in the server's log.")
    if error.status_code == 404:
        return NotFound("No such path.", hint="/openapi.json lists the paths.")
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return MethodNotAllowed(request.method, [method.strip() for method in allowed.split(",")])
    return InvalidArgument(str(error.detail)) if error.status_code < 500 else Internal()


def _document_routes(document: Callable[[], bytes]) -> list[Route]:
    async def openapi(request: Request) -> Response:
        return Response(
            await asyncio.to_thread(document), media_type="application/json", headers={"Cache-Control": "no-cache"}
        )

    def page(name: str, media_type: str) -> Route:
        body = (WEB / name).read_bytes()

        async def answer(request: Request) -> Response:
            headers = {"Content-Security-Policy": DOCS_CSP, "X-Frame-Options": "DENY", "Cache-Control": "no-cache"}
            return Response(body, media_type=media_type, headers=headers)

        return Route("/docs" if name == "docs.html" else f"/docs/{name}", answer, methods=["GET"])

    return [
        Route("/openapi.json", openapi, methods=["GET"]),
        page("docs.html", "text/html"),
        page("docs.css", "text/css"),
        page("docs.js", "text/javascript"),
    ]


class ResponseHeaders:
    """ASGI middleware: the request id and the security headers on every response."""

    def __init__(self, app: ASGIApp):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(scope).encode()

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [item for item in message.get("headers", ()) if item[0] != b"x-request-id"]
                has_policy = any(name == b"referrer-policy" for name, _ in headers)
                message["headers"] = [
                    *headers,
                    (b"x-request-id", request_id),
                    (b"x-content-type-options", b"nosniff"),
                    *([] if has_policy else [(b"referrer-policy", b"no-referrer")]),
                ]
            await send(message)

        await self._app(scope, receive, send_marked)
