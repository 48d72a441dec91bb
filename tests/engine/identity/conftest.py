from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.settings import EgressSettings
from engine.egress.client import EgressClient
from engine.identity.vault import Vault
from engine.store.db import Store
from tests.engine.identity.world import Clock, World
from tests.fixtures_store import store, store_url

__all__ = ["store", "store_url", "world"]


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """SQLite alone, unless a test is marked `on_both_stores`."""
    is_marked = any(mark.args[0] == "store_url" for mark in metafunc.definition.iter_markers("parametrize"))
    if "store_url" in metafunc.fixturenames and not is_marked:
        metafunc.definition.add_marker(pytest.mark.parametrize("store_url", ["sqlite"], indirect=True))


@pytest.fixture
async def world(store: Store, tmp_path: Path) -> AsyncIterator[World]:
    """An identity on a fresh store, with a clock that a test sets."""
    egress = EgressClient(EgressSettings(allowed_private_hosts=["127.0.0.1"]))
    made = World(store, Vault(b"k" * 32), egress, tmp_path, Clock())
    await made.start()
    yield made
    made.close()
    await egress.aclose()
