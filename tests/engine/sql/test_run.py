import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pyarrow as pa
import pytest
from sqlalchemy import select

from core.context import Cancellation
from core.errors import Cancelled, Conflict, NotFound, PlatformError, QueryUnauthorized, Timeout
from engine.connectors.connector import ConnectionSpec
from engine.sql.bind import prepare
from engine.sql.govern import govern
from engine.sql.queries import Queries
from engine.sql.run import Statement
from engine.store.db import Store
from engine.store.tables import queries
from tests.engine.sql.world import ANN, BEN, World, duckdb_spec, make_database, make_world, restricted

ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000) c WHERE a.range + b.range = c.range"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = make_database(tmp_path / "data")
    connection = sqlite3.connect(tmp_path / "data" / "shop.db")
    connection.executescript("CREATE TABLE item (id INTEGER, name TEXT); INSERT INTO item VALUES (1, 'a'), (2, 'b')")
    connection.close()
    lite = ConnectionSpec("default", "lite", "lite", "sqlite", {"path": str(tmp_path / "data" / "shop.db")})
    made = make_world(tmp_path / "home", [duckdb_spec(database), lite], data=tmp_path / "data", visible=restricted)
    yield made
    await made.close()


async def test_an_answer_tells_what_was_run(world: World) -> None:
    answer = await world.sql.execute(ANN, "shop", Statement("SELECT person_id, name AS n FROM people ORDER BY 1"))
    facts = answer.facts
    assert (facts.row_count, facts.is_truncated, facts.tables) == (7, False, ["people"])
    assert facts.columns == [("person_id", "integer"), ("n", "varchar")]
    state = await world.sql.queries.get(ANN, facts.query_id)
    assert (state.status, state.row_count, state.error_code) == ("succeeded", 7, "")


@pytest.mark.parametrize(("wanted", "rows", "is_truncated"), [(59, 59, True), (60, 60, False), (None, 60, False)])
async def test_one_row_more_is_read_to_know_whether_there_are_more(
    world: World, wanted: int | None, rows: int, is_truncated: bool
) -> None:
    answer = await world.sql.execute(ANN, "shop", Statement("SELECT * FROM sales", max_rows=wanted))
    assert (answer.facts.row_count, answer.facts.is_truncated) == (rows, is_truncated)


@pytest.mark.parametrize(
    ("sql", "limit"),
    [
        ("SELECT * FROM sales", "LIMIT 11"),
        ("SELECT * FROM sales LIMIT 5", "LIMIT 5"),
        ("SELECT * FROM sales LIMIT 5000", "LIMIT 11"),
        ("SELECT * FROM sales LIMIT $n", "LIMIT $n"),
        ("SELECT 1 UNION ALL SELECT 2", "LIMIT 11"),
        ("(SELECT 1)", "LIMIT 11"),
    ],
)
async def test_the_limit_is_pushed_into_the_statement(world: World, sql: str, limit: str) -> None:
    await world.sql.validate(ANN, "shop", Statement("SELECT 1"))
    snapshot = await world.sql._catalog.view(ANN, "shop")
    assert prepare(sql, snapshot, "duckdb", max_rows=10).template.endswith(limit)


async def test_what_replaces_a_relation_names_its_visible_columns_and_nothing_else(world: World) -> None:
    snapshot = await world.sql._catalog.view(ANN, "shop")
    people = snapshot.find(("people",))
    assert people is not None
    assert govern(people, "source") == '(SELECT "person_id", "name" FROM source)'


async def test_a_stream_comes_in_self_contained_chunks(world: World) -> None:
    sent: list[pa.Table] = []

    async def send(chunk: bytes) -> None:
        sent.append(pa.ipc.open_stream(chunk).read_all())

    sql = "SELECT i, md5(i::VARCHAR) AS t, i AS i FROM range(100000) t(i) ORDER BY 1"
    facts = await world.sql.stream(ANN, "shop", Statement(sql), send=send)
    table = pa.concat_tables(sent)
    assert len(sent) >= 2 and facts.row_count == table.num_rows == 100_000
    assert table.column_names == ["i", "t", "i_2"]
    assert table["i"].to_pylist() == list(range(100_000))


async def test_a_receiver_that_fails_ends_the_query(world: World) -> None:
    async def send(chunk: bytes) -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await world.sql.stream(ANN, "shop", Statement("SELECT * FROM sales"), send=send)
    row = await world.store.read(lambda connection: connection.execute(select(queries)).one())
    assert row.status == "cancelled"


