"""Attacks on columns that may be read only in aggregates: refused, or answered without a single value."""

# ruff: noqa: E501 - a statement is one line

from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from core.errors import PlatformError, QueryUnauthorized
from engine.sql.bind import prepare
from tests.engine.sql.salaries import SECRETS, Salaries, on_duckdb, on_sqlite, seen

REFUSED = """
SELECT salary FROM staff
SELECT s.salary AS x FROM staff s
SELECT main.staff.salary FROM main.staff
SELECT "SALARY" FROM staff
SELECT * FROM staff
SELECT s.* FROM staff s
FROM staff
TABLE staff
SELECT * RENAME (salary AS x) FROM staff
SELECT * EXCLUDE (salary) RENAME (salary AS x) FROM staff
SELECT * REPLACE (salary AS name) FROM staff
SELECT * REPLACE (salary + 1 AS name) FROM staff
SELECT id FROM staff WHERE salary > 1000
SELECT id FROM staff WHERE salary IS NULL
SELECT id, salary > 1000 AS x FROM staff WHERE x
SELECT id FROM staff ORDER BY salary
SELECT id FROM staff ORDER BY salary + 0 LIMIT 1
SELECT id, sum(id) AS salary FROM staff GROUP BY ALL ORDER BY salary + (SELECT 0), staff.salary
SELECT salary, count(*) FROM staff GROUP BY salary
SELECT salary AS x, count(*) FROM staff GROUP BY x
SELECT salary, count(*) FROM staff GROUP BY 1
SELECT salary, count(*) FROM staff GROUP BY ALL
SELECT count(*) FROM staff GROUP BY staff.salary
SELECT DISTINCT salary FROM staff
SELECT DISTINCT ON (salary) id FROM staff
SELECT id FROM staff GROUP BY id HAVING min(salary) > 5
SELECT dept_id FROM staff GROUP BY dept_id HAVING salary > 5
SELECT min(salary) FROM staff
SELECT max(salary) FROM staff
SELECT any_value(salary) FROM staff
SELECT first(salary) FROM staff
SELECT list(salary) FROM staff
SELECT array_agg(salary ORDER BY id) FROM staff
SELECT string_agg(salary::VARCHAR, ',') FROM staff
SELECT mode(salary) FROM staff
SELECT median(salary) FROM staff
SELECT quantile_cont(salary, 0.0) FROM staff
SELECT percentile_cont(0.0) WITHIN GROUP (ORDER BY salary) FROM staff
SELECT histogram(salary) FROM staff
SELECT approx_top_k(salary, 5) FROM staff
SELECT arg_max(salary, id) FROM staff
SELECT arg_max(id, salary) FROM staff
SELECT bit_xor(salary) FROM staff
SELECT product(salary) FROM staff
SELECT geomean(salary) FROM staff
SELECT corr(salary, id) FROM staff
SELECT regr_slope(salary, id) FROM staff
SELECT count_if(salary > 1000) FROM staff
SELECT sum(DISTINCT salary) FROM staff
SELECT avg(DISTINCT salary) FROM staff
SELECT sum(salary ORDER BY id) FROM staff
SELECT sum(salary) FILTER (WHERE id = 5) FROM staff
SELECT count(*) FILTER (WHERE salary > 1000) FROM staff
SELECT sum(id) FILTER (WHERE salary > 1000) FROM staff
SELECT sum(CASE WHEN id = 5 THEN salary END) FROM staff
SELECT sum(if(id = 5, salary, 0)) FROM staff
SELECT sum(salary * (id = 5)::INTEGER) FROM staff
SELECT sum(salary * id) FROM staff
SELECT sum(salary + id) FROM staff
SELECT sum(salary * salary) FROM staff
SELECT sum(coalesce(salary, id)) FROM staff
SELECT sum(nullif(salary, 1005)) FROM staff
SELECT sum(greatest(salary, 1005)) FROM staff
SELECT sum(salary ^ 2) FROM staff
SELECT sum(pow(salary, 300)) FROM staff
SELECT sum(1 / salary) FROM staff
SELECT sum(salary % 2) FROM staff
SELECT sum(salary // 1000) FROM staff
SELECT sum(salary::TINYINT) FROM staff
SELECT sum((salary - 1005)::UTINYINT) FROM staff
SELECT sum(TRY_CAST(salary AS TINYINT)) FROM staff
SELECT sum(salary::VARCHAR::INTEGER) FROM staff
SELECT sum(salary + 1e300) FROM staff
SELECT sum(salary * 1e303) FROM staff
SELECT sum(salary * 1e15 * 1e15 * 1e15 * 1e15 * 1e15) FROM staff
SELECT sum(salary + $x) FROM staff
SELECT sum(-(-salary) + '5') FROM staff
SELECT sum(salary + (SELECT 1)) FROM staff
SELECT count((salary, id)) FROM staff
SELECT count(DISTINCT [salary]) FROM staff
SELECT count({'a': salary}) FROM staff
SELECT sum(salary) OVER () FROM staff
SELECT sum(salary) OVER (PARTITION BY id) FROM staff
SELECT avg(salary) OVER w FROM staff WINDOW w AS (PARTITION BY id)
SELECT row_number() OVER (ORDER BY salary) FROM staff
SELECT row_number() OVER w FROM staff WINDOW w AS (ORDER BY salary)
SELECT lag(salary) OVER (ORDER BY id) FROM staff
SELECT id FROM staff QUALIFY row_number() OVER (ORDER BY salary) = 1
SELECT id FROM staff QUALIFY rank() OVER (ORDER BY id) = 1 AND salary > 5
SELECT (SELECT salary FROM staff WHERE id = 5)
SELECT id FROM hits WHERE id IN (SELECT salary FROM staff)
SELECT id FROM hits WHERE id > ALL (SELECT salary FROM staff)
SELECT 1 WHERE EXISTS (SELECT salary FROM staff WHERE salary > 5)
SELECT 1 WHERE EXISTS (SELECT 1 FROM staff WHERE salary > 5)
SELECT ARRAY(SELECT salary FROM staff)
SELECT h.id, (SELECT sum(s.salary) FROM staff s WHERE s.id <> h.id) AS x FROM hits h
SELECT h.id, (SELECT sum(salary) FROM staff WHERE dept_id = grp) AS x FROM hits h
SELECT h.id FROM hits h WHERE (SELECT sum(s.salary) FROM staff s WHERE s.id <> h.id) > 5
SELECT h.id, l.x FROM hits h, LATERAL (SELECT sum(s.salary) AS x FROM staff s WHERE s.id <> h.id) l
SELECT h.id, l.x FROM hits h, (SELECT sum(s.salary) AS x FROM staff s WHERE s.id <> h.id) l
SELECT h.id, sum(l.salary) FROM hits h, LATERAL (SELECT salary FROM staff s WHERE s.id <> h.id) l GROUP BY 1
SELECT (SELECT sum(o.salary)) FROM staff o
SELECT (SELECT sum(o.salary) FROM hits) FROM staff o
SELECT (SELECT salary FROM (SELECT 1 + 1) t) FROM staff
SELECT (SELECT staff.salary FROM (SELECT 1 + 1) staff) FROM staff
SELECT s.id FROM staff s JOIN hits h ON s.salary > h.id
SELECT s.id FROM staff s JOIN dept d USING (salary)
SELECT s.id FROM staff s NATURAL JOIN dept d
SELECT s.id FROM staff s ASOF JOIN hits h ON s.salary >= h.id
SELECT id FROM hits SEMI JOIN staff ON staff.salary > 1000 AND staff.id = hits.id
SELECT id FROM hits ANTI JOIN staff ON staff.salary > 1000 AND staff.id = hits.id
SELECT salary FROM staff UNION ALL SELECT 1
SELECT 1 UNION SELECT salary FROM staff
SELECT 1 INTERSECT SELECT salary FROM staff
SELECT salary FROM dept EXCEPT SELECT salary FROM staff
SELECT salary FROM staff UNION ALL BY NAME SELECT 1 AS salary
SELECT sum(x) FROM (SELECT salary AS x FROM staff WHERE id = 5 UNION ALL SELECT 0 FROM hits) t
WITH RECURSIVE r AS (SELECT salary AS x, 1 AS n FROM staff UNION ALL SELECT x, n + 1 FROM r WHERE n < 3) SELECT sum(x) FROM r
WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT salary FROM staff, r WHERE id = 5 AND x = 1) SELECT x FROM r
WITH RECURSIVE staff AS (SELECT * FROM staff) SELECT * FROM staff
WITH RECURSIVE staff(a, b, c, d, e, f) AS (SELECT * FROM staff UNION ALL SELECT * FROM staff) SELECT * FROM staff
SELECT sum(x) FROM (SELECT salary AS x FROM staff LIMIT 5) t
SELECT sum(x) FROM (SELECT salary AS x FROM staff ORDER BY id LIMIT 1) t
SELECT sum(x) FROM (SELECT salary AS x FROM staff OFFSET 5) t
SELECT sum(x) FROM ((SELECT salary AS x FROM staff) LIMIT 1) t
SELECT sum(x) FROM (SELECT DISTINCT salary AS x FROM staff) t
SELECT sum(x) FROM (SELECT DISTINCT ON (dept_id) salary AS x FROM staff) t
SELECT sum(x) FROM (SELECT salary AS x FROM staff GROUP BY ALL) t
SELECT sum(x) FROM (SELECT salary AS x, row_number() OVER () AS n FROM staff) t WHERE n = 1
SELECT sum(x) FROM (SELECT salary AS x FROM staff QUALIFY row_number() OVER (PARTITION BY dept_id) = 1) t
SELECT sum(x) FROM (SELECT salary + 0 AS x FROM staff) t
SELECT sum(x) FROM (SELECT CASE WHEN id = 5 THEN salary END AS x FROM staff) t
SELECT sum(salary) FROM staff TABLESAMPLE 5 ROWS
SELECT sum(salary) FROM staff USING SAMPLE 5
SELECT sum(salary) FROM (SELECT salary FROM staff TABLESAMPLE 50%) t
SELECT sum(salary) FROM staff WHERE random() < 0.5
SELECT city, sum(salary) FROM staff GROUP BY ROLLUP (city)
SELECT city, sum(salary) FROM staff GROUP BY CUBE (city, dept_id)
SELECT city, sum(salary) FROM staff GROUP BY GROUPING SETS ((city), ())
SELECT list_transform([1], lambda x: salary) FROM staff
SELECT list_transform([1], lambda x: sum(salary)) FROM staff
SELECT [salary FOR x IN [1]] FROM staff
SELECT unnest([salary]) FROM staff
SELECT x FROM staff, unnest([salary]) t(x)
SELECT x FROM staff, range(salary) t(x)
SELECT x FROM staff, (SELECT salary AS x) t
SELECT x FROM staff, (VALUES (salary)) t(x)
SELECT staff FROM staff
SELECT to_json(staff) FROM staff
SELECT (staff).salary FROM staff
SELECT md5(salary::VARCHAR) FROM staff
SELECT typeof(salary) FROM staff
SELECT COLUMNS(*) FROM staff
SELECT COLUMNS('sal.*') FROM staff
SELECT COLUMNS(c -> c = 'salary') + 1 FROM staff
SELECT COLUMNS(['salary']) FROM staff
SELECT COLUMNS(s.*) FROM staff s
SELECT min(COLUMNS(*)) FROM staff
SELECT sum(COLUMNS('salary') * id) FROM staff
SELECT sum(COLUMNS('salary')) OVER () FROM staff
SELECT sum(COLUMNS(['salary'])) FILTER (id = 5) FROM staff
SELECT * LIKE 'sal%' FROM staff
SELECT * ILIKE 'SAL%' FROM staff
SELECT * NOT LIKE 'x%' FROM staff
SELECT * SIMILAR TO '.*' FROM staff
SELECT id FROM staff WHERE COLUMNS('salary') > 1000
SELECT id FROM staff ORDER BY COLUMNS('salary')
SELECT coalesce(*COLUMNS('salary')) FROM staff
SELECT struct_pack(*COLUMNS(*)) FROM staff
SELECT [*COLUMNS(*)] FROM staff
SELECT unnest([COLUMNS('salary')]) FROM staff
SELECT COLUMNS('salary') FROM staff s JOIN dept d ON s.dept_id = d.dept_id
SELECT COLUMNS(*) FROM (SELECT salary FROM staff)
SELECT (SELECT COLUMNS('salary') FROM staff LIMIT 1)
SELECT id FROM staff LIMIT (SELECT max(salary) FROM staff)
SELECT repeat('x', salary) FROM staff
PIVOT staff ON dept_id USING first(salary)
PIVOT staff ON salary USING count(*)
PIVOT staff ON dept_id USING sum(salary)
UNPIVOT staff ON salary INTO NAME n VALUE v
SELECT * FROM staff AS t(a, b, c, d, e, f)
SELECT t.e FROM staff AS t(a, b, c, d, e, f)
WITH c(a) AS (SELECT salary FROM staff) SELECT a FROM c
SELECT a.salary - b.salary FROM staff a, staff b WHERE a.id = 1 AND b.id = 2
SELECT sum(a.salary - b.salary) FROM staff a, staff b
""".strip().splitlines()

