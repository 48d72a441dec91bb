"""TPC-H on Iceberg, governed beside plain DuckDB on the same files: per query, and the geometric mean of the ratios.

`python -m bench.tpch --sf 1 --rounds 3`. Governed means the whole way of a query: plan, projection at each leaf,
connector and Arrow batches; plain means `iceberg_scan` views and the same Arrow batches in one DuckDB."""

import argparse
import asyncio
import importlib.util
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from core.context import Principal
from core.settings import QuerySettings
from engine.catalog.snapshots import Snapshot, make_snapshot
from engine.catalog.views import View
from engine.connectors.connector import ConnectionSpec
from engine.connectors.duck import extension_path, quote
from engine.connectors.places import Places
from engine.connectors.pool import Connectors
from engine.lake.warehouse import TABLE_DEFAULTS, Lake
from engine.policy.rules import ColumnRule, Governed, Mask, RowFilter, open_to_all
from engine.sql.run import SqlService, Statement
from engine.store.db import Store
from engine.store.tables import metadata

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    from pyiceberg.catalog.sql import SqlCatalog

NAMESPACE, TENANT = "tpch", "default"
SPEC = ConnectionSpec(TENANT, "lakehouse", "lakehouse", "lakehouse")
CALLER = Principal("bench", TENANT)
BUDGET = 1.15
THREADS, MEMORY_MB = 2, 2048
MASKS = {"c_phone": Mask("partial", (("keep_last", "4"),)), "c_address": Mask("null")}
ORDERS_FILTER = "o_orderstatus IN ('O', 'F', 'P')"


def generator(folder: Path, scale: float) -> "tuple[duckdb.DuckDBPyConnection, list[str]]":
    import duckdb

    spec = importlib.util.find_spec("duckdb_extension_tpch")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("duckdb_extension_tpch is not installed")
    made = duckdb.connect(str(folder / "made.duckdb"))
    made.execute(f"LOAD {quote(str(next(Path(spec.submodule_search_locations[0]).rglob('*.duckdb_extension'))))}")
    made.execute(f"CALL dbgen(sf={scale})")
    return made, [text for (text,) in made.execute("SELECT query FROM tpch_queries() ORDER BY query_nr").fetchall()]


def append(catalog: "SqlCatalog", name: str, rows: "pa.Table") -> None:
    table = catalog.create_table_if_not_exists((NAMESPACE, name), schema=rows.schema, properties=TABLE_DEFAULTS)
    table.append(rows)


async def load(lake: Lake, made: "duckdb.DuckDBPyConnection") -> list[str]:
    names = [name for (name,) in made.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall()]
    await asyncio.to_thread(lake.create_namespace, TENANT, NAMESPACE)
    for name in names:
        rows = made.execute(f"SELECT * FROM {name}").to_arrow_table()
        await lake.commit(TENANT, lambda catalog, name=name, rows=rows: append(catalog, name, rows))  # type: ignore[misc]
    return names


class Fixed:
    """A catalog of one connection, with or without policies on it."""

    def __init__(self, connectors: Connectors, snapshot: Snapshot, *, is_governed: bool):
        self.connectors = connectors
        self._snapshot = snapshot
        self._is_governed = is_governed

    async def view(self, principal: Principal, connection_id: str, as_of: str = "") -> View:
        return View(principal, self._snapshot, self._is_governed, self._decide)

    def _decide(self, key: str) -> Governed:
        relation = self._snapshot.relations[key]
        if self._is_governed and key.endswith("customer"):
            return Governed(relation, relation, {name: ColumnRule("masked", mask) for name, mask in MASKS.items()})
        if self._is_governed and key.endswith("orders"):
            return Governed(relation, relation, filters=(RowFilter("bench", ORDERS_FILTER),))
        return open_to_all(relation)


def plain_reader(lake: Lake, names: list[str]) -> "duckdb.DuckDBPyConnection":
    import duckdb

    connection = duckdb.connect(config={"threads": str(THREADS), "memory_limit": f"{MEMORY_MB}MB"})
    for extension in ("avro", "iceberg"):
        connection.execute(f"LOAD {quote(str(extension_path(extension)))}")
    for name in names:
        source = f"iceberg_scan({quote(lake.locations(TENANT)[f'{NAMESPACE}.{name}'])})"
        connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {source}")
    return connection


async def timed(service: SqlService, sql: str) -> float:
    started = time.perf_counter()
    await service.execute(CALLER, SPEC.connection_id, Statement(sql))
    return time.perf_counter() - started


def timed_plain(connection: "duckdb.DuckDBPyConnection", sql: str) -> float:
    started = time.perf_counter()
    connection.execute(sql).to_arrow_table()
    return time.perf_counter() - started


async def compare(
    services: dict[str, SqlService], plain: "duckdb.DuckDBPyConnection", queries: list[str], rounds: int
) -> None:
    ratios: dict[str, list[float]] = {name: [] for name in services}
    for number, sql in enumerate(queries, start=1):
        times: dict[str, list[float]] = {name: [] for name in (*services, "plain")}
        for turn in range(rounds + 1):  # the first warms the files' pages
            round_times = {name: await timed(service, sql) for name, service in services.items()}
            round_times["plain"] = await asyncio.to_thread(timed_plain, plain, sql)
            for name, taken in round_times.items() if turn else ():
                times[name].append(taken)
        middle = {name: statistics.median(taken) for name, taken in times.items()}
        for name in services:
            ratios[name].append(middle[name] / middle["plain"])
        shown = "  ".join(f"{name} {middle[name] * 1000:8.1f} ms x{ratios[name][-1]:.2f}" for name in services)
        print(f"q{number:02}  plain {middle['plain'] * 1000:8.1f} ms  {shown}", flush=True)
    for name, found in ratios.items():
        mean = statistics.geometric_mean(found)
        print(f"geometric mean, {name}: {mean:.3f}  budget {BUDGET}  {'ok' if mean <= BUDGET else 'OVER'}", flush=True)


async def run(scale: float, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        lake = Lake(home / "warehouse")
        made, queries = generator(home, scale)
        names = await load(lake, made)
        made.close()
        settings = QuerySettings(memory_mb=MEMORY_MB, threads=THREADS, cache_mb=0)
        places = Places(home=home, roots=[home])
        connectors = Connectors(lake=lake, places=places, settings=settings, temp_directory=home / "tmp")
        relations = await (await connectors.get(SPEC)).schema()
        snapshot = make_snapshot(SPEC, relations, 0.0, catalog_name="headwater")
        store = Store(f"sqlite:///{home / 'store.db'}")
        metadata.create_all(store.engine)
        services = {
            name: SqlService(
                catalog=Fixed(connectors, snapshot, is_governed=name == "policies"), store=store, settings=settings
            )
            for name in ("policies", "unrestricted")
        }
        with plain_reader(lake, names) as plain:
            await compare(services, plain, queries, rounds)
        for service in services.values():
            await service.close()
        await connectors.close()
        store.close()
        lake.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sf", type=float, default=1.0, help="scale factor")
    parser.add_argument("--rounds", type=int, default=3, help="measured rounds per query")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.sf, arguments.rounds))
