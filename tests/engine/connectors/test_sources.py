"""Every kind of source, read through its connector."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

from core.context import Cancellation
from core.errors import Conflict, PlatformError, Unavailable
from core.settings import QuerySettings
from engine.connectors import duck
from engine.connectors.connector import ConnectionSpec, Connector, QueryLimits
from engine.connectors.places import Places
from engine.connectors.pool import Connectors
from engine.lake.warehouse import Lake
from tests.fixtures_postgres import PostgresServer, postgres, postgres_database

__all__ = ["postgres", "postgres_database"]

LIMITS = QueryLimits(max_rows=1000, max_bytes=10**7, timeout_s=10)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def make_pool(folder: Path, private_hosts: list[str]) -> Connectors:
    home = folder / "home"
    home.mkdir()
    return Connectors(
        lake=Lake(home / "warehouse"),
        places=Places(home=home, roots=[folder / "data"], private_hosts=private_hosts),
        settings=QuerySettings(memory_mb=256, threads=2),
        temp_directory=home / "tmp",
    )


@pytest.fixture
async def pool(tmp_path: Path, data: Path) -> AsyncIterator[Connectors]:
    connectors = make_pool(tmp_path, [])
    yield connectors
    await connectors.close()


def spec(kind: str, version: int = 1, password: str = "", **options: str) -> ConnectionSpec:
    secret = {"password": password} if password else {}
    return ConnectionSpec("default", f"my {kind}", kind, kind, options, secret, version)


async def rows(connector: Connector, sql: str, **parameters: str) -> list[dict[str, Any]]:
    stream = await connector.execute(sql, parameters, limits=LIMITS, cancelled=Cancellation())
    return [row for batch in [batch async for batch in stream] for row in batch.to_pylist()]


async def stopped(connector: Connector, sql: str) -> PlatformError:
    limits = QueryLimits(max_rows=10, max_bytes=10**6, timeout_s=0.2)
    with pytest.raises(PlatformError) as error:
        stream = await connector.execute(sql, {}, limits=limits, cancelled=Cancellation())
        [batch async for batch in stream]
    return error.value


async def test_each_file_and_each_folder_of_files_is_a_table(pool: Connectors, data: Path) -> None:
    (data / "cities.csv").write_text("name,people\nOslo,700\nRome,2800\n")
    (data / "notes.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    (data / "by.year").mkdir()
    for year in (2023, 2024):
        duckdb.execute(f"COPY (SELECT {year} AS y) TO '{data}/by.year/[{year}]*.parquet'")
    (data / "README.md").write_text("not a table")
    (data / "broken.parquet").write_text("not parquet")
    files = await pool.get(spec("files", path=str(data)))
    relations = {relation.name: relation for relation in await files.schema()}
    assert set(relations) == {"cities", "notes", '"by.year"'}
    assert [column.data_type for column in relations["cities"].columns] == ["varchar", "bigint"]
    sources = await files.sources(relations)
    assert await rows(files, f"SELECT sum(y) AS s FROM {sources[chr(34) + 'by.year' + chr(34)]}") == [{"s": 4047}]
    assert await rows(files, f"SELECT count(*) AS n FROM {sources['cities']}") == [{"n": 2}]


async def test_links_out_of_the_folder_are_no_tables(pool: Connectors, data: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("secret\nx\n")
    (data / "open.csv").write_text("a\n1\n")
    (data / "leak.csv").symlink_to(tmp_path / "secret.csv")
    (data / "leak").symlink_to(tmp_path)
    files = await pool.get(spec("files", path=str(data)))
    assert [relation.name for relation in await files.schema()] == ["open"]


async def test_the_engine_itself_reads_nothing_beside_the_folder(pool: Connectors, data: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("secret\nx\n")
    (data / "open.csv").write_text("a\n1\n")
    files = await pool.get(spec("files", path=str(data)))
    for sql in (
        f"SELECT * FROM read_csv('{tmp_path}/secret.csv')",
        f"SELECT * FROM read_text('{data}/../secret.csv')",
        "SET enable_external_access = true",
        "SET threads = 64",
        "INSTALL spatial",
        f"ATTACH '{tmp_path}/x.duckdb'",
    ):
        with pytest.raises(PlatformError):
            await rows(files, sql)


async def test_a_single_file_is_one_table(pool: Connectors, data: Path) -> None:
    (data / "cities.csv").write_text("name,people\nOslo,700\n")
    (data / "other.csv").write_text("x\n1\n")
    files = await pool.get(spec("files", path=str(data / "cities.csv")))
    assert [relation.name for relation in await files.schema()] == ["cities"]
    with pytest.raises(PlatformError):
        await rows(files, f"SELECT * FROM read_csv('{data}/other.csv')")


async def test_a_duckdb_file_is_attached_read_only(pool: Connectors, data: Path) -> None:
    with duckdb.connect(str(data / "shop.duckdb")) as connection:
        connection.execute(
            "CREATE TABLE a (x INTEGER NOT NULL); CREATE SCHEMA s; CREATE TABLE s.b (y DATE);"
            "CREATE VIEW v AS SELECT x + 1 AS z FROM a; INSERT INTO a VALUES (1); COMMENT ON TABLE a IS 'The a.'"
        )
    connector = await pool.get(spec("duckdb", path=str(data / "shop.duckdb")))
    relations = {relation.name: relation for relation in await connector.schema()}
    assert {name: item.kind for name, item in relations.items()} == {"a": "table", "s.b": "table", "v": "view"}
    assert (relations["a"].comment, relations["a"].columns[0].nullable) == ("The a.", False)
    sources = await connector.sources(["a", "s.b", "v"])
    assert await rows(connector, f"SELECT z FROM {sources['v']}") == [{"z": 2}]
    with pytest.raises(PlatformError):
        await rows(connector, f"DELETE FROM {sources['a']}")
    assert (await connector.check()).startswith("DuckDB v1.")


async def test_a_file_that_is_no_database_is_said_plainly(pool: Connectors, data: Path) -> None:
    (data / "x.db").write_text("nothing of the kind " * 500)
    for kind in ("duckdb", "sqlite"):
        with pytest.raises(Unavailable) as refused:
            await (await pool.get(spec(kind, path=str(data / "x.db")))).check()
        assert str(data) not in refused.value.message + refused.value.hint


async def test_a_sqlite_file_is_read_only_and_typed_by_its_values(pool: Connectors, data: Path) -> None:
    connection = sqlite3.connect(data / "shop.db")
    connection.executescript(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, price REAL, name TEXT, raw BLOB, mixed);"
        "INSERT INTO t VALUES (1, 1.5, 'a', x'00ff', 1), (2, NULL, NULL, NULL, 'two');"
    )
    connection.close()
    connector = await pool.get(spec("sqlite", path=str(data / "shop.db")))
    [relation] = await connector.schema()
    assert [(column.name, column.nullable) for column in relation.columns][:2] == [("id", False), ("price", True)]
    assert await rows(connector, "SELECT * FROM main.t WHERE id >= :id", id="1") == [
        {"id": 1, "price": 1.5, "name": "a", "raw": b"\x00\xff", "mixed": "1"},
        {"id": 2, "price": None, "name": None, "raw": None, "mixed": "two"},
    ]
    for sql in ("DELETE FROM t", "ATTACH ':memory:' AS x", "PRAGMA journal_mode=DELETE", "CREATE TEMP TABLE x (a)"):
        with pytest.raises(PlatformError):
            await rows(connector, sql)
    endless = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r"
    assert (await stopped(connector, endless)).code == "TIMEOUT"


async def test_a_sqlite_column_whose_type_changes_later_is_refused_not_guessed(pool: Connectors, data: Path) -> None:
    connection = sqlite3.connect(data / "shop.db")
    connection.executescript(
        "CREATE TABLE t (v); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000)"
        "INSERT INTO t SELECT i FROM n; INSERT INTO t VALUES ('text');"
    )
    connection.close()
    connector = await pool.get(spec("sqlite", path=str(data / "shop.db")))
    limits = QueryLimits(max_rows=100_000, max_bytes=10**7, timeout_s=10)
    with pytest.raises(Conflict):
        stream = await connector.execute("SELECT v FROM main.t", {}, limits=limits, cancelled=Cancellation())
        [batch async for batch in stream]


@pytest.fixture
async def pg_pool(tmp_path: Path, postgres: PostgresServer) -> AsyncIterator[Connectors]:
    connectors = make_pool(tmp_path, [postgres.url("").rpartition("host=")[2], "127.0.0.1:1"])
    yield connectors
    await connectors.close()


@pytest.fixture
async def pg(pg_pool: Connectors, postgres: PostgresServer, postgres_database: str) -> Connector:
    with psycopg.connect(postgres.url(postgres_database), autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE item (id int PRIMARY KEY, price numeric(10,2), free numeric, doc jsonb, u uuid,"
            "at timestamptz); INSERT INTO item VALUES (1, 9.90, 'NaN', '{\"a\": 1}',"
            "'00000000-0000-0000-0000-000000000001', '2024-01-01'), (2, NULL, 0.5, NULL, NULL, NULL);"
            "CREATE SCHEMA pay; CREATE TABLE pay.wage (x int);"
            "CREATE VIEW cheap AS SELECT * FROM item WHERE price < 5; COMMENT ON COLUMN item.price IS 'In euros.'"
        )
    folder = postgres.url("").rpartition("host=")[2]
    options = {"host": folder, "database": postgres_database, "user": "postgres"}
    return await pg_pool.get(ConnectionSpec("default", "pg", "pg", "postgresql", options, {"password": "hunter2"}))


@pytest.mark.postgres
async def test_postgresql_shows_its_schema_and_plain_types(pg: Connector) -> None:
    relations = {relation.name: relation for relation in await pg.schema()}
    assert set(relations) == {"item", "pay.wage", "cheap"}
    assert relations["cheap"].kind == "view"
    price = relations["item"].columns[1]
    assert (price.data_type, price.nullable, price.comment) == ("numeric(10,2)", True, "In euros.")
    found = await rows(pg, "SELECT * FROM public.item ORDER BY id")
    assert str(found[0]["price"]) == "9.90" and found[0]["doc"] == '{"a": 1}'
    assert found[0]["u"] == "00000000-0000-0000-0000-000000000001"
    assert found[1]["free"] == 0.5 and found[1]["price"] is None


@pytest.mark.postgres
async def test_postgresql_is_read_only_and_stops_on_the_server(pg: Connector) -> None:
    for sql in ("DELETE FROM public.item", "CREATE TABLE x (a int)", "SELECT 1; DELETE FROM public.item"):
        with pytest.raises(PlatformError):
            await rows(pg, sql)
    assert (await stopped(pg, "SELECT pg_sleep(20)")).code == "TIMEOUT"
    asleep = "SELECT count(*) AS n FROM pg_stat_activity WHERE query LIKE '%sleep(20%' AND pid <> pg_backend_pid()"
    assert await rows(pg, f"{asleep} AND state = 'active'") == [{"n": 0}]


@pytest.mark.postgres
async def test_postgresqls_parameters_take_the_types_that_the_server_finds(pg: Connector) -> None:
    sql = "SELECT id FROM public.item WHERE price < $2 AND at >= $1"
    assert await rows(pg, sql, at="2023-12-31", price="10.5") == [{"id": 1}]
    with pytest.raises(Conflict):
        await rows(pg, "SELECT id FROM public.item WHERE id = $1", id="one")


@pytest.mark.postgres
async def test_errors_of_postgresql_show_no_secret_and_no_value(pg: Connector, pg_pool: Connectors) -> None:
    with pytest.raises(Conflict) as refused:
        await rows(pg, "SELECT (doc->>'a' || 'SECRET')::int FROM public.item")
    assert "SECRET" not in refused.value.message + refused.value.hint
    away = spec("postgresql", 2, password="hunter2", host="127.0.0.1", port="1", database="d", user="u")
    with pytest.raises(Unavailable) as refused_too:
        await (await pg_pool.get(away)).check()
    assert "hunter2" not in refused_too.value.message + refused_too.value.hint


async def test_a_connection_is_opened_once_and_replaced_when_it_changes(pool: Connectors, data: Path) -> None:
    (data / "a.csv").write_text("x\n1\n")
    first = await pool.get(spec("files", path=str(data)))
    assert await pool.get(spec("files", path=str(data))) is first
    await first.check()
    second = await pool.get(spec("files", 2, path=str(data)))
    assert second is not first
    with pytest.raises(Unavailable, match="replaced"):
        await first.check()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("oracle", {}),
        ("files", {}),
        ("files", {"path": "/etc"}),
        ("files", {"path": ""}),
        ("sqlite", {"path": "x", "mode": "rw"}),
        ("postgresql", {"host": "x"}),
        ("postgresql", {"host": "10.0.0.1", "database": "d", "user": "u"}),
        ("postgresql", {"host": "8.8.8.8", "database": "d", "user": "u", "port": "http"}),
        ("lakehouse", {"path": "/"}),
    ],
)
async def test_wrong_options_are_refused(pool: Connectors, kind: str, options: dict[str, str]) -> None:
    with pytest.raises(PlatformError):
        await pool.get(ConnectionSpec("default", "x", "x", kind, options, {}))


async def test_a_wrong_secret_is_never_shown(pool: Connectors) -> None:
    options = {"host": "8.8.8.8", "database": "d", "user": "u", "sslmode": "what"}
    with pytest.raises(PlatformError) as refused:
        await pool.get(ConnectionSpec("default", "x", "x", "postgresql", options, {"password": "hunter2"}))
    assert "hunter2" not in refused.value.message + refused.value.hint


def test_a_missing_extension_names_the_package_to_install() -> None:
    with pytest.raises(Unavailable) as refused:
        duck.extension_path("no_such")
    assert refused.value.hint == f"Install it: pip install duckdb-extension-no-such=={duckdb.__version__}"


async def test_memory_is_bounded(pool: Connectors, data: Path) -> None:
    (data / "a.csv").write_text("x\n1\n")
    files = await pool.get(spec("files", path=str(data)))
    with pytest.raises(Conflict, match="memory"):
        await rows(files, "SELECT length(string_agg(repeat('x', 100000), '')) FROM range(100000)")
