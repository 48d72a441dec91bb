"""Kept plans: what they answer is what planning anew would answer, and they end with what they were made for."""

import asyncio
import dataclasses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlglot import exp

from core.errors import PlatformError
from engine.catalog.snapshots import Snapshot, make_snapshot
from engine.catalog.views import View
from engine.connectors.connector import ColumnInfo, ConnectionSpec, RelationInfo
from engine.policy.rules import open_to_all
from engine.sql import bind
from engine.sql.parse import parse
from engine.sql.plans import Plans
from engine.sql.slots import find_free, print_literal, read_tokens
from tests.engine.sql.world import ANN

MAX_ROWS = 100
COLUMNS = tuple(ColumnInfo(name, "varchar", True, number) for number, name in enumerate("abcd"))

# {0}, {1}, {2} are literals: some free, some not, some of which the engine would not accept.
SHAPES = """
SELECT a FROM t WHERE b = {0} AND c > {1} OR d IN ({2}, {0})
SELECT a, {0} AS x FROM t WHERE b <> {1} ORDER BY a LIMIT {2}
SELECT a FROM t WHERE b = {0} LIMIT 5 OFFSET {1}
SELECT a, count(*) FROM t WHERE b LIKE {0} GROUP BY a HAVING count(*) > {1} ORDER BY {2}
SELECT a FROM t WHERE b BETWEEN {0} AND {1} UNION ALL SELECT b FROM u WHERE c = {2}
SELECT t.a FROM t JOIN u ON t.a = u.a AND u.b = {0} WHERE NOT (t.c < -{1} * 2) AND t.d <> {2}
SELECT repeat(a, {0}) FROM t WHERE upper(b) = {1} AND round(c, {2}) > 1
SELECT (SELECT max(b) FROM u WHERE u.a = {0}) FROM t WHERE a = {1} AND {2} = {2}
SELECT CASE WHEN a = {0} THEN {1} ELSE {2} END AS size FROM t WHERE a IS NOT NULL AND (b = {0} OR b = {1})
WITH w AS (SELECT a FROM t WHERE b >= {0}) SELECT * FROM w WHERE a <= {1} AND EXISTS (SELECT 1 FROM u WHERE a = {2})
SELECT a FROM t WHERE CAST({0} AS VARCHAR) = b AND c = {1} || {2}
SELECT a FROM t WHERE b = {0} -- {1}
SELECT a AS "x {0}" FROM t WHERE b = {1} AND c = {2}
SELECT sum(c) AS s FROM t WHERE b = {0} GROUP BY a, {1} = b ORDER BY b = {2}
SELECT a FROM t WHERE b={0}AND c={1}
""".strip().splitlines()

texts = st.text(alphabet="ab'\"%_;-\\/*? é☃0\n$", max_size=8).map(lambda text: "'" + text.replace("'", "''") + "'")
numbers = st.one_of(
    st.integers(0, 10**20).map(str),
    st.decimals(0, 1000, places=2).map(str),
    st.sampled_from(["1e3", ".5", "1.", "007", "1_000", "0x1F", "1000001", "5"]),
)
literals = st.one_of(texts, numbers, st.sampled_from(["'1'", "'5'", "NULL", "DATE '2024-01-01'", "E'a\\nb'", "$$x$$"]))


def make_view(key: str = "all", snapshot: Snapshot | None = None, kind: str = "duckdb") -> View:
    if snapshot is None:
        relations = [RelationInfo(name, COLUMNS) for name in ("t", "u")]
        snapshot = make_snapshot(ConnectionSpec("default", "shop", "shop", kind), relations, 0.0)
    return View(ANN, snapshot, key, lambda name: open_to_all(snapshot.relations[name]))


VIEW = make_view()
PLANS = {dialect: Plans() for dialect in ("duckdb", "postgres", "sqlite")}


def prepared(plans: Plans, sql: str, view: View = VIEW, dialect: str = "duckdb") -> bind.Prepared:
    return asyncio.run(plans.prepare(view, dialect, sql, max_rows=MAX_ROWS))


def tree(plan: bind.Prepared, dialect: str) -> exp.Expr:
    text = plan.template
    for number, marker in enumerate(plan.markers):
        text = text.replace(marker, f"leaf_{number}")
    return parse(text, dialect).tree


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    shape=st.sampled_from(SHAPES),
    values=st.tuples(literals, literals, literals),
    dialect=st.sampled_from(sorted(PLANS)),
)
def test_a_kept_plan_is_the_plan_made_anew(shape: str, values: tuple[str, str, str], dialect: str) -> None:
    sql = shape.format(*values)
    try:
        anew = bind.prepare(sql, VIEW, dialect, max_rows=MAX_ROWS)
    except PlatformError as refused:
        with pytest.raises(type(refused)):
            prepared(PLANS[dialect], sql, dialect=dialect)
        return
    kept = prepared(PLANS[dialect], sql, dialect=dialect)
    assert tree(kept, dialect) == tree(anew, dialect), sql
    for field in dataclasses.fields(anew):
        if field.name not in ("template", "markers"):
            assert getattr(kept, field.name) == getattr(anew, field.name), (field.name, sql)
    assert [item.source.name for item in kept.markers.values()] == [item.source.name for item in anew.markers.values()]


