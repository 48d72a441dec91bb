"""Seals by tenant: finds the tenant's wrapped key in the store and keeps it for a moment."""

import time
from collections.abc import Callable

from sqlalchemy import select

from core.errors import NotFound, Unavailable
from engine.identity.vault import SealBroken, Vault
from engine.store.db import Store
from engine.store.tables import tenants

PLATFORM = ""
KEEP_S = 2.0


class TenantSeals:
    """Seals and opens bytes under a tenant's own key; the tenant "" stands for the platform.

    Both may read the store, which blocks for well under a millisecond, every two seconds at most."""

    def __init__(self, store: Store, vault: Vault, *, clock: Callable[[], float] = time.monotonic):
        self._store = store
        self._vault = vault
        self._clock = clock
        self._keys: dict[str, tuple[float, bytes]] = {}

    def seal(self, purpose: str, tenant: str, data: bytes, aad: bytes = b"") -> bytes:
        """Raises NotFound when the tenant's key is gone."""
        if tenant == PLATFORM:
            return self._vault.seal_platform(purpose, data, aad)
        return self._vault.seal(self._wrapped_key(tenant), purpose, data, aad)

    def open(self, purpose: str, tenant: str, sealed: bytes, aad: bytes = b"") -> bytes:
        """Raises NotFound when the tenant's key is gone, Unavailable when the seal is broken."""
        try:
            if tenant == PLATFORM:
                return self._vault.open_platform(purpose, sealed, aad)
            return self._open(purpose, tenant, sealed, aad)
        except SealBroken:
            raise Unavailable(
                f"Sealed {purpose} do not open.",
                hint="They were changed, or keys/root.key is not the one they were sealed with.",
            ) from None

    def _open(self, purpose: str, tenant: str, sealed: bytes, aad: bytes) -> bytes:
        try:
            return self._vault.open(self._wrapped_key(tenant), purpose, sealed, aad)
        except SealBroken:  # perhaps another process has just renewed the key
            self._keys.pop(tenant, None)
            return self._vault.open(self._wrapped_key(tenant), purpose, sealed, aad)

    def purpose_key(self, purpose: str, tenant: str) -> bytes:
        """A tenant's key for one purpose, gone with the tenant. Raises NotFound."""
        return self._vault.tenant_purpose_key(self._wrapped_key(tenant), purpose)

    def forget(self, tenant: str) -> None:
        """Drop a tenant's key from memory, with all that was made of any."""
        self._keys.pop(tenant, None)
        self._vault.forget()

    def _wrapped_key(self, tenant: str) -> bytes:
        kept = self._keys.get(tenant)
        if kept is not None and kept[0] > self._clock():
            return kept[1]
        query = select(tenants.c.wrapped_key).where(tenants.c.tenant_id == tenant)
        key: bytes | None = self._store.read_now(lambda connection: connection.scalar(query))
        if not key:
            raise NotFound("The tenant's key is gone.")
        self._keys[tenant] = (self._clock() + KEEP_S, key)
        return key
