"""Statements that read, write, leak or exhaust where they get through: here each is refused, or finds nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.errors import PlatformError, QueryUnauthorized
from engine.sql.bind import prepare
from engine.sql.run import Statement
from tests.engine.sql.world import ANN, SECRETS, World, duckdb_spec, make_database, make_world, restricted

# {data} is the folder of the database and of files with secrets.
ATTACKS: dict[str, str] = {
    "reading files": """
SELECT * FROM read_csv('{data}/secret.csv')
SELECT * FROM read_csv_auto('{data}/secret.csv', header = false)
SELECT content FROM read_text('{data}/secret.txt')
SELECT content FROM READ_TEXT('{data}/secret.txt')
SELECT content FROM "read_text"('{data}/secret.txt')
SELECT content FROM read_text(['{data}/secret.txt', '{data}/secret.csv'])
SELECT content FROM read_text($${data}/secret.txt$$)
SELECT content FROM system.main.read_text('{data}/secret.txt')
SELECT content /**/ FROM /**/ read_blob /**/ ('{data}/secret.txt')
SELECT * FROM read_json('{data}/secret.json')
SELECT * FROM read_json_objects('{data}/secret.json')
SELECT * FROM read_ndjson('{data}/secret.json')
SELECT * FROM read_parquet('{data}/x.parquet')
SELECT * FROM parquet_scan('{data}/x.parquet')
SELECT * FROM parquet_metadata('{data}/x.parquet')
SELECT * FROM sniff_csv('{data}/secret.csv')
SELECT * FROM '{data}/secret.csv'
SELECT * FROM "{data}/secret.csv"
FROM '{data}/secret.csv'
TABLE "{data}/secret.csv"
SELECT * FROM '{data}/*.csv'
SELECT * FROM sales, '{data}/secret.csv'
SELECT (SELECT content FROM read_text('{data}/secret.txt'))
SELECT sale_id FROM sales WHERE region = (SELECT content FROM read_text('{data}/secret.txt'))
SELECT sale_id FROM sales ORDER BY (SELECT content FROM read_text('{data}/secret.txt'))
SELECT sale_id FROM sales LIMIT (SELECT length(content) FROM read_text('{data}/secret.txt'))
WITH f AS (SELECT content FROM read_text('{data}/secret.txt')) SELECT * FROM f
SELECT * FROM sales, LATERAL (SELECT content FROM read_text('{data}/secret.txt')) t
SELECT 1 UNION ALL SELECT content FROM read_text('{data}/secret.txt')
SELECT * FROM (SELECT * FROM read_text('{data}/secret.txt')) t
SELECT count(*) OVER (ORDER BY (SELECT content FROM read_text('{data}/secret.txt'))) FROM sales
SELECT list_transform([1], lambda x: (SELECT content FROM read_text('{data}/secret.txt')))
SELECT [content FOR content IN (SELECT list(content) FROM read_text('{data}/secret.txt'))]
SELECT * FROM glob('{data}/*')
FROM glob('/proc/self/*')
SELECT * FROM read_blob('/proc/self/environ')
SELECT * FROM iceberg_scan('{data}/table')
SELECT * FROM delta_scan('{data}/table')
SELECT * FROM sqlite_scan('{data}/x.sqlite', 't')
SELECT * FROM st_read('{data}/x.shp')
SELECT * FROM read_xlsx('{data}/x.xlsx')
SELECT * FROM python_map_function('x')
""",
    "the database's own file": """
SELECT * FROM read_blob('{data}/shop.duckdb')
SELECT regexp_extract(content::VARCHAR, 'WAGE[^ ]+') FROM read_blob('{data}/shop.duckdb')
ATTACH '{data}/shop.duckdb' AS twice
COPY (SELECT 1) TO '{data}/shop.duckdb' (FORMAT csv, USE_TMP_FILE false)
COPY pay.wages TO '{data}/shop.duckdb.wal'
""",
    "other databases": """
ATTACH '{data}/other.duckdb' AS other
ATTACH '{data}/other.duckdb' AS other; SELECT * FROM other.private
ATTACH DATABASE IF NOT EXISTS '{data}/other.duckdb' (READ_ONLY)
SELECT * FROM '{data}/other.duckdb'
SELECT * FROM read_duckdb('{data}/other.duckdb')
DETACH source
USE source
IMPORT DATABASE '{data}'
SELECT * FROM source.main.people
SELECT * FROM source.pay.wages
""",
    "writing files": """
