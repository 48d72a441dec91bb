"""SCIM 2.0 under `/scim/v2`: a foreign protocol's requests and errors around our own gate."""

import json
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.errors import MethodNotAllowed, UnsupportedMediaType, error_headers, request_id_of, status_of
from api.rest_calls import read_all
from core.callers import bearer
from core.dispatch import Call, Dispatcher
from core.errors import Conflict, InvalidArgument, NotFound, PlatformError
from core.tool import Route as ToolRoute
from core.tool import Tool

FACE = "scim"
ROOT = "/scim/v2"
MEDIA_TYPE = "application/scim+json"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_NO_STORE = {"cache-control": "no-store"}


def scim_routes(dispatcher: Dispatcher[Any], *, public_url: str = "") -> list[BaseRoute]:
    """The routes of every operation in the dispatcher's registry."""
    known = [_route(dispatcher, route, tool, public_url) for route, tool in dispatcher.registry.routes()]

    async def nothing(request: Request) -> Response:
        allowed = sorted({method for route in known if _matches(route, request) for method in route.methods or ()})
        error: PlatformError = NotFound("No such path.", hint="GET /scim/v2/ResourceTypes lists the endpoints.")
        return _refusal(MethodNotAllowed(request.method, allowed) if allowed else error, request)

    return [*known, Route(f"{ROOT}/{{rest:path}}", nothing, methods=METHODS)]


def _matches(route: Route, request: Request) -> bool:
    return route.path_regex.match(request.url.path) is not None


def _route(dispatcher: Dispatcher[Any], route: ToolRoute, tool: Tool, public_url: str) -> Route:
    async def serve(request: Request) -> Response:
        try:
            base = (public_url.rstrip("/") or str(request.base_url).rstrip("/")) + ROOT
            return await _serve(dispatcher, tool, request, base)
        except PlatformError as error:
            return _refusal(error, request)

    return Route(route.path, serve, methods=[route.method])


async def _serve(dispatcher: Dispatcher[Any], tool: Tool, request: Request, base: str) -> Response:
    token = bearer(request.headers.get("authorization", ""))
    arguments = {**_read_query(tool, request), **request.path_params, "base": base}
    if "body" in tool.request.model_fields:
        arguments["body"] = await _read_body(dispatcher, token, request)
    call = Call(tool.name, arguments, FACE, request_id_of(request.scope), token=token)
    body = str(getattr(await dispatcher.call(call), "body", ""))
    if tool.status == 204 or not body:
        return Response(status_code=204, headers=_NO_STORE)
    headers = dict(_NO_STORE)
    if tool.status == 201:
        headers["location"] = str(json.loads(body).get("meta", {}).get("location", base))
    return Response(body, tool.status, headers, MEDIA_TYPE)


def _read_query(tool: Tool, request: Request) -> dict[str, str]:
    """The parameters that an operation knows; others are left out, as the protocol wants."""
    found = {}
    for name, value in request.query_params.items():
        plain = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()
        if plain in tool.request.model_fields and plain not in ("body", "base", "item_id"):
            found[plain] = value
    return found


async def _read_body(dispatcher: Dispatcher[Any], token: str | None, request: Request) -> Any:
    """The body, of a known caller; what the gate refuses for a stranger, it also writes down."""
    try:
        await dispatcher.authenticate(token)
    except PlatformError:
        return {}
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("", "application/json", MEDIA_TYPE):
        raise UnsupportedMediaType(f"The body is {kind[:80]!r}.", hint=f"Send {MEDIA_TYPE}.")
    try:
        return json.loads(await read_all(request.receive) or b"null")
    except (ValueError, RecursionError):
        return None  # which the gate refuses, once it knows who is calling


def _refusal(error: PlatformError, request: Request) -> Response:
    token_was_sent = "authorization" in request.headers
    headers = {name.decode(): value.decode() for name, value in error_headers(error, token_was_sent=token_was_sent)}
    body = error_document(error, request_id_of(request.scope))
    return Response(json.dumps(body), status_of(error), {**headers, **_NO_STORE}, MEDIA_TYPE)


def error_document(error: PlatformError, request_id: str) -> dict[str, Any]:
    """An error in SCIM's shape (RFC 7644, 3.12).

    Clients refuse fields that it does not have, so our code and the request id stand at the end of the text."""
    named = str(getattr(error, "scim_type", ""))
    if not named and isinstance(error, Conflict):
        named = "uniqueness"
    elif not named and isinstance(error, InvalidArgument):
        named = "invalidSyntax"
    shown: dict[str, Any] = {"schemas": [ERROR], "status": str(status_of(error))}
    shown["detail"] = f"{error.message} {error.hint}".strip() + f" [{error.code} {request_id}]"
    return {**shown, "scimType": named} if named else shown