async def test_values_are_bound_in_every_dialect(world: World) -> None:
    for connection_id, sql in (
        ("shop", "SELECT name FROM people WHERE person_id = $id"),
        ("shop", "SELECT name FROM people WHERE person_id = :id"),
        ("lite", "SELECT name FROM item WHERE id = :id"),
        ("lite", "SELECT name FROM item WHERE id = $id"),
    ):
        answer = await world.sql.execute(ANN, connection_id, Statement(sql, {"id": "1"}))
        assert answer.facts.row_count == 1, sql
        for wrong in ({}, {"id": "1", "more": "2"}):
            with pytest.raises(Conflict, match="parameter"):
                await world.sql.execute(ANN, connection_id, Statement(sql, wrong))


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT * FROM sales WHERE", "line 1"),
        ("SELECT *\nFROM sales\nWHERE )", "line 3"),
        ("SELECT 'secret literal' FROM sales WHERE (", "line"),
        ("SELECT region::INTEGER FROM sales", "converted"),
        ("SELECT sum(region) FROM sales", "sum"),
        ("SELECT region, count(*) FROM sales", "GROUP BY"),
        ("SELECT 1 UNION SELECT 1, 2", "column"),
        ("SELECT (SELECT sale_id FROM sales) AS x", "scalar subquery"),
        ("SELECT 9223372036854775807 + 1", "range"),
    ],
)
async def test_errors_say_what_to_repair_and_quote_no_value(world: World, sql: str, said: str) -> None:
    with pytest.raises((Conflict, QueryUnauthorized)) as refused:
        await world.sql.execute(ANN, "shop", Statement(sql))
    text = refused.value.message + refused.value.hint
    assert said.lower() in text.lower()
    assert "north" not in text and "secret literal" not in text and refused.value.hint


async def test_validate_checks_without_running(world: World) -> None:
    prepared = await world.sql.validate(ANN, "shop", Statement("SELECT s.amount FROM sales s WHERE s.sale_id > 5"))
    assert (prepared.tables, sorted(prepared.columns)) == (["sales"], ["amount", "sale_id"])
    for wrong in ("SELECT nothing FROM sales", "SELECT sum(region) FROM sales", "DROP TABLE sales"):
        with pytest.raises((Conflict, QueryUnauthorized)):
            await world.sql.validate(ANN, "shop", Statement(wrong))
    rows = await world.store.read(lambda connection: connection.execute(select(queries)).all())
    assert rows == []


async def test_explain_shows_the_plan_and_no_path(world: World) -> None:
    plan = await world.sql.explain(ANN, "shop", Statement("SELECT name FROM people WHERE person_id = $id", {"id": "1"}))
    assert "people" in plan and str(world.folder) not in plan
    assert "SCAN" in await world.sql.explain(ANN, "lite", Statement("SELECT name FROM item"))


async def test_the_list_of_queries_keeps_no_literal(world: World) -> None:
    sql = "SELECT name FROM people WHERE name = 'private' AND person_id > 4711 -- note to self"
    await world.sql.execute(ANN, "shop", Statement(sql))
    row = await world.store.read(lambda connection: connection.execute(select(queries)).one())
    assert row.sql_shape == "SELECT name FROM people WHERE name = ? AND person_id > ?"


async def test_a_failed_and_a_late_query_are_listed_as_such(world: World) -> None:
    for sql, code in (("SELECT region::INTEGER FROM sales", "CONFLICT"), (ENDLESS, "TIMEOUT")):
        with pytest.raises(PlatformError):
            await world.sql.execute(ANN, "shop", Statement(sql, timeout_s=0.2))
        rows = await world.store.read(lambda connection: connection.execute(select(queries)).all())
        assert (rows[-1].status, rows[-1].error_code) == ("failed", code)


async def start(world: World, cancelled: Cancellation | None = None) -> tuple[asyncio.Task[object], str]:
    """A query that runs until it is stopped, and its id."""
    task: asyncio.Task[object] = asyncio.create_task(
        world.sql.execute(ANN, "shop", Statement(ENDLESS), cancelled=cancelled)
    )
    while True:
        await asyncio.sleep(0.01)
        found = await world.store.read(lambda connection: connection.execute(select(queries.c.query_id)).all())
        if found:
            return task, found[0].query_id


async def test_its_owner_cancels_a_query(world: World) -> None:
    task, query_id = await start(world)
    assert (await world.sql.queries.get(ANN, query_id)).status == "running"
    started = time.monotonic()
    await world.sql.queries.cancel(ANN, query_id)
    with pytest.raises(Cancelled):
        await task
    assert time.monotonic() - started < 0.3
    assert (await world.sql.queries.get(ANN, query_id)).status == "cancelled"


async def test_nobody_else_sees_or_cancels_it(world: World) -> None:
    cancelled = Cancellation()
    task, query_id = await start(world, cancelled)
    for act in (world.sql.queries.get, world.sql.queries.cancel):
        with pytest.raises(NotFound):
            await act(BEN, query_id)
    assert not task.done()
    cancelled.set()
    with pytest.raises(Cancelled):
        await task


async def test_another_process_cancels_it_within_a_second(world: World) -> None:
    task, query_id = await start(world)
    elsewhere = Store(world.store.url.render_as_string())  # a second store is as far away as another process
    await Queries(elsewhere).cancel(ANN, query_id)
    with pytest.raises(Cancelled):
        await asyncio.wait_for(task, 1.5)
    elsewhere.close()


async def test_ending_the_call_ends_the_query(world: World) -> None:
    task, query_id = await start(world)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await world.sql.queries.get(ANN, query_id)).status == "cancelled"


async def test_many_queries_run_side_by_side_and_one_timeout_stops_only_its_own(world: World) -> None:
    async def late() -> None:
        with pytest.raises(Timeout):
            await world.sql.execute(ANN, "shop", Statement(ENDLESS, timeout_s=0.3))

    async def count() -> None:
        answer = await world.sql.execute(ANN, "shop", Statement("SELECT count(*) AS n FROM sales"))
        assert answer.rows.records() == [{"n": 60}]

    await asyncio.gather(late(), late(), *(count() for _ in range(20)))