# May run, and must tell nothing of fewer than five people.
SILENT = """
SELECT sum(salary) FROM staff WHERE id = 5
SELECT (SELECT count(*) FROM (SELECT 1 AS salary) c, hits a JOIN hits b ON salary > 1000) FROM staff
SELECT avg(salary), count(salary), stddev(salary) FROM staff WHERE id IN (1, 2, 3, 4)
SELECT id, sum(salary) FROM staff GROUP BY id
SELECT name, avg(salary) FROM staff GROUP BY ALL
SELECT sum(s.salary) FROM staff s JOIN (VALUES (5)) v(id) ON v.id = s.id
SELECT sum(s.salary) FROM staff s JOIN hits h ON h.id = s.id WHERE s.id = 1
SELECT sum(s.salary) FROM staff s, range(100) WHERE s.id = 5
SELECT avg(s.salary) FROM staff s, generate_series(1, 100) g(n) WHERE s.id = 5
SELECT avg(s.salary) FROM staff s JOIN hits h USING (id)
SELECT avg(s.salary) FROM staff s LEFT JOIN (SELECT 5 AS id FROM range(1000000)) h USING (id) WHERE s.dept_id = 1
SELECT h.id, sum(s.salary) FROM staff s JOIN hits h ON h.id <> s.id GROUP BY h.id
SELECT m.g, sum(s.salary) FROM staff s JOIN (SELECT a.id, b.id AS g FROM staff a, staff b WHERE a.id <> b.id) m USING (id) GROUP BY m.g
SELECT m.g, sum(s.salary) FROM staff s JOIN (SELECT a.id, b.id AS g FROM staff a, staff b WHERE a.id <> b.id) m USING (id) GROUP BY 1
SELECT m.g, sum(s.salary) FROM staff s JOIN (SELECT a.id, b.id AS g FROM staff a, staff b WHERE a.id <> b.id) m USING (id) GROUP BY ALL
SELECT unnest([1, 2, 3, 4, 5]) AS n, sum(salary) FROM staff WHERE id = 5 GROUP BY n
SELECT sum(x) FROM (SELECT salary AS x, unnest([1, 2, 3, 4, 5]) FROM staff WHERE id = 5) t
SELECT sum(x) FROM (SELECT s.salary AS x FROM staff s, range(9) WHERE s.id = 5) t
SELECT sum(x) FROM (SELECT x FROM (SELECT s.salary AS x FROM staff s, range(9) WHERE s.id = 5) t) u
WITH c AS (SELECT salary, id FROM staff) SELECT sum(c.salary) FROM c, hits WHERE c.id = 5
WITH c AS (SELECT salary, id FROM staff) SELECT sum(a.salary) FROM c a, c b WHERE a.id = 5
SELECT sum(salary) FROM staff WHERE dept_id = 4
SELECT avg(salary) FROM staff WHERE id IN (17, 18, 19, 20, 21, 22)
SELECT count(DISTINCT salary) FROM staff WHERE id = 5
SELECT id, sum(salary) AS s FROM staff GROUP BY id ORDER BY sum(salary) DESC LIMIT 1
SELECT id FROM staff GROUP BY id HAVING sum(salary) > 1004
SELECT id FROM staff GROUP BY id ORDER BY sum(salary) IS NULL, sum(salary) DESC LIMIT 1
SELECT id, CASE WHEN sum(salary) > 5000 THEN 'rich' END FROM staff GROUP BY id
SELECT max(s) FROM (SELECT sum(salary) AS s FROM staff GROUP BY id) t
SELECT list(s) FROM (SELECT sum(salary) AS s FROM staff GROUP BY id) t
SELECT id, sum(sum(salary)) OVER (PARTITION BY id) FROM staff GROUP BY id
SELECT sum(salary * 2.0) FROM staff WHERE id = 5
SELECT sum(salary + 9000000000000) FROM staff WHERE id = 5
SELECT sum(salary::DOUBLE) FROM staff WHERE id = 5
SELECT (SELECT sum(salary) FROM staff WHERE id = 5)
SELECT 1 WHERE (SELECT sum(salary) FROM staff WHERE id = 5) > 1000
SELECT sum(s) FROM (SELECT sum(salary) AS s FROM staff WHERE id = 5 UNION ALL SELECT 0) t
SELECT sum(s.salary) FROM staff s SEMI JOIN (SELECT 5 AS id) x USING (id)
SELECT sum(s.salary) FROM staff s POSITIONAL JOIN (SELECT 5 AS five) x WHERE five = 5
SELECT sum(s.salary) FROM staff s ASOF JOIN (SELECT 5 AS five) x ON s.id >= five WHERE s.id = 5
""".strip().splitlines()


