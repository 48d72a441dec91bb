"""Answers are reused where nothing can have changed, and never across eyes, tenants, snapshots or chance."""

from collections.abc import AsyncIterator, Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pytest
from sqlalchemy import select

from core.context import Principal
from engine.catalog.views import View
from engine.connectors.connector import ColumnInfo, ConnectionSpec
from engine.lake.warehouse import TABLE_DEFAULTS, Lake
from engine.policy.rules import Governed
from engine.sql.cache import MAX_ANSWER_BYTES, VOLATILE, Answers, KeptAnswer, is_steady
from engine.sql.facts import Answer, Statement
from engine.sql.functions import ALLOWED
from engine.store.tables import queries, query_costs
from tests.engine.sql.world import ANN, BEN, World, make_world

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog

COUNT = "SELECT count(*) AS n, max(name) AS last FROM shop.item"


@dataclass
class Eyes:
    """A catalog whose callers see less than all: `hidden` columns by subject."""

    inner: object
    hidden: dict[str, str]

    @property
    def connectors(self) -> object:
        return self.inner.connectors  # type: ignore[attr-defined]

    async def view(self, principal: Principal, connection_id: str, as_of: str = "") -> View:
        view: View = await self.inner.view(principal, connection_id)  # type: ignore[attr-defined]
        hidden = self.hidden.get(principal.subject, "")

        def decide(key: str) -> Governed:
            source = view.snapshot.relations[key]
            columns: tuple[ColumnInfo, ...] = tuple(item for item in source.columns if item.name != hidden)
            return Governed(source if not hidden else replace(source, columns=columns), source)

        return View(principal, view.snapshot, ("sees", hidden), decide)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    spec = ConnectionSpec("default", "lakehouse", "lakehouse", "lakehouse")
    made = make_world(tmp_path / "home", [spec], data=tmp_path)
    add_rows(tmp_path, ["a", "b"])
    yield made
    await made.close()


def add_rows(folder: Path, names: list[str]) -> None:
    lake = Lake(folder / "home" / "warehouse")
    rows = pa.table({"name": names, "salary": [1] * len(names)})

    def work(catalog: "SqlCatalog") -> None:
        catalog.create_namespace_if_not_exists("shop")
        table = catalog.create_table_if_not_exists("shop.item", schema=rows.schema, properties=TABLE_DEFAULTS)
        table.append(rows)

    lake.commit_now("default", work)
    lake.close()


async def ask(world: World, sql: str = COUNT, by: Principal = ANN, **more: object) -> Answer:
    return await world.sql.execute(by, "lakehouse", replace(Statement(sql), **more))  # type: ignore[arg-type]


async def test_an_equal_question_is_answered_again_listed_and_free(world: World) -> None:
    first, second = await ask(world), await ask(world)
    assert (first.facts.from_cache, second.facts.from_cache) == (False, True)
    assert first.rows.records() == second.rows.records() == [{"n": 2, "last": "b"}]
    assert first.facts.columns == second.facts.columns and first.facts.query_id != second.facts.query_id
    listed = await world.store.read(lambda connection: connection.execute(select(queries)).all())
    costs = await world.store.read(lambda connection: connection.execute(select(query_costs)).all())
    assert [row.status for row in listed] == ["succeeded", "succeeded"]
    assert [(row.from_cache, row.cost_nano > 0) for row in sorted(costs, key=lambda row: row.from_cache)] == [
        (0, True),
        (1, False),
    ]


async def test_it_is_run_again_when_told(world: World) -> None:
    await ask(world)
    assert not (await ask(world, may_reuse=False)).facts.from_cache


async def test_a_commit_to_a_table_is_seen_at_once(world: World) -> None:
    await ask(world)
    add_rows(world.folder, ["c"])
    fresh = await ask(world)
    assert not fresh.facts.from_cache and fresh.rows.records() == [{"n": 3, "last": "c"}]