def free_values(sql: str, *, is_open: bool = True) -> list[str]:
    read = read_tokens(sql, "duckdb")
    free = find_free(read, "duckdb", is_open=is_open)
    return [item.value for item, is_free in zip(read.candidates, free, strict=True) if is_free]


def test_only_operands_of_comparisons_in_conditions_are_free() -> None:
    assert free_values("SELECT a FROM t WHERE b = 'x' AND c IN (1, 2.5) AND d LIKE 'p%' LIMIT 9") == [
        *("x", "1", "2.5", "p%")
    ]
    for sql in (
        "SELECT a FROM t ORDER BY 1 LIMIT 2 OFFSET 3",
        "SELECT a, 5, 'x' FROM t GROUP BY 1",
        "SELECT a FROM t WHERE b > INTERVAL 3 DAY AND c = repeat('x', 5) AND doc->'k' = d AND l[1] = a",
        "SELECT a FROM t WHERE CAST(b AS DECIMAL(10, 2)) = c AND b AT TIME ZONE 'UTC' = c",
        "SELECT * LIKE 'a%' FROM t",
        "SELECT a FROM t WHERE f(b = 5) AND 1 = 1 AND 'a' LIKE b",
        "SELECT a FROM t USING SAMPLE 5 PERCENT",
        "SELECT (SELECT a FROM u WHERE b = 1 LIMIT 1) IN (SELECT 2) FROM t",
        "SELECT list_filter(b, lambda x: x = 5) FROM t",
    ):
        assert not set(free_values(sql)) - {"1"}, sql


def test_where_columns_have_rules_the_numbers_of_having_are_looked_at_each_time() -> None:
    sql = "SELECT a FROM t WHERE b = 1 GROUP BY a HAVING count(*) > 2"
    assert free_values(sql) == ["1", "2"]
    assert free_values(sql, is_open=False) == ["1"]


def test_statements_that_differ_in_literals_are_planned_at_first_only() -> None:
    plans = Plans()
    for value in range(20):
        assert f"b = {value} " in prepared(plans, f"SELECT a FROM t WHERE b = {value} AND c = 'x{value}'").template
    assert plans.planned_count == 3  # the first, the second, and the second with gaps
    prepared(plans, "SELECT a FROM t WHERE b = 1 AND c = 'x' LIMIT 1")
    assert plans.planned_count == 4


def test_another_view_or_snapshot_has_plans_of_its_own() -> None:
    plans = Plans()
    for number, view in enumerate((VIEW, make_view("narrow", VIEW.snapshot), make_view()), start=1):
        for _ in range(2):
            prepared(plans, "SELECT a FROM t WHERE b = 1", view)
            assert plans.planned_count == number


def test_plans_stay_within_their_bound() -> None:
    plans = Plans(max_chars=50_000)
    for number in range(60):
        for view in (VIEW, make_view(f"of {number}", VIEW.snapshot)):
            prepared(plans, f"SELECT a AS x{number} FROM t WHERE b = {number}", view)
            assert 0 <= plans.size_chars <= 50_000
    prepared(plans, "SELECT a FROM t WHERE b IN (" + ", ".join(f"'{'x' * 100}{n}'" for n in range(180)) + ")")
    assert 0 <= plans.size_chars <= 50_000


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", "1; DROP"),
        ("integer", "1\n"),
        ("decimal", "1.5e3"),
        ("integer", "-1"),
        ("text", "\\"),
        ("text", "\0"),
    ],
)
def test_a_literal_that_is_not_plain_is_never_printed(kind: str, value: str) -> None:
    with pytest.raises(ValueError, match="not plain"):
        print_literal(kind, value)  # type: ignore[arg-type]


def test_a_quote_in_a_kept_plan_stays_inside_its_literal() -> None:
    plans = Plans()
    for value in ("a", "b", "' OR '1'='1", "x'; DROP TABLE t --", "''"):
        written = "'" + value.replace("'", "''") + "'"
        template = prepared(plans, f"SELECT a FROM t WHERE b = {written}").template
        assert [item.this for item in parse(template, "duckdb").tree.find_all(exp.Literal) if item.is_string] == [value]
