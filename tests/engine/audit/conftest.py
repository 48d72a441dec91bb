"""An audit log over each database, sealing with a real cipher and keys that can be shredded."""

from collections.abc import AsyncIterator, Callable

import pytest
from cryptography.fernet import Fernet

from core.errors import NotFound
from engine.audit.log import AuditLog
from engine.store.db import Store
from tests.engine.audit.records import DIGEST_KEY
from tests.fixtures_store import store, store_url

__all__ = ["store", "store_url"]


class Keys:
    """One key per tenant; a tenant whose key was shredded can no longer be read or written."""

    def __init__(self) -> None:
        self._keys: dict[str, Fernet | None] = {}

    def _key(self, tenant: str) -> Fernet:
        key = self._keys.setdefault(tenant, Fernet(Fernet.generate_key()))
        if key is None:
            raise NotFound("The tenant's key is gone.")
        return key

    def seal(self, tenant: str, data: bytes) -> bytes:
        return self._key(tenant).encrypt(data)

    def unseal(self, tenant: str, data: bytes) -> bytes:
        return self._key(tenant).decrypt(data)

    def shred(self, tenant: str) -> None:
        self._keys[tenant] = None


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def open_audit(store: Store, keys: Keys) -> Callable[[], AuditLog]:
    """Opens the log anew, as another process would."""
    return lambda: AuditLog(store, seal=keys.seal, unseal=keys.unseal, digest_key=DIGEST_KEY)


@pytest.fixture
async def audit(open_audit: Callable[[], AuditLog]) -> AsyncIterator[AuditLog]:
    log = open_audit()
    yield log
    await log.close()
