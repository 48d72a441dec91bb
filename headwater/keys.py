"""Rotation of keys, in the words of the command line."""

import os
from pathlib import Path

from sqlalchemy import Connection, select, update

from core.errors import Conflict, NotFound, PlatformError
from core.settings import Settings
from engine.identity.signing import SigningKeys
from engine.identity.vault import SealBroken, Vault, load_root_key
from engine.store.db import Store
from engine.store.migrate import upgrade
from engine.store.tables import tenants
from headwater.build import store_url
from headwater.running import running

NEXT = "root.key.next"
T = tenants.c


def rotate_root(settings: Settings) -> str:
    """Put a new root key in the place of the present one; what it wraps is wrapped again. No server may run.

    The new key is written down beside the old one before the store changes, so that whatever is interrupted can be
    ended by the same command: the file whose key opens the store is the one that stays."""
    for server in running(settings.home):
        raise Conflict(
            f"A server runs on {settings.home}: {server}.", hint=f"`headwater stop --home {settings.home}` ends it."
        )
    store = _open(settings)
    try:
        path = settings.home / "keys" / "root.key"
        draft = path.with_name(NEXT)
        if draft.exists() and _opens(store, draft):
            draft.replace(path)
            return "Ended the rotation that was interrupted: the new root key is in its place."
        vault = Vault(load_root_key(settings.home))
        _write(draft, vault.new_root())
        count = store.write_now(lambda connection: _rewrap(connection, vault, Vault(draft.read_bytes())))
        draft.replace(path)
    finally:
        store.close()
    return (
        f"The root key is a new one; the keys of {count} tenants are wrapped by it.\n"
        "Backups from before hold the old one: make a new one with `headwater backup`.\n"
        "On other machines that share the store, put the new keys/root.key there before they start."
    )


def rotate_signing(settings: Settings) -> str:
    """A new signing key for tokens. Servers take it up within seconds; living tokens stay good."""
    store = _open(settings)
    try:
        kid = SigningKeys(store=store, vault=Vault(load_root_key(settings.home))).renew_now()
    finally:
        store.close()
    return f"Tokens are signed with the key {kid} from now on; those that live stay good until they expire."


def rotate_tenant(settings: Settings, tenant: str) -> str:
    """A new data key for a tenant. What is sealed from now on is sealed with it; what was before still opens."""
    store = _open(settings)
    vault = Vault(load_root_key(settings.home))

    def work(connection: Connection) -> None:
        key = connection.scalar(select(T.wrapped_key).where(T.tenant_id == tenant).with_for_update())
        if not key:
            raise NotFound(
                f"No tenant {tenant[:64]!r}, or its key is gone.", hint="`headwater list-tenants` shows them."
            )
        renewed = vault.renew_tenant_key(bytes(key))
        connection.execute(update(tenants).where(T.tenant_id == tenant).values(wrapped_key=renewed))

    try:
        store.write_now(work)
    finally:
        store.close()
    return f"The tenant {tenant} has a new data key; servers seal with it within two seconds."


def _open(settings: Settings) -> Store:
    upgrade(store_url(settings))
    return Store(store_url(settings), pool_size=1)


def _rewrap(connection: Connection, vault: Vault, other: Vault) -> int:
    found = connection.execute(select(T.tenant_id, T.wrapped_key).with_for_update()).all()
    for tenant, key in found:
        wrapped = vault.rewrap(bytes(key), other)
        connection.execute(update(tenants).where(T.tenant_id == tenant).values(wrapped_key=wrapped))
    return sum(bool(key) for _, key in found)


def _opens(store: Store, path: Path) -> bool:
    living = select(T.wrapped_key).where(T.wrapped_key != b"").limit(1)
    key = store.read_now(lambda connection: connection.scalar(living))
    try:
        Vault(path.read_bytes()).tenant_purpose_key(bytes(key or b""), "check")
    except (PlatformError, SealBroken, ValueError):
        return False
    return True


def _write(path: Path, key: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
