"""What table care promises, again on a lakehouse that hosts share: a catalog in PostgreSQL."""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from engine.connectors.places import Places
from engine.lake.sites import Site
from engine.lake.warehouse import Lake
from tests.engine.maintenance import test_compaction, test_conflicts, test_expiry, test_orphans, test_replace
from tests.engine.maintenance.tables import Tables
from tests.fixtures_postgres import postgres, postgres_database, postgres_url

__all__ = ["postgres", "postgres_database", "postgres_url"]
pytestmark = pytest.mark.slow

Promise = Callable[[Tables], None]


def _promises(*modules: ModuleType) -> Iterator[Any]:
    """The tests of those modules that need nothing but tables."""
    for module in modules:
        for name, found in vars(module).items():
            if name.startswith("test_") and callable(found) and list(inspect.signature(found).parameters) == ["tables"]:
                yield pytest.param(found, id=f"{module.__name__.rpartition('.')[2]}-{name}")


@pytest.fixture
def tables(tmp_path: Path, postgres_url: str) -> Iterator[Tables]:
    host = postgres_url.partition("host=")[2]
    gate = Places(home=tmp_path / "home", roots=[tmp_path], private_hosts=[host])
    lake = Lake(tmp_path / "home", site_of=lambda tenant: Site.local(tmp_path / "lake", uri=postgres_url), gate=gate)
    lake.create_namespace("default", "shop")
    yield Tables(lake)
    lake.close()


PROMISES = list(_promises(test_compaction, test_conflicts, test_expiry, test_orphans, test_replace))


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_of_table_care_holds_with_a_catalog_in_postgresql(tables: Tables, promise: Promise) -> None:
    promise(tables)
