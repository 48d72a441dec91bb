"""PIVOT and UNPIVOT open no way around a rule: they are plain queries when the rules look at them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.errors import PlatformError
from engine.sql.dialects import print_sql
from engine.sql.parse import parse
from engine.sql.run import Statement
from tests.engine.sql.world import ANN, World, duckdb_spec, make_database, make_world, restricted

HIDDEN = """
PIVOT people ON tax_id IN ('a') USING count(*)
PIVOT people ON name IN ('person 1') USING max(tax_id)
PIVOT people ON name IN ('person 1') USING count(*) GROUP BY tax_id
PIVOT people ON name IN (SELECT tax_id FROM people) USING count(*)
PIVOT pay.wages ON person_id IN (1) USING first(remark)
PIVOT (SELECT * FROM pay.wages) ON person_id IN (1) USING first(remark)
SELECT * FROM people PIVOT (max(tax_id) FOR name IN ('person 1'))
SELECT * FROM people PIVOT (count(*) FOR tax_id IN ('a'))
SELECT * FROM pay.wages PIVOT (max(remark) FOR person_id IN (1))
SELECT * FROM people PIVOT (max(getenv('HOME')) FOR name IN ('a'))
PIVOT people ON name IN ('a') USING error(name)
PIVOT read_csv('/etc/passwd') ON x IN ('a') USING count(*)
PIVOT '/etc/passwd' ON x IN ('a') USING count(*)
UNPIVOT people ON name, tax_id INTO NAME k VALUE v
UNPIVOT pay.wages ON remark INTO NAME k VALUE v
SELECT * FROM people UNPIVOT (v FOR k IN (name, tax_id))
SELECT tax_id FROM people UNPIVOT (v FOR k IN (name))
UNPIVOT people ON COLUMNS('tax.*') INTO NAME k VALUE v
UNPIVOT people ON * INTO NAME k VALUE v
PIVOT people ON name
PIVOT
UNPIVOT people
""".strip().splitlines()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = make_database(tmp_path / "data")
    world = make_world(tmp_path / "home", [duckdb_spec(database)], data=tmp_path / "data", visible=restricted)
    yield world
    await world.close()


async def test_a_pivot_reaches_nothing_hidden(world: World) -> None:
    for sql in HIDDEN:
        with pytest.raises(PlatformError) as refused:
            await world.sql.execute(ANN, "shop", Statement(sql))
        assert refused.value.code in ("QUERY_UNAUTHORIZED", "CONFLICT"), sql
        assert "SECRET" not in refused.value.message + refused.value.hint, sql


async def test_the_other_columns_of_a_pivot_are_the_visible_ones(world: World) -> None:
    for sql in (
        "PIVOT people ON person_id IN (1) USING count(*)",
        "SELECT * FROM people PIVOT (count(*) FOR person_id IN (1))",
        "UNPIVOT people ON name INTO NAME k VALUE v",
    ):
        answer = await world.sql.execute(ANN, "shop", Statement(sql))
        assert answer.facts.row_count
        assert "SECRET" not in str(answer.rows.records())
        assert "tax_id" not in [name for name, _ in answer.facts.columns]


def test_a_pivot_is_a_plain_query_once_it_is_parsed() -> None:
    parsed = parse("PIVOT t ON c IN ('a', 'b''\"') USING sum(x) AS s GROUP BY g", "duckdb")
    assert print_sql(parsed.tree, "duckdb") == (
        "SELECT * FROM (SELECT g, sum(x) FILTER(WHERE c = 'a') AS \"a_s\", "
        "sum(x) FILTER(WHERE c = 'b''\"') AS \"b'\"\"_s\" FROM t GROUP BY g)"
    )


async def test_a_title_never_shows_the_text_that_ran(world: World) -> None:
    for sql in ("SELECT (SELECT max(name) FROM people)", "SELECT * FROM (SELECT (SELECT count(*) FROM people))"):
        answer = await world.sql.execute(ANN, "shop", Statement(sql))
        (column,) = [name for name, _ in answer.facts.columns]
        assert column == sql.removeprefix("SELECT * FROM (SELECT ").removeprefix("SELECT ").replace("))", ")")
