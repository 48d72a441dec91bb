"""The error tree: one class per code; every face maps the whole tree in one table.

PlatformError (INTERNAL)
  Unauthenticated   UNAUTHENTICATED      no or bad token
  Unauthorized      UNAUTHORIZED         known tool, permission missing
  NotFound          NOT_FOUND            nothing by that name is visible to the caller
  QueryUnauthorized QUERY_UNAUTHORIZED   SQL names something the caller may not see, or asks for more than reading
  InvalidArgument   INVALID_ARGUMENT     the request itself is wrong
  Conflict          CONFLICT             it clashes with what is there
  RateLimited       RATE_LIMITED         too many requests; `retry_after_s` says when to come back
  QuotaExceeded     QUOTA_EXCEEDED       a budget is used up; `retry_after_s` says when it renews
  Timeout           TIMEOUT              the deadline passed
  Cancelled         CANCELLED            the caller or an operator cancelled it
  Unavailable       UNAVAILABLE          a part that is needed is down; retry later
  Internal          INTERNAL             a defect of ours, logged under the request id
"""

from collections.abc import Iterator
from typing import ClassVar


class PlatformError(Exception):
    """A failure that a caller may read: `message` says what was wrong, `hint` the next step."""

    code: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str | None = None, *, hint: str = "", retry_after_s: float | None = None):
        self.message = message or (type(self).__doc__ or "").strip()
        self.hint = hint
        self.retry_after_s = retry_after_s
        super().__init__(self.message)

    def body(self, request_id: str) -> dict[str, str]:
        """The error as every face shows it: code, message, hint, request_id."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "request_id": request_id}


class Unauthenticated(PlatformError):
    """A valid token is needed."""

    code = "UNAUTHENTICATED"


class Unauthorized(PlatformError):
    """Your roles do not include the permission that this tool needs."""

    code = "UNAUTHORIZED"


class NotFound(PlatformError):
    """Nothing by that name is visible to this caller."""

    code = "NOT_FOUND"


class QueryUnauthorized(PlatformError):
    """Access denied: you do not have permission to query one or more referenced resources."""

    code = "QUERY_UNAUTHORIZED"


class InvalidArgument(PlatformError):
    """The request is not of the form that this tool takes."""

    code = "INVALID_ARGUMENT"


class Conflict(PlatformError):
    """The request clashes with what is already there."""

    code = "CONFLICT"


class RateLimited(PlatformError):
    """Too many requests."""

    code = "RATE_LIMITED"


class QuotaExceeded(PlatformError):
    """A budget is used up."""

    code = "QUOTA_EXCEEDED"


class Timeout(PlatformError):
    """The time allowed for this call has passed."""

    code = "TIMEOUT"


class Cancelled(PlatformError):
    """The call was cancelled."""

    code = "CANCELLED"


class Unavailable(PlatformError):
    """A part of the platform that this call needs is not available."""

    code = "UNAVAILABLE"


class Internal(PlatformError):
    """Something failed inside Headwater."""

    code = "INTERNAL"


def error_classes() -> Iterator[type[PlatformError]]:
    """Every class of the tree below `PlatformError`, for the tables of the faces."""
    yield from PlatformError.__subclasses__()


def error_from(code: str, message: str, *, hint: str = "") -> PlatformError:
    """Rebuild an error from its code, as stored with a job or received from another process."""
    for kind in error_classes():
        if kind.code == code:
            return kind(message, hint=hint)
    return Internal(message, hint=hint)