COPY sales TO '{data}/out.csv'
COPY (SELECT 1) TO '{data}/out.parquet' (FORMAT parquet)
COPY FROM DATABASE source TO memory
EXPORT DATABASE '{data}/out'
CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'x')
PRAGMA enable_profiling='json'
CALL enable_logging(storage = 'file', storage_path = '{data}/logs')
CALL enable_profiling(format = 'json', save_location = '{data}/p.json')
EXPLAIN ANALYZE COPY sales TO '{data}/out.csv'
""",
    "changing data": """
DELETE FROM sales
UPDATE sales SET amount = 0
INSERT INTO people VALUES (9, 'x', 'y')
INSERT OR REPLACE INTO people VALUES (9, 'x', 'y')
TRUNCATE sales
MERGE INTO people USING sales ON people.person_id = sales.person_id WHEN MATCHED THEN DELETE
WITH gone AS (DELETE FROM sales RETURNING *) SELECT * FROM gone
WITH x AS (SELECT 1) DELETE FROM sales
EXPLAIN ANALYZE DELETE FROM sales
PREPARE p AS DELETE FROM sales
EXECUTE p
DROP TABLE sales
DROP SCHEMA pay CASCADE
CREATE TABLE copied AS SELECT * FROM sales
CREATE TEMP TABLE people AS SELECT 1 AS person_id
CREATE OR REPLACE VIEW north AS SELECT * FROM pay.wages
CREATE MACRO lower(x) AS 'spoofed'
CREATE MACRO leak() AS TABLE SELECT * FROM pay.wages
CREATE TYPE mood AS ENUM ('a')
CREATE SEQUENCE s
ALTER TABLE sales DROP COLUMN amount
COMMENT ON TABLE sales IS 'x'
VACUUM
ANALYZE
CHECKPOINT
SELECT * INTO stolen FROM sales
SELECT * FROM sales FOR UPDATE
SELECT nextval('s')
""",
    "settings and session": """
SET threads = 64
SET memory_limit = '100GB'
SET enable_external_access = true
SET lock_configuration = false
SET SESSION statement_timeout = 0
RESET threads
SET VARIABLE x = (SELECT remark FROM pay.wages)
SELECT getvariable('x')
PRAGMA threads = 64
PRAGMA database_list
SELECT current_setting('memory_limit')
SELECT set_config('x', 'y', false)
SELECT getenv('HOME')
SELECT current_user
SELECT current_user()
SELECT session_user
SELECT current_database()
SELECT current_schema()
SELECT version()
SELECT pg_sleep(10)
SELECT sleep_ms(10000)
SELECT write_log('x')
SELECT txid_current()
""",
    "extensions and the network": """
INSTALL httpfs
LOAD httpfs
FORCE INSTALL spatial FROM community
LOAD '{data}/evil.duckdb_extension'
SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')
SELECT * FROM 'https://127.0.0.1:9/x.parquet'
SELECT * FROM read_json('http://169.254.169.254/latest/meta-data')
SELECT * FROM read_parquet('s3://bucket/x.parquet')
SELECT * FROM 'hf://datasets/a/b.csv'
SELECT * FROM postgres_scan('host=127.0.0.1', 'public', 't')
SELECT * FROM postgres_query('x', 'SELECT 1')
""",
    "more than one statement": """
SELECT 1; DELETE FROM sales
SELECT 1; SELECT 2
SELECT ';'; DROP TABLE sales
SELECT $$;$$; DROP TABLE sales
SELECT 1 /* ; */; DROP TABLE sales --
COMMIT; DROP TABLE sales
ROLLBACK; DELETE FROM sales; BEGIN
BEGIN TRANSACTION READ ONLY
END; DROP TABLE sales
SELECT 1;;; DROP TABLE sales
""",
    "the catalog": """
