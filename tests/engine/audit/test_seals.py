"""Records are sealed under their tenant's key, and unreadable once it is gone."""

import pytest
from pytest import raises
from sqlalchemy import insert, update

from core.errors import NotFound
from engine.audit.seals import TenantSeals
from engine.identity.vault import Vault
from engine.store.db import Store
from engine.store.tables import tenants

VAULT = Vault(bytes(32))
pytestmark = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def add_tenant(store: Store, name: str) -> None:
    row = {"tenant_id": name, "name": name, "tier": "free", "version": 1, "created_at": 0.0}
    statement = insert(tenants).values(**row, wrapped_key=VAULT.new_tenant_key())
    store.write_now(lambda connection: connection.execute(statement))


def test_a_record_opens_only_for_its_own_tenant(store: Store) -> None:
    add_tenant(store, "acme")
    add_tenant(store, "other")
    seals = TenantSeals(store, VAULT)
    sealed = seals.seal("acme", b"data")
    assert seals.unseal("acme", sealed) == b"data"
    for stranger in ("other", ""):
        with raises(NotFound):
            seals.unseal(stranger, sealed)


def test_calls_without_a_tenant_are_sealed_for_the_platform(store: Store) -> None:
    seals = TenantSeals(store, VAULT)
    assert seals.unseal("", seals.seal("", b"data")) == b"data"


def test_a_shredded_key_is_forgotten_within_two_seconds(store: Store) -> None:
    add_tenant(store, "acme")
    clock = Clock()
    seals = TenantSeals(store, VAULT, clock=clock)
    sealed = seals.seal("acme", b"data")
    store.write_now(lambda connection: connection.execute(update(tenants).values(wrapped_key=b"")))
    clock.now += 2.0
    with raises(NotFound):
        seals.unseal("acme", sealed)
    with raises(NotFound):
        seals.seal("acme", b"data")


def test_an_unknown_tenant_has_no_key(store: Store) -> None:
    with raises(NotFound):
        TenantSeals(store, VAULT).seal("nobody", b"data")
