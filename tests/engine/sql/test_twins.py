"""Two columns whose names differ in case only: most engines read the first by either name."""

from pathlib import Path

import duckdb
import pytest

from core.errors import QueryUnauthorized
from engine.connectors.connector import RelationInfo
from engine.policy.rules import ColumnRule, Governed, Mask, RowFilter, open_to_all
from engine.sql.bind import prepare
from tests.engine.sql.salaries import Seen, relation

TWINS = relation("tw", "a", "A", "k")
FOLDING = ("duckdb", "sqlite", "spark")


def without(hidden: str) -> Seen:
    shown = RelationInfo("tw", tuple(column for column in TWINS.columns if column.name != hidden))
    return Seen({"tw": Governed(shown, TWINS)})


@pytest.fixture
def source(tmp_path: Path) -> str:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"a": [1], "A": [2], "k": [3]}), tmp_path / "tw.parquet")
    return f"read_parquet('{tmp_path / 'tw.parquet'}')"


def run(sql: str, seen: Seen, source: str) -> object:
    with duckdb.connect() as connection:
        return connection.execute(prepare(sql, seen, "duckdb", max_rows=5).fill({"tw": source})).fetchall()


@pytest.mark.parametrize("dialect", FOLDING)
def test_the_first_is_not_read_by_the_name_of_the_second(dialect: str) -> None:
    for name in ("a", "A", "tw.a"):
        with pytest.raises(QueryUnauthorized):
            prepare(f"SELECT {name} FROM tw", without("a"), dialect, max_rows=5)
    text = prepare("SELECT * FROM tw", without("a"), dialect, max_rows=5).fill({"tw": "src"})
    assert '"a"' not in text.lower()
    assert "`a`" not in text.lower()


def test_hidden_and_masked_twins_do_not_show_in_duckdb(source: str) -> None:
    assert run("SELECT * FROM tw", without("a"), source) == [(3,)]
    assert run("SELECT *, A AS x FROM tw", without("A"), source) == [(1, 3, 1)]
    masked = Seen({"tw": Governed(TWINS, TWINS, {"a": ColumnRule("masked", Mask("null"))})})
    assert run('SELECT a, "A", * FROM tw', masked, source) == [(None, None, None, 3)]
    protected = Seen({"tw": Governed(TWINS, TWINS, {"a": ColumnRule("aggregate_only", min_group=5)})})
    with pytest.raises(QueryUnauthorized):
        run('SELECT "A" FROM tw', protected, source)


def test_where_nothing_is_hidden_each_value_is_under_its_own_name(source: str) -> None:
    assert run("SELECT * FROM tw", Seen({"tw": open_to_all(TWINS)}), source) == [(1, 3)]


def test_postgres_tells_them_apart() -> None:
    text = prepare('SELECT "A" FROM tw', without("a"), "postgres", max_rows=5).fill({"tw": "src"})
    assert '"governed_source"."A" AS "A"' in text
    for sql in ("SELECT a FROM tw", "SELECT A FROM tw", 'SELECT "a" FROM tw'):
        with pytest.raises(QueryUnauthorized):
            prepare(sql, without("a"), "postgres", max_rows=5)


def test_a_filter_over_the_second_refuses_the_relation() -> None:
    filtered = Seen({"tw": Governed(TWINS, TWINS, filters=(RowFilter("p", '"A" = 2', (("a", "A"),)),))})
    with pytest.raises(QueryUnauthorized):
        prepare("SELECT k FROM tw", filtered, "duckdb", max_rows=5).fill({"tw": "src"})
    assert "WHERE" in prepare("SELECT k FROM tw", filtered, "postgres", max_rows=5).fill({"tw": "src"})
