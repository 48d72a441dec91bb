"""Tiers: how much a tenant may ask, read from the store at most every 2 s."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, select

from engine.store.db import Store
from engine.store.tables import tenants

TTL_S = 2.0
MAX_CACHED = 10_000


@dataclass(frozen=True, slots=True)
class Tier:
    """What a tenant may use; None is without limit."""

    requests_per_minute: int | None
    concurrent_queries: int | None


TIERS = {"free": Tier(60, 5), "pro": Tier(600, 25), "enterprise": Tier(None, None)}
LOWEST = TIERS["free"]  # also for a tenant or tier that is not known


class Tiers:
    """The tiers of tenants, with what was set for the tenant itself in place of the tier's own."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.monotonic):
        self._store = store
        self._clock = clock
        self._known: dict[str, tuple[Tier, float]] = {}
        self._reading: dict[str, asyncio.Task[Tier]] = {}

    def cached(self, tenant: str) -> Tier | None:
        """The tier if it was read within the last 2 s."""
        known = self._known.get(tenant)
        return known[0] if known is not None and self._clock() < known[1] else None

    async def of(self, tenant: str) -> Tier:
        """The tier of a tenant. Concurrent callers share one read."""
        tier = self.cached(tenant)
        if tier is not None:
            return tier
        reading = self._reading.get(tenant)
        if reading is None:
            reading = asyncio.create_task(self._read(tenant))
            self._reading[tenant] = reading
            reading.add_done_callback(lambda task: self._reading.pop(tenant))
        return await asyncio.shield(reading)

    async def _read(self, tenant: str) -> Tier:
        tier = await self._store.read(lambda connection: read_tier(connection, tenant))
        if len(self._known) >= MAX_CACHED:
            self._known.clear()
        self._known[tenant] = (tier, self._clock() + TTL_S)
        return tier


def read_tier(connection: Connection, tenant: str) -> Tier:
    statement = select(tenants.c.tier, tenants.c.max_requests_per_minute, tenants.c.max_concurrent_queries)
    row = connection.execute(statement.where(tenants.c.tenant_id == tenant)).one_or_none()
    if row is None:
        return LOWEST
    tier = TIERS.get(row.tier, LOWEST)
    return Tier(
        requests_per_minute=_first(row.max_requests_per_minute, tier.requests_per_minute),
        concurrent_queries=_first(row.max_concurrent_queries, tier.concurrent_queries),
    )


def _first(own: int | None, tiers: int | None) -> int | None:
    return tiers if own is None else own
