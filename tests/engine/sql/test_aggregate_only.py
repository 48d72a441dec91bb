"""What aggregate-only columns are for must work, and count only what a group really holds."""

from collections.abc import Iterator

import pytest

from core.errors import QueryUnauthorized
from tests.engine.sql.salaries import Salaries, on_duckdb, on_sqlite

ONE = sum(range(1001, 1009))


@pytest.fixture(scope="module", params=["duckdb", "sqlite"])
def salaries(request: pytest.FixtureRequest) -> Iterator[Salaries]:
    made = on_duckdb() if request.param == "duckdb" else on_sqlite()
    yield made
    made.connection.close()


@pytest.fixture(scope="module")
def duck() -> Iterator[Salaries]:
    made = on_duckdb()
    yield made
    made.connection.close()


BOTH = [
    ("SELECT count(salary) FROM staff", [(17,)]),
    (
        "SELECT dept_id, sum(salary) FROM staff GROUP BY dept_id ORDER BY 1",
        [(1, ONE), (2, 12069), (3, None), (4, None)],
    ),
    ("SELECT dept_id, count(*) AS n FROM staff GROUP BY dept_id ORDER BY 1", [(1, 8), (2, 6), (3, 2), (4, 6)]),
    ("SELECT sum(s.salary) FROM staff AS s WHERE s.dept_id = 1", [(ONE,)]),
    ("SELECT count(DISTINCT salary) FROM staff WHERE dept_id = 2", [(6,)]),
    ("SELECT sum(x) FROM (SELECT salary AS x, city FROM staff WHERE dept_id = 1) t", [(ONE,)]),
    ("WITH s AS (SELECT salary, dept_id FROM staff) SELECT sum(salary) FROM s WHERE dept_id = 1", [(ONE,)]),
    ("WITH s AS (SELECT salary FROM staff), t AS (SELECT salary AS x FROM s) SELECT count(x) FROM t", [(17,)]),
    (
        "SELECT title, sum(s.salary) FROM staff s JOIN dept d ON d.dept_id = s.dept_id GROUP BY title ORDER BY 1",
        [("four", None), ("one", ONE), ("three", None), ("two", 12069)],
    ),
    ("SELECT sum(s.salary) FROM staff s JOIN dept d ON d.dept_id = s.dept_id WHERE d.title = 'one'", [(ONE,)]),
    ("SELECT max(total) FROM (SELECT sum(salary) AS total FROM staff GROUP BY dept_id) t", [(12069,)]),
    ("SELECT dept_id FROM staff GROUP BY dept_id HAVING sum(salary) > 0 ORDER BY sum(salary) DESC", [(2,), (1,)]),
    ("SELECT sum(salary) AS salary FROM staff GROUP BY dept_id ORDER BY salary DESC LIMIT 1", [(12069,)]),
    ("SELECT sum(salary * 2 - 1) FROM staff WHERE dept_id = 1", [(ONE * 2 - 8,)]),
    ("SELECT 1 UNION ALL SELECT sum(salary) FROM staff WHERE dept_id = 1", [(1,), (ONE,)]),
    ("SELECT id FROM staff WHERE id < 3 ORDER BY id", [(1,), (2,)]),
]


@pytest.mark.parametrize(("sql", "rows"), BOTH)
def test_groups_that_are_large_enough_are_answered_and_others_are_null(
    salaries: Salaries, sql: str, rows: list[tuple[object, ...]]
) -> None:
    assert salaries.run(sql) == rows


ON_DUCKDB = [
    (
        "SELECT dept_id, avg(salary) FROM staff GROUP BY ALL HAVING avg(salary) IS NOT NULL ORDER BY ALL",
        [(1, 1004.5), (2, 2011.5)],
    ),
    ("SELECT * EXCLUDE (salary, email) FROM staff WHERE id = 1", [(1, "n1", 1, "oslo")]),
    (
        "SELECT dept_id, sum(sum(salary)) OVER () FROM staff WHERE dept_id < 3 GROUP BY 1 ORDER BY 1",
        [(1, 20105), (2, 20105)],
    ),
    (
        "SELECT * EXCLUDE (salary), sum(salary) OVER () FROM"
        " (SELECT dept_id, sum(salary) AS salary FROM staff GROUP BY 1) WHERE dept_id = 1",
        [(1, ONE)],
    ),
    (
        "SELECT t.* EXCLUDE (salary) FROM (SELECT s.dept_id, s.salary FROM staff s JOIN dept d USING (dept_id)) t,"
        " (SELECT sum(salary) FROM staff) LIMIT 1",
        [(1,)],
    ),
    ("SELECT (SELECT sum(salary) FROM staff WHERE dept_id = 1) AS x FROM dept LIMIT 1", [(ONE,)]),
    ("SELECT round(stddev_pop(salary), 2), var_samp(salary) > 0 FROM staff WHERE dept_id = 1", [(2.29, True)]),
    ("SELECT sum(salary)::DOUBLE / count(*) FROM staff WHERE dept_id = 1", [(1004.5,)]),
    (
        "SELECT city, sum(salary) FROM staff NATURAL JOIN (SELECT DISTINCT id FROM hits) GROUP BY city ORDER BY 1",
        [("bern", None), ("oslo", None)],
    ),
    (
        "SELECT sum(x) FROM (SELECT s.salary AS x FROM staff s JOIN dept d USING (dept_id) WHERE d.title = 'one')",
        [(ONE,)],
    ),
]