async def test_literals_parameters_and_bounds_tell_questions_apart(world: World) -> None:
    sql = "SELECT name FROM shop.item WHERE name = $who"
    assert (await ask(world, sql, parameters={"who": "a"})).rows.records() == [{"name": "a"}]
    assert (await ask(world, sql, parameters={"who": "b"})).rows.records() == [{"name": "b"}]
    for literal in ("a", "b", "a"):
        found = await ask(world, f"SELECT name FROM shop.item WHERE name = '{literal}'")
        assert found.rows.records() == [{"name": literal}]
    one = await ask(world, "SELECT name FROM shop.item ORDER BY name", max_rows=1)
    both = await ask(world, "SELECT name FROM shop.item ORDER BY name")
    assert (one.facts.row_count, one.facts.is_truncated) == (1, True)
    assert (both.facts.row_count, both.facts.is_truncated, both.facts.from_cache) == (2, False, False)


async def test_other_eyes_never_get_the_answer(world: World) -> None:
    world.sql._catalog = Eyes(world.sql._catalog, {"ben": "salary"})  # type: ignore[assignment]
    sql = "SELECT * FROM shop.item ORDER BY name"
    everything = await ask(world, sql)
    less = await ask(world, sql, by=BEN)
    assert "salary" in everything.rows.records()[0]
    assert less.rows.records() == [{"name": "a"}, {"name": "b"}] and not less.facts.from_cache
    assert (await ask(world, sql, by=BEN)).rows.records() == less.rows.records()
    alike = replace(ANN, subject="ada")
    assert (await ask(world, sql, by=alike)).facts.from_cache
    world.sql._catalog.hidden["ann"] = "salary"  # type: ignore[attr-defined]
    assert (await ask(world, sql)).rows.records() == less.rows.records()


@pytest.mark.parametrize("sql", ["SELECT random() AS r, name FROM shop.item", "SELECT now() AS t FROM shop.item"])
async def test_chance_and_time_are_not_kept(world: World, sql: str) -> None:
    for _ in range(2):
        assert not (await ask(world, sql)).facts.from_cache


def test_every_function_that_varies_is_known() -> None:
    """DuckDB's own word for each function of the allow-list."""
    asked = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
    varying = {name for (name,) in duckdb.sql(asked).fetchall()}
    assert (varying & ALLOWED["duckdb"]) - VOLATILE == set()
    for sql in ("SELECT CURRENT_DATE", "select Today()", "SELECT * FROM t USING SAMPLE 3", "SELECT x TABLESAMPLE 1%"):
        assert not is_steady(sql)
    assert is_steady("SELECT nowhere, sampled, uuid_x FROM known")


def answer(size: int) -> KeptAnswer:
    batch = pa.record_batch({"x": pa.array([b"x" * size])})
    return KeptAnswer(batch.schema, [batch], False, {}, 0)


def test_memory_is_bounded_and_the_greediest_tenant_gives_way() -> None:
    kept = Answers(1_000_000)
    kept.put("modest", "its own", answer(50_000))
    for number in range(50):
        kept.put("greedy", number, answer(50_000))
    assert kept.size_bytes <= 1_000_000
    assert kept.get("modest", "its own") is not None
    assert kept.get("greedy", 0) is None and kept.get("greedy", 49) is not None
    kept.put("modest", "large", answer(MAX_ANSWER_BYTES))
    assert kept.get("modest", "large") is None


def test_answers_grow_old_and_belong_to_their_tenant() -> None:
    now = [0.0]
    kept = Answers(10**7, ttl_s=60, clock=lambda: now[0])
    key: Hashable = "key"
    kept.put("acme", key, answer(10))
    assert kept.get("other", key) is None and kept.get("acme", key) is not None
    now[0] = 60.0
    assert kept.get("acme", key) is None and kept.size_bytes == 0


def test_with_no_memory_nothing_is_kept() -> None:
    kept = Answers(0)
    kept.put("acme", "key", answer(1))
    assert kept.get("acme", "key") is None
