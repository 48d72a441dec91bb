"""Arms: the ways of answering that a suite compares. Each reaches data by calling tools, as the caller."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from agents.models import Ask, complete
from agents.plan import SQL_SCHEMA
from agents.sql_steps import dialect_of, schema_text
from core.errors import Cancelled, PlatformError
from engine.context import Ctx
from evals.cases import Case
from evals.linked import tables_of
from evals.outcomes import Arm, Failing, Outcome, Step
from prompts.library import load

MAX_ROWS = 10_000
SHOWN_ROWS = 1_000  # of which a workflow's answer holds no more
BARE_TABLES = 40
MAX_KNOWLEDGE = 8_000  # as much as the tools take


@dataclass(frozen=True, slots=True)
class Asked:
    """A case, where it is asked and when."""

    case: Case
    connection: str
    today: str


async def answer(ctx: Ctx, arm: Arm, asked: Asked) -> Outcome:
    """Let an arm answer a case; what the platform refuses is an outcome, not an error."""
    try:
        return await _ARMS.get(arm.workflow, _workflow)(ctx, arm, asked)
    except Cancelled:
        raise
    except PlatformError as error:
        return Outcome(is_declined=error.code == "CONFLICT", error=f"{error.code}: {error}", failing=_stage(error))


async def fetch(ctx: Ctx, connection: str, sql: str, parameters: Mapping[str, str] | None = None) -> Any:
    """The rows of a statement, without names."""
    wanted = {"sql": sql, "connection_id": connection, "max_rows": MAX_ROWS, "parameters": dict(parameters or {})}
    found: Any = await ctx.call("execute_query", wanted)
    return [tuple(row.values()) for row in found.data.records()]


async def _planner(ctx: Ctx, arm: Arm, asked: Asked) -> Outcome:
    """The planner alone, and its SQL run."""
    question = {
        "natural_language": asked.case.question,
        "connection_id": asked.connection,
        "current_date": asked.today,
        "ext_knowledge": asked.case.knowledge[:MAX_KNOWLEDGE],
    }
    planned: Any = await ctx.call("build_query_from_nl", question)
    outcome = Outcome(
        sql=planned.sql,
        tables=planned.tables_referenced,
        confidence=planned.confidence,
        path="planner",
        steps=1,
    )
    return await _run(ctx, outcome, asked.connection)


async def _bare(ctx: Ctx, arm: Arm, asked: Asked) -> Outcome:
    """A model that gets the schema and the question in the prompt of the workflows, once; and its SQL run."""
    question = {"question": asked.case.question, "connection_id": asked.connection, "max_tables": BARE_TABLES}
    linked: Any = await ctx.call("link_question", question)
    state: Any = {"linked": linked.model_dump(mode="json")}
    notes = [f"Today is {asked.today}."] if asked.today and linked.date_ranges else []
    notes += [f"Known: {asked.case.knowledge}"] if asked.case.knowledge else []
    messages = load("generate_sql").messages(
        dialect=dialect_of(state), schema=schema_text(state), notes="\n".join(notes), question=asked.case.question
    )
    reply = await complete(ctx, Ask(messages, model=arm.model, schema=SQL_SCHEMA))
    sql = reply.data.get("sql") if isinstance(reply.data, dict) else None
    written = sql.strip().rstrip(";") if isinstance(sql, str) else ""
    outcome = Outcome(
        sql=written,
        tables=sorted(tables_of(written)) if written else [],
        path="model",
        tokens=reply.cost.tokens_in + reply.cost.tokens_out,
        usd=reply.cost.nano / 1e9,
        steps=1,
    )
    return await _run(ctx, outcome, asked.connection)


async def _workflow(ctx: Ctx, arm: Arm, asked: Asked) -> Outcome:
    """A workflow, as run_workflow answers it. Asking back is no answer."""
    question = {
        "workflow": arm.workflow,
        "namespace": asked.connection,
        "task": asked.case.question,
        "current_date": asked.today,
        "ext_knowledge": asked.case.knowledge,
        "model": arm.model,
        "task_id": f"eval-{ctx.request_id}-{arm.name}-{asked.case.id}",
    }
    ended: Any = await ctx.call("run_workflow", question)
    rows = [tuple(row.values()) for row in ended.result] if ended.status == "completed" else None
    if ended.row_count > SHOWN_ROWS:
        rows = await fetch(ctx, asked.connection, ended.sql, ended.parameters)
    # A model that does not answer at all has not declined; what the workflow makes of that is no merit of the arm.
    failed = next((step for step in ended.steps if step.status == "failed"), None) if rows is None else None
    return Outcome(
        sql=ended.sql,
        rows=rows,
        parameters=ended.parameters,
        tables=sorted(tables_of(ended.sql)) if ended.sql else [],
        text=ended.question or ended.why,
        is_declined=failed is None and ((rows is None and ended.error is None) or ended.refusal is not None),
        error=f"{failed.node}: {failed.detail}" if failed is not None else ended.error or "",
        failing="plan" if rows is None else "",
        confidence=ended.confidence if rows is not None else None,
        path=ended.path,
        tokens=ended.metadata.tokens if ended.metadata else 0,
        usd=float(ended.usd),
        steps=len(ended.steps),
        trace=[Step.model_validate(step.model_dump()) for step in ended.steps],
    )


async def _chat(ctx: Ctx, arm: Arm, asked: Asked) -> Outcome:
    """A turn of the chat. What is refused, or waits for a person's yes, has been tried and not been called."""
    question = {
        "prompt": asked.case.question,
        "connection_id": asked.connection,
        "model": arm.model or None,
        "keep": False,
    }
    told: Any = await ctx.call("chat", question)
    return Outcome(
        text=told.response,
        tools=[item.tool for item in told.tool_calls if not _is_refused(item)],
        tried=[item.tool for item in told.tool_calls if _is_refused(item)]
        + ([told.approval.tool] if told.approval is not None else []),
        path=told.answered_by,
        tokens=told.usage.total_tokens,
        usd=float(told.usage.usd),
        steps=len(told.tool_calls),
        trace=[_called(item) for item in told.tool_calls],
    )


def _is_refused(item: Any) -> bool:
    """Whether a call of a chat came to nothing."""
    return bool(item.result_json.startswith('{"error"'))


def _called(item: Any) -> Step:
    """A tool call of a chat as a step of its trace."""
    detail = f"{item.arguments_json} -> {item.result_json}"[:500]
    return Step(node=item.tool, status="failed" if _is_refused(item) else "completed", detail=detail)


_ARMS: dict[str, Callable[[Ctx, Arm, Asked], Awaitable[Outcome]]] = {
    "planner": _planner,
    "bare": _bare,
    "chat": _chat,
}


async def _run(ctx: Ctx, outcome: Outcome, connection: str) -> Outcome:
    """The outcome with the rows of its SQL, or with why there are none."""
    if not outcome.sql:
        return replace(outcome, error="The model gave no SQL.", failing="plan")
    try:
        return replace(outcome, rows=await fetch(ctx, connection, outcome.sql))
    except Cancelled:
        raise
    except PlatformError as error:
        return replace(outcome, error=f"{error.code}: {error}", failing=_stage(error))


def _stage(error: PlatformError) -> Failing:
    if error.code == "QUERY_UNAUTHORIZED":
        return "validation"
    return "plan" if error.code == "CONFLICT" else "execution"
