"""What an arm answered to a case, and how that was judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

Verdict = Literal["right", "wrong", "declined", "failed"]
Failing = Literal["", "linking", "plan", "validation", "execution", "columns", "rows", "values", "refusal", "tools"]


class Arm(NamedTuple):
    """Who answers: `planner`, `bare`, a workflow, or `chat`; and with which model, empty for the default one."""

    name: str
    workflow: str
    model: str = ""


class Step(BaseModel):
    """A node of a workflow, or a tool that an agent called, as it ran."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    node: str
    status: str
    duration_ms: int = 0
    tokens: int = 0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer. Rows are None where none came: it was declined, or failed with `error`."""

    sql: str = ""
    rows: Sequence[Sequence[Any]] | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    tables: Sequence[str] = ()
    text: str = ""
    tools: Sequence[str] = ()
    tried: Sequence[str] = ()  # tools whose call was refused, or waits for a person's yes
    is_declined: bool = False
    error: str = ""
    failing: Failing = ""  # where it knows that itself
    confidence: float | None = None
    path: str = ""
    tokens: int = 0
    usd: float = 0.0
    steps: int = 0
    trace: Sequence[Step] = ()


class CaseResult(BaseModel):
    """One case of a run, judged. It holds no rows of data."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    case_id: str
    database: str
    category: str
    question: str
    is_answerable: bool
    verdict: Verdict
    is_right: bool  # by the main measure: gold's columns are among the answer's, or it was rightly declined
    is_strict: bool = False  # the very rows and columns, equal rows counted
    is_bird: bool = False  # the very set of rows, as BIRD counts
    is_robust: bool | None = None  # right on the changed copies of the database too; null where there are none
    failing: Failing = ""
    sql: str = ""
    gold: str = ""
    error: str = ""
    text: str = ""
    tools: list[str] = []
    tried: list[str] = []
    confidence: float | None = None
    path: str = ""
    recall: float | None = None  # share of gold's tables that the answer links
    column_recall: float | None = None  # share of gold's columns that the answer's SQL reads
    ms: int = 0
    tokens: int = 0
    usd: float = 0.0
    steps: int = 0
    trace: list[Step] = []

    @property
    def failing_node(self) -> str:
        """The first node that failed, by the trace; empty where none says so."""
        return next((step.node for step in self.trace if step.status not in ("completed", "skipped")), "")


class Run(BaseModel):
    """One arm over one suite."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run_id: str
    suite: str
    digest: str
    schema_digest: str = ""
    arm: str
    workflow: str
    model: str = ""
    case_count: int
    status: Literal["running", "completed", "cancelled"]
    started_at: float
    finished_at: float | None = None
    results: list[CaseResult] = []
