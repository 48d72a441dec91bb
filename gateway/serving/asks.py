"""What one of our agents is asked and what it answers: the seam between A2A and the tools that do the work."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from core.context import Cancellation, Principal

State = Literal["completed", "waits", "failed", "rejected"]


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks which agent; made behind the gate, once for each request."""

    principal: Principal
    agent_id: str
    request_id: str
    base_url: str


@dataclass(frozen=True, slots=True)
class Ask:
    """A message as its agent gets it. `earlier` is what the last answer in this task left to be known."""

    visit: Visit
    message_id: str
    skill: str
    text: str
    fields: Mapping[str, Any]
    task_id: str
    context_id: str
    earlier: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Note:
    """How far it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the result. Pieces of one name are put together in their order, unless one takes their place."""

    name: str
    text: str = ""
    media_type: str = "text/plain"
    data: Any = None
    is_last: bool = True
    replaces: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a message was answered. One that waits goes on with the next message of its task."""

    state: State
    text: str = ""
    data: Any = None
    earlier: Mapping[str, str] = field(default_factory=dict)


Report = Callable[[Note | Piece], Awaitable[None]]


class Answerer(Protocol):
    """Answers messages."""

    def check(self, agent_id: str, skill: str, text: str, fields: Mapping[str, Any]) -> None:
        """Refuse what no task shall be made of. Raises NotFound, InvalidArgument."""
        ...

    async def answer(self, ask: Ask, report: Report, cancelled: Cancellation) -> Outcome:
        """Raises PlatformError."""
        ...