SELECT * FROM information_schema.tables
SELECT * FROM information_schema.columns
SELECT * FROM pg_catalog.pg_class
SELECT * FROM pg_tables
SELECT * FROM sqlite_master
SELECT * FROM duckdb_tables()
SELECT sql FROM duckdb_views()
SELECT * FROM duckdb_columns()
SELECT path FROM duckdb_databases()
SELECT * FROM duckdb_settings()
FROM duckdb_secrets()
SELECT * FROM duckdb_functions()
SELECT * FROM duckdb_logs
SELECT * FROM duckdb_memory()
SELECT * FROM pragma_table_info('people')
SELECT * FROM pragma_storage_info('pay.wages')
SELECT * FROM pragma_database_size()
SELECT * FROM pragma_show('people')
DESCRIBE people
DESCRIBE SELECT * FROM pay.wages
SHOW ALL TABLES
SHOW TABLES
SUMMARIZE people
SUMMARIZE SELECT * FROM pay.wages
EXPLAIN SELECT * FROM pay.wages
SELECT 'pay.wages'::regclass
SELECT stats(tax_id) FROM people
SELECT * FROM which_secret('s3://x', 's3')
SELECT * FROM test_all_types()
""",
    "a hidden table": """
SELECT * FROM pay.wages
SELECT * FROM PAY.Wages
SELECT * FROM "pay"."wages"
SELECT * FROM pay . wages
SELECT remark FROM wages
SELECT * FROM all_wages
TABLE pay.wages
FROM pay.wages
FROM pay.wages SELECT remark
SELECT * FROM query('FROM pay.wages')
SELECT * FROM query_table('pay.wages')
SELECT * FROM query_table(['people', 'pay.wages'])
SELECT * FROM seq_scan('pay.wages')
SELECT * FROM histogram('pay.wages', remark)
SELECT * FROM summary('pay.wages')
SELECT * FROM duckdb_table_sample('wages')
SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT * FROM pay.wages'))
SELECT json_serialize_plan('SELECT * FROM pay.wages')
SELECT (SELECT remark FROM pay.wages LIMIT 1)
SELECT name FROM people WHERE name < (SELECT remark FROM pay.wages)
SELECT name FROM people WHERE person_id IN (SELECT person_id FROM pay.wages)
SELECT name FROM people WHERE EXISTS (SELECT 1 FROM pay.wages)
SELECT name FROM people GROUP BY name HAVING count(*) > (SELECT length(remark) FROM pay.wages)
SELECT name FROM people QUALIFY row_number() OVER () > (SELECT count(*) FROM pay.wages)
SELECT name FROM people ORDER BY (SELECT remark FROM pay.wages)
SELECT name FROM people LIMIT (SELECT count(*) FROM pay.wages)
SELECT name FROM people JOIN pay.wages USING (person_id)
SELECT name FROM people p SEMI JOIN pay.wages w ON p.person_id = w.person_id
SELECT name FROM people p, LATERAL (SELECT * FROM pay.wages) w
SELECT name FROM people UNION ALL SELECT remark FROM pay.wages
SELECT name FROM people EXCEPT SELECT remark FROM pay.wages
WITH w AS (SELECT * FROM pay.wages) SELECT * FROM w
WITH RECURSIVE w AS (SELECT remark FROM pay.wages UNION ALL SELECT remark FROM w WHERE false) SELECT * FROM w
WITH wages AS (SELECT 1 AS remark) SELECT * FROM pay.wages
SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) a, x
SELECT sum((SELECT count(*) FROM pay.wages)) FILTER (WHERE true) FROM people
SELECT list_transform([1], lambda x: (SELECT max(remark) FROM pay.wages))
SELECT CASE WHEN (SELECT count(*) FROM pay.wages) > 0 THEN 1 END
PIVOT pay.wages ON person_id USING first(remark)
SELECT * FROM (PIVOT pay.wages ON person_id USING first(remark))
UNPIVOT pay.wages ON remark INTO NAME n VALUE v
VALUES ((SELECT remark FROM pay.wages))
SELECT * FROM (VALUES ((SELECT remark FROM pay.wages))) t(x)
SELECT * FROM unnest((SELECT list(remark) FROM pay.wages)) t(x)
SELECT * FROM range((SELECT count(*) FROM pay.wages)) t(x)
SELECT pay.wages.remark FROM people
""",
    "a hidden column": """
