"""Our errors in the shape of the protocol that was spoken, with our own code and request id beside."""

import json
import math
from typing import Any

from core.errors import InvalidArgument, PlatformError, Unauthenticated
from engine.agents.ownership import TaskNotFound

PARSE, INVALID, NO_METHOD, BAD_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
TASK_NOT_FOUND, UNSUPPORTED, BAD_ANSWER = -32001, -32004, -32006
RPC_CODES = {
    "UNAUTHENTICATED": -32090,
    "UNAUTHORIZED": -32091,
    "QUERY_UNAUTHORIZED": -32091,
    "NOT_FOUND": BAD_PARAMS,
    "INVALID_ARGUMENT": BAD_PARAMS,
    "CONFLICT": -32092,
    "RATE_LIMITED": -32093,
    "QUOTA_EXCEEDED": -32093,
    "TIMEOUT": -32094,
    "CANCELLED": -32095,
    "UNAVAILABLE": -32096,
    "INTERNAL": INTERNAL,
}
STATUS = {
    "UNAUTHENTICATED": 401,
    "UNAUTHORIZED": 403,
    "QUERY_UNAUTHORIZED": 403,
    "NOT_FOUND": 404,
    "INVALID_ARGUMENT": 400,
    "CONFLICT": 409,
    "RATE_LIMITED": 429,
    "QUOTA_EXCEEDED": 429,
    "TIMEOUT": 504,
    "CANCELLED": 499,
    "UNAVAILABLE": 503,
    "INTERNAL": 500,
}
GRPC_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
DOMAIN, A2A_DOMAIN = "headwater", "a2a-protocol.org"
OUTSIDE = frozenset({"UNAUTHENTICATED", "UNAUTHORIZED", "RATE_LIMITED", "QUOTA_EXCEEDED"})
"""Errors whose HTTP status tells clients what to do; all others of JSON-RPC travel with 200, as its clients expect."""


class WrongEnvelope(InvalidArgument):
    """A body that is none of the protocol's; `rpc_code` is what JSON-RPC calls it."""

    def __init__(self, rpc_code: int, message: str, *, hint: str = ""):
        self.rpc_code = rpc_code
        super().__init__(message, hint=hint)


def rpc_code(error: PlatformError) -> int:
    """The JSON-RPC code of an error."""
    if isinstance(error, WrongEnvelope):
        return error.rpc_code
    return TASK_NOT_FOUND if isinstance(error, TaskNotFound) else RPC_CODES[error.code]


def a2a_rpc_error(error: PlatformError, rpc_id: Any, request_id: str) -> bytes:
    """An error of A2A over JSON-RPC: details are a list of typed objects."""
    shown = {"code": rpc_code(error), "message": _sentence(error), "data": [_info(error, request_id)]}
    return json.dumps({"jsonrpc": "2.0", "id": rpc_id, "error": shown}).encode()


def a2a_rest_error(error: PlatformError, request_id: str) -> bytes:
    """An error of A2A over REST."""
    status = STATUS[error.code]
    name = GRPC_NAMES.get(status, "INTERNAL")
    details = [_info(error, request_id)]
    return json.dumps(
        {"error": {"code": status, "status": name, "message": _sentence(error), "details": details}}
    ).encode()


def mcp_error(error: PlatformError, rpc_id: Any, request_id: str) -> bytes:
    """An error of MCP, with the body that all our errors have in `data`."""
    shown = {"code": rpc_code(error), "message": _sentence(error), "data": {"error": error.body(request_id)}}
    return json.dumps({"jsonrpc": "2.0", "id": rpc_id, "error": shown}).encode()


def headers_of(error: PlatformError, *, token_was_sent: bool) -> dict[str, str]:
    """When to come back, and how to sign in."""
    found = {}
    if error.retry_after_s is not None:
        found["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, Unauthenticated):
        found["www-authenticate"] = 'Bearer realm="headwater"' + (', error="invalid_token"' if token_was_sent else "")
    return found


def _sentence(error: PlatformError) -> str:
    return f"{error.message} {error.hint}".strip()


def _info(error: PlatformError, request_id: str) -> dict[str, Any]:
    is_protocols = isinstance(error, TaskNotFound)
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "TASK_NOT_FOUND" if is_protocols else error.code,
        "domain": A2A_DOMAIN if is_protocols else DOMAIN,
        "metadata": error.body(request_id),
    }
