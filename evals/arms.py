"""Arms: the ways of answering that a suite compares. Each reaches data by calling tools, as the caller."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from core.errors import Cancelled, PlatformError
from evals.cases import Case
from evals.outcomes import Arm, Outcome

CallTool = Callable[[str, Mapping[str, Any]], Awaitable[Any]]
MAX_ROWS = 10_000
ENDS_A_RUN = (Cancelled,)


async def answer(call: CallTool, arm: Arm, case: Case, connection: str, today: str) -> Outcome:
    """Let an arm answer a case; what the platform refuses is an outcome, not an error."""
    asked = _planner if arm.workflow == "planner" else _workflow
    try:
        return await asked(call, arm, case, connection, today)
    except ENDS_A_RUN:
        raise
    except PlatformError as error:
        return Outcome(is_declined=error.code == "CONFLICT", error=f"{error.code}: {error}", failing=_stage(error))


async def fetch(call: CallTool, connection: str, sql: str, parameters: Mapping[str, str] | None = None) -> Any:
    """The rows of a statement, without names."""
    found = await call(
        "execute_query",
        {"sql": sql, "connection_id": connection, "max_rows": MAX_ROWS, "parameters": dict(parameters or {})},
    )
    return [tuple(row.values()) for row in found.data.records()]


async def _planner(call: CallTool, arm: Arm, case: Case, connection: str, today: str) -> Outcome:
    """The planner alone, and its SQL run."""
    asked = {"natural_language": case.question, "connection_id": connection, "current_date": today}
    planned = await call("build_query_from_nl", asked)
    try:
        rows = await fetch(call, connection, planned.sql)
    except PlatformError as error:
        return Outcome(sql=planned.sql, tables=planned.tables_referenced, error=str(error), failing=_stage(error))
    return Outcome(
        sql=planned.sql,
        rows=rows,
        tables=planned.tables_referenced,
        confidence=planned.confidence,
        path="planner",
        steps=1,
    )


def _stage(error: PlatformError) -> Any:
    if error.code == "QUERY_UNAUTHORIZED":
        return "validation"
    return "plan" if error.code == "CONFLICT" else "execution"


async def _workflow(call: CallTool, arm: Arm, case: Case, connection: str, today: str) -> Outcome:
    """A workflow, as run_workflow answers it."""
    asked = {"workflow": arm.workflow, "namespace": connection, "task": case.question, "current_date": today}
    ended = await call("run_workflow", {**asked, **({"model": arm.model} if arm.model else {})})
    rows = None if ended.result is None else [tuple(row.values()) for row in ended.result]
    return Outcome(
        sql=ended.sql or "", rows=rows, error=ended.error or "", confidence=ended.confidence, path=ended.path
    )