SELECT tax_id FROM people
SELECT p.tax_id FROM people p
SELECT people.tax_id FROM people
SELECT main.people.tax_id FROM main.people
SELECT "TAX_ID" FROM people
SELECT name FROM people WHERE tax_id LIKE 'T%'
SELECT name FROM people ORDER BY tax_id
SELECT count(*) FROM people GROUP BY tax_id
SELECT count(*) FILTER (WHERE tax_id ^@ 'TAX') FROM people
SELECT max(tax_id) OVER () FROM people
SELECT row_number() OVER (ORDER BY tax_id) FROM people
SELECT row_number() OVER w FROM people WINDOW w AS (PARTITION BY tax_id)
SELECT md5(tax_id) FROM people
SELECT error(tax_id) FROM people
SELECT name FROM people WHERE error(name) IS NULL
SELECT a.name FROM people a JOIN people b ON a.tax_id = b.tax_id
SELECT * FROM people a JOIN people b USING (tax_id)
SELECT people FROM people
SELECT p FROM people p
SELECT p::VARCHAR FROM people p
SELECT to_json(p) FROM people p
SELECT row_to_json(p) FROM people p
SELECT list(p) FROM people p
SELECT struct_extract(p, 'tax_id') FROM people p
SELECT p['tax_id'] FROM people p
SELECT (p).tax_id FROM people p
SELECT x.tax_id FROM (SELECT p AS x FROM people p)
SELECT unnest(p) FROM people p
SELECT hash(p) FROM people p
SELECT count(DISTINCT p) FROM people p
SELECT COLUMNS(* EXCLUDE (person_id, name)) FROM people
SELECT COLUMNS('tax.*') FROM people
SELECT COLUMNS(lambda c: c LIKE 'tax%') FROM people
SELECT *COLUMNS(*) FROM people
SELECT * LIKE 'tax%' FROM people
SELECT * RENAME (tax_id AS t) FROM people
SELECT * REPLACE (tax_id AS name) FROM people
SELECT * EXCLUDE (tax_id) FROM people
SELECT t.c FROM people AS t(a, b, c)
SELECT (SELECT tax_id) FROM people
SELECT (SELECT p.tax_id FROM people LIMIT 1) FROM people p
SELECT [tax_id] FROM people
SELECT {{'a': tax_id}} FROM people
SELECT list_transform([1], lambda x: tax_id) FROM people
SELECT [tax_id FOR x IN [1]] FROM people
SELECT name FROM people LIMIT (SELECT length(max(tax_id)) FROM people)
SELECT DISTINCT ON (tax_id) name FROM people
SELECT rowid FROM people
SELECT #1 FROM people
SELECT lower(name, tax_id) FROM people
SELECT main.lower(tax_id) FROM people
SELECT alias(tax_id) FROM people
SELECT histogram(tax_id) FROM people
UNPIVOT people ON tax_id INTO NAME n VALUE v
WITH t AS (SELECT tax_id FROM people) SELECT 1
""",
    "exhausting memory or output": """
