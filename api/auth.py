"""`POST /auth/token` (OAuth 2.0 client credentials) and the public keys that tokens are checked with.

The token endpoint is OAuth's, so its errors have OAuth's shape (RFC 6749, 5.2), with our code and
request id beside."""

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import unquote_plus

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.errors import BodyTooLarge, error_headers, request_id_of, status_of
from api.rest_arguments import read_query
from core.errors import InvalidArgument, PlatformError, Unauthenticated

MAX_FORM_BYTES = 16_384
FORM = "application/x-www-form-urlencoded"


class AccessToken(Protocol):
    """What a client gets for its credentials."""

    @property
    def access_token(self) -> str: ...

    @property
    def token_type(self) -> str: ...

    @property
    def expires_in(self) -> int: ...


class AuthPort(Protocol):
    """What the token endpoint needs from identity."""

    async def issue_token(self, client_id: str, client_secret: str, address: str = "") -> AccessToken:
        """A token for a client. Raises Unauthenticated on wrong credentials, RateLimited on guessing."""
        ...

    def jwks(self) -> dict[str, Any]:
        """The public keys, as a JWK Set (RFC 7517)."""
        ...


class UnsupportedGrant(InvalidArgument):
    """Only the client_credentials grant is served."""


OAUTH_CODES = {
    "UNAUTHENTICATED": "invalid_client",
    "UNAUTHORIZED": "unauthorized_client",
    "INVALID_ARGUMENT": "invalid_request",
    "RATE_LIMITED": "temporarily_unavailable",
    "UNAVAILABLE": "temporarily_unavailable",
}


def auth_routes(auth: AuthPort) -> list[Route]:
    """The routes of the token endpoint and of the key set."""

    async def token(request: Request) -> Response:
        try:
            client_id, client_secret = await read_credentials(request)
            issued = await auth.issue_token(client_id, client_secret, request.client.host if request.client else "")
        except PlatformError as error:
            return _refusal(error, request)
        body = {
            "access_token": issued.access_token,
            "token_type": issued.token_type,
            "expires_in": issued.expires_in,
        }
        return _json(body, 200, {"Cache-Control": "no-store", "Pragma": "no-cache"})

    async def keys(request: Request) -> Response:
        return _json(auth.jwks(), 200, {"Cache-Control": "public, max-age=300"})

    return [
        Route("/auth/token", token, methods=["POST"]),
        Route("/.well-known/jwks.json", keys, methods=["GET"]),
    ]


async def read_credentials(request: Request) -> tuple[str, str]:
    """Client id and secret from the form or from HTTP Basic. Raises InvalidArgument or Unauthenticated."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise InvalidArgument(f"The body is not {FORM}.", hint=f"Send Content-Type: {FORM}.")
    form = read_form(await read_small(request))
    grant_type = form.get("grant_type", "")
    if not grant_type:
        raise InvalidArgument("grant_type is missing.", hint="Send grant_type=client_credentials.")
    if grant_type != "client_credentials":
        raise UnsupportedGrant(hint="Send grant_type=client_credentials.")
    basic = read_basic(request.headers.get("authorization", ""))
    in_form = "client_secret" in form or ("client_id" in form and basic is None)
    if basic is not None and in_form:
        raise InvalidArgument("Credentials were sent twice.", hint="Send them in the form or with Basic, not both.")
    client_id, client_secret = basic or (form.get("client_id", ""), form.get("client_secret", ""))
    if not client_id or not client_secret:
        raise Unauthenticated("client_id or client_secret is missing.", hint="Send both, in the form or with Basic.")
    return client_id, client_secret


async def read_small(request: Request) -> bytes:
    """A small body. Raises BodyTooLarge."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_FORM_BYTES:
            raise BodyTooLarge(f"The form is larger than {MAX_FORM_BYTES} bytes.")
    return body


def read_form(body: bytes) -> Mapping[str, str]:
    """The fields of a form, or of a query, each of which stands once. Raises InvalidArgument."""
    fields = read_query(body)
    repeated = [name for name, values in fields.items() if len(values) > 1]
    if repeated:
        raise InvalidArgument(f"{repeated[0][:64]} is repeated.", hint="Send each parameter once.")
    if any("\0" in text for name, values in fields.items() for text in (name, values[0])):
        raise InvalidArgument("A text holds a NUL character.", hint="Send text without NUL characters.")
    return {name: values[0] for name, values in fields.items()}


def read_basic(authorization: str) -> tuple[str, str] | None:
    """Name and secret of HTTP Basic. Raises Unauthenticated."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        raise Unauthenticated("The Basic credentials are not base64 of UTF-8.") from None
    client_id, _, client_secret = decoded.partition(":")
    return unquote_plus(client_id), unquote_plus(client_secret)


def _refusal(error: PlatformError, request: Request) -> Response:
    headers = {name.decode(): value.decode() for name, value in error_headers(error)}
    if "www-authenticate" in headers:
        headers["www-authenticate"] = 'Basic realm="headwater", charset="UTF-8"'
    oauth = "unsupported_grant_type" if isinstance(error, UnsupportedGrant) else OAUTH_CODES.get(error.code)
    body = {
        "error": oauth or "server_error",
        "error_description": f"{error.message} {error.hint}".strip(),
        "code": error.code,
        "request_id": request_id_of(request.scope),
    }
    return _json(body, status_of(error), {**headers, "Cache-Control": "no-store", "Pragma": "no-cache"})


def _json(body: dict[str, Any], status: int, headers: Mapping[str, str]) -> Response:
    return Response(json.dumps(body), status, headers, "application/json")
