"""Errors of A2A over gRPC: statuses with the details that clients of the protocol tell them by."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

from core.errors import PlatformError
from engine.agents.ownership import TaskNotFound
from gateway.faults import A2A_DOMAIN, DOMAIN

if TYPE_CHECKING:
    from a2a.utils.errors import A2AError
    from google.protobuf.message import Message

MAX_TEXT = 1_000
DETAILS_KEY = "grpc-status-details-bin"
_C = grpc.StatusCode
CODES: dict[str, grpc.StatusCode] = {
    "UNAUTHENTICATED": _C.UNAUTHENTICATED,
    "UNAUTHORIZED": _C.PERMISSION_DENIED,
    "QUERY_UNAUTHORIZED": _C.PERMISSION_DENIED,
    "NOT_FOUND": _C.NOT_FOUND,
    "INVALID_ARGUMENT": _C.INVALID_ARGUMENT,
    "CONFLICT": _C.FAILED_PRECONDITION,
    "RATE_LIMITED": _C.RESOURCE_EXHAUSTED,
    "QUOTA_EXCEEDED": _C.RESOURCE_EXHAUSTED,
    "TIMEOUT": _C.DEADLINE_EXCEEDED,
    "CANCELLED": _C.CANCELLED,
    "UNAVAILABLE": _C.UNAVAILABLE,
    "INTERNAL": _C.INTERNAL,
}
# As JSON-RPC numbers them: what each is over gRPC.
OF_PROTOCOL: dict[int, tuple[grpc.StatusCode, str]] = {
    -32700: (_C.INVALID_ARGUMENT, "INVALID_REQUEST"),
    -32600: (_C.INVALID_ARGUMENT, "INVALID_REQUEST"),
    -32601: (_C.UNIMPLEMENTED, "METHOD_NOT_FOUND"),
    -32602: (_C.INVALID_ARGUMENT, "INVALID_PARAMS"),
    -32603: (_C.INTERNAL, "INTERNAL_ERROR"),
    -32001: (_C.NOT_FOUND, "TASK_NOT_FOUND"),
    -32002: (_C.FAILED_PRECONDITION, "TASK_NOT_CANCELABLE"),
    -32003: (_C.FAILED_PRECONDITION, "PUSH_NOTIFICATION_NOT_SUPPORTED"),
    -32004: (_C.FAILED_PRECONDITION, "UNSUPPORTED_OPERATION"),
    -32005: (_C.INVALID_ARGUMENT, "CONTENT_TYPE_NOT_SUPPORTED"),
    -32006: (_C.INTERNAL, "INVALID_AGENT_RESPONSE"),
    -32007: (_C.FAILED_PRECONDITION, "EXTENDED_AGENT_CARD_NOT_CONFIGURED"),
    -32008: (_C.FAILED_PRECONDITION, "EXTENSION_SUPPORT_REQUIRED"),
    -32009: (_C.UNIMPLEMENTED, "VERSION_NOT_SUPPORTED"),
}


@dataclass(eq=False)
class Fault(Exception):
    """An error as it leaves over gRPC."""

    code: grpc.StatusCode
    message: str
    reason: str
    domain: str = A2A_DOMAIN
    about: tuple[tuple[str, str], ...] = ()
    violations: "Message | None" = None

    def trailers(self) -> tuple[tuple[str, bytes]]:
        """The details that stand beside the status."""
        info = ErrorInfo(reason=self.reason, domain=self.domain, metadata=dict(self.about))
        details = [_packed(info)] if self.violations is None else [_packed(info), _packed(self.violations)]
        status = Status(code=self.code.value[0], message=self.message, details=details)
        return ((DETAILS_KEY, status.SerializeToString()),)


def _packed(detail: "Message") -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(detail)
    return packed


def platform_fault(error: PlatformError, request_id: str) -> Fault:
    """One of our own errors."""
    said = f"{error.message} {error.hint}".strip()[:MAX_TEXT]
    about = tuple((name, text[:MAX_TEXT]) for name, text in error.body(request_id).items())
    if isinstance(error, TaskNotFound):
        return Fault(_C.NOT_FOUND, said, "TASK_NOT_FOUND", about=about)
    return Fault(CODES[error.code], said, error.code, DOMAIN, about)


def protocol_fault(error: "A2AError") -> Fault:
    """An error of the SDK's."""
    from a2a.utils.errors import JSON_RPC_ERROR_CODE_MAP
    from a2a.utils.proto_utils import validation_errors_to_bad_request

    number = JSON_RPC_ERROR_CODE_MAP.get(type(error), -32603)
    fault = numbered_fault({"code": number, "message": error.message})
    wrong = (error.data or {}).get("errors")
    if wrong:
        fault.violations = validation_errors_to_bad_request(wrong)
    return fault


def numbered_fault(error: Mapping[str, Any]) -> Fault:
    """An error as JSON-RPC carries it, from whatever agent."""
    number, message = error.get("code"), error.get("message")
    code, reason = OF_PROTOCOL.get(number if isinstance(number, int) else 0, (_C.UNKNOWN, "AGENT_ERROR"))
    return Fault(code, str(message or "The agent answered with an error.")[:MAX_TEXT], reason)


def reason_of(name: str) -> str:
    """The reason of an error by the SDK's name of it: `TaskNotFoundError` is TASK_NOT_FOUND."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.removesuffix("Error")).upper()[:64]
