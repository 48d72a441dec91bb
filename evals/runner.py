"""Running a suite: each case is asked, judged and kept before the next, so that a killed run goes on where it was."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from engine.context import Ctx
from evals.arms import Asked, answer, fetch
from evals.cases import Case, Suite
from evals.judging import Bench, Rows, judge, judge_chat
from evals.outcomes import Arm, CaseResult

Told = Callable[[CaseResult, int, int], Awaitable[None]]
Keep = Callable[[int, CaseResult], Awaitable[None]]


class Stop(Protocol):
    """A flag that ends a run between two cases."""

    def __bool__(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a suite's databases are served: connection ids, and those of their changed copies."""

    connections: Mapping[str, str]
    copies: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def of(self, suite: Suite) -> list[str]:
        """The connections that a suite asks."""
        return sorted(set(self.connections.values())) or [suite.connection]


def connection_of(suite: Suite, database: str) -> str:
    """The connection to a suite's database that `headwater evals run` makes."""
    return f"eval-{suite.name}-{database}"


async def untold(result: CaseResult, done: int, total: int) -> None:
    """The `told` of a run that nobody follows."""


async def run_suite(
    ctx: Ctx,
    suite: Suite,
    arm: Arm,
    place: Place,
    *,
    keep: Keep,
    done: Sequence[CaseResult] = (),
    told: Told = untold,
    stop: Stop | None = None,
) -> list[CaseResult]:
    """Ask every case that is not done yet, one after another, and return all results in the suite's order.

    Raises PlatformError when gold itself cannot be run: then the suite does not fit the database."""
    results = {result.case_id: result for result in done}
    kept: dict[tuple[str, str], Rows] = {}

    async def rows(connection: str, sql: str) -> Rows:
        if (connection, sql) not in kept:
            kept[connection, sql] = await fetch(ctx, connection, sql)
        return kept[connection, sql]

    for seq, case in enumerate(suite.cases):
        if stop:
            break
        if case.id in results:
            continue
        result = await _one(ctx, suite, arm, case, place, rows)
        await keep(seq, result)
        results[case.id] = result
        await told(result, len(results), len(suite.cases))
    return [results[case.id] for case in suite.cases if case.id in results]


async def _one(ctx: Ctx, suite: Suite, arm: Arm, case: Case, place: Place, rows: Any) -> CaseResult:
    connection = place.connections.get(case.database, suite.connection)
    for sql in case.gold:
        await rows(connection, sql)  # first: a suite that does not fit its database says so at once
    began = time.monotonic()
    outcome = await answer(ctx, arm, Asked(case, connection, suite.current_date))
    ms = round((time.monotonic() - began) * 1000)
    if suite.kind == "chat":
        return judge_chat(case, outcome, ms=ms)
    return await judge(case, outcome, Bench(connection, place.copies.get(case.database, ()), rows), ms=ms)
