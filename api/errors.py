"""The error tree as HTTP: one table of statuses, one shape of body, and the id of each request."""

import json
import math
import re
import secrets
from collections.abc import Sequence
from typing import Any

from starlette.types import Scope, Send

from core.errors import (
    Cancelled,
    Conflict,
    Internal,
    InvalidArgument,
    NotFound,
    PlatformError,
    QueryUnauthorized,
    QuotaExceeded,
    RateLimited,
    Timeout,
    Unauthenticated,
    Unauthorized,
    Unavailable,
)

RawHeaders = Sequence[tuple[bytes, bytes]]


class MethodNotAllowed(InvalidArgument):
    """This path does not take that method."""

    def __init__(self, method: str, allowed: Sequence[str]):
        self.allow = ", ".join(allowed)
        super().__init__(f"{method[:16]} is not allowed here.", hint=f"Use {self.allow}.")


class UnsupportedMediaType(InvalidArgument):
    """The body is of a type that is not read here."""


class BodyTooLarge(InvalidArgument):
    """The body is larger than this server takes."""


class BodyTooLate(Timeout):
    """The body did not arrive in time."""


class RangeNotSatisfiable(InvalidArgument):
    """The range lies outside of the file."""

    def __init__(self, size_bytes: int):
        self.size_bytes = size_bytes
        super().__init__(hint=f"The file has {size_bytes} bytes.")


class WrongHost(InvalidArgument):
    """This server does not answer to that Host."""


STATUS: dict[type[PlatformError], int] = {
    Unauthenticated: 401,
    Unauthorized: 403,
    NotFound: 404,
    QueryUnauthorized: 403,
    InvalidArgument: 400,
    MethodNotAllowed: 405,
    BodyTooLarge: 413,
    UnsupportedMediaType: 415,
    RangeNotSatisfiable: 416,
    WrongHost: 421,
    Conflict: 409,
    RateLimited: 429,
    QuotaExceeded: 429,
    Timeout: 504,
    BodyTooLate: 408,
    Cancelled: 499,
    Unavailable: 503,
    Internal: 500,
    PlatformError: 500,
}


def status_of(error: PlatformError) -> int:
    """The HTTP status of an error: its own class's, or that of the nearest class above."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def error_body(error: PlatformError, request_id: str) -> bytes:
    return json.dumps({"error": error.body(request_id)}, ensure_ascii=False).encode("utf-8", "replace")


def error_headers(error: PlatformError, *, token_was_sent: bool = False) -> list[tuple[bytes, bytes]]:
    """Headers that belong to an error: when to retry, how to sign in, which methods there are."""
    headers = []
    if error.retry_after_s is not None and status_of(error) in (429, 503):
        headers.append((b"retry-after", str(max(1, math.ceil(error.retry_after_s))).encode()))
    if isinstance(error, Unauthenticated):
        challenge = b'Bearer realm="headwater"' + (b', error="invalid_token"' if token_was_sent else b"")
        headers.append((b"www-authenticate", challenge))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allow.encode()))
    return headers


async def send_error(scope: Scope, send: Send, error: PlatformError, extra: RawHeaders = ()) -> None:
    """Answer with an error, before anything else of the response was sent."""
    token_was_sent = any(name == b"authorization" for name, _ in scope["headers"])
    headers = [*error_headers(error, token_was_sent=token_was_sent), *extra]
    await send_body(send, status_of(error), error_body(error, request_id_of(scope)), headers)


async def send_body(
    send: Send, status: int, body: bytes, headers: RawHeaders = (), *, media_type: bytes = b"application/json"
) -> None:
    """Answer with a whole body."""
    start: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": list(headers)}
    if status != 204:
        start["headers"] += [(b"content-type", media_type), (b"content-length", str(len(body)).encode())]
    await send(start)
    await send({"type": "http.response.body", "body": body})


_REQUEST_ID = re.compile(rb"[A-Za-z0-9_.-]{1,64}")


def request_id_of(scope: Scope) -> str:
    """The id of this request: the client's own where it is well formed, else a new one."""
    known = scope.get("headwater.request_id")
    if isinstance(known, str):
        return known
    sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    made = sent.decode("ascii") if _REQUEST_ID.fullmatch(sent) else f"req_{secrets.token_hex(12)}"
    scope["headwater.request_id"] = made
    return made
