"""What nodes work with beside the state: the caller's tools, a model within a budget, and the log of the run."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.events import EventName, WorkflowEvent
from agents.models import Ask, Budget, Reply, complete
from agents.state import State
from core.errors import Cancelled, PlatformError
from engine.context import Ctx
from engine.models.model import Model
from engine.runs.run import Outcome, Run, RunEvent, Step
from prompts.library import load

Node = Callable[["Bench", State], Awaitable[dict[str, Any]]]
DETAIL = "detail"  # what a node says of itself, which is no part of the state


@dataclass(slots=True)
class Bench:
    """One run's. It lives as long as a process works on the run, and is in no checkpoint."""

    ctx: Ctx
    run: Run
    model: Model | None
    budget: Budget
    steps: list[Step] = field(default_factory=list)
    told: set[str] = field(default_factory=set)  # by whoever worked on the run before
    progress: int = 0
    is_heard: bool = True  # until the caller has left

    def remember(self, events: Sequence[RunEvent]) -> None:
        """What the log of the run says already, so that it is not told twice and does not go back."""
        begun = max((event.seq for event in events if event.kind == "started"), default=0)
        lately = [event for event in events if event.seq >= begun]
        self.told = {event.kind for event in lately}
        self.progress = max((int(event.data.get("progress", 0)) for event in lately), default=0)

    async def call(self, tool: str, **arguments: Any) -> Any:
        """Call a tool as the caller, through the gate."""
        return await self.ctx.call(tool, arguments)

    def may(self, tool: str) -> bool:
        """Whether the caller may call a tool at all."""
        return any(item.name == tool for item in self.ctx.call.tools())

    async def ask(self, prompt: str, shape: Mapping[str, Any], temperature: float = 0.0, /, **slots: str) -> Reply:
        """One structured answer of the model to a prompt."""
        assert self.model is not None
        return await complete(
            self.ctx,
            Ask(
                load(prompt).messages(**slots),
                model=self.model.name,
                schema=shape,
                temperature=temperature,
                budget=self.budget,
            ),
        )

    async def tell(self, event: EventName, **data: Any) -> None:
        """Write an event to the run's log, and give it to whoever follows.

        What fails before it has begun is told by its error alone, which has a status of its own."""
        so_far = Outcome("running", steps=tuple(self.steps), cost=self.budget.cost) if event == "node_detail" else None
        written = await self.ctx.engine.runs.append(self.run, event, data, so_far)
        self.told |= {"started"} & {event}
        if self.is_heard and "started" in self.told:
            await self.ctx.emit(WorkflowEvent(event=event, seq=written.seq, task_id=self.run.run_id, data=data))

    async def tell_once(self, event: EventName, **data: Any) -> None:
        """As `tell`, unless the log has one."""
        if event not in self.told:
            await self.tell(event, **data)

    def node(self, name: str, work: Node, share: int) -> Any:
        """A node that says when it begins and what it found; `share` is how far the run is then, in per cent."""

        async def run(state: State) -> dict[str, Any]:
            if self.ctx.cancelled:
                raise Cancelled("The run was cancelled.")
            began, used = time.perf_counter(), self.budget.cost.tokens
            self.progress = max(self.progress, share)  # graphs are parts of others, where they begin later
            await self.tell("node_progress", node=name, status="processing", progress=self.progress)
            try:
                update = dict(await work(self, state))
            except PlatformError as error:
                self._note(name, "failed", began, used, error.message)
                raise
            details = update.pop(DETAIL, {})
            said = details.get("failed") or details.get("said") or "; ".join(details.get("notes") or ())
            self._note(name, "failed" if details.get("failed") else "completed", began, used, str(said))
            await self.tell("node_detail", node=name, description=DESCRIPTIONS[name], details=details)
            return update

        return run

    def _note(self, name: str, status: str, began: float, tokens: int, detail: str) -> None:
        taken = int((time.perf_counter() - began) * 1000)
        self.steps.append(Step(name, status, taken, self.budget.cost.tokens - tokens, detail[:500]))


DESCRIPTIONS = {
    "verified_match": "Looking for a verified query that is this question",
    "date_parser": "Reading what the question says about time",
    "schema_linking": "Analyzing user query and finding relevant tables",
    "plan_query": "Planning the query",
    "generate_sql": "Writing SQL for what the planner is not sure of",
    "validate_sql": "Checking names, types and rights",
    "repair_sql": "Correcting SQL that was refused",
    "execute_sql": "Running the query",
    "search_metrics": "Looking for metrics that cover the question",
    "query_metric": "Reading the question as one for metrics",
    "choose_metric": "Having a model choose among the metrics",
    "reflect": "Looking for signs that the answer is wrong",
    "retry": "Trying another way to the answer",
    "compare": "Comparing the new answer with the one before",
    "clarify": "Asking back",
    "route": "Choosing the way to the answer",
    "output": "Putting the answer together",
}
