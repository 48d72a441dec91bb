"""Where limits are kept so that they hold across processes: what a ledger does, and the one in the store."""

import json
import time
from collections.abc import Callable, Collection
from typing import Protocol

from sqlalchemy import Connection, delete, func, insert, select, text, update

from engine.quotas.windows import Ask, Grants, Lease, Window, lease
from engine.store.db import Store
from engine.store.tables import slots, windows


class Ledger(Protocol):
    """Leases tokens of windows and holds slots, exactly, for any number of processes."""

    async def lease(self, tenant: str, purpose: str, window: Window, ask: Ask) -> Lease:
        """Take tokens, fewer than needed where there are not enough."""
        ...

    async def claim(self, tenant: str, purpose: str, slot_id: str, *, cap: int, lease_s: float) -> bool:
        """Take one of `cap` slots; false when all are held."""
        ...

    async def renew(self, tenant: str, purpose: str, slot_ids: Collection[str], *, lease_s: float) -> None:
        """Keep slots that are still held."""
        ...

    async def release(self, tenant: str, purpose: str, slot_id: str) -> None:
        """Give a slot back."""
        ...

    async def close(self) -> None: ...


INSERT_WINDOW = text(
    "INSERT INTO limit_window (tenant_id, purpose, grants, updated_at) VALUES (:tenant, :purpose, '[]', :now)"
    " ON CONFLICT DO NOTHING"
)


class SqlLedger:
    """The ledger in the platform's store: one locked row for each tenant and purpose."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time):
        self._store = store
        self._clock = clock

    async def lease(self, tenant: str, purpose: str, window: Window, ask: Ask) -> Lease:
        def work(connection: Connection) -> Lease:
            before = self._lock(connection, tenant, purpose)
            now = self._clock()  # read under the lock, so that slices never run backwards on one machine
            leased, after = lease(window, before, now, ask)
            if after != before:
                change = update(windows).where(windows.c.tenant_id == tenant, windows.c.purpose == purpose)
                connection.execute(change.values(grants=json.dumps(after), updated_at=now))
            return leased

        return await self._store.write(work)

    async def claim(self, tenant: str, purpose: str, slot_id: str, *, cap: int, lease_s: float) -> bool:
        def work(connection: Connection) -> bool:
            self._lock(connection, tenant, purpose)
            now = self._clock()
            ours = (slots.c.tenant_id == tenant, slots.c.purpose == purpose)
            connection.execute(delete(slots).where(*ours, slots.c.expires_at <= now))
            held = connection.execute(select(func.count()).select_from(slots).where(*ours)).scalar_one()
            if held >= cap:
                return False
            row = {"tenant_id": tenant, "slot_id": slot_id, "purpose": purpose, "expires_at": now + lease_s}
            connection.execute(insert(slots).values(row))
            return True

        return await self._store.write(work)

    async def renew(self, tenant: str, purpose: str, slot_ids: Collection[str], *, lease_s: float) -> None:
        held = (slots.c.tenant_id == tenant, slots.c.slot_id.in_(slot_ids))
        change = update(slots).where(*held).values(expires_at=self._clock() + lease_s)
        await self._store.write(lambda connection: connection.execute(change))

    async def release(self, tenant: str, purpose: str, slot_id: str) -> None:
        gone = delete(slots).where(slots.c.tenant_id == tenant, slots.c.slot_id == slot_id)
        await self._store.write(lambda connection: connection.execute(gone))

    async def close(self) -> None:
        """The store is closed by whoever opened it."""

    def _lock(self, connection: Connection, tenant: str, purpose: str) -> Grants:
        """The window's grants, locked until the transaction ends."""
        if connection.dialect.name == "postgresql":
            # A crash of the server may forget the last grants, never a lock: worth a disk flush less per lease.
            connection.execute(text("SET LOCAL synchronous_commit TO OFF"))
        wanted = select(windows.c.grants).where(windows.c.tenant_id == tenant, windows.c.purpose == purpose)
        found = connection.execute(wanted.with_for_update()).scalar_one_or_none()
        if found is None:
            connection.execute(INSERT_WINDOW, {"tenant": tenant, "purpose": purpose, "now": self._clock()})
            found = connection.execute(wanted.with_for_update()).scalar_one()
        return [(number, count) for number, count in json.loads(found)]
