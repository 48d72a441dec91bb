"""A catalog over a real store, real files and the real connectors."""

import hashlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from core.context import Principal
from core.settings import QuerySettings
from engine.catalog.catalog import Catalog
from engine.catalog.warehouses import Warehouses
from engine.connectors.places import Places
from engine.connectors.pool import Connectors
from engine.lake.warehouse import Lake
from engine.store.db import Store
from tests.fixtures_store import store, store_url

__all__ = ["store", "store_url"]

ADA = Principal("ada", "acme")
BOB = Principal("bob", "other")


def seal(tenant: str, data: bytes) -> bytes:
    return _cipher(tenant).encrypt(data)


def open_sealed(tenant: str, data: bytes) -> bytes:
    return _cipher(tenant).decrypt(data)


def _cipher(tenant: str) -> Fernet:
    import base64

    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(tenant.encode()).digest()))


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    """The one folder that the operator allows."""
    folder = tmp_path / "allowed"
    folder.mkdir()
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def lake(store: Store, roots: Path, home: Path) -> Iterator[Lake]:
    """The lakehouses as another process writes them."""
    warehouses = Warehouses(store, folder=home / "lake", home=home, roots=[roots], ttl_s=0)
    opened = Lake(home / "lake", site_of=warehouses.site, gate=warehouses.gate)
    yield opened
    opened.close()


@pytest.fixture
async def open_catalog(store: Store, roots: Path, home: Path) -> AsyncIterator[Callable[[], Catalog]]:
    """Opens catalogs over one store, as several processes would."""
    opened: list[tuple[Lake, Connectors]] = []

    def open_one() -> Catalog:
        warehouses = Warehouses(store, folder=home / "lake", home=home, roots=[roots])
        lake = Lake(home / "lake", site_of=warehouses.site, gate=warehouses.gate)
        places = Places(home=home, roots=[roots], lakehouses=warehouses.folders)
        connectors = Connectors(lake=lake, places=places, settings=QuerySettings(), temp_directory=home / "tmp")
        opened.append((lake, connectors))
        return Catalog(
            store=store,
            connectors=connectors,
            seal=seal,
            open=open_sealed,
            validate=connectors.build,
            warehouses=warehouses,
            schema_ttl_s=300,
        )

    yield open_one
    for lake, connectors in opened:
        await connectors.close()
        lake.close()


@pytest.fixture
def catalog(open_catalog: Callable[[], Catalog]) -> Catalog:
    return open_catalog()


@pytest.fixture
def shop(roots: Path) -> Path:
    """A SQLite database with two tables."""
    path = roots / "shop.db"
    run_sql(
        path,
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, emailAddress TEXT);"
        "CREATE TABLE order_lines (id INTEGER, customer_id INTEGER, total_amount REAL);"
        "INSERT INTO customers VALUES (1, 'Ann', 'ann@example.com')",
    )
    return path


def run_sql(path: Path, script: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
