"""Our errors as gRPC statuses with rich details; gRPC-Web carries the same."""

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from core import errors

DOMAIN = "headwater"
# Clients refuse trailers above 8 KiB, and the message travels in them twice, percent-encoded once.
MAX_TEXT_BYTES = 1_000

GRPC_STATUS: dict[str, grpc.StatusCode] = {
    errors.Unauthenticated.code: grpc.StatusCode.UNAUTHENTICATED,
    errors.Unauthorized.code: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotFound.code: grpc.StatusCode.NOT_FOUND,
    errors.QueryUnauthorized.code: grpc.StatusCode.PERMISSION_DENIED,
    errors.InvalidArgument.code: grpc.StatusCode.INVALID_ARGUMENT,
    errors.Conflict.code: grpc.StatusCode.FAILED_PRECONDITION,
    errors.RateLimited.code: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.QuotaExceeded.code: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Timeout.code: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.Cancelled.code: grpc.StatusCode.CANCELLED,
    errors.Unavailable.code: grpc.StatusCode.UNAVAILABLE,
    errors.Internal.code: grpc.StatusCode.INTERNAL,
}


def status_code(error: errors.PlatformError) -> grpc.StatusCode:
    return GRPC_STATUS[error.code]


def status_of(error: errors.PlatformError, request_id: str) -> Status:
    """The google.rpc.Status of an error: ErrorInfo with our code, hint and request id, and when to retry."""
    metadata = {"request_id": request_id}
    if error.hint:
        metadata["hint"] = cut(error.hint)
    details = [_pack(ErrorInfo(reason=error.code, domain=DOMAIN, metadata=metadata))]
    if error.retry_after_s is not None:
        delay = Duration()
        delay.FromMilliseconds(round(error.retry_after_s * 1000))
        details.append(_pack(RetryInfo(retry_delay=delay)))
    number: int = status_code(error).value[0]
    return Status(code=number, message=cut(error.message), details=details)


def cut(text: str) -> str:
    """The text, shortened where it would not fit into trailers."""
    raw = text.encode(errors="replace")
    if len(raw) <= MAX_TEXT_BYTES:
        return raw.decode()
    return raw[: MAX_TEXT_BYTES - 3].decode(errors="ignore") + "..."


def _pack(detail: ErrorInfo | RetryInfo) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed
