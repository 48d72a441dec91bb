"""An index over a real catalog, in real folders, sealed."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.fernet import Fernet, InvalidToken

from core.context import Principal
from core.errors import Unavailable
from engine.catalog.catalog import Catalog
from engine.identity.roles import BUILT_IN
from engine.retrieval.folders import SealedFolders
from engine.retrieval.retrieval import Retrieval
from engine.retrieval.tables import TableSource
from engine.store.db import Store
from tests.engine.catalog.conftest import home, lake, open_catalog, roots, run_sql
from tests.fixtures_store import new_sqlite

__all__ = ["home", "lake", "open_catalog", "roots", "run_sql"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """On SQLite alone: nothing here asks the store for more than the catalog's own tests do."""
    opened = Store(new_sqlite(tmp_path))
    yield opened
    opened.close()


def seal(tenant: str, data: bytes, name: bytes) -> bytes:
    return _cipher(tenant, name).encrypt(data)


def unseal(tenant: str, data: bytes, name: bytes) -> bytes:
    try:
        return _cipher(tenant, name).decrypt(data)
    except InvalidToken:
        raise Unavailable("The seal is broken.") from None


def _cipher(tenant: str, name: bytes) -> Fernet:
    import base64

    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(tenant.encode() + b"/" + name).digest()))


def open_folders(home: Path) -> SealedFolders:
    return SealedFolders(home / "index", home / "tmp", seal=seal, unseal=unseal)


@dataclass
class Shelf:
    """An index over a shop, and what is below it."""

    retrieval: Retrieval
    catalog: Catalog
    database: Path
    admin: Principal


@pytest.fixture
async def shelf(open_catalog: Callable[[], Catalog], home: Path, roots: Path) -> AsyncIterator[Shelf]:
    catalog, database = open_catalog(), roots / "shop.db"
    run_sql(
        database,
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, emailAddress TEXT);"
        "CREATE TABLE order_lines (id INTEGER, customer_id INTEGER, revenue REAL);",
    )
    options = {"path": str(database)}
    await catalog.connections.create("acme", connection_id="shop", name="Shop", kind="sqlite", options=options)
    opened = Retrieval([TableSource(catalog)], vectors=open_folders(home))
    yield Shelf(opened, catalog, database, Principal("root", "acme", frozenset({"admin"}), BUILT_IN["admin"]))
    await opened.aclose()
