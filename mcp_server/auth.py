"""Who is calling over HTTP: one check per request, before MCP; the raw token goes on to the gate."""

import json
import re
import secrets
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.callers import bearer, read_body, replayed
from core.context import Principal
from core.dispatch import NOBODY, Call, Dispatcher
from core.errors import InvalidArgument, PlatformError, Timeout, Unauthenticated
from core.tool import ANYONE

SCOPE_KEY = "headwater.credentials"
BODY_KEY = "headwater.body"
ID_KEY = "headwater.request_id"
BASE_KEY = "headwater.base"  # the public URL, where there is one
STATUS = {"UNAUTHENTICATED": 401, "INVALID_ARGUMENT": 400, "RATE_LIMITED": 429}


@dataclass(frozen=True, slots=True)
class Credentials:
    """The verified principal, and the token that the gate verifies again; without one, it is local."""

    principal: Principal
    token: str | None = None
    is_local: bool = False
    at: str = "mcp"  # the address that the token came to


def new_request_id() -> str:
    return secrets.token_hex(16)


def request_id_of(scope: Scope) -> str:
    """The id of this HTTP request: the client's own where it is well formed, else a new one."""
    if ID_KEY not in scope:
        sent = Headers(scope=scope).get("x-request-id", "")
        scope[ID_KEY] = sent if _REQUEST_ID.fullmatch(sent) else new_request_id()
    found: str = scope[ID_KEY]
    return found


_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def marked(request_id: str, send: Send) -> Send:
    """A `send` that puts the request id on the answer, also where the SDK writes it."""

    async def send_marked(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [item for item in message.get("headers", ()) if item[0] != b"x-request-id"]
            message["headers"] = [*headers, (b"x-request-id", request_id.encode())]
        await send(message)

    return send_marked


class Admission:
    """ASGI: reads the body within its limit, verifies the token, and lets the request on to MCP."""

    def __init__(self, app: ASGIApp, dispatcher: Dispatcher[Any], *, max_body_bytes: int, public_url: str = ""):
        self._app = app
        self._public_url = public_url.rstrip("/")
        self._dispatcher = dispatcher
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[BASE_KEY] = self._public_url
        token, send = bearer(Headers(scope=scope).get("authorization", "")), marked(request_id_of(scope), send)
        try:
            by = await self._dispatcher.authenticate(token, _at(scope))
            credentials = Credentials(by, token, at=_at(scope))
        except PlatformError as error:
            await self._stop(error, token, scope, receive, send)
            return
        try:
            body = await read_body(receive, limit_bytes=self._max_body_bytes)
        except InvalidArgument as error:
            await refuse(error, scope, receive, send, status=413)
            return
        except Timeout as error:
            await refuse(error, scope, receive, send, status=408)
            return
        if body is not None:
            await self._enter(credentials, body, scope, receive, send)

    async def _enter(self, credentials: Credentials, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        scope[SCOPE_KEY] = credentials
        scope[BODY_KEY] = body
        await self._app(scope, replayed(body, receive), send)

    async def _stop(self, error: PlatformError, token: str | None, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse; a call of a tool passes the gate first, so that it is audited, or let in if it is for anyone."""
        try:
            body = await read_body(receive, limit_bytes=min(self._max_body_bytes, 1 << 20))
        except (InvalidArgument, Timeout):
            body = b""
        if body is None:
            return
        call = called_tool(body)
        if call is not None and isinstance(error, Unauthenticated):
            name, arguments = call
            registry = self._dispatcher.registry
            if name in registry and registry.get(name).needs == ANYONE:
                await self._enter(Credentials(NOBODY, token, at=_at(scope)), body, scope, receive, send)
                return
            call_there = Call(name, arguments, "mcp", request_id_of(scope), token=token, at=_at(scope))
            error = await self._audited(call_there, error)
        await refuse(error, scope, receive, send, is_token_bad=token is not None)

    async def _audited(self, call: Call, error: PlatformError) -> PlatformError:
        try:
            await self._dispatcher.call(call)
        except PlatformError as refused:
            return refused
        return error


def called_tool(body: bytes) -> tuple[str, dict[str, Any]] | None:
    """Name and arguments when the body calls a tool."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or message.get("method") != "tools/call":
        return None
    params = message.get("params")
    name = params.get("name") if isinstance(params, dict) else None
    arguments = params.get("arguments") if isinstance(params, dict) else None
    return (name, arguments if isinstance(arguments, dict) else {}) if isinstance(name, str) else None


async def refuse(
    error: PlatformError,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    status: int | None = None,
    is_token_bad: bool = False,
    allow: str = "",
) -> None:
    """Answer outside MCP, in the shape that every face uses."""
    request_id = request_id_of(scope)
    headers = {"x-request-id": request_id, **({"allow": allow} if allow else {})}
    if isinstance(error, Unauthenticated):
        headers["www-authenticate"] = f'Bearer realm="headwater"{_metadata_of(scope)}'
        if is_token_bad:
            text = re.sub(r"[^\x20-\x7e]|[\"\\]", "", error.message)[:200]
            headers["www-authenticate"] += f', error="invalid_token", error_description="{text}"'
    if error.retry_after_s is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after_s)))
    code = status or STATUS.get(error.code, 503)
    await JSONResponse({"error": error.body(request_id)}, code, headers)(scope, receive, send)


def _at(scope: Scope) -> str:
    """The address within this server: a token may be for it alone."""
    path: str = scope["path"]
    return path.strip("/")


def _metadata_of(scope: Scope) -> str:
    """Where a client learns who gives it a token for this address (RFC 9728)."""
    base = scope.get(BASE_KEY, "") or f"{scope.get('scheme', 'http')}://{Headers(scope=scope).get('host', '')}"
    url = f"{base}/.well-known/oauth-protected-resource{scope['path'].rstrip('/')}"
    return f', resource_metadata="{url}"' if _URL.fullmatch(url) else ""


_URL = re.compile(r"https?://[A-Za-z0-9._:/\[\]-]{1,1000}")
