"""The same promise for the forms of SQL that are written less often: pivots, samples, sets, windows, nested values."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.engine.sql.world import World, duckdb_spec, make_database, make_world
from tests.hostile.benign import difference, governed, plain_reader, plainly

STATEMENTS = [line for line in (Path(__file__).parent / "benign.sql").read_text().splitlines() if line]

# What is not answered says what to write instead.
INSTEAD = {
    "SUMMARIZE people": "count, min, max",
    "DESCRIBE people": "list_columns",
    "SHOW TABLES": "list_tables",
    "EXPLAIN SELECT 1": "explain_query",
    "EXPLAIN ANALYZE SELECT 1": "explain_query",
    "PIVOT sales ON region USING sum(amount)": "distinct values first",
    "SELECT * FROM sales PIVOT (sum(amount) FOR region IN (SELECT region FROM sales))": "",
    "UNPIVOT people ON COLUMNS(* EXCLUDE (name)) INTO NAME n VALUE v": "Write the columns out",
    "SELECT name FROM people WHERE COLUMNS('_id') > 1": "one by one",
    "SELECT coalesce(*COLUMNS('_id')) FROM people": "without the star",
    "SELECT COLUMNS('zzz') FROM people": "COLUMNS(*)",
    "SELECT COLUMNS('(') FROM people": "RE2",
    "SELECT COLUMNS('a') + COLUMNS('b') FROM people": "COLUMNS(*)",
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = make_database(tmp_path / "data")
    world = make_world(tmp_path / "home", [duckdb_spec(database)], data=tmp_path / "data")
    yield world
    await world.close()


async def test_every_form_answers_as_duckdb_alone_does(world: World) -> None:
    assert len(STATEMENTS) >= 170
    plain = plain_reader(world.folder / "shop.duckdb")
    for sql in STATEMENTS:
        is_ordered = "order by" in sql.lower()
        assert difference(await governed(world, sql), plainly(plain, sql), is_ordered=is_ordered) == "", sql


async def test_a_refused_form_says_what_to_write_instead(world: World) -> None:
    for sql, hint in INSTEAD.items():
        outcome = await governed(world, sql)
        assert outcome.refusal.startswith("QUERY_UNAUTHORIZED"), sql
        assert hint in outcome.refusal, (sql, outcome.refusal)
