"""What people really write must run, and answer as DuckDB alone would."""

# ruff: noqa: E501 - a statement is one line

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from engine.sql.run import Statement
from tests.engine.sql.world import ANN, World, duckdb_spec, make_database, make_world
from tests.hostile.benign import difference, governed, plain_reader, plainly

STATEMENTS = """
SELECT * FROM sales ORDER BY sale_id
SELECT count(*) FROM sales
SELECT region, count(*) AS n, sum(amount), avg(amount), min(sold_on), max(sold_at) FROM sales GROUP BY region ORDER BY n, region
SELECT p.name, sum(s.amount) AS total FROM sales s JOIN people p ON p.person_id = s.person_id GROUP BY p.name ORDER BY total DESC
SELECT p.name, s.sale_id FROM people p LEFT JOIN sales s ON s.person_id = p.person_id AND s.amount > 95 ORDER BY ALL
SELECT * FROM sales JOIN people USING (person_id) ORDER BY sale_id LIMIT 5
SELECT person_id, name FROM people NATURAL JOIN (SELECT person_id FROM sales WHERE amount > 90) ORDER BY ALL
SELECT s.region, p.name FROM sales s CROSS JOIN people p ORDER BY s.sale_id, p.person_id LIMIT 7
SELECT name FROM people p SEMI JOIN sales s ON s.person_id = p.person_id AND s.region = 'north' ORDER BY name
SELECT name FROM people p ANTI JOIN sales s ON s.person_id = p.person_id AND s.amount > 90 ORDER BY name
SELECT a.sale_id, b.sold_at FROM sales a ASOF JOIN sales b ON a.sold_at >= b.sold_at ORDER BY ALL LIMIT 9
SELECT a.person_id, b.sale_id FROM people a POSITIONAL JOIN sales b ORDER BY b.sale_id LIMIT 5
SELECT sale_id, row_number() OVER (PARTITION BY region ORDER BY amount DESC, sale_id) AS place FROM sales ORDER BY sale_id
SELECT sale_id, sum(amount) OVER (ORDER BY sale_id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS moving FROM sales ORDER BY sale_id
SELECT sale_id, lag(region, 1) OVER w, lead(region) OVER w, first_value(region) OVER w FROM sales WINDOW w AS (ORDER BY sale_id) ORDER BY 1
SELECT sale_id, lag(region IGNORE NULLS) OVER (ORDER BY sale_id) AS earlier FROM sales ORDER BY sale_id
SELECT sale_id, last_value(region IGNORE NULLS) OVER (ORDER BY sale_id) AS latest FROM sales ORDER BY sale_id
SELECT sale_id, ntile(4) OVER (ORDER BY sale_id), percent_rank() OVER (ORDER BY amount), cume_dist() OVER (ORDER BY amount) FROM sales ORDER BY 1
SELECT region, sale_id, amount FROM sales QUALIFY rank() OVER (PARTITION BY region ORDER BY amount DESC, sale_id) <= 2 ORDER BY ALL
SELECT region, sum(amount) FILTER (WHERE amount > 50) AS big, count(*) FILTER (WHERE region IS NULL) FROM sales GROUP BY 1 ORDER BY 1
WITH big AS (SELECT * FROM sales WHERE amount > 50) SELECT region, count(*) FROM big GROUP BY region ORDER BY 1
WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS y FROM a) SELECT x, y FROM a, b
WITH sales AS (SELECT sale_id, amount FROM sales WHERE amount > 90) SELECT * FROM sales ORDER BY sale_id
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) SELECT i, i * i AS square FROM n ORDER BY i
WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT sum(i) FROM n
WITH t AS MATERIALIZED (SELECT region, sum(amount) AS total FROM sales GROUP BY region) SELECT * FROM t a JOIN t b USING (region) ORDER BY 1
SELECT * FROM (SELECT region, avg(amount) AS mean FROM sales GROUP BY region) t WHERE mean > 10 ORDER BY 1
SELECT name, (SELECT max(amount) FROM sales s WHERE s.person_id = p.person_id) AS best FROM people p ORDER BY name
SELECT name FROM people p WHERE EXISTS (SELECT 1 FROM sales s WHERE s.person_id = p.person_id AND s.amount > 90) ORDER BY 1
SELECT name FROM people WHERE person_id IN (SELECT person_id FROM sales WHERE region = 'south') ORDER BY 1
SELECT name FROM people WHERE person_id NOT IN (1, 2, 3) ORDER BY 1
SELECT sale_id FROM sales WHERE amount > ALL (SELECT amount FROM sales WHERE region = 'north') ORDER BY 1
SELECT sale_id FROM sales WHERE (person_id, region) IN (SELECT person_id, region FROM sales WHERE amount > 90) ORDER BY 1
SELECT p.name, l.sale_id FROM people p, LATERAL (SELECT sale_id FROM sales s WHERE s.person_id = p.person_id ORDER BY amount DESC, sale_id LIMIT 2) l ORDER BY ALL
SELECT sale_id, t.tag FROM sales, unnest(tags) AS t(tag) ORDER BY ALL
SELECT sale_id, unnest(tags) AS tag FROM sales ORDER BY ALL
SELECT sale_id, tags[1], len(tags), list_contains(tags, 'a'), tags[1:2] FROM sales ORDER BY sale_id
SELECT list_transform([1, 2, 3], lambda x: x * 10), list_filter([1, 2, 3, 4], lambda x: x % 2 = 0), list_reduce([1, 2, 3], lambda a, b: a + b)
SELECT [x * 2 FOR x IN [1, 2, 3] IF x > 1] AS doubled
SELECT list(sale_id ORDER BY sale_id DESC) FROM sales WHERE sale_id < 5
SELECT region, string_agg(sale_id::VARCHAR, ',' ORDER BY sale_id) FROM sales WHERE sale_id < 9 GROUP BY region ORDER BY region
SELECT extra.channel, count(*) FROM sales GROUP BY extra.channel ORDER BY 1
SELECT s.extra.rank AS r, max(s.amount) FROM sales s GROUP BY ALL ORDER BY r
SELECT struct_pack(a := 1, b := 'x'), {'a': 1, 'b': [1, 2]}, MAP {'k': 1}, MAP {'k': 1}['k']
SELECT doc->>'k' AS k, json_extract(doc, '$.l[0]') AS l, doc->'$.l' AS whole FROM sales ORDER BY sale_id LIMIT 3
SELECT date_trunc('month', sold_on) AS month, count(*) FROM sales GROUP BY 1 ORDER BY 1
SELECT extract(year FROM sold_on) AS y, date_part('quarter', sold_on) AS q, strftime(sold_at, '%Y-%m') AS ym FROM sales ORDER BY sale_id LIMIT 4
SELECT sold_on + INTERVAL 3 DAY, sold_on - DATE '2024-01-01', date_diff('week', sold_on, DATE '2025-01-01') FROM sales ORDER BY sale_id LIMIT 4
SELECT time_bucket(INTERVAL '7 days', sold_on) AS week, sum(amount) FROM sales GROUP BY week ORDER BY week
SELECT sold_at AT TIME ZONE 'UTC' AS zoned, make_date(2024, 2, 29), last_day(sold_on) FROM sales ORDER BY sale_id LIMIT 2
SELECT region, extra.channel AS channel, sum(amount) FROM sales GROUP BY GROUPING SETS ((region, extra.channel), (region), ()) ORDER BY ALL
SELECT region, person_id, count(*), grouping(region) FROM sales GROUP BY ROLLUP (region, person_id) ORDER BY ALL
SELECT region, person_id, count(*) FROM sales GROUP BY CUBE (region, person_id) ORDER BY ALL
SELECT region, count(*) FROM sales GROUP BY region HAVING count(*) > 15 ORDER BY 1
SELECT amount * 2 AS double, double + 1 AS more FROM sales WHERE double > 100 ORDER BY ALL
SELECT CASE WHEN amount > 50 THEN 'big' ELSE 'small' END AS size, count(*) FROM sales GROUP BY size ORDER BY size
SELECT coalesce(region, 'none'), nullif(region, 'north'), ifnull(region, '?'), if(amount > 50, 1, 0) FROM sales ORDER BY sale_id LIMIT 6
SELECT greatest(1, 2, 3), least(1, 2), round(2.567, 1), 7 // 2, 7 / 2, 7 % 2, 2 ** 3, abs(-4), @(-5), sign(-3)
SELECT upper(name), substring(name FROM 1 FOR 3), trim(BOTH 'p' FROM name), replace(name, 'person', 'p'), position('on' IN name) FROM people ORDER BY 1
SELECT name FROM people WHERE name LIKE 'person _' AND name NOT ILIKE '%3' AND regexp_matches(name, '[0-5]$') ORDER BY 1
SELECT 'abc' ~ 'b', 'b' ~ 'b', 'abc' SIMILAR TO 'a.c', 'abc' ^@ 'ab', 'x' || 'y', 'a%b' LIKE 'a!%b' ESCAPE '!', 'abc' GLOB 'a*'
SELECT DISTINCT region FROM sales ORDER BY region NULLS FIRST
SELECT DISTINCT ON (region) region, sale_id FROM sales ORDER BY region, sale_id
SELECT sale_id FROM sales WHERE region = 'north' UNION SELECT person_id FROM people ORDER BY 1
SELECT sale_id FROM sales WHERE sale_id < 5 EXCEPT SELECT person_id FROM people WHERE person_id < 3 ORDER BY 1
SELECT sale_id FROM sales INTERSECT SELECT person_id FROM people ORDER BY 1
SELECT 1 AS a, 2 AS b UNION ALL BY NAME SELECT 3 AS b, 4 AS c ORDER BY ALL
(SELECT 1 AS a) UNION ALL (SELECT 2) ORDER BY a DESC
SELECT * EXCLUDE (tags, extra, doc) FROM sales ORDER BY sale_id LIMIT 3
SELECT * REPLACE (upper(name) AS name) FROM people ORDER BY person_id
SELECT * RENAME (name AS label) FROM people ORDER BY person_id
SELECT p.* FROM people p ORDER BY p.person_id LIMIT 2
SELECT t.a, t.b FROM (VALUES (1, 'x'), (2, 'y')) AS t(a, b) ORDER BY a
SELECT * FROM range(5) AS t(i) WHERE i % 2 = 0
SELECT * FROM generate_series(1, 10, 3) ORDER BY 1
SELECT d::DATE AS day, count(s.sale_id) FROM generate_series(DATE '2024-01-01', DATE '2024-01-07', INTERVAL 1 DAY) AS g(d) LEFT JOIN sales s ON s.sold_on = g.d::DATE GROUP BY day ORDER BY day
SELECT try_cast('x' AS INTEGER), '5'::INTEGER + 1, CAST(1.5 AS DECIMAL(10, 3)), 'NaN'::DOUBLE, '1'::HUGEINT
SELECT quantile_cont(amount, 0.5), median(amount), mode(region), approx_count_distinct(region), stddev_samp(amount), corr(amount, sale_id) FROM sales
SELECT arg_max(sale_id, amount), arg_min(sale_id, amount), any_value(1), bool_and(amount >= 0), bit_or(person_id) FROM sales
SELECT mode() WITHIN GROUP (ORDER BY person_id) FROM sales WHERE person_id < 2 AND sale_id < 20
SELECT "Mixed Case", "select" FROM "Odd Name"
SELECT main.sales.sale_id FROM main.sales ORDER BY 1 LIMIT 2
FROM sales SELECT region, count(*) GROUP BY region ORDER BY region
FROM people ORDER BY person_id LIMIT 1
SELECT n.region FROM north n ORDER BY n.sale_id LIMIT 2
SELECT sale_id FROM sales ORDER BY amount DESC, sale_id LIMIT 3 OFFSET 2
SELECT /* a comment */ 1 AS one -- and another
SELECT sale_id AS id, person_id AS id FROM sales ORDER BY sale_id LIMIT 1
SELECT count(DISTINCT region), count(*) - count(region) AS missing, sum(amount)::DOUBLE / count(*) FROM sales
SELECT regexp_replace('a1b22', '[0-9]+', '#', 'g'), regexp_extract('ab12', '([a-z]+)([0-9]+)', 2), string_split('a,b', ','), format('{}-{}', 1, 'x'), lpad('7', 3, '0')
SELECT x, y FROM (SELECT 1 AS x) a, (SELECT a.x + 1 AS y) b
SELECT s.sale_id FROM sales s WHERE s.tags = [] AND s.extra = {'channel': 'web', 'rank': 2} ORDER BY 1
SELECT -amount AS minus, NOT (amount > 5) AS few, amount IS DISTINCT FROM 5, amount BETWEEN 1 AND 10 FROM sales ORDER BY sale_id LIMIT 3
SELECT sum(n) FROM (SELECT count(*) AS n FROM sales GROUP BY region)
""".strip().splitlines()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_database(tmp_path_factory.mktemp("benign") / "data")


@pytest.fixture(scope="module")
def plain(database: Path) -> duckdb.DuckDBPyConnection:
    return plain_reader(database)


@pytest.fixture
async def world(database: Path, tmp_path: Path) -> AsyncIterator[World]:
    world = make_world(tmp_path / "home", [duckdb_spec(database)], data=database.parent)
    yield world
    await world.close()


async def test_statements_that_people_write_answer_as_duckdb_alone_does(
    world: World, plain: duckdb.DuckDBPyConnection
) -> None:
    assert len(STATEMENTS) >= 60
    for sql in STATEMENTS:
        is_ordered = "order by" in sql.lower()
        assert difference(await governed(world, sql), plainly(plain, sql), is_ordered=is_ordered) == "", sql


async def test_a_parameter_is_bound_and_never_read_as_sql(world: World) -> None:
    sql = "SELECT count(*) AS n FROM people WHERE name = $name OR person_id = :id"
    values: dict[str, Any] = {"name": "' OR 1=1 --", "id": "3"}
    answer = await world.sql.execute(ANN, "shop", Statement(sql, values))
    assert answer.rows.records() == [{"n": 1}]
