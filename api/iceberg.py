"""The Iceberg REST catalog under `/iceberg/v1`: a foreign protocol's requests and errors around our own gate."""

import json
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.auth import AuthPort, auth_routes
from api.errors import MethodNotAllowed, error_headers, request_id_of, status_of
from api.rest_calls import read_all
from core.callers import bearer
from core.dispatch import Call, Dispatcher
from core.errors import (
    Conflict,
    InvalidArgument,
    NotFound,
    PlatformError,
    QuotaExceeded,
    RateLimited,
    Unauthenticated,
    Unauthorized,
    Unavailable,
)
from core.tool import Route as ToolRoute
from core.tool import Tool

FACE = "iceberg"
ROOT = "/iceberg"
# Names that clients know for our own classes; others go by the name of their class.
NAMES: dict[type[PlatformError], str] = {
    Conflict: "CommitFailedException",
    InvalidArgument: "BadRequestException",
    NotFound: "NotFoundException",
    QuotaExceeded: "TooManyRequestsException",
    RateLimited: "TooManyRequestsException",
    Unauthenticated: "NotAuthorizedException",
    Unauthorized: "ForbiddenException",
    Unavailable: "ServiceUnavailableException",
    MethodNotAllowed: "BadRequestException",
}
_NO_STORE = {"cache-control": "no-store"}


def iceberg_routes(dispatcher: Dispatcher[Any], auth: AuthPort) -> list[BaseRoute]:
    """The routes of every operation in the dispatcher's registry, and the token endpoint that clients expect."""
    token = next(route.endpoint for route in auth_routes(auth) if route.path == "/auth/token")
    endpoints = sorted(
        f"{route.method} {route.path.removeprefix(ROOT)}"
        for route, _ in dispatcher.registry.routes()
        if "{prefix}" in route.path
    )
    endpoints += [text.replace("GET", "HEAD") for text in endpoints if re.fullmatch(r"GET .*{(namespace|table)}", text)]
    routes = [
        Route(f"{ROOT}/v1/oauth/tokens", token, methods=["POST"]),
        *(_route(dispatcher, route, tool, endpoints) for route, tool in dispatcher.registry.routes()),
        Route(f"{ROOT}/{{rest:path}}", _nothing, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]
    return list(routes)


def _route(dispatcher: Dispatcher[Any], route: ToolRoute, tool: Tool, endpoints: list[str]) -> Route:
    async def serve(request: Request) -> Response:
        try:
            return await _serve(dispatcher, tool, request, endpoints)
        except PlatformError as error:
            return _refusal(error, request)

    return Route(route.path, serve, methods=[route.method])


async def _serve(dispatcher: Dispatcher[Any], tool: Tool, request: Request, endpoints: list[str]) -> Response:
    token = bearer(request.headers.get("authorization", ""))
    sent = await read_all(request.receive) if request.method == "POST" and await _is_known(dispatcher, token) else b""
    arguments = _Arguments(tool, request, sent or b"")
    call = Call(tool.name, arguments.read(), FACE, request_id_of(request.scope), token=token)
    result = await dispatcher.call(call)
    body = str(getattr(result, "body", ""))
    if tool.name.endswith("_config"):
        body = json.dumps({**json.loads(body), "endpoints": endpoints})
    if request.method == "HEAD" or tool.status == 204 or not body:
        return Response(status_code=204, headers=_NO_STORE)
    return Response(body, tool.status, _NO_STORE, "application/json")


async def _is_known(dispatcher: Dispatcher[Any], token: str | None) -> bool:
    """Whether a body is read at all. The refusal is left to the gate, which also writes it down."""
    try:
        await dispatcher.authenticate(token)
    except PlatformError:
        return False
    return True


class _Arguments:
    """Path, query and body as one operation's arguments; what it does not know is left out, as the protocol wants."""

    def __init__(self, tool: Tool, request: Request, sent: bytes):
        self._tool = tool
        self._request = request
        self._sent = sent

    def read(self) -> dict[str, Any]:
        fields = self._tool.request.model_fields
        found: dict[str, Any] = {}
        for name, value in self._request.query_params.items():
            plain = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower().replace("-", "_")
            if plain in fields and plain != "body":
                found[plain] = value
        found |= self._request.path_params
        if "body" in fields:
            found["body"] = self._body()
        return found

    def _body(self) -> Any:
        if not self._sent:
            return {}
        try:
            return json.loads(self._sent)
        except (ValueError, RecursionError):
            return None  # which the gate refuses, once it knows who is calling


async def _nothing(request: Request) -> Response:
    return _refusal(NotFound("No such path.", hint="GET /iceberg/v1/config lists the endpoints."), request)


def _refusal(error: PlatformError, request: Request) -> Response:
    token_was_sent = "authorization" in request.headers
    headers = {name.decode(): value.decode() for name, value in error_headers(error, token_was_sent=token_was_sent)}
    if request.method == "HEAD":
        return Response(status_code=status_of(error), headers={**headers, **_NO_STORE})
    body = error_document(error, request_id_of(request.scope))
    return Response(json.dumps(body), status_of(error), {**headers, **_NO_STORE}, "application/json")


def error_document(error: PlatformError, request_id: str) -> dict[str, Any]:
    """An error in Iceberg's shape, with ours beside it."""
    name = NAMES.get(type(error), f"{type(error).__name__}Exception")
    message = f"{error.message} {error.hint}".strip()
    return {
        "error": {
            "message": message,
            "type": name,
            "code": status_of(error),
            "headwater": error.body(request_id),
        }
    }
