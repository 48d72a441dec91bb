"""The same walls in front of PostgreSQL and SQLite, whose own ways out differ."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest

from core.errors import PlatformError
from core.settings import QuerySettings
from engine.connectors.connector import ConnectionSpec
from engine.connectors.places import Places
from engine.connectors.pool import Connectors
from engine.lake.warehouse import Lake
from engine.sql.run import SqlService, Statement
from engine.store.db import Store
from tests.engine.sql.world import ANN, FixedCatalog, World, restricted
from tests.fixtures_postgres import PostgresServer, postgres, postgres_database
from tests.fixtures_store import new_sqlite

__all__ = ["postgres", "postgres_database"]

TABLES = """
CREATE TABLE people (person_id INTEGER PRIMARY KEY, name TEXT, tax_id TEXT);
INSERT INTO people VALUES (1, 'ann', 'TAX-SECRET'), (2, 'ben', 'TAX-SECRET');
CREATE TABLE all_wages (remark TEXT);
INSERT INTO all_wages VALUES ('WAGE-SECRET');
"""

BOTH = """
SELECT tax_id FROM people
SELECT * FROM all_wages
SELECT name FROM people WHERE tax_id LIKE 'T%'
SELECT name FROM people ORDER BY tax_id
SELECT people FROM people
SELECT p FROM people p
SELECT name FROM people p WHERE p IS NOT NULL
SELECT "tax_id" FROM people
SELECT (SELECT remark FROM all_wages)
SELECT name FROM people UNION SELECT remark FROM all_wages
WITH w AS (SELECT * FROM all_wages) SELECT * FROM w
SELECT 1; DROP TABLE people
DELETE FROM people
UPDATE people SET name = 'x'
INSERT INTO people VALUES (9, 'x', 'y')
CREATE TABLE t (a INTEGER)
DROP TABLE people
BEGIN
COMMIT
ROLLBACK
EXPLAIN SELECT * FROM all_wages
SELECT unknown_function(name) FROM people
SELECT ? FROM people
SELECT $1 FROM people
SELECT '1
"""

POSTGRES = """
SELECT pg_read_file('/etc/passwd')
SELECT pg_read_binary_file('/etc/passwd')
SELECT pg_ls_dir('/')
SELECT * FROM pg_ls_dir('/')
SELECT lo_import('/etc/passwd')
SELECT lo_export(1, '/tmp/x')
SELECT pg_sleep(10)
SELECT pg_terminate_backend(1)
SELECT pg_reload_conf()
SELECT set_config('default_transaction_read_only', 'off', false)
SELECT current_setting('data_directory')
SELECT query_to_xml('SELECT * FROM all_wages', true, true, '')
SELECT table_to_xml('all_wages', true, true, '')
SELECT database_to_xml(true, true, '')
SELECT ts_stat('SELECT remark FROM all_wages')
SELECT * FROM dblink('host=127.0.0.1', 'SELECT 1') AS t(a int)
SELECT dblink_connect('host=127.0.0.1')
SELECT to_regclass('all_wages')
SELECT 'all_wages'::regclass
SELECT 'pg_read_file'::regproc
SELECT NULL::all_wages
SELECT CAST(NULL AS pg_user)
SELECT * FROM pg_catalog.pg_authid
SELECT * FROM pg_user
SELECT * FROM pg_stat_activity
SELECT * FROM information_schema.columns
SELECT row_to_json(p) FROM people p
SELECT to_jsonb(p) FROM people p
SELECT (p).tax_id FROM people p
SELECT (p).* FROM people p
SELECT p.*::text FROM people p
SELECT tax_id(p) FROM people p
SELECT array_agg(p) FROM people p
SELECT name FROM people p WHERE p::text LIKE '%T%'
SELECT p.ctid, p.xmin FROM people p
SELECT tableoid FROM people
SELECT current_user
SELECT session_user
SELECT current_catalog
SELECT version()
SELECT inet_server_addr()
SELECT has_table_privilege('all_wages', 'select')
SELECT pg_get_viewdef('north')
SELECT col_description(1, 1)
SELECT nextval('s')
SELECT pg_advisory_lock(1)
SELECT pg_notify('a', 'b')
SELECT txid_current()
SELECT * INTO stolen FROM people
SELECT * FROM people FOR UPDATE
SELECT * FROM ONLY people
SELECT * FROM ROWS FROM (pg_ls_dir('/')) AS t
SELECT * FROM json_to_recordset('[]') AS t(a int)
SELECT * FROM generate_series(1, 100000000000)
SELECT repeat('x', 1000000000)
SELECT xmlparse(document '<a/>')
SELECT pg_catalog.lower(name) FROM people
SELECT public.lower(name) FROM people
COPY people TO '/tmp/x'
COPY people TO PROGRAM 'id'
COPY (SELECT 1) TO STDOUT
DO $$ BEGIN END $$
CALL x()
SET default_transaction_read_only = off
RESET ALL
SHOW data_directory
LISTEN x
LOAD 'x'
LOCK TABLE people
PREPARE p AS SELECT 1
EXECUTE p
DECLARE c CURSOR FOR SELECT 1
TABLE all_wages
WITH d AS (DELETE FROM people RETURNING *) SELECT * FROM d
EXPLAIN ANALYZE DELETE FROM people
CREATE EXTENSION dblink
GRANT ALL ON people TO public
VACUUM
SELECT U&'\\0061' FROM all_wages
SELECT * FROM people TABLESAMPLE system_rows(1)
""".replace("\\\\", "\\")

SQLITE = """
SELECT load_extension('x')
SELECT readfile('/etc/passwd')
SELECT writefile('/tmp/x', 'y')
SELECT edit('x')
SELECT fts3_tokenizer('x')
SELECT sqlite_version()
SELECT sqlite_source_id()
SELECT zeroblob(1000000000)
SELECT randomblob(1000000000)
SELECT hex(zeroblob(100000000))
SELECT last_insert_rowid()
SELECT total_changes()
SELECT rowid FROM people
SELECT _rowid_ FROM people
SELECT oid FROM people
SELECT p.rowid FROM people p
SELECT * FROM sqlite_master
SELECT * FROM sqlite_schema
SELECT * FROM main.sqlite_master
SELECT * FROM temp.sqlite_master
SELECT * FROM pragma_table_info('people')
SELECT * FROM pragma_database_list
SELECT * FROM pragma_function_list()
SELECT * FROM json_each('[1]')
SELECT * FROM json_tree('[1]')
SELECT * FROM generate_series(1, 10)
SELECT * FROM dbstat
SELECT * FROM people INDEXED BY x
SELECT people.tax_id FROM main.people
SELECT [tax_id] FROM people
SELECT `tax_id` FROM people
ATTACH DATABASE '/tmp/x.db' AS x
DETACH x
PRAGMA table_info(people)
PRAGMA query_only = off
VACUUM INTO '/tmp/x.db'
REINDEX
ANALYZE
SAVEPOINT x
REPLACE INTO people VALUES (1, 'a', 'b')
CREATE TEMP TABLE t AS SELECT 1
CREATE VIRTUAL TABLE t USING fts5(x)
EXPLAIN QUERY PLAN SELECT * FROM all_wages
"""


@pytest.fixture
async def lite(tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "data").mkdir()
    connection = sqlite3.connect(tmp_path / "data" / "shop.db")
    connection.executescript(TABLES)
    connection.close()
    spec = ConnectionSpec("default", "shop", "shop", "sqlite", {"path": str(tmp_path / "data" / "shop.db")})
    world = make(tmp_path, spec, [])
    yield world
    await world.close()


@pytest.fixture
async def pg(tmp_path: Path, postgres: PostgresServer, postgres_database: str) -> AsyncIterator[World]:
    (tmp_path / "data").mkdir()
    with psycopg.connect(postgres.url(postgres_database), autocommit=True) as connection:
        connection.execute(TABLES.encode())
    folder = postgres.url("").rpartition("host=")[2]
    options = {"host": folder, "database": postgres_database, "user": "postgres"}
    world = make(tmp_path, ConnectionSpec("default", "shop", "shop", "postgresql", options), [folder])
    yield world
    await world.close()


def make(folder: Path, spec: ConnectionSpec, hosts: list[str]) -> World:
    home = folder / "home"
    home.mkdir()
    connectors = Connectors(
        lake=Lake(home / "warehouse"),
        places=Places(home=home, roots=[folder / "data"], private_hosts=hosts),
        settings=QuerySettings(),
        temp_directory=home / "tmp",
    )
    store = Store(new_sqlite(home))
    sql = SqlService(catalog=FixedCatalog(connectors, [spec], restricted), store=store, settings=QuerySettings())
    return World(folder / "data", sql, connectors, store)


async def check(world: World, statements: str) -> None:
    for sql in statements.strip().splitlines():
        with pytest.raises(PlatformError) as refused:
            answer = await world.sql.execute(ANN, "shop", Statement(sql, timeout_s=5))
            pytest.fail(f"{sql} answered {answer.rows.records()}")
        assert refused.value.code in ("QUERY_UNAUTHORIZED", "CONFLICT"), sql
        assert "SECRET" not in refused.value.message + refused.value.hint, sql
    for harmless in ("SELECT * FROM people", "SELECT p.* FROM people p", "SELECT count(*) AS n FROM people"):
        answer = await world.sql.execute(ANN, "shop", Statement(harmless))
        assert answer.facts.row_count and "SECRET" not in str(answer.rows.records())


async def test_sqlite_lets_nothing_out(lite: World) -> None:
    await check(lite, BOTH + SQLITE)


@pytest.mark.postgres
async def test_postgresql_lets_nothing_out(pg: World) -> None:
    await check(pg, BOTH + POSTGRES)
