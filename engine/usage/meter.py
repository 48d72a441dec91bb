"""Counting requests: in memory, written every second; where a limit binds, leased from the store beforehand."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from core.context import Principal
from core.errors import PlatformError
from engine.store.db import Store
from engine.store.tables import tenants
from engine.usage.amounts import Amount, Who, said
from engine.usage.counters import add_all
from engine.usage.limits import Limit, bounds, exceeded, lock, note_soft, read_usage_limits
from engine.usage.periods import Periods, periods_at

log = logging.getLogger("headwater.usage")

FLUSH_S = 1.0
FRESH_S = 2.0  # how long a tenant's limits are believed
MAX_KNOWN = 10_000
MAX_BLOCK = 64
DAY_S = 86_400.0
Key = tuple[str, str]
"""Tenant and subject."""


@dataclass(slots=True)
class _Block:
    """Requests of one caller that were counted in the store and not made yet."""

    day: str
    left: int


class RequestMeter:
    """Counts every request once. No limit is passed, however many processes count.

    A process that is killed forgets at most a second of what it counted where nothing is limited."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time):
        self._store = store
        self._clock = clock
        self._counted: dict[tuple[Key, str], int] = {}  # by caller and day
        self._blocks: dict[Key, _Block] = {}
        self._limits: dict[str, tuple[float, Sequence[Limit]]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._flusher: asyncio.Task[None] | None = None
        self._today = (0.0, 0.0, "")

    async def take(self, by: Principal) -> None:
        """Count one request of somebody's. Raises QuotaExceeded."""
        now = self._clock()
        known = self._limits.get(by.tenant)
        limits = known[1] if known is not None and 0 <= now - known[0] < FRESH_S else await self._read(by.tenant)
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush_later(), name="requests counted")
        key, day = (by.tenant, by.subject), self._day_of(now)
        if not limits:
            self._counted[key, day] = self._counted.get((key, day), 0) + 1
            return
        block = self._blocks.get(key)
        if block is None or block.day != day or not block.left:
            await self._lease(key)
            return
        block.left -= 1

    def _day_of(self, now: float) -> str:
        """The day's name, worked out once a day: every call asks."""
        begins, ends, name = self._today
        if not begins <= now < ends:
            periods = periods_at(now)
            ends, name = periods.day_ends.timestamp(), periods.day
            self._today = (ends - DAY_S, ends, name)
        return name

    async def flush(self) -> None:
        """Write what was counted, and give back what was leased and not used."""
        counted, self._counted = self._counted, {}
        blocks, self._blocks = self._blocks, {}
        returned = {(key, block.day): -block.left for key, block in blocks.items() if block.left}
        amounts = {item: counted.get(item, 0) + returned.get(item, 0) for item in {*counted, *returned}}
        if not amounts:
            return
        try:
            await self._store.write(lambda connection: _write(connection, _of_the_living(connection, amounts)))
        except PlatformError:
            for item, count in amounts.items():
                self._counted[item] = self._counted.get(item, 0) + count
            log.warning("requests could not be counted yet; another try follows")

    async def close(self) -> None:
        if self._flusher is not None:
            self._flusher.cancel()
            await asyncio.wait([self._flusher])
        await self.flush()

    async def _flush_later(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            if not self._counted and not self._blocks:
                return
            # A cancellation must not lose what a half-done flush has taken out.
            await asyncio.shield(asyncio.ensure_future(self.flush()))

    async def _read(self, tenant: str) -> Sequence[Limit]:
        found = await self._store.read(lambda connection: read_usage_limits(connection, tenant))
        limits = [limit for limit in found if limit.metric == "requests"]
        if len(self._limits) >= MAX_KNOWN:
            self._limits.clear()
        self._limits[tenant] = (self._clock(), limits)
        return limits

    async def _lease(self, key: Key) -> None:
        async with self._locks.setdefault(key[0], asyncio.Lock()):
            block = self._blocks.get(key)
            if block is not None and block.left and block.day == periods_at(self._clock()).day:
                block.left -= 1  # leased by whoever waited before us
                return
            granted, day = await self._store.write(lambda connection: self._grant(connection, key))
            self._blocks[key] = _Block(day, granted - 1)

    def _grant(self, connection: Connection, key: Key) -> tuple[int, str]:
        who = Who(*key)
        lock(connection, who.tenant)
        now = periods_at(self._clock())
        limits = [limit for limit in read_usage_limits(connection, who.tenant) if limit.metric == "requests"]
        granted = MAX_BLOCK
        for bound in bounds(connection, who, limits, now):
            if bound.limit.hard is not None:
                left = bound.limit.hard - bound.used
                if left <= 0:
                    raise exceeded(bound, f"{said('requests', bound.used)} are used")
                granted = min(granted, max(1, left // 16))
        _add(connection, who, now, granted)
        note_soft(connection, who, now)
        return granted, now.day


def _of_the_living(connection: Connection, counts: dict[tuple[Key, str], int]) -> dict[tuple[Key, str], int]:
    """Without tenants that are archived: what is purged of them must not come back a second later."""
    named = {key[0] for key, _ in counts}
    gone = select(tenants.c.tenant_id).where(tenants.c.tenant_id.in_(named), tenants.c.archived_at.is_not(None))
    archived = set(connection.execute(gone).scalars())
    return {item: count for item, count in counts.items() if item[0][0] not in archived}


def _write(connection: Connection, counts: dict[tuple[Key, str], int]) -> None:
    amounts: dict[tuple[str, str, str, str], Amount] = {}
    for ((tenant, subject), day), count in counts.items():
        for scope in Who(tenant, subject).scopes:
            for period in (day, day[:7]):
                key = (tenant, *scope, period)
                amounts[key] = amounts.get(key, Amount()) + Amount(requests=count)
    add_all(connection, amounts)


def _add(connection: Connection, who: Who, now: Periods, count: int) -> None:
    _write(connection, {((who.tenant, who.subject), now.day): count})