@pytest.mark.parametrize(("sql", "rows"), ON_DUCKDB)
def test_duckdbs_own_forms_work_too(duck: Salaries, sql: str, rows: list[tuple[object, ...]]) -> None:
    assert duck.run(sql) == rows


def test_the_result_keeps_the_name_of_the_aggregate(duck: Salaries) -> None:
    prepared = duck.prepare("SELECT sum(salary), avg(salary) AS mean FROM staff")
    found = duck.connection.execute(prepared.fill({"staff": "staff"}))
    assert [item[0] for item in found.description] == ["sum(salary)", "mean"]


def test_what_is_aggregated_is_public_and_knows_where_it_comes_from(duck: Salaries) -> None:
    prepared = duck.prepare(
        "SELECT dept_id, sum(salary) AS total, max(email) AS m FROM staff WHERE city = 'x' GROUP BY 1"
    )
    assert [(item.name, item.privacy) for item in prepared.outputs] == [
        *(("dept_id", "public"), ("total", "public"), ("m", "public")),
    ]
    total = prepared.outputs[1]
    assert total.direct == {("staff", "salary")} and ("staff", "city") in total.indirect


@pytest.mark.parametrize(
    ("sql", "count"),
    [
        ("SELECT dept_id, sum(salary) FROM staff GROUP BY 1", 2),
        ("SELECT dept_id, sum(salary) FROM staff GROUP BY 1 HAVING sum(salary) > 1 ORDER BY 2 LIMIT 1", 2),
        ("SELECT sum(salary) FROM staff WHERE id = 1", 1),
        ("SELECT sum(salary) FROM staff", 0),
        ("SELECT max(t) FROM (SELECT sum(salary) AS t FROM staff GROUP BY dept_id)", 2),
        (
            "WITH x AS (SELECT * FROM dept),"
            " y AS (SELECT sum(s.salary) AS t FROM staff s JOIN x USING (dept_id) GROUP BY title)"
            " SELECT * FROM y UNION ALL SELECT sum(salary) FROM staff WHERE id = 2",
            3,
        ),
        ("SELECT d.title FROM dept d WHERE d.salary < (SELECT sum(salary) FROM staff WHERE dept_id = 3)", 1),
    ],
)
def test_groups_that_are_too_small_are_counted_where_they_are_made(duck: Salaries, sql: str, count: int) -> None:
    assert duck.count_suppressed(sql) == count


def test_plain_statements_have_nothing_to_count_and_cost_no_budget(duck: Salaries) -> None:
    prepared = duck.prepare("SELECT id, count(*) FROM staff GROUP BY 1")
    assert prepared.suppressed is None and prepared.aggregated == {} and prepared.identities == {}


def test_the_budget_counts_groupings_by_table(duck: Salaries) -> None:
    prepared = duck.prepare("SELECT sum(salary), avg(salary) FROM staff UNION ALL SELECT 1, sum(salary) FROM staff")
    assert prepared.aggregated == {"staff": 2}


def test_parameters_of_the_counting_query_are_those_that_it_uses(duck: Salaries) -> None:
    sql = "SELECT dept_id, sum(salary) FROM staff WHERE city = $city GROUP BY 1 HAVING count(*) > $n"
    counting = duck.prepare(sql).suppressed
    assert counting is not None and counting.parameters == {"city"}


def test_an_identity_is_added_only_where_rows_may_be_repeated(duck: Salaries) -> None:
    assert not duck.prepare("SELECT sum(salary) FROM staff").identities
    assert duck.prepare("SELECT sum(s.salary) FROM staff s, dept d").identities


def test_a_group_of_one_is_never_answered() -> None:
    lenient = on_duckdb(min_group=1)
    assert lenient.run("SELECT sum(salary) FROM staff WHERE id = 1") == [(None,)]
    lenient.connection.close()


def test_the_refusal_names_the_column_and_the_repair(duck: Salaries) -> None:
    with pytest.raises(QueryUnauthorized) as refused:
        duck.prepare("SELECT max(salary) FROM staff")
    assert "staff.salary" in refused.value.message
    assert "avg" in refused.value.hint and "5 rows" in refused.value.hint
    with pytest.raises(QueryUnauthorized) as starred:
        duck.prepare("SELECT * FROM staff")
    assert "EXCLUDE (salary)" in starred.value.hint
