"""Lineage is what queries that ran have read, shown to those who may see all of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import event

from core.context import Principal
from core.errors import NotFound, QuotaExceeded
from engine.catalog.snapshots import Snapshot, make_snapshot
from engine.catalog.views import View
from engine.connectors.connector import ConnectionSpec
from engine.policy.rules import open_to_all
from engine.sql.bind import Prepared, prepare
from engine.sql.budget import GroupingBudget
from engine.sql.lineage import LineageLog
from engine.store.db import Store
from tests.engine.sql.salaries import relation, seen
from tests.fixtures_store import new_sqlite

ANN, BEN, EVE = Principal("ann", "acme"), Principal("ben", "acme"), Principal("eve", "other")
ORDERS = relation("orders", "id", "customer", "total", "day")
PEOPLE = relation("people", "id", "name", "Card")
SPEC = ConnectionSpec("acme", "shop", "shop", "duckdb")


def snapshot(*, hides: str = "") -> Snapshot:
    return make_snapshot(SPEC, [item for item in (ORDERS, PEOPLE) if item.name != hides], 0.0)


def look(by: Principal, *, hides: str = "") -> View:
    kept = snapshot(hides=hides)
    return View(by, kept, hides, lambda key: open_to_all(kept.relations[key]))


def plan(sql: str) -> Prepared:
    return prepare(sql, look(ANN), "duckdb", max_rows=10)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    opened = Store(new_sqlite(tmp_path))
    yield opened
    opened.close()


@pytest.fixture
async def log(store: Store) -> AsyncIterator[LineageLog]:
    made = LineageLog(store)
    yield made
    await made.close()


async def test_a_query_is_found_by_what_it_reads_and_with_what_it_makes_of_it(log: LineageLog) -> None:
    sql = "SELECT name, sum(total) AS spent FROM orders o JOIN people p ON p.id = customer WHERE day > {} GROUP BY 1"
    for number in (1, 2):
        log.record(ANN, "shop", plan(sql.format(number)))
    await log.flush()
    found = await log.find(look(BEN), "orders", "total")
    (reader,) = found.readers
    assert (reader.run_count, reader.columns, reader.target) == (2, ["total"], "")
    assert [(item.name, item.is_direct) for item in reader.outputs] == [("spent", True)]
    assert "?" in reader.sql_shape and "day > 2" not in reader.sql_shape
    (by_day,) = (await log.find(look(BEN), "orders", "DAY")).readers
    assert {(item.name, item.is_direct) for item in by_day.outputs} == {("name", False), ("spent", False)}
    assert (await log.find(look(BEN), "people", "card")).readers == []


async def test_a_query_that_reads_more_than_the_caller_sees_is_not_shown(log: LineageLog) -> None:
    log.record(ANN, "shop", plan("SELECT o.id FROM orders o SEMI JOIN people p ON p.id = o.customer"))
    log.record(ANN, "shop", plan("SELECT count(*) FROM orders, people"))
    log.record(ANN, "shop", plan("SELECT total FROM orders"))
    await log.flush()
    assert len((await log.find(look(BEN), "orders")).readers) == 3
    (reader,) = (await log.find(look(BEN, hides="people"), "orders")).readers
    assert reader.sql_shape == "SELECT total FROM orders"
    assert (await log.find(look(EVE), "orders")).readers == []
    for table, column in (("people", ""), ("nothing", ""), ("orders", "card")):
        with pytest.raises(NotFound):
            await log.find(look(BEN, hides="people"), table, column)


async def test_what_fills_a_table_links_its_columns(log: LineageLog) -> None:
    log.record(ANN, "shop", plan("SELECT name AS customer FROM people WHERE id > 5"), reader="sync", target="orders")
    await log.flush()
    found = await log.find(look(BEN), "orders", "customer")
    assert {(item.table, item.column, item.is_direct) for item in found.upstream} == {
        *(("people", "name", True), ("people", "id", False)),
    }
    found = await log.find(look(BEN), "people", "name")
    assert [(item.table, item.column, item.is_direct) for item in found.downstream] == [("orders", "customer", True)]
    assert found.readers[0].reader == "sync"
    assert (await log.find(look(BEN, hides="people"), "orders", "customer")).upstream == []


async def test_queries_are_noted_without_a_word_to_the_store_and_written_together(
    log: LineageLog, store: Store
) -> None:
    statements: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    prepared = plan("SELECT total FROM orders")
    for _ in range(1000):
        log.record(ANN, "shop", prepared)
    assert statements == []
    await log.flush()
    assert 0 < len(statements) < 20
    assert (await log.find(look(ANN), "orders")).readers[0].run_count == 1000


async def test_what_has_not_run_for_a_season_is_forgotten(store: Store) -> None:
    now = [1e9]
    log = LineageLog(store, clock=lambda: now[0])
    log.record(ANN, "shop", plan("SELECT total FROM orders"))
    await log.flush()
    now[0] += 91 * 86_400
    log.record(ANN, "shop", plan("SELECT id FROM orders"))
    await log.flush()
    assert [item.sql_shape for item in (await log.find(look(ANN), "orders")).readers] == ["SELECT id FROM orders"]
    await log.close()


async def test_the_budget_of_groupings_is_exact_and_of_one_caller_table_and_day(store: Store) -> None:
    now = [1_763_000_000.0]
    budgets = [GroupingBudget(store, per_day=3, clock=lambda: now[0]) for _ in range(2)]
    charge = budgets[0].charge_aggregate_budget
    await charge(ANN, "shop", {"staff": 2})
    with pytest.raises(QuotaExceeded, match=r"2 of 3 .* staff .* needs 2") as refused:
        await budgets[1].charge_aggregate_budget(ANN, "shop", {"dept": 3, "staff": 2})
    assert "T00:00:00Z" in refused.value.hint
    await charge(ANN, "shop", {"dept": 3, "staff": 1})  # nothing was taken by what was refused
    await charge(BEN, "shop", {"staff": 3})
    await charge(EVE, "shop", {"staff": 3})
    await charge(ANN, "other", {"staff": 3})
    with pytest.raises(QuotaExceeded):
        await charge(ANN, "shop", {"staff": 1})
    now[0] += 86_400
    await charge(ANN, "shop", {"staff": 3})


def test_a_view_through_which_salaries_are_seen_costs_one_grouping_for_each_block() -> None:
    sql = "SELECT dept_id, sum(salary), avg(salary) FROM staff GROUP BY 1"
    assert prepare(sql, seen(), "duckdb", max_rows=9).aggregated == {"staff": 1}
