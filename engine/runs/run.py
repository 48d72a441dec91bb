"""What a run of an agent is: its request, where it stands, what it answered and what it cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["workflow", "agent", "chat"]
Status = Literal["pending", "running", "waiting", "completed", "failed", "cancelled"]
ENDED: frozenset[Status] = frozenset({"completed", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a run, for its trace."""

    node: str
    status: str
    duration_ms: int
    tokens: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """What models used for a run."""

    tokens_in: int = 0
    tokens_out: int = 0
    nano: int = 0

    @property
    def tokens(self) -> int:
        """Read and written."""
        return self.tokens_in + self.tokens_out

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.tokens_in + other.tokens_in, self.tokens_out + other.tokens_out, self.nano + other.nano)


@dataclass(frozen=True, slots=True)
class Beginning:
    """What is known of a run before it begins."""

    kind: Kind
    run_id: str
    request: Mapping[str, Any]
    name: str = ""
    agent_id: str = ""
    session_id: str = ""
    resumes: bool = False  # it also goes on with a run that waits, for it brings what that one waits for


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run stands when somebody stops working on it: ended, or waiting for a person."""

    status: Status
    answer: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    steps: tuple[Step, ...] = ()
    cost: Cost = Cost()


@dataclass(frozen=True, slots=True)
class Run:
    """A run, whole. Only its owner is ever given one."""

    tenant: str
    owner: str
    kind: Kind
    run_id: str
    uid: str
    name: str
    agent_id: str
    session_id: str
    status: Status
    request: Mapping[str, Any]
    answer: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    steps: tuple[Step, ...]
    cost: Cost
    is_cancel_requested: bool
    fence: int
    held_until: float | None
    created_at: float
    updated_at: float
    finished_at: float | None
    is_left: bool = False  # it has not ended, and nobody works on it: whoever did is gone

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One line of a run's append-only log; `seq` counts from 1."""

    seq: int
    at: float
    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)
