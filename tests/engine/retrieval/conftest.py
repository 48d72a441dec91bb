"""An index over a real catalog, in real folders, sealed."""

import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from cryptography.fernet import Fernet, InvalidToken

from core.errors import Unavailable
from engine.catalog.catalog import Catalog
from engine.retrieval.folders import SealedFolders
from engine.retrieval.retrieval import Retrieval
from engine.retrieval.tables import TableSource
from tests.engine.catalog.conftest import home, lake, open_catalog, roots, run_sql
from tests.fixtures_store import store, store_url

__all__ = ["home", "lake", "open_catalog", "roots", "run_sql", "store", "store_url"]


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


@pytest.fixture
async def retrieval(open_catalog: Callable[[], Catalog], home: Path) -> AsyncIterator[Retrieval]:
    catalog = open_catalog()
    opened = Retrieval([TableSource(catalog)], vectors=open_folders(home))
    opened.catalog = catalog  # type: ignore[attr-defined]
    yield opened
    await opened.aclose()
