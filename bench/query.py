"""What `execute_query` costs beside DuckDB alone on the same Iceberg table, in CPU, and what keeping its rows costs.

One table of 1 M rows in the lakehouse. Ours is everything: the gate, parsing, rules, the engine, history, audit and
the rows as Python values; DuckDB's is the statement over `iceberg_scan` and the rows as Arrow."""

import asyncio
import time
from itertools import count
from typing import TYPE_CHECKING, Any

from bench._measure import compare, show
from bench._platform import TENANT, in_process
from core.context import Principal
from core.dispatch import Call
from engine.connectors.duck import extension_path, quote
from engine.lake.warehouse import TABLE_DEFAULTS
from engine.sql.run import Statement
from headwater.build import Platform

if TYPE_CHECKING:
    import duckdb
    from pyiceberg.catalog.sql import SqlCatalog

ROWS, ROUNDS = 1_000_000, 7
STATEMENTS = {
    "a group by over 1 M rows": (
        "SELECT k, count(*) AS n, sum(v) AS v FROM {table} WHERE v <> {n} GROUP BY k ORDER BY k",
        10,
    ),
    "one row by its key": ("SELECT * FROM {table} WHERE id = {n}", 20),
    "1,000 rows": ("SELECT * FROM {table} WHERE id BETWEEN {n} AND {n} + 999", 10),
}
MADE = f"SELECT i AS id, i % 50 AS k, (i * 7919) % 10007 AS v, 'name ' || i AS name FROM range({ROWS}) r(i)"


def load(platform: Platform) -> str:
    """Fill the table; where its metadata is."""
    import duckdb

    rows = duckdb.sql(MADE).to_arrow_table()

    def work(catalog: "SqlCatalog") -> None:
        catalog.create_namespace_if_not_exists("bench")
        catalog.create_table("bench.rows", schema=rows.schema, properties=TABLE_DEFAULTS).append(rows)

    platform.engine.lake.commit_now(TENANT, work)
    return platform.engine.lake.locations(TENANT)["bench.rows"]


def reader(location: str) -> "duckdb.DuckDBPyConnection":
    import duckdb

    connection = duckdb.connect()
    for extension in ("avro", "iceberg"):
        connection.execute(f"LOAD {quote(str(extension_path(extension)))}")
    connection.execute(f"CREATE VIEW rows AS SELECT * FROM iceberg_scan({quote(location)})")
    return connection


class Ours:
    """The tool, as every face calls it."""

    def __init__(self, platform: Platform, token: str):
        self._platform = platform
        self._token = token

    async def cpu_ms(self, texts: list[str], *, is_cached: bool) -> float:
        """CPU of one statement, with its record in audit and history and its rows kept."""
        engine = self._platform.engine
        started = time.process_time()
        for text in texts:
            call = Call("execute_query", {"sql": text}, "bench", "r", token=self._token, form="json")
            answer: Any = await self._platform.dispatcher.call(call)
            answer.data.records()
            assert answer.metadata.from_cache == is_cached, text
        await engine.results.close()
        while engine.audit.backlog:
            await asyncio.sleep(0.01)
        return (time.process_time() - started) / len(texts) * 1000

    async def engine_ms(self, texts: list[str], by: Principal, keep_for: str) -> float:
        """CPU of one statement in the engine alone, with its rows kept for a tool or not."""
        started = time.process_time()
        for text in texts:
            await self._platform.engine.sql.execute(by, "lakehouse", Statement(text, keep_for=keep_for))
        await self._platform.engine.results.close()
        return (time.process_time() - started) / len(texts) * 1000


async def bare_ms(connection: "duckdb.DuckDBPyConnection", texts: list[str]) -> float:
    def work() -> None:
        for text in texts:
            connection.execute(text).to_arrow_table()

    started = time.process_time()
    await asyncio.to_thread(work)
    return (time.process_time() - started) / len(texts) * 1000


async def measure(ours: Ours, plain: "duckdb.DuckDBPyConnection", what: str, by: Principal) -> None:
    """Each statement has a literal of its own, but the repeated ones."""
    pattern, calls = STATEMENTS[what]
    numbers = count(1)

    def texts(table: str) -> list[str]:
        return [pattern.format(table=table, n=next(numbers)) for _ in range(calls)]

    fresh, cached, kept = [], [], []
    for turn in range(ROUNDS + 1):
        chosen = texts("bench.rows")
        bare = await bare_ms(plain, texts("rows"))
        first = await ours.cpu_ms(chosen, is_cached=False)
        again = await ours.cpu_ms(chosen, is_cached=True)
        with_rows = await ours.engine_ms(texts("bench.rows"), by, "execute_query")
        without = await ours.engine_ms(texts("bench.rows"), by, "")
        if turn:  # the first warms up
            fresh.append((first, bare))
            cached.append((again, bare))
            kept.append((with_rows, without))
    compare(f"{what}: execute_query", "ms", fresh)
    compare(f"{what}: the same from the cache", "ms", cached)
    compare(f"{what}: engine, rows kept beside not kept", "ms", kept)
    show(f"{what}: ours above DuckDB's", "ms CPU", [mine - other for mine, other in fresh])


async def main() -> None:
    async with in_process() as (platform, token):
        location = await asyncio.to_thread(load, platform)
        by = await platform.dispatcher.authenticate(token)
        with reader(location) as plain:
            for what in STATEMENTS:
                await measure(Ours(platform, token), plain, what, by)


if __name__ == "__main__":
    asyncio.run(main())
