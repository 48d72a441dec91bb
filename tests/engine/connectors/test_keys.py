"""Primary keys, as each kind of source declares them."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

import duckdb
import psycopg
import pytest

from core.settings import QuerySettings
from engine.connectors.connector import ConnectionSpec, RelationInfo
from engine.connectors.places import Places
from engine.connectors.pool import Connectors
from engine.lake.metadata import read_identifier
from engine.lake.warehouse import Lake
from tests.fixtures_postgres import PostgresServer, postgres, postgres_database

__all__ = ["postgres", "postgres_database"]

TABLES = """
CREATE TABLE one (name VARCHAR(10), id INTEGER PRIMARY KEY);
CREATE TABLE two (b INTEGER, "a ""x" INTEGER, PRIMARY KEY ("a ""x", b));
CREATE TABLE none (id INTEGER UNIQUE);
CREATE VIEW seen AS SELECT * FROM one;"""
KEYS = {"one": ("id",), "two": ('a "x', "b"), "none": (), "seen": ()}


REFERRING = """
CREATE TABLE town (id INTEGER PRIMARY KEY);
CREATE TABLE trip (start_id INTEGER REFERENCES town (id), end_id INTEGER REFERENCES town (id));"""


async def relations(folder: Path, kind: str, options: dict[str, str], hosts: list[str]) -> list[RelationInfo]:
    pool = Connectors(
        lake=Lake(folder / "home"),
        places=Places(home=folder / "home", roots=[folder], private_hosts=hosts),
        settings=QuerySettings(memory_mb=256, threads=1),
        temp_directory=folder / "tmp",
    )
    connector = await pool.get(ConnectionSpec("default", "it", "it", kind, options, {}, 1))
    found = await connector.schema()
    await pool.close()
    return found


async def keys(folder: Path, kind: str, options: dict[str, str], hosts: list[str]) -> Mapping[str, tuple[str, ...]]:
    return {relation.name: relation.primary_key for relation in await relations(folder, kind, options, hosts)}


async def test_files_of_sqlite_and_duckdb_say_their_foreign_keys(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as lite:
        lite.executescript(REFERRING)
    with duckdb.connect(str(tmp_path / "a.duckdb")) as duck:
        duck.execute(REFERRING)
    for kind, name in (("sqlite", "a.db"), ("duckdb", "a.duckdb")):
        found = {item.name: item for item in await relations(tmp_path, kind, {"path": str(tmp_path / name)}, [])}
        assert set(found["trip"].foreign_keys) == {("start_id", "town", "id"), ("end_id", "town", "id")}
        assert found["town"].foreign_keys == ()


async def test_files_of_sqlite_and_duckdb_say_their_primary_keys(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as lite:
        lite.executescript(TABLES)
    with duckdb.connect(str(tmp_path / "a.duckdb")) as duck:
        duck.execute(TABLES)
    assert await keys(tmp_path, "sqlite", {"path": str(tmp_path / "a.db")}, []) == KEYS
    assert await keys(tmp_path, "duckdb", {"path": str(tmp_path / "a.duckdb")}, []) == KEYS


@pytest.mark.postgres
async def test_postgresql_says_its_primary_keys(
    tmp_path: Path, postgres: PostgresServer, postgres_database: str
) -> None:
    with psycopg.connect(postgres.url(postgres_database), autocommit=True) as connection:
        connection.execute(TABLES.encode())
    host = postgres.url("x").partition("host=")[2]
    options = {"host": host, "database": postgres_database, "user": "postgres"}
    assert await keys(tmp_path, "postgresql", options, [host]) == KEYS


def test_identifier_fields_of_iceberg_are_a_key_unless_one_is_nested() -> None:
    fields = [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    assert read_identifier({"fields": fields, "identifier-field-ids": [2, 1]}) == ("a", "b")
    assert read_identifier({"fields": fields, "identifier-field-ids": [2, 7]}) == ()
    assert read_identifier({"fields": fields}) == ()
