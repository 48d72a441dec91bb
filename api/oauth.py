"""OAuth 2.1 for programs: metadata, registration, tokens, revocation, devices. The pages are `api/oauth_pages.py`.

Both HTTP faces serve all of it, so that each is an authorization server of its own where no public URL joins them."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.auth import FORM, OAUTH_CODES, read_basic, read_form, read_small
from api.errors import error_headers, request_id_of, status_of
from api.oauth_audit import Told, about_of
from api.oauth_pages import page_routes
from api.oauth_port import Caller, OAuthPort
from core.errors import InvalidArgument, NotFound, PlatformError
from core.ports import Audit

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
PUBLIC = {"Cache-Control": "public, max-age=60"}
KNOWN = "/.well-known"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
RESOURCE = re.compile(r"mcp(/(agents|projects)/[A-Za-z0-9_-]{1,64})?|a2a/[A-Za-z0-9_-]{1,64}")
Answer = Callable[[Request], Awaitable[Response]]
ToldAnswer = Callable[[Request, Told], Awaitable[Response]]


def oauth_routes(
    oauth: OAuthPort, jwks: Callable[[], dict[str, Any]], audit: Audit, *, public_url: str
) -> list[BaseRoute]:
    """Every route of sign-in. `jwks` are the public keys that our tokens are signed with."""
    ends = Endpoints(oauth, jwks, public_url)
    found: list[BaseRoute] = [
        Route("/oauth/token", _told("issue_token", ends.token, audit), methods=["POST"]),
        Route("/oauth/register", _told("register_application", ends.register, audit), methods=["POST"]),
        Route("/oauth/revoke", _told("end_sign_in", ends.revoke, audit), methods=["POST"]),
        Route("/oauth/device", _told("start_device", ends.device, audit), methods=["POST"]),
        Route("/oauth/jwks.json", _answered(ends.keys), methods=["GET"]),
    ]
    for end in ("", "/{path:path}"):
        found.append(Route(f"{KNOWN}/oauth-authorization-server{end}", _answered(ends.server), methods=["GET"]))
        found.append(Route(f"{KNOWN}/openid-configuration{end}", _answered(ends.provider), methods=["GET"]))
        found.append(Route(f"{KNOWN}/oauth-protected-resource{end}", _answered(ends.resource), methods=["GET"]))
    return [*found, *page_routes(oauth, audit, public_url=public_url)]


class Endpoints:
    """What each address answers with."""

    def __init__(self, oauth: OAuthPort, jwks: Callable[[], dict[str, Any]], public_url: str):
        self._oauth = oauth
        self._jwks = jwks
        self._public_url = public_url

    def _caller(self, request: Request) -> Caller:
        return Caller.of(request, self._public_url)

    async def token(self, request: Request, told: Told) -> Response:
        form, basic = await _form(request), _basic(request)
        told.name(**about_of(form, basic))
        issued = await self._oauth.token(form, basic, self._caller(request))
        told.sign_in(issued.session)
        return _json(issued.answer)

    async def register(self, request: Request, told: Told) -> Response:
        try:
            said = json.loads(await read_small(request))
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            raise InvalidArgument("The body is not a JSON object.")
        made = await self._oauth.register(said, self._caller(request))
        told.name(application=made["client_id"])
        return _json(made, 201)

    async def revoke(self, request: Request, told: Told) -> Response:
        form, basic = await _form(request), _basic(request)
        told.name(**about_of(form, basic))
        told.sign_in(await self._oauth.revoke(form, basic))
        return Response(status_code=200, headers=NO_STORE)

    async def device(self, request: Request, told: Told) -> Response:
        form = await _form(request)
        told.name(**about_of(form, None))
        return _json(await self._oauth.start_device(form, self._caller(request)))

    async def server(self, request: Request) -> Response:
        return _json(server_metadata(self._caller(request).base), 200, PUBLIC)

    async def provider(self, request: Request) -> Response:
        """The same under the name that other clients look for, with what their readers insist on."""
        more = {"subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"]}
        return _json(server_metadata(self._caller(request).base) | more, 200, PUBLIC)

    async def resource(self, request: Request) -> Response:
        path = request.path_params.get("path", "").strip("/")
        if path and not RESOURCE.fullmatch(path):
            raise NotFound("No such resource.", hint="/.well-known/oauth-protected-resource/mcp describes MCP.")
        return _json(resource_metadata(self._caller(request).base, path), 200, PUBLIC)

    async def keys(self, request: Request) -> Response:
        return _json(self._jwks(), 200, {"Cache-Control": "public, max-age=300"})


def server_metadata(base: str) -> dict[str, Any]:
    """The authorization server as it describes itself (RFC 8414)."""
    return {
        "issuer": base,
        "authorization_endpoint": f"{base}/oauth/authorize",
        "token_endpoint": f"{base}/oauth/token",
        "registration_endpoint": f"{base}/oauth/register",
        "revocation_endpoint": f"{base}/oauth/revoke",
        "device_authorization_endpoint": f"{base}/oauth/device",
        "jwks_uri": f"{base}/oauth/jwks.json",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", DEVICE_GRANT],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "client_secret_basic"],
        "revocation_endpoint_auth_methods_supported": ["none", "client_secret_post", "client_secret_basic"],
        "scopes_supported": ["offline_access"],
        "authorization_response_iss_parameter_supported": True,
        "client_id_metadata_document_supported": True,
    }


def resource_metadata(base: str, path: str) -> dict[str, Any]:
    """A resource of this server, and who issues tokens for it (RFC 9728)."""
    return {
        "resource": f"{base}/{path}" if path else base,
        "authorization_servers": [base],
        "bearer_methods_supported": ["header"],
        "resource_name": "Headwater",
    }


def _answered(work: Answer) -> Answer:
    """What is refused, in OAuth's shape (RFC 6749, 5.2), with our code and request id beside."""

    async def answer(request: Request) -> Response:
        try:
            return await work(request)
        except PlatformError as error:
            return refusal(error, request)

    return answer


def _told(event: str, work: ToldAnswer, audit: Audit) -> Answer:
    """The same for what the audit keeps: an answer waits until it is written down."""

    async def answer(request: Request) -> Response:
        told = Told(event, request)
        try:
            response = await work(request, told)
        except PlatformError as error:
            told.refuse(error)
            response = refusal(error, request)
        if told.is_worth_it:
            await audit.record(told.record(), wait=True)
        return response

    return answer


def refusal(error: PlatformError, request: Request) -> Response:
    headers = {name.decode(): value.decode() for name, value in error_headers(error)}
    if "www-authenticate" in headers:
        headers["www-authenticate"] = 'Basic realm="headwater", charset="UTF-8"'
    body = {
        "error": getattr(error, "oauth", "") or OAUTH_CODES.get(error.code, "server_error"),
        "error_description": f"{error.message} {error.hint}".strip(),
        "code": error.code,
        "request_id": request_id_of(request.scope),
    }
    return _json(body, status_of(error), {**headers, **NO_STORE})


async def _form(request: Request) -> Mapping[str, str]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise InvalidArgument(f"The body is not {FORM}.", hint=f"Send Content-Type: {FORM}.")
    return read_form(await read_small(request))


def _basic(request: Request) -> tuple[str, str] | None:
    return read_basic(request.headers.get("authorization", ""))


def _json(body: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] = NO_STORE) -> Response:
    return Response(json.dumps(body), status, headers, "application/json")