@pytest.fixture(scope="module")
def duck() -> Iterator[Salaries]:
    made = on_duckdb()
    yield made
    made.connection.close()


def test_the_corpus_is_broad() -> None:
    assert len(REFUSED) >= 150 and len(SILENT) >= 35


@pytest.mark.parametrize("sql", REFUSED)
def test_what_could_show_a_value_is_refused(duck: Salaries, sql: str) -> None:
    with pytest.raises(PlatformError) as refused:
        duck.prepare(sql)
    assert isinstance(refused.value, QueryUnauthorized) and refused.value.hint


@pytest.mark.parametrize("sql", SILENT)
def test_what_runs_over_small_groups_answers_nothing(duck: Salaries, sql: str) -> None:
    try:
        values = [value for row in duck.run(sql) for value in row]
    except duckdb.BinderException:  # DuckDB itself refuses the form
        return
    assert not any(told(value) for value in values), values


def told(value: Any) -> bool:
    """Whether a value is one that only salaries can give here: ids, titles and groups are below 100."""
    if isinstance(value, list):
        return any(told(item) for item in value)
    return (isinstance(value, (int, float)) and value > 100) or value == "rich" or value in SECRETS


def test_where_on_does_not_look_across_a_comma_the_outer_query_is_meant() -> None:
    with pytest.raises(QueryUnauthorized):
        prepare(
            "SELECT (SELECT count(*) FROM dept c, hits a JOIN hits b ON salary > 5) FROM staff",
            seen(),
            "postgres",
            max_rows=9,
        )


def test_sqlite_has_the_same_walls() -> None:
    lite = on_sqlite()
    for sql in (
        "SELECT salary FROM staff",
        "SELECT max(salary) FROM staff",
        "SELECT id FROM staff WHERE salary > 5",
        "SELECT * FROM staff",
        "SELECT group_concat(salary) FROM staff",
        "SELECT total(salary) FROM staff",
    ):
        with pytest.raises(QueryUnauthorized):
            lite.prepare(sql)
    assert lite.run("SELECT id, sum(salary) FROM staff GROUP BY id LIMIT 1") == [(1, None)]
    assert lite.run("SELECT avg(s.salary) FROM staff s JOIN hits h ON h.id = s.id") == [(None,)]
    lite.connection.close()


def test_an_error_of_the_engine_tells_nothing_of_one_row(duck: Salaries) -> None:
    """Arithmetic that overflows for some values only would say of a single row whether it is above a bound."""
    shifted = "SELECT sum(salary + 900000000000000) FROM staff WHERE id = 5"
    scaled = "SELECT sum(salary * 900000000000000) FROM staff WHERE id = 5"
    assert duck.run(shifted) == duck.run(scaled) == [(None,)]
