from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from core.settings import EgressSettings
from engine.egress.client import EgressClient
from engine.identity.vault import Vault
from engine.store.db import Store, sqlite_url
from tests.engine.identity.world import Clock, World
from tests.fixtures_postgres import postgres, postgres_database, postgres_server, postgres_url
from tests.fixtures_store import store

__all__ = ["postgres", "postgres_database", "postgres_url", "store", "store_url", "world"]


@pytest.fixture
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """SQLite, or what a test marked `on_both_stores` asks for."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield sqlite_url(tmp_path)
        return
    server = postgres_server()
    name = server.create()
    yield server.url(name)
    server.drop(name)


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> AsyncIterator[World]:
    """An identity on a fresh store, with a clock that a test sets."""
    egress = EgressClient(EgressSettings(allowed_private_hosts=["127.0.0.1"]))
    made = World(store, Vault(b"k" * 32), egress, tmp_path, Clock())
    await made.start()
    yield made
    made.close()
    await egress.aclose()
