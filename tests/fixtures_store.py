"""`store`: each test that takes it runs on SQLite and on a real PostgreSQL."""

import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.store.db import Store, open_engine, sqlite_url
from engine.store.migrate import upgrade
from engine.store.tables import metadata
from tests.fixtures_postgres import postgres_server

DIALECTS = [pytest.param("sqlite"), pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=DIALECTS)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path)
        return
    server = postgres_server()
    name = server.create()
    yield server.url(name)
    server.drop(name)


@pytest.fixture(params=DIALECTS)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store with all tables and no rows."""
    if request.param == "sqlite":
        return new_sqlite(tmp_path)
    return _emptied(_postgres_url())


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    opened = Store(store_url)
    yield opened
    opened.close()


def new_sqlite(folder: Path) -> str:
    """The URL of an SQLite store with all tables and no rows; a copy, for making the tables takes 20 ms."""
    (folder / "headwater.db").write_bytes(_sqlite_file())
    return sqlite_url(folder)


@functools.cache
def _sqlite_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        _make_tables(sqlite_url(Path(folder)))
        return (Path(folder) / "headwater.db").read_bytes()


def migrated(home: Path) -> Path:
    """The home, with an empty store of today's schema where it has none: all migrations take half a second of CPU."""
    path = home / "headwater.db"
    if not path.exists():
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(_migrated_file())
    return home


@functools.cache
def _migrated_file() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        upgrade(sqlite_url(Path(folder)))
        return (Path(folder) / "headwater.db").read_bytes()


@functools.cache
def _postgres_url() -> str:
    # Emptying one database is ten times quicker than making one for each test.
    server = postgres_server()
    return server.url(server.create())


def _emptied(url: str) -> str:
    _make_tables(url)
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("; ".join(f'DELETE FROM "{table}"' for table in reversed(metadata.sorted_tables)))
    engine.dispose()
    return url


def _make_tables(url: str) -> None:
    engine = open_engine(url)
    metadata.create_all(engine)
    engine.dispose()
