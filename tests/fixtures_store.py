"""`store`: each test that takes it runs on SQLite and on a real PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.store.db import Store, sqlite_url
from engine.store.tables import metadata
from tests.fixtures_postgres import postgres_server

DIALECTS = [pytest.param("sqlite"), pytest.param("postgres", marks=pytest.mark.postgres)]


@pytest.fixture(params=DIALECTS)
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path)
        return
    server = postgres_server()
    name = server.create()
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A store with all tables."""
    opened = Store(store_url)
    metadata.create_all(opened.engine)
    yield opened
    opened.close()
