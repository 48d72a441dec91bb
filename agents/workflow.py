"""Running a workflow: begun once for a task id, gone on with after a kill, followed by whoever asks again."""

import asyncio
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from agents.bench import Bench
from agents.checkpoints import open_checkpoints, thread_of
from agents.events import WorkflowEvent
from agents.models import Budget, find_model
from agents.nl2sql import Workflow, build_workflow
from agents.state import State
from core.errors import Cancelled, NotFound, PlatformError, error_from
from engine.context import Ctx
from engine.runs.run import Beginning, Outcome, Run, RunEvent
from engine.runs.runs import Started

MAX_ROWS = 1000
MAX_CALLS, MAX_TOKENS, MAX_NANO = 16, 120_000, 2_000_000_000  # of models, for a run in all
LAKEHOUSE = "lakehouse"
TELLING_CHARS = 4  # of words that say what a question is about
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run is asked for. `request` is what makes two calls with one task id equal."""

    workflow: Workflow
    task: str
    connection_id: str
    today: str = ""
    schema_name: str = ""
    subject_path: str = ""
    knowledge: tuple[str, ...] = ()
    model: str = ""
    task_id: str = ""
    clarification: str = ""
    after_seq: int = 0
    request: Mapping[str, Any] = field(default_factory=dict)


async def find_connection(ctx: Ctx, name: str) -> str:
    """The id of a connection by id or name; empty is the lakehouse. Raises NotFound."""
    if not name or name == LAKEHOUSE:
        return LAKEHOUSE
    known = await ctx.call("list_connections", {"limit": 1000})
    items = [(str(item.connection_id), str(item.name)) for item in known.connections]  # type: ignore[attr-defined]
    found = [key for key, _ in items if key == name] or [key for key, called in items if called == name]
    if not found:
        raise NotFound(f"No connection {name[:64]!r}.", hint="list_connections shows those that you can use.")
    return found[0]


async def run(ctx: Ctx, wanted: Wanted) -> Run:
    """The run of that task id, ended or waiting. Raises what made it fail, Conflict for another request."""
    seen = wanted.after_seq
    while True:
        started = await _start(ctx, wanted)
        seen = seen or await _beginning(ctx, wanted, started)
        if started.is_mine:
            for event in await ctx.engine.runs.events(started.run, seen):
                await _emit(ctx, started.run, event)
            return await _work(ctx, wanted, started.run, is_new=started.is_new)
        async for event in ctx.engine.runs.follow(ctx.principal, started.run, seen):
            if event.kind == "started" or seen:  # what failed before it began has an error alone, with its own status
                await _emit(ctx, started.run, event)
                seen = event.seq
        ended = await ctx.engine.runs.get(ctx.principal, started.run.run_id)
        if ended.has_ended or ended.status == "waiting":
            return _given(ended)


async def _beginning(ctx: Ctx, wanted: Wanted, started: Started) -> int:
    """After which event a stream begins: what was told before a question was answered has a `done` of its own."""
    events = [] if started.is_new else await ctx.engine.runs.events(started.run)
    if started.is_mine and wanted.clarification:
        return len(events)
    return max((event.seq for event in events if event.kind == "started"), default=1) - 1


async def _start(ctx: Ctx, wanted: Wanted) -> Started:
    runs = ctx.engine.runs
    beginning = Beginning(
        "workflow",
        wanted.task_id or f"{ctx.principal.subject}_{datetime.now(UTC):%Y%m%d%H%M%S}",
        wanted.request,
        name=wanted.workflow,
        resumes=bool(wanted.clarification),
    )
    if wanted.task_id:
        return await runs.start(ctx.principal, beginning)
    try:  # an id that we choose is another's where somebody asks twice within a second
        await runs.get(ctx.principal, beginning.run_id)
    except NotFound:
        return await runs.start(ctx.principal, beginning)
    another = f"{beginning.run_id}_{secrets.token_hex(3)}"
    return await runs.start(ctx.principal, Beginning("workflow", another, wanted.request, name=wanted.workflow))


async def _work(ctx: Ctx, wanted: Wanted, run: Run, *, is_new: bool) -> Run:
    runs, began = ctx.engine.runs, time.perf_counter()
    used = run.cost
    budget = Budget(MAX_CALLS, max_tokens=max(0, MAX_TOKENS - used.tokens), max_nano=max(0, MAX_NANO - used.nano))
    bench = Bench(ctx, run, None, budget, list(run.steps))
    begins = is_new or bool(wanted.clarification)
    if not begins:
        bench.remember(await runs.events(run))
    try:
        async with runs.holding(run, ctx.cancelled):
            bench.model = await find_model(ctx, wanted.model)
            if begins or not bench.told:
                await bench.tell("started", task_id=run.run_id, workflow=wanted.workflow)
                await bench.tell("progress", message="Initializing workflow", progress=5)
            return await _drive(bench, wanted, began, begins=begins)
    except asyncio.CancelledError:  # the caller left, or the process ends: somebody may go on with it
        bench.is_heard = False
        await asyncio.shield(_let_go(bench, began))
        raise
    except Cancelled:
        await _let_go(bench, began)
        raise
    except PlatformError as error:
        await _fail(bench, error, began)
        raise


async def _drive(bench: Bench, wanted: Wanted, began: float, *, begins: bool) -> Run:
    """The graph from where it stands to its output. What it stood on goes when its end is written down."""
    config: Any = thread_of(bench.run)
    async with open_checkpoints(bench.ctx, bench.run.tenant) as saver:
        if begins:
            await _forget(saver, config)
        graph = build_workflow(bench, wanted.workflow, saver)
        stands = None if begins else await graph.aget_state(config)
        begin: Any = None if stands is not None and stands.values else _first_state(wanted)
        final = await graph.ainvoke(begin, config)
        ended = await _end(bench, dict(final["output"]) | {"rounds": final.get("rounds", 0)}, began)
        await _forget(saver, config)
    return ended


async def _forget(saver: Any, config: dict[str, Any]) -> None:
    setup = getattr(saver, "setup", None)
    if setup is not None:
        await setup()
    await saver.adelete_thread(config["configurable"]["thread_id"])


def _first_state(wanted: Wanted) -> State:
    return {
        "task": clarified(wanted.task, wanted.clarification),
        "connection_id": wanted.connection_id,
        "today": wanted.today,
        "schema_name": wanted.schema_name,
        "subject_path": wanted.subject_path,
        "knowledge": list(wanted.knowledge),
        "max_rows": MAX_ROWS,
    }


def clarified(task: str, said: str) -> str:
    """The question with what was said to it. Whoever asks it again in other words means these alone."""
    before, now = (_WORD.findall(text.lower()) for text in (task, said))
    telling = [[word for word in words if len(word) >= TELLING_CHARS] for words in (before, now)]
    if _is_half(before, now) and _is_half(*telling):
        return said
    return f"{task} ({said})" if said else task


def _is_half(before: Sequence[str], now: Sequence[str]) -> bool:
    return len(set(before) & set(now)) * 2 >= max(1, len(set(before)))


async def _end(bench: Bench, made: dict[str, Any], began: float) -> Run:
    taken_s = round(time.perf_counter() - began, 3)
    rounds = made.pop("rounds")
    answer = {
        **made,
        "metadata": {
            "execution_time": taken_s,
            "nodes_executed": len(bench.steps),
            "reflection_rounds": rounds,
            "path": made["path"],
            "confidence": made["confidence"],
            "model": bench.model.name if bench.model else "",
            "tokens": bench.run.cost.tokens + bench.budget.cost.tokens,
        },
    }
    if made["question"]:
        await bench.tell_once("question", question=made["question"], options=[])
    if made["refusal"] is not None and not made["question"]:
        await bench.tell_once("error", code="CANNOT_ANSWER", message=made["why"], hint=made["refusal"]["hint"])
    shown = {name: answer[name] for name in ("result", "metadata", "sql", "row_count", "chart", "confidence", "path")}
    await bench.tell_once("output_ready", **shown)
    await _tell_done(bench, made["status"], taken_s)
    status = "waiting" if made["status"] == "waiting" else "completed"
    outcome = Outcome(status, answer=answer, steps=tuple(bench.steps), cost=bench.budget.cost)  # type: ignore[arg-type]
    return await bench.ctx.engine.runs.finish(bench.run, outcome)


async def _tell_done(bench: Bench, status: str, taken_s: float) -> None:
    taken = {"total_time": taken_s, "exec_time_ms": int(taken_s * 1000)}
    await bench.tell_once("done", task_id=bench.run.run_id, status=status, **taken)


async def _let_go(bench: Bench, began: float) -> None:
    """A run that its owner cancelled has ended; any other waits for whoever goes on with it."""
    runs = bench.ctx.engine.runs
    now = await runs.get(bench.ctx.principal, bench.run.run_id)
    if now.fence != bench.run.fence or now.has_ended:
        return
    if not now.is_cancel_requested:
        await runs.release(bench.run)
        return
    error = {"code": Cancelled.code, "message": "The run was cancelled.", "hint": ""}
    await _log_end(bench, "cancelled", error, began)


async def _fail(bench: Bench, error: PlatformError, began: float) -> None:
    said = {"code": error.code, "message": error.message, "hint": error.hint}
    await _log_end(bench, "failed", said, began)


async def _log_end(bench: Bench, status: Any, error: dict[str, str], began: float) -> None:
    taken_s = round(time.perf_counter() - began, 3)
    await bench.tell("error", **error)
    await _tell_done(bench, status, taken_s)
    cost, steps = bench.budget.cost, tuple(bench.steps)
    await bench.ctx.engine.runs.finish(bench.run, Outcome(status, error=error, steps=steps, cost=cost))


def _given(run: Run) -> Run:
    """A run as it ended; what made it fail is raised again."""
    if run.error is not None:
        raise error_from(run.error["code"], run.error["message"], hint=run.error["hint"])
    return run


async def _emit(ctx: Ctx, run: Run, event: RunEvent) -> None:
    await ctx.emit(WorkflowEvent(event=event.kind, seq=event.seq, task_id=run.run_id, data=dict(event.data)))
