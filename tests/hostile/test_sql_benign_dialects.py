"""What people write on PostgreSQL and SQLite answers as the engine alone does."""

import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import tuple_row

from engine.connectors.connector import ConnectionSpec
from engine.sql.rows import plain as as_json
from tests.engine.sql.world import World
from tests.fixtures_postgres import PostgresServer, postgres, postgres_database
from tests.hostile.benign import Outcome, difference, governed
from tests.hostile.test_sql_dialects import make

__all__ = ["postgres", "postgres_database"]

TABLES = """
CREATE TABLE people (person_id INTEGER PRIMARY KEY, name TEXT, born TEXT, code TEXT);
INSERT INTO people VALUES (1, 'ann', '1980-02-03', 'a'), (2, 'ben', '1990-05-06', 'b'), (3, 'cy', NULL, 'c');
CREATE TABLE sales (sale_id INTEGER, person_id INTEGER, region TEXT, amount INTEGER, doc TEXT);
INSERT INTO sales VALUES (1, 1, 'north', 10, '{"k": 1}'), (2, 1, 'south', 20, '{"k": 2}'), (3, 2, 'north', 30, NULL),
 (4, 2, NULL, 40, '{"k": 4, "l": [1, 2]}'), (5, 9, 'south', 50, '{}');
"""

BOTH = """
SELECT * FROM people ORDER BY person_id
SELECT p.*, 1 AS one FROM people p ORDER BY p.person_id
SELECT count(*) AS n, sum(amount) AS total, min(region) AS low, avg(amount * 1.0) AS mean FROM sales
SELECT region, count(*) AS n FROM sales GROUP BY region HAVING count(*) > 1 ORDER BY n DESC, region
SELECT p.name, s.amount FROM people p JOIN sales s ON s.person_id = p.person_id ORDER BY s.sale_id
SELECT p.name, s.amount FROM people p LEFT JOIN sales s USING (person_id) ORDER BY p.person_id, s.sale_id
SELECT person_id, count(*) AS n FROM people NATURAL JOIN sales GROUP BY person_id ORDER BY 1
SELECT name FROM people WHERE person_id IN (SELECT person_id FROM sales WHERE amount > 25) ORDER BY name
SELECT name FROM people p WHERE EXISTS (SELECT 1 FROM sales s WHERE s.person_id = p.person_id) ORDER BY name
SELECT name, (SELECT max(amount) FROM sales s WHERE s.person_id = p.person_id) AS best FROM people p ORDER BY name
WITH big AS (SELECT * FROM sales WHERE amount > 15), few AS (SELECT region FROM big) SELECT count(*) AS n FROM few
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT i FROM n ORDER BY i
SELECT region AS r FROM sales UNION SELECT name FROM people ORDER BY 1
SELECT person_id AS p FROM sales EXCEPT SELECT person_id FROM people
SELECT person_id AS p FROM sales INTERSECT SELECT person_id FROM people ORDER BY 1
SELECT DISTINCT region FROM sales WHERE region IS NOT NULL ORDER BY region
SELECT CASE WHEN amount > 25 THEN 'big' ELSE 'small' END AS size, count(*) AS n FROM sales GROUP BY 1 ORDER BY 1
SELECT coalesce(region, '?') AS r, nullif(region, 'north') AS s, upper(region) AS u FROM sales ORDER BY sale_id
SELECT sale_id, row_number() OVER (PARTITION BY region ORDER BY amount) AS place FROM sales ORDER BY sale_id
SELECT sale_id, sum(amount) OVER (ORDER BY sale_id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS s FROM sales ORDER BY 1
SELECT sale_id, lag(amount, 1, 0) OVER w AS before FROM sales WINDOW w AS (ORDER BY sale_id) ORDER BY sale_id
SELECT count(*) FILTER (WHERE amount > 20) AS big FROM sales
SELECT sale_id FROM sales ORDER BY amount DESC LIMIT 2 OFFSET 1
SELECT name FROM people WHERE name LIKE 'a%' OR name NOT LIKE '%n' ORDER BY name
SELECT sale_id FROM sales WHERE amount BETWEEN 15 AND 35 AND region IS NOT NULL ORDER BY 1
SELECT a.sale_id AS a, b.sale_id AS b FROM sales a CROSS JOIN sales b WHERE a.sale_id < b.sale_id ORDER BY 1, 2
SELECT t.x FROM (SELECT amount * 2 AS x FROM sales) t WHERE t.x > 50 ORDER BY 1
SELECT substr(name, 1, 2) AS s, length(name) AS l, replace(name, 'n', 'm') AS r, trim(name) AS t FROM people ORDER BY 1
SELECT abs(-5) AS a, round(2.567, 1) AS r, 7 / 2 AS d, 7 % 2 AS m, -amount AS n FROM sales ORDER BY sale_id
SELECT name || '-' || person_id AS label FROM people ORDER BY person_id
SELECT CAST(amount AS TEXT) AS t, CAST('5' AS INTEGER) + 1 AS six FROM sales ORDER BY sale_id
SELECT sum(CASE WHEN region = 'north' THEN amount ELSE 0 END) AS north FROM sales
SELECT region, amount FROM sales ORDER BY region NULLS LAST, amount DESC
SELECT doc ->> 'k' AS k FROM sales WHERE doc IS NOT NULL AND sale_id < 4 ORDER BY sale_id
SELECT /* why */ person_id AS id -- end
SELECT 'it''s' AS quoted, 'ünï ☃' AS text
SELECT "name" AS "The Name" FROM "people" ORDER BY 1
""".replace("doc ->>", "{json} ->>").replace(
    "SELECT /* why */ person_id AS id -- end", "SELECT /* why */ 1 AS id -- end"
)

