"""Aggregate-only columns through the whole service, on real PostgreSQL, SQLite and DuckDB: equal verdicts and counts."""

# ruff: noqa: E501 - a statement is one line

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from core.context import Principal
from core.errors import QueryUnauthorized
from core.settings import QuerySettings
from engine.catalog.snapshots import make_snapshot
from engine.catalog.views import View
from engine.connectors.connector import ConnectionSpec
from engine.connectors.places import Places
from engine.connectors.pool import Connectors
from engine.lake.warehouse import Lake
from engine.policy.rules import ColumnRule, Governed, open_to_all
from engine.sql.run import SqlService, Statement
from engine.store.db import Store
from tests.engine.sql.salaries import SCHEMA, SECRETS, STAFF
from tests.engine.sql.world import ANN, World
from tests.fixtures_postgres import PostgresServer, postgres, postgres_database
from tests.fixtures_store import new_sqlite

__all__ = ["postgres", "postgres_database"]

ROWS = ", ".join(
    f"({number}, '{name}', {dept}, '{city}', {'NULL' if salary is None else salary}, 'e@x.no')"
    for number, name, dept, city, salary in STAFF
)
SCRIPT = f"{SCHEMA}\nINSERT INTO staff VALUES {ROWS};"

# The answer, and how many groups were too small to be shown.
ANSWERS: dict[str, tuple[list[list[Any]], int]] = {
    "SELECT count(salary) AS n, sum(salary) AS s FROM staff": ([[17, 250158]], 0),
    "SELECT dept_id, sum(salary) AS s FROM staff GROUP BY dept_id ORDER BY dept_id": (
        [[1, 8036], [2, 12069], [3, None], [4, None]],
        2,
    ),
    "SELECT dept_id, sum(salary + 1) AS s FROM staff GROUP BY dept_id HAVING sum(salary) > 10000 ORDER BY 1": (
        [[2, 12075]],
        2,
    ),
    "SELECT id, sum(salary) AS s FROM staff GROUP BY id ORDER BY sum(salary) DESC, id LIMIT 1": ([[1, None]], 22),
    "SELECT sum(salary) AS s FROM staff WHERE id = 5": ([[None]], 1),
    "SELECT sum(salary) AS s FROM staff WHERE id < 0": ([[None]], 1),
    "SELECT sum(s.salary) AS s FROM staff s JOIN hits h ON h.id = s.id": ([[None]], 1),
    "SELECT sum(s.salary) AS s FROM staff s JOIN hits h ON h.id = s.id WHERE h.grp = 2 AND h.id > 3": ([[5030]], 0),
    "SELECT d.title, sum(s.salary) AS s FROM staff s JOIN dept d ON d.dept_id = s.dept_id GROUP BY d.title, d.dept_id ORDER BY d.dept_id": (
        [["one", 8036], ["two", 12069], ["three", None], ["four", None]],
        2,
    ),
    "SELECT sum(t.salary) AS s FROM (SELECT salary, dept_id FROM staff) t CROSS JOIN dept d WHERE t.dept_id = 2": (
        [[None]],
        1,
    ),
    "WITH w AS (SELECT dept_id, salary AS pay FROM staff) SELECT dept_id, sum(pay) AS s FROM w GROUP BY dept_id ORDER BY 1": (
        [[1, 8036], [2, 12069], [3, None], [4, None]],
        2,
    ),
    "SELECT max(s) AS m FROM (SELECT sum(salary) AS s FROM staff GROUP BY id) t": ([[None]], 22),
}
REFUSED = """
SELECT salary FROM staff
SELECT * FROM staff
SELECT s.* FROM staff s
SELECT max(salary) FROM staff
SELECT min(s.salary) FROM staff s
SELECT id FROM staff WHERE salary > 5
SELECT id FROM staff ORDER BY salary
SELECT count(*) FROM staff GROUP BY salary
SELECT DISTINCT salary FROM staff
SELECT salary FROM staff UNION SELECT 1
SELECT sum(salary * id) FROM staff
SELECT sum(CASE WHEN id = 5 THEN salary END) FROM staff
SELECT sum(salary) FILTER (WHERE id = 5) FROM staff
SELECT sum(salary) OVER () FROM staff
SELECT row_number() OVER (ORDER BY salary) FROM staff
SELECT d.dept_id FROM dept d JOIN staff s ON s.salary = d.salary
SELECT id FROM staff NATURAL JOIN dept
SELECT dept_id FROM dept JOIN staff USING (dept_id, salary)
SELECT h.id, (SELECT sum(s.salary) FROM staff s WHERE s.id <> h.id) AS x FROM hits h
SELECT sum(salary) FROM (SELECT salary FROM staff LIMIT 1) t
SELECT sum(salary) FROM (SELECT salary FROM staff WHERE id = 5 UNION ALL SELECT 0) t
SELECT sum(salary + 1e300) FROM staff
SELECT sum(salary), random() FROM staff
""".strip().splitlines()


