"""What governance costs: CPU from SQL text to the text that runs, first and prepared, and what kept plans hold.

Prepared means that only literals differ from what came before: another user of the same dashboard."""

import asyncio
import time
import tracemalloc
from collections.abc import Callable

from bench._measure import show
from core.context import Principal
from engine.catalog.snapshots import Snapshot, make_snapshot
from engine.catalog.views import View
from engine.connectors.connector import ColumnInfo, ConnectionSpec, RelationInfo
from engine.policy.rules import open_to_all
from engine.sql.plans import Plans

TABLES, COLUMNS = 25, 12
ROUNDS, REPEATS = 7, 20
FIRST_MS, PREPARED_MS = 15.0, 1.0
MAX_ROWS = 1000
STATEMENTS_KEPT = 500


def snapshot() -> Snapshot:
    """A warehouse of 25 tables with 12 columns each, which reference each other by `k0`."""
    columns = [ColumnInfo(f"k{number}", "bigint", True, number) for number in range(3)]
    columns += [ColumnInfo(f"c{number}", "varchar", True, number) for number in range(3, COLUMNS)]
    relations = [RelationInfo(f"sales.t{number}", tuple(columns)) for number in range(TABLES)]
    return make_snapshot(ConnectionSpec("bench", "bench", "bench", "duckdb"), relations, 0.0)


def view(of: Snapshot) -> View:
    return View(Principal("bench", "bench"), of, "bench", lambda key: open_to_all(of.relations[key]))


def statement(tables: int, literal: int) -> str:
    """A report over that many tables: a CTE, joins, conditions, groups, a window and an order."""
    joins = "\n".join(
        f"JOIN sales.t{number} t{number} ON t{number}.k0 = t{number - 1}.k1 AND t{number}.c5 <> 'x{literal}'"
        for number in range(1, tables - 1)
    )
    return f"""
WITH recent AS (SELECT k0, k1, c4, count(*) AS n FROM sales.t{tables - 1}
  WHERE k2 >= {literal} AND c7 LIKE 'a{literal}%' GROUP BY k0, k1, c4)
SELECT t0.c3 AS region, date_trunc('month', CAST(t0.c4 AS DATE)) AS month, sum(t0.k2 * (1 - t1.k2)) AS revenue,
  count(DISTINCT t1.k0) AS customers, rank() OVER (PARTITION BY t0.c3 ORDER BY sum(t0.k2) DESC) AS place
FROM sales.t0 t0
{joins}
LEFT JOIN recent r ON r.k0 = t0.k1
WHERE t0.c5 IN ('a', 'b', 'c{literal}') AND t0.k2 BETWEEN {literal} AND {literal + 100} AND coalesce(r.n, 0) >= 0
GROUP BY ALL HAVING sum(t0.k2) > {literal} ORDER BY revenue DESC, region LIMIT 100
"""


async def cpu_ms(plans: Callable[[], Plans], of: Snapshot, texts: list[str]) -> float:
    """CPU of one statement from text to text, each leaf filled."""
    chosen, seen, used = plans(), view(of), 0.0
    for text in texts:
        started = time.process_time()
        prepared = await chosen.prepare(seen, "duckdb", text, max_rows=MAX_ROWS)
        sources = {name: f"iceberg_scan('/data/{name}/metadata/v1.metadata.json')" for name in prepared.tables}
        prepared.fill(sources)
        used += time.process_time() - started
        if chosen.size_chars == 0:
            raise SystemExit("the plan was not kept")
    return used / len(texts) * 1000


async def measure(tables: int, of: Snapshot) -> None:
    await cpu_ms(Plans, of, [statement(tables, 1)])  # imports
    first = [await cpu_ms(Plans, of, [statement(tables, 1)]) for _ in range(ROUNDS)]
    warm = Plans()
    again, others = [], []
    await cpu_ms(lambda: warm, of, [statement(tables, 1), statement(tables, 2), statement(tables, 3)])
    for turn in range(ROUNDS):
        again.append(await cpu_ms(lambda: warm, of, [statement(tables, 1)] * REPEATS))
        texts = [statement(tables, 1000 + turn * REPEATS + number) for number in range(REPEATS)]
        others.append(await cpu_ms(lambda: warm, of, texts))
    budget = (FIRST_MS, PREPARED_MS) if tables == 5 else (None, None)
    show(f"{tables} tables, first", "ms CPU", first, budget[0])
    show(f"{tables} tables, prepared, word for word", "ms CPU", again, budget[1])
    show(f"{tables} tables, prepared, other literals", "ms CPU", others, budget[1])


async def memory(of: Snapshot) -> None:
    """What many different statements hold: the bound is in characters, so it is shown beside them."""
    plans, seen = Plans(), view(of)
    tracemalloc.start()
    for number in range(STATEMENTS_KEPT):
        await plans.prepare(seen, "duckdb", f"SELECT c3 AS a{number} FROM sales.t1 WHERE k0 = 1", max_rows=MAX_ROWS)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    kb, chars = held / 1024 / STATEMENTS_KEPT, plans.size_chars / STATEMENTS_KEPT
    print(f"{'memory per kept statement':56} {kb:8.1f} kB (counted as {chars:.0f} characters)")


async def run() -> None:
    of = snapshot()
    await measure(5, of)
    await measure(20, of)
    await memory(of)


if __name__ == "__main__":
    asyncio.run(run())
