"""Each name is bound as the engine binds it, and each output knows the columns it comes from."""

import duckdb
import pytest

from core.errors import QueryUnauthorized
from engine.policy.rules import ColumnRule, Governed, open_to_all
from engine.sql.bind import Prepared, prepare
from tests.engine.sql.salaries import Seen, relation

T, U = relation("t", "a", "b", "y"), relation("u", "a", "c")
S = relation("s", "id", "Odd", "doc")


def plan(sql: str, dialect: str = "duckdb") -> Prepared:
    secret = relation("m", "id", "card", "city")
    masked = Governed(secret, secret, {"card": ColumnRule("masked")})
    return prepare(
        sql, Seen({**{item.name: open_to_all(item) for item in (T, U, S)}, "m": masked}), dialect, max_rows=9
    )


def direct(sql: str, dialect: str = "duckdb") -> list[str]:
    """For each output its name and the columns it is computed from."""
    return [
        f"{output.name}={','.join(sorted(f'{table}.{column}' for table, column in output.direct))}"
        for output in plan(sql, dialect).outputs
    ]


BOUND = [
    ("SELECT a, b AS x FROM t", "a=t.a x=t.b"),
    ("SELECT b AS a, a AS x FROM t", "a=t.b x=t.a"),
    ("SELECT b AS z, z + 1 AS q FROM t", "z=t.b q=t.b"),
    ("SELECT b AS a, (SELECT a + 1) AS q FROM t", "a=t.b q=t.a"),
    ("SELECT a FROM t JOIN u USING (a)", "a=t.a,u.a"),
    ("SELECT t.a FROM t JOIN u USING (a)", "a=t.a"),
    ("SELECT * FROM t JOIN u USING (a)", "a=t.a,u.a b=t.b y=t.y c=u.c"),
    ("SELECT * FROM t NATURAL JOIN u", "a=t.a,u.a b=t.b y=t.y c=u.c"),
    ("SELECT u.* FROM t NATURAL JOIN u", "a=u.a c=u.c"),
    ("SELECT * FROM t SEMI JOIN u USING (a)", "a=t.a,u.a b=t.b y=t.y"),
    ("SELECT * EXCLUDE (y) REPLACE (b + y AS a) RENAME (b AS z) FROM t", "a=t.b,t.y z=t.b"),
    ("SELECT p, q FROM (SELECT a, b FROM t) x(p, q)", "p=t.a q=t.b"),
    ("WITH c(p) AS (SELECT a, b FROM t) SELECT * FROM c", "p=t.a b=t.b"),
    ("WITH t AS (SELECT c AS a FROM u) SELECT a FROM t", "a=u.c"),
    ("WITH t AS (SELECT b AS a FROM t) SELECT a FROM t", "a=t.b"),
    ("WITH RECURSIVE t AS (SELECT b AS a FROM t) SELECT a FROM t", "a=t.b"),
    ("WITH RECURSIVE r AS (SELECT a, b FROM t UNION ALL SELECT c, 1 FROM u, r) SELECT a FROM r", "a=t.a,t.b,u.c"),
    ("SELECT a FROM t UNION ALL SELECT c FROM u", "a=t.a,u.c"),
    ("SELECT a, b FROM t UNION ALL BY NAME SELECT c AS b, a AS z FROM u", "a=t.a b=t.b,u.c z=u.a"),
    ("SELECT (SELECT c AS b FROM u WHERE b = 100) AS q FROM t", "q=u.c"),
    ("SELECT (SELECT b FROM (SELECT 1 AS k) z) AS q FROM t", "q=t.b"),
    ("SELECT (SELECT a FROM u LIMIT 1) AS q FROM t", "q=u.a"),
    ("SELECT id FROM (SELECT a AS id, b AS id FROM t)", "id=t.a"),
    ("SELECT id_1 FROM (SELECT a AS id, b AS id FROM t)", "id_1=t.b"),
    ("SELECT x FROM (VALUES (1, 2)) v(x, y)", "x="),
    ("SELECT q FROM t, LATERAL (SELECT b + 1 AS q) l", "q=t.b"),
    ("SELECT k.doc.x AS v, s.doc.y AS w FROM s k, s", "v=s.doc w=s.doc"),
    ("SELECT doc.x.y AS v FROM s", "v=s.doc"),
    ("SELECT main.t.a FROM main.t", "a=t.a"),
    ("SELECT list_transform([a], lambda b: b + y) AS l FROM t", "l=t.a,t.y"),
    ("SELECT [b + 1 FOR b IN [a]] AS l FROM t", "l=t.a"),
    ("SELECT count(*) AS n FROM t", "n="),
    ("SELECT sum(b) OVER (PARTITION BY a) AS n FROM t", "n=t.a,t.b"),
    ('SELECT "ODD" FROM s', "odd=s.Odd"),
    ("SELECT z FROM t, unnest([a, b]) g(z)", "z=t.a,t.b"),
    ('SELECT y, c, "Odd" FROM t, u JOIN s ON t.a = s.id', "y=t.y c=u.c odd=s.Odd"),
]