POSTGRES = """
SELECT x.a, x.b FROM (VALUES (1, 'x'), (2, 'y')) AS x(a, b) ORDER BY 1
SELECT DISTINCT ON (region) region, sale_id FROM sales ORDER BY region, sale_id
SELECT string_agg(name, ',' ORDER BY name) AS names, array_agg(person_id ORDER BY person_id) AS ids FROM people
SELECT region, person_id, sum(amount) AS s FROM sales GROUP BY ROLLUP (region, person_id) ORDER BY 1, 2, 3
SELECT grouping(region) AS g, count(*) AS n FROM sales GROUP BY GROUPING SETS ((region), ()) ORDER BY 1, 2
SELECT p.name, l.amount FROM people p, LATERAL (SELECT amount FROM sales s WHERE s.person_id = p.person_id LIMIT 1) l
SELECT g AS i FROM generate_series(1, 5, 2) AS g ORDER BY 1
SELECT u.x FROM unnest(ARRAY[3, 1, 2]) AS u(x) ORDER BY 1
SELECT DATE '2024-01-31' + INTERVAL '1 month' AS d, date_trunc('month', TIMESTAMP '2024-05-06 07:08:09') AS m
SELECT extract(year FROM DATE '2024-05-06') AS y, to_char(DATE '2024-05-06', 'YYYY/MM') AS t
SELECT born::date AS d, name ILIKE 'A%' AS i, name ~ '^a' AS r, name ~* '^A' AS s FROM people ORDER BY person_id
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY amount) AS median FROM sales
SELECT doc::jsonb -> 'l' ->> 0 AS first, doc::jsonb #>> '{l,1}' AS second FROM sales WHERE sale_id = 4
SELECT jsonb_array_length(doc::jsonb -> 'l') AS n FROM sales WHERE sale_id = 4
SELECT sale_id FROM sales WHERE region = ANY (ARRAY['north', 'x']) ORDER BY 1
SELECT sale_id FROM sales WHERE (person_id, region) IN ((1, 'north'), (2, 'north')) ORDER BY 1
SELECT sale_id FROM sales ORDER BY 1 FETCH FIRST 2 ROWS ONLY
SELECT region IS DISTINCT FROM 'north' AS other FROM sales ORDER BY sale_id
"""

SQLITE = """
SELECT date('2024-01-31', '+1 month') AS d, strftime('%Y', '2024-05-06') AS y, julianday('2024-01-01') AS j
SELECT group_concat(name, ';') AS names, total(person_id) AS t FROM people
SELECT json_extract(doc, '$.l[1]') AS second, json_array_length(doc, '$.l') AS n FROM sales WHERE sale_id = 4
SELECT iif(amount > 25, 'b', 's') AS size, typeof(amount) AS kind FROM sales ORDER BY sale_id
SELECT ifnull(region, '-') AS r, instr(region, 'o') AS i, hex(region) AS h FROM sales ORDER BY sale_id
SELECT name FROM people WHERE name GLOB 'a*' ORDER BY 1
SELECT max(amount, 25) AS m, min(amount, 25) AS l FROM sales ORDER BY sale_id
SELECT amount == 10 AS e, amount <> 10 AS n, amount & 6 AS b, ~amount AS c FROM sales ORDER BY sale_id
SELECT printf('%05d', amount) AS p, quote(region) AS q, unicode('a') AS u, char(65) AS c FROM sales ORDER BY sale_id
SELECT name COLLATE NOCASE AS n FROM people ORDER BY name COLLATE NOCASE DESC
SELECT doc -> '$.k' AS a, doc ->> '$.k' AS b FROM sales WHERE sale_id = 1
"""


def outcome(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Outcome:
    def value(item: Any) -> Any:
        if isinstance(item, list):
            return [value(part) for part in item]
        return None if item is None else as_json(item)

    return Outcome(names, [tuple(value(item) for item in row) for row in rows])


def statements(text: str, json: str) -> list[str]:
    lines = [line.replace("{json}", json) for line in text.strip().splitlines()]
    assert len(lines) >= 40
    return lines


async def test_sqlite_answers_as_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "shop.db"
    plain = sqlite3.connect(path)
    plain.executescript(TABLES)
    world = make(tmp_path, ConnectionSpec("default", "shop", "shop", "sqlite", {"path": str(path)}), [])
    for sql in statements(BOTH + SQLITE.lstrip(), "doc"):
        cursor = plain.execute(sql)
        theirs = outcome([column[0] for column in cursor.description], cursor.fetchall())
        assert difference(await governed(world, sql), theirs, is_ordered="ORDER BY" in sql) == "", sql
    plain.close()
    await world.close()


@pytest.fixture
async def pg(tmp_path: Path, postgres: PostgresServer, postgres_database: str) -> AsyncIterator[tuple[World, str]]:
    (tmp_path / "data").mkdir()
    url = postgres.url(postgres_database)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TABLES.encode())
    folder = postgres.url("").rpartition("host=")[2]
    options = {"host": folder, "database": postgres_database, "user": "postgres"}
    world = make(tmp_path, ConnectionSpec("default", "shop", "shop", "postgresql", options), [folder])
    yield world, url
    await world.close()


@pytest.mark.postgres
async def test_postgresql_answers_as_alone(pg: tuple[World, str]) -> None:
    world, url = pg
    with psycopg.connect(url, row_factory=tuple_row) as plain:
        for sql in statements(BOTH + POSTGRES.lstrip(), "doc::json"):
            cursor = plain.execute(sql.encode())
            theirs = outcome([column.name for column in cursor.description or []], cursor.fetchall())
            assert difference(await governed(world, sql), theirs, is_ordered="ORDER BY" in sql) == "", sql
