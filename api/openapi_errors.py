"""The parts of the OpenAPI document that are alike everywhere: errors, headers, the token endpoint."""

from collections.abc import Iterable
from typing import Any

from api.errors import STATUS, BodyTooLarge, UnsupportedMediaType, status_of
from core.errors import PlatformError, Unauthenticated, Unauthorized, error_classes
from core.tool import ANYONE, Tool

Schema = dict[str, Any]
EXAMPLE_ID = "req_5f0c2a9b7d3e4f61a2b3c4d5"


def _example(kind: type[PlatformError]) -> Schema:
    hints = {"UNAUTHENTICATED": "Send `Authorization: Bearer TOKEN`.", "RATE_LIMITED": "Come back after Retry-After."}
    error = kind(hint=hints.get(kind.code, ""))
    return {"summary": error.message, "value": {"error": error.body(EXAMPLE_ID)}}


ERROR_SCHEMAS: dict[str, Schema] = {
    "Error": {
        "type": "object",
        "description": "Every refusal and failure has this shape.",
        "required": ["error"],
        "properties": {"error": {"$ref": "#/components/schemas/ErrorDetail"}},
    },
    "ErrorDetail": {
        "type": "object",
        "required": ["code", "message", "hint", "request_id"],
        "properties": {
            "code": {"type": "string", "enum": sorted({kind.code for kind in error_classes()})},
            "message": {"type": "string", "description": "What was wrong."},
            "hint": {"type": "string", "description": "The next step; may be empty."},
            "request_id": {"type": "string", "description": "Quote it when you ask about this failure."},
        },
    },
    "TokenError": {
        "type": "object",
        "description": "An OAuth error (RFC 6749, 5.2), with our code and request id beside.",
        "required": ["error", "error_description", "code", "request_id"],
        "properties": {
            "error": {"type": "string"},
            "error_description": {"type": "string"},
            "code": {"type": "string"},
            "request_id": {"type": "string"},
        },
    },
    "AccessToken": {
        "type": "object",
        "description": "What a client gets for its credentials.",
        "required": ["access_token", "token_type", "expires_in"],
        "properties": {
            "access_token": {"type": "string", "description": "Send it as `Authorization: Bearer`."},
            "token_type": {"type": "string", "description": "Always `Bearer`."},
            "expires_in": {"type": "integer", "description": "Seconds that the token lives."},
        },
    },
}

HEADERS: dict[str, Schema] = {
    "RequestId": {
        "description": "Id of this request: the `X-Request-Id` that was sent, or a new one.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$"},
    },
    "RetryAfter": {
        "description": "Seconds after which to come back.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "Challenge": {"description": "How to sign in.", "required": True, "schema": {"type": "string"}},
    "Location": {"description": "Path of what was made.", "required": True, "schema": {"type": "string"}},
    "ETag": {
        "description": "The version of what is answered; send it as `If-Match` to change just that version.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9]{1,18}"$'},
    },
}

_NAMES = {
    400: "BadRequest",
    401: "Unauthenticated",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    413: "TooLarge",
    415: "UnsupportedMediaType",
    421: "WrongHost",
    429: "TooManyRequests",
    499: "Cancelled",
    500: "Internal",
    503: "Unavailable",
    504: "Timeout",
}


def _response(status: int, kinds: list[type[PlatformError]]) -> Schema:
    headers = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    if status in (429, 503):
        headers["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
    if status == 401:
        headers["WWW-Authenticate"] = {"$ref": "#/components/headers/Challenge"}
    examples = {kind.code if kind in error_classes() else kind.__name__: _example(kind) for kind in kinds}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}, "examples": examples}}
    return {"description": (kinds[0].__doc__ or "").strip(), "headers": headers, "content": content}


def _kinds(status: int) -> list[type[PlatformError]]:
    return [kind for kind in (*error_classes(), BodyTooLarge, UnsupportedMediaType) if status_of(kind("")) == status]


RESPONSES: dict[str, Schema] = {
    name: _response(status, _kinds(status)) for status, name in _NAMES.items() if _kinds(status)
}


def error_responses(tool: Tool, *, has_body: bool) -> Schema:
    """The refusals that an operation can answer with."""
    statuses = {400, 404, 409, 429, 499, 500, 503, 504, STATUS[Unauthorized]}
    if tool.needs == ANYONE:
        statuses -= {STATUS[Unauthorized]} if tool.effect != "read" else {STATUS[Unauthorized], 409}
    else:
        statuses.add(STATUS[Unauthenticated])
    if has_body:
        statuses |= {413, 415}
    return named_errors(statuses)


def named_errors(statuses: Iterable[int]) -> Schema:
    """References to the responses of those statuses."""
    return {str(status): {"$ref": f"#/components/responses/{_NAMES[status]}"} for status in sorted(statuses)}


def _token_refusal(description: str, headers: Schema) -> Schema:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/TokenError"}}}
    marked = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}, **headers}
    return {"description": description, "headers": marked, "content": content}


def _answer(description: str, schema: Schema) -> Schema:
    headers = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    return {"description": description, "headers": headers, "content": {"application/json": {"schema": schema}}}


_TEXT = {"type": "string", "minLength": 1, "pattern": r"^[^\u0000]*$"}
_FORM: Schema = {
    "type": "object",
    "required": ["grant_type", "client_id", "client_secret"],
    "properties": {
        "grant_type": {"type": "string", "enum": ["client_credentials"]},
        "client_id": {**_TEXT, "description": "Id of the client; or send both with HTTP Basic."},
        "client_secret": {**_TEXT, "description": "Its secret."},
    },
    "additionalProperties": {"type": "string", "pattern": r"^[^\u0000]*$"},
    "propertyNames": {"pattern": r"^[^\u0000]*$"},
}

TOKEN_PATHS: dict[str, Schema] = {
    "/auth/token": {
        "post": {
            "operationId": "issue_token",
            "summary": "Exchange client credentials for an access token.",
            "description": "OAuth 2.0 client credentials (RFC 6749, 4.4): in the form, or by HTTP Basic.",
            "tags": ["auth"],
            "security": [],
            "requestBody": {"required": True, "content": {"application/x-www-form-urlencoded": {"schema": _FORM}}},
            "responses": {
                "200": _answer("The token.", {"$ref": "#/components/schemas/AccessToken"}),
                "400": _token_refusal("The request is not a client_credentials request.", {}),
                "401": _token_refusal(
                    "The credentials are wrong.", {"WWW-Authenticate": {"$ref": "#/components/headers/Challenge"}}
                ),
                "413": _token_refusal("The form is too large.", {}),
                "429": _token_refusal(
                    "Too many wrong guesses.", {"Retry-After": {"$ref": "#/components/headers/RetryAfter"}}
                ),
                "500": _token_refusal("Something failed inside Headwater.", {}),
                "503": _token_refusal("The store of clients is not reachable.", {}),
            },
        }
    },
    "/.well-known/jwks.json": {
        "get": {
            "operationId": "get_jwks",
            "summary": "Read the public keys that our tokens are signed with.",
            "description": "A JWK Set (RFC 7517). Keys rotate: read it again when a token names an unknown `kid`.",
            "tags": ["auth"],
            "security": [],
            "responses": {
                "200": _answer(
                    "The keys.",
                    {
                        "type": "object",
                        "required": ["keys"],
                        "properties": {"keys": {"type": "array", "items": {"type": "object"}}},
                    },
                )
            },
        }
    },
}