@pytest.mark.parametrize(("sql", "expected"), BOUND)
def test_outputs_come_from_the_columns_that_duckdb_takes(sql: str, expected: str) -> None:
    assert " ".join(direct(sql)) == expected


@pytest.mark.parametrize("sql", [sql for sql, _ in BOUND if "doc" not in sql])
def test_what_is_bound_so_runs(sql: str) -> None:
    """Renamed CTEs and shortened names are still DuckDB's."""
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t (a INT, b INT, y INT); CREATE TABLE u (a INT, c INT)")
        connection.execute('CREATE TABLE s (id INT, "Odd" INT, doc INT)')
        connection.execute(plan(sql).fill({"t": "t", "u": "u", "s": "s"}))


def test_postgresql_compares_quoted_names_exactly_and_gives_using_first() -> None:
    assert direct("SELECT * FROM u x JOIN t ON x.a = t.a JOIN u z USING (c)", "postgres")[0] == "c=u.c"
    assert direct('SELECT "Odd" FROM s', "postgres") == ["Odd=s.Odd"]
    for hidden in ("SELECT Odd FROM s", 'SELECT "odd" FROM s', "SELECT b AS k, k + 1 FROM t"):
        with pytest.raises(QueryUnauthorized):
            plan(hidden, "postgres")


def test_an_alias_that_postgresql_does_not_know_in_where_is_the_outer_column() -> None:
    sql = "SELECT (SELECT c AS b FROM u WHERE b = 100) AS q FROM t"
    assert ("t", "b") in plan(sql, "postgres").outputs[0].indirect
    assert ("t", "b") not in plan(sql).outputs[0].indirect


def test_what_decides_on_rows_is_indirect() -> None:
    (output,) = plan("SELECT t.b FROM t JOIN u ON t.a = u.a WHERE t.y > 1 ORDER BY c").outputs
    assert output.direct == {("t", "b")}
    assert output.indirect == {("t", "a"), ("u", "a"), ("t", "y"), ("u", "c")}
    (counted,) = plan("SELECT count(*) FROM (SELECT a FROM t WHERE b > 1)").outputs
    assert counted.indirect == {("t", "b")}


@pytest.mark.parametrize(
    ("sql", "privacy"),
    [
        ("SELECT id, card FROM m", ["public", "masked"]),
        ("SELECT * FROM m", ["public", "masked", "public"]),
        ("SELECT upper(card) || city AS x, length(city) AS y FROM m", ["masked", "public"]),
        ("SELECT count(card) AS n, count(*) AS o FROM m GROUP BY city", ["masked", "public"]),
        ("SELECT x FROM (SELECT id, card AS x FROM m) WHERE id > 1", ["masked"]),
        ("SELECT city FROM m WHERE card = 'x' ORDER BY card", ["public"]),
        ("SELECT city FROM m UNION SELECT card FROM m", ["masked"]),
        ("SELECT (SELECT max(card) FROM m) AS x FROM t", ["masked"]),
        ("SELECT CASE WHEN card = 'x' THEN 1 END AS x FROM m", ["masked"]),
    ],
)
def test_an_output_is_as_private_as_what_it_is_computed_from(sql: str, privacy: list[str]) -> None:
    prepared = plan(sql)
    names = [f"c{number}" for number in range(len(privacy))]
    assert list(prepared.column_privacy(names).values()) == privacy


def test_columns_that_only_the_engine_counts_are_as_private_as_the_strictest() -> None:
    prepared = plan("SELECT unnest(doc), (SELECT max(card) FROM m) AS x FROM s")
    assert set(prepared.column_privacy(["p", "q", "r"]).values()) == {"masked"}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT nothing FROM t",
        "SELECT t.nothing FROM t",
        "SELECT x.a FROM t",
        "SELECT t.a FROM t AS x",
        "SELECT t FROM t",
        "SELECT z + 1, b AS z FROM t",
        "SELECT (SELECT z + 0 FROM (SELECT 1 AS k)) AS q, 5 AS z FROM t",
        "SELECT c FROM t SEMI JOIN u ON t.a = u.a",
        "SELECT x.a FROM (t JOIN u USING (a)) x",
        "SELECT * FROM t JOIN u USING (b)",
        "SELECT nothing.* FROM t",
        "SELECT * EXCLUDE (nothing) FROM t",
        "WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a",
        "WITH RECURSIVE r AS (SELECT * FROM r) SELECT * FROM r",
        "SELECT count(*) FROM t GROUP BY nothing",
        "SELECT a FROM t ORDER BY nothing",
    ],
)
def test_what_is_not_in_scope_is_refused(sql: str) -> None:
    with pytest.raises(QueryUnauthorized):
        plan(sql)


def test_a_near_name_is_suggested_from_what_is_visible() -> None:
    for sql, name in (
        ("SELECT card_ FROM m", "card"),
        ("SELECT x.citty FROM m x", "city"),
        ("SELECT doc FROM ss s", "s"),
    ):
        with pytest.raises(QueryUnauthorized) as refused:
            plan(sql)
        assert name == "s" or f"Did you mean {name}?" in refused.value.hint
