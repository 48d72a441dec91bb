"""The envelope of a request, read before the SDK sees it: what is no JSON-RPC is refused in the common shape."""

from typing import Any

from pydantic_core import from_json

from core.errors import InvalidArgument

PARSE_ERROR, INVALID_REQUEST = -32700, -32600


def wrong_envelope(body: bytes) -> tuple[int, InvalidArgument] | None:
    """The JSON-RPC code and the error of a body that is no JSON-RPC message, or None."""
    try:
        message = from_json(body, allow_inf_nan=False)
    except ValueError:
        return PARSE_ERROR, InvalidArgument("The body is not JSON in UTF-8.", hint="POST one JSON-RPC 2.0 message.")
    wrong = _problem(message)
    return (INVALID_REQUEST, InvalidArgument(wrong, hint="POST one JSON-RPC 2.0 message.")) if wrong else None


def _problem(message: Any) -> str:
    if not isinstance(message, dict):
        return "The body is not one JSON object."
    if message.get("jsonrpc") != "2.0":
        return 'jsonrpc is not "2.0".'
    if "id" in message and type(message["id"]) not in (str, int):
        return "id is neither a text nor a whole number."
    if "method" not in message:
        return "" if "result" in message or "error" in message else "method is missing."
    if not isinstance(message["method"], str):
        return "method is not a text."
    if not isinstance(message.get("params", {}), dict):
        return "params is not an object."
    return ""


def rpc_error(code: int, error: InvalidArgument, request_id: str) -> dict[str, Any]:
    """The answer to a message that has no readable id."""
    data = {"error": error.body(request_id)}
    return {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": error.message, "data": data}}
