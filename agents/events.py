"""The events of a workflow's run, under the names that the reference gives them."""

import json
from typing import Literal, get_args

from pydantic import Field, JsonValue

from core.portable import Model

EventName = Literal[
    "started",
    "progress",
    "node_progress",
    "node_detail",
    "sql_generated",
    "execution_complete",
    "output_ready",
    "question",
    "error",
    "done",
]
EVENTS: tuple[str, ...] = get_args(EventName)
LAST = "done"


class WorkflowEvent(Model):
    """One event of a run; over SSE it goes by its own name, with `data` alone."""

    event: EventName = Field(description="What happened; the last is `done`.")
    seq: int = Field(description="Number of the event in its run, from 1.")
    task_id: str = Field(description="The run.")
    data: dict[str, JsonValue] = Field(description="What there is to know of it.")

    @property
    def sse_event(self) -> str:
        return self.event

    @property
    def sse_data(self) -> str:
        return json.dumps(self.data, separators=(",", ":"))

    @property
    def is_last(self) -> bool:
        return self.event == LAST
