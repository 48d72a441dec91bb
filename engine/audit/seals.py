"""Sealing of audit records with the tenants' own keys, and the platform's for calls without a tenant."""

import time
from collections.abc import Callable

from sqlalchemy import select

from core.errors import NotFound
from engine.identity.vault import SealBroken, Vault
from engine.store.db import Store
from engine.store.tables import tenants

PURPOSE = "audit"
PLATFORM = ""
TTL_S = 2.0
MAX_CACHED = 4_096


class TenantSeals:
    """`seal` and `unseal` for the audit log. Blocking: a tenant's wrapped key is read again after 2 s.

    Both raise NotFound where there is no key, `unseal` also where the bytes were tampered with."""

    def __init__(self, store: Store, vault: Vault, *, clock: Callable[[], float] = time.monotonic):
        self._store = store
        self._vault = vault
        self._clock = clock
        self._keys: dict[str, tuple[bytes, float]] = {}

    def seal(self, tenant: str, data: bytes) -> bytes:
        if tenant == PLATFORM:
            return self._vault.seal_platform(PURPOSE, data)
        return self._vault.seal(self._key(tenant), PURPOSE, data, tenant.encode())

    def unseal(self, tenant: str, sealed: bytes) -> bytes:
        try:
            if tenant == PLATFORM:
                return self._vault.open_platform(PURPOSE, sealed)
            return self._vault.open(self._key(tenant), PURPOSE, sealed, tenant.encode())
        except SealBroken:
            raise NotFound("The record cannot be opened with the tenant's key.") from None

    def _key(self, tenant: str) -> bytes:
        key, expires_at = self._keys.get(tenant, (b"", 0.0))
        if self._clock() >= expires_at:
            statement = select(tenants.c.wrapped_key).where(tenants.c.tenant_id == tenant)
            key = self._store.read_now(lambda connection: connection.execute(statement).scalar_one_or_none()) or b""
            if len(self._keys) >= MAX_CACHED:
                self._keys.clear()
            self._keys[tenant] = (key, self._clock() + TTL_S)
        if not key:
            raise NotFound("The tenant has no key any more.")
        return key