SELECT range(4000000000)
SELECT * FROM range(4000000000)
SELECT * FROM range(1000000 * 4000)
SELECT count(*) FROM generate_series(1, 99999999999)
SELECT unnest(generate_series(1, 2000000000))
SELECT unnest(range(1e12::BIGINT))
SELECT unnest(range(pow(10, 12)::BIGINT))
SELECT repeat('x', 1000000000)
SELECT repeat(repeat('x', 100000), 100000)
SELECT lpad('x', 2000000000, 'y')
SELECT list_resize([1], 4000000000)
SELECT levenshtein(repeat('a', 60000), repeat('b', 60000))
SELECT list_reduce(range(100000000), lambda a, b: a + b)
""",
}

HARMLESS = """
SELECT * FROM people
SELECT * FROM people AS t(a, b)
SELECT p.* FROM people p
SELECT * FROM sales JOIN people USING (person_id)
SELECT region FROM sales WHERE region = '' OR '1' = '1'
SELECT * FROM (SELECT * FROM people) x
SELECT count(*) FROM people
WITH people AS (SELECT * FROM people) SELECT * FROM people
SELECT struct_pack(a := name) FROM people
SELECT * FROM people UNION ALL BY NAME SELECT 1 AS tax_id
""".strip().splitlines()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = make_database(tmp_path / "data")
    world = make_world(tmp_path / "home", [duckdb_spec(database)], data=tmp_path / "data", visible=restricted)
    yield world
    await world.close()


def statements(name: str, world: World) -> list[str]:
    return [line.format(data=world.folder) for line in ATTACKS[name].strip().splitlines()]


def test_the_corpus_is_broad() -> None:
    assert sum(len(text.strip().splitlines()) for text in ATTACKS.values()) >= 150


@pytest.mark.parametrize("name", ATTACKS)
async def test_attacks_are_refused_and_leave_nothing_behind(name: str, world: World) -> None:
    before = sorted(path.name for path in world.folder.rglob("*"))
    for sql in statements(name, world):
        with pytest.raises(PlatformError) as refused:
            await world.sql.execute(ANN, "shop", Statement(sql))
        error = refused.value
        assert error.code in ("QUERY_UNAUTHORIZED", "CONFLICT"), sql
        said = error.message + error.hint
        assert not any(secret in said for secret in SECRETS) and str(world.folder) not in said, sql
    assert sorted(path.name for path in world.folder.rglob("*")) == before
    count = await world.sql.execute(ANN, "shop", Statement("SELECT count(*) AS n FROM sales"))
    assert count.rows.records() == [{"n": 60}]


async def test_what_may_run_shows_nothing_hidden(world: World) -> None:
    for sql in HARMLESS:
        answer = await world.sql.execute(ANN, "shop", Statement(sql))
        assert not any(secret in str(answer.rows.records()) for secret in SECRETS), sql


async def test_unknown_and_invisible_have_one_text(world: World) -> None:
    texts = set()
    for sql in (
        "SELECT * FROM pay.wages",
        "SELECT * FROM no.such",
        "SELECT tax_id FROM people",
        "SELECT nothing FROM people",
        "SELECT p.tax_id FROM people p",
        "SELECT p.nothing FROM people p",
    ):
        with pytest.raises(PlatformError) as refused:
            await world.sql.execute(ANN, "shop", Statement(sql))
        texts.add((refused.value.code, refused.value.message, refused.value.hint))
    assert len(texts) == 1
    assert next(iter(texts))[1] == (
        "Access denied: you do not have permission to query one or more referenced resources."
    )


async def test_statements_that_would_run_forever_end_at_their_limit(world: World) -> None:
    for sql in (
        "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000) c WHERE a.range + b.range = c.range",
        "WITH RECURSIVE f(n) AS (SELECT 1::HUGEINT UNION SELECT n + 1 FROM f WHERE n < 1e18) SELECT sum(n) FROM f",
    ):
        with pytest.raises(PlatformError) as stopped:
            await world.sql.execute(ANN, "shop", Statement(sql, timeout_s=0.3))
        assert stopped.value.code == "TIMEOUT", sql


async def test_texts_made_to_choke_the_parser_are_refused_quickly(world: World) -> None:
    chain = ", ".join(f"c{n + 1} AS (SELECT a.x FROM c{n} a, c{n} b)" for n in range(40))
    for sql in (
        "SELECT " + "(" * 5000 + "1" + ")" * 5000,
        "SELECT " + "(" * 40 + "1",
        "SELECT " + "1 + " * 9000 + "1",
        "SELECT " + "NOT " * 5000 + "true",
        "SELECT " + "[" * 3000 + "]" * 3000,
        "SELECT 1 " + "UNION SELECT 1 " * 3000,
        "SELECT CASE WHEN 1 THEN " * 300 + "1" + " END" * 300,
        f"WITH c0 AS (SELECT 1 AS x FROM people), {chain} SELECT count(*) FROM c40",
        "SELECT '" + "x" * 10_000_000 + "'",
        "SELECT '\0'",
        "SELECT '\ud800'",
        "SELECT 'x",
        "SELECT /* x",
        "",
        "   -- nothing",
        "SELECT " + "a." * 3000 + "b FROM people",
        "(" * 300 + "SELECT 1" + ")" * 300,
        "SELECT " * 5000,
    ):
        with pytest.raises(PlatformError) as refused:
            await world.sql.execute(ANN, "shop", Statement(sql))
        assert refused.value.code in ("INVALID_ARGUMENT", "QUERY_UNAUTHORIZED"), sql[:40]


class NoTables:
    """A view in which there is no table at all."""

    names: tuple[str, ...] = ()

    def find(self, parts: tuple[str, ...]) -> None:
        return None


@pytest.mark.parametrize("call", ["read_csv('x')", "glob('*')", "duckdb_tables()", "query('SELECT 1')"])
def test_the_first_wall_refuses_functions_in_from_without_the_second(call: str) -> None:
    with pytest.raises(QueryUnauthorized):
        prepare(f"SELECT * FROM {call}", NoTables(), "duckdb", max_rows=10)
