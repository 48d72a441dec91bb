"""Between the SDK's types and ours: who calls, tasks as bytes, errors, parts. Imported with the first request."""

import logging
import math
from collections.abc import Mapping
from typing import Any

from a2a.auth.user import User
from a2a.server.context import ServerCallContext
from a2a.types import (
    Artifact,
    Message,
    Part,
    Task,
    TaskState,
)
from a2a.utils.errors import (
    A2AError,
    InternalError,
    InvalidParamsError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Value

from core.dispatch import describe
from core.errors import PlatformError
from engine.agents.ownership import TaskNotFound
from gateway.serving.asks import Piece, Visit

log = logging.getLogger("headwater.a2a")

VISIT = "headwater.visit"
MEMORY = "headwater"
MAX_EXACT = 2**53
ENDED = (
    TaskState.TASK_STATE_COMPLETED,
    TaskState.TASK_STATE_CANCELED,
    TaskState.TASK_STATE_FAILED,
    TaskState.TASK_STATE_REJECTED,
)
RUNNING = (TaskState.TASK_STATE_SUBMITTED, TaskState.TASK_STATE_WORKING)


class Known(User):
    """A caller whom the gate has let in."""

    def __init__(self, subject: str):
        self._subject = subject

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def user_name(self) -> str:
        return self._subject


def context_of(visit: Visit, headers: Mapping[str, str], extensions: set[str]) -> ServerCallContext:
    """What the SDK carries along for a request; of its headers only what the protocol needs."""
    return ServerCallContext(
        user=Known(visit.principal.subject),
        state={VISIT: visit, "headers": dict(headers)},
        tenant=visit.agent_id,
        requested_extensions=extensions,
    )


def visit_of(context: ServerCallContext) -> Visit:
    """Who is calling; a context that was not made behind the gate has nobody."""
    visit = context.state.get(VISIT)
    if not isinstance(visit, Visit):
        raise UnsupportedOperationError(message="Nobody is known to call.")
    return visit


def as_a2a(error: BaseException) -> A2AError:
    """Any failure in the protocol's terms. What is not meant for callers stays in the log."""
    if isinstance(error, A2AError):
        return error
    if isinstance(error, TaskNotFound):
        return TaskNotFoundError(message=error.message)
    if isinstance(error, PlatformError):
        said = f"{error.message} {error.hint}".strip()
        if error.code in ("INVALID_ARGUMENT", "NOT_FOUND"):
            return InvalidParamsError(message=said)
        return UnsupportedOperationError(message=said) if error.code == "CONFLICT" else InternalError(message=said)
    log.error("a2a: %s", describe(error))
    return InternalError(message="Something failed inside Headwater.")


def value_of(data: Any) -> Value:
    """JSON for a data part, whose numbers are doubles: what would not survive that travels as text."""
    return ParseDict(_exact(data), Value())


def _exact(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {str(name): _exact(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_exact(item) for item in data]
    is_too_long = isinstance(data, int) and not isinstance(data, bool) and abs(data) > MAX_EXACT
    if is_too_long or (isinstance(data, float) and not math.isfinite(data)):
        return str(data)
    return data


def parts_of(text: str, data: Any = None) -> list[Part]:
    """The parts of a message of ours."""
    parts = [Part(text=text)] if text or data is None else []
    return parts if data is None else [*parts, Part(data=value_of(data), media_type="application/json")]


def artifact_of(piece: Piece) -> Artifact:
    """A piece of a result as an artifact, whose id is its name."""
    if piece.data is not None:
        parts = [Part(data=value_of(piece.data), media_type="application/json")]
    else:
        parts = [Part(text=piece.text, media_type=piece.media_type)]
    return Artifact(artifact_id=piece.name, name=piece.name, parts=parts)


def memory_of(task: Task | None) -> dict[str, str]:
    """What the last answer in a task left to be known."""
    if task is None or MEMORY not in task.metadata:
        return {}
    kept: Any = task.metadata[MEMORY]
    return {str(name): str(value) for name, value in dict(kept).items()}


def state_name(state: int) -> str:
    """A state as it is stored: `working`, `input_required`."""
    return TaskState.Name(state).removeprefix("TASK_STATE_").lower()


__all__ = [
    "ENDED",
    "MEMORY",
    "RUNNING",
    "Known",
    "Message",
    "artifact_of",
    "as_a2a",
    "context_of",
    "memory_of",
    "parts_of",
    "state_name",
    "value_of",
    "visit_of",
]
