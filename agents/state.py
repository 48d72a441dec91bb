"""The state of a workflow: what nodes know and hand on. JSON alone; no identity, secret or connection is in it."""

from typing import Any, TypedDict


class Trouble(TypedDict):
    """Why there is no answer: the reason, what is missing, what comes near, and what to do."""

    reason: str
    missing: list[str]
    nearest: list[str]
    hint: str


class Candidate(TypedDict, total=False):
    """SQL that may be the answer. `problem` says what is wrong with it, empty where nothing is known to be."""

    source: str  # verified, metric, planner, model, plan or repair
    sql: str
    parameters: dict[str, str]
    confidence: float
    assumptions: list[str]
    ranges: list[str]
    problem: str
    missing: str  # what the model says that the data has not
    votes: int  # how often a model said the same, where more than once
    result: dict[str, Any] | None  # what running it gave


class State(TypedDict, total=False):
    """Everything between the nodes. Nodes answer with the keys that they change."""

    task: str
    connection_id: str
    today: str
    schema_name: str
    subject_path: str
    knowledge: list[str]
    max_rows: int
    linked: dict[str, Any]
    ranges: list[str]
    planned: dict[str, Any]
    metrics: list[dict[str, Any]]
    candidates: list[Candidate]
    chosen: Candidate | None
    repairs: int
    rounds: int
    signals: list[str]
    tried: list[str]
    path: list[dict[str, str]]
    trouble: Trouble | None
    question: dict[str, Any] | None
    output: dict[str, Any] | None