@dataclass(slots=True)
class RuledCatalog:
    """One connection, whose salaries are for aggregates over five rows or more."""

    connectors: Connectors
    spec: ConnectionSpec

    async def view(self, principal: Principal, connection_id: str, as_of: str = "") -> View:
        connector = await self.connectors.get(self.spec)
        relations = [item for item in await connector.schema() if item.name.split(".")[-1] in ("staff", "dept", "hits")]
        snapshot = make_snapshot(self.spec, relations, 0.0)

        def decide(key: str) -> Governed:
            found = snapshot.relations[key]
            if not key.endswith("staff"):
                return open_to_all(found)
            return Governed(found, found, {"salary": ColumnRule("aggregate_only", min_group=5)})

        return View(principal, snapshot, "ruled", decide)


def make(folder: Path, spec: ConnectionSpec, hosts: list[str]) -> World:
    home = folder / "home"
    home.mkdir()
    connectors = Connectors(
        lake=Lake(home / "warehouse"),
        places=Places(home=home, roots=[folder / "data"], private_hosts=hosts),
        settings=QuerySettings(),
        temp_directory=home / "tmp",
    )
    store = Store(new_sqlite(home))
    sql = SqlService(catalog=RuledCatalog(connectors, spec), store=store, settings=QuerySettings())
    return World(folder / "data", sql, connectors, store)


@pytest.fixture(params=["sqlite", "duckdb"])
async def local(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    path = tmp_path / "data" / "shop.db"
    path.parent.mkdir()
    if request.param == "sqlite":
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(SCRIPT)
    else:
        with duckdb.connect(str(path)) as made:
            made.execute(SCRIPT)
    world = make(tmp_path, ConnectionSpec("default", "shop", "shop", request.param, {"path": str(path)}), [])
    yield world
    await world.close()


@pytest.fixture
async def pg(tmp_path: Path, postgres: PostgresServer, postgres_database: str) -> AsyncIterator[World]:
    (tmp_path / "data").mkdir()
    with psycopg.connect(postgres.url(postgres_database), autocommit=True) as connection:
        connection.execute(SCRIPT.encode())
    folder = postgres.url("").rpartition("host=")[2]
    options = {"host": folder, "database": postgres_database, "user": "postgres"}
    world = make(tmp_path, ConnectionSpec("default", "shop", "shop", "postgresql", options), [folder])
    yield world
    await world.close()


async def check(world: World) -> None:
    for sql, (rows, suppressed) in ANSWERS.items():
        answer = await world.sql.execute(ANN, "shop", Statement(sql))
        assert [_plain(record.values()) for record in answer.rows.records()] == rows, sql
        assert answer.facts.private_row_count == suppressed, sql
    for sql in REFUSED:
        with pytest.raises(QueryUnauthorized) as refused:
            await world.sql.execute(ANN, "shop", Statement(sql))
        assert not any(str(value) in refused.value.message + refused.value.hint for value in SECRETS), sql


def _plain(values: Any) -> list[Any]:
    """Sums are decimals in one engine, and whole numbers or texts of them in others."""
    return [int(value) if isinstance(value, str) and value.isdigit() else value for value in values]


async def test_sqlite_and_duckdb_suppress_and_count_alike(local: World) -> None:
    await check(local)


@pytest.mark.postgres
async def test_postgresql_suppresses_and_counts_alike(pg: World) -> None:
    await check(pg)
