"""Quotas of tenants: requests per minute and concurrent queries, by tier, exact across processes."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from core.context import Principal
from core.errors import RateLimited
from core.tool import Tool
from engine.quotas.leases import Leases
from engine.quotas.ledger import Ledger
from engine.quotas.slots import Slots
from engine.quotas.tiers import Tier, Tiers
from engine.quotas.windows import Window
from engine.store.db import Store

CALLS = "calls"
QUERIES = "queries"
Count = Callable[[Principal, Tool], Awaitable[None]]
"""Counts a request that may go on. Raises QuotaExceeded."""

BUSY_RETRY_S = 1.0  # when a running query ends cannot be known


class Quotas:
    """Implements the gate's `Limits`. Keyed on the tenant of the token, whatever its subject or face.

    Never more than a tier's requests pass in any span of 60 s, counted over all processes that share
    the ledger; one caller alone can use them all at once. See `engine.quotas.windows`."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        *,
        slots: Slots | None = None,
        count: Count | None = None,
        clock: Callable[[], float] = time.time,
    ):
        self._tiers = Tiers(store)
        self._ledger = ledger
        self._leases = Leases(ledger, clock=clock)
        self._slots = slots or Slots(ledger)
        self._count = count
        self._windows: dict[int, Window] = {}

    async def take(self, principal: Principal, tool: Tool) -> None:
        """Use one request of the tenant's tier and quota, or raise RateLimited or QuotaExceeded."""
        tier = self._tiers.cached(principal.tenant) or await self._tiers.of(principal.tenant)
        limit = tier.requests_per_minute
        if limit is not None:
            window = self._windows.get(limit) or self._windows.setdefault(limit, Window(limit))
            await self._leases.take(principal.tenant, CALLS, window)
        if self._count is not None:
            await self._count(principal, tool)

    @asynccontextmanager
    async def query_slot(self, principal: Principal) -> AsyncIterator[None]:
        """Run a query inside. Raises RateLimited when the tenant has as many running as its tier allows."""
        cap = (await self._tiers.of(principal.tenant)).concurrent_queries
        if cap is None:
            yield
            return
        async with self._slots.hold(principal.tenant, QUERIES, cap) as is_held:
            if not is_held:
                raise RateLimited(
                    f"{cap} queries of your tenant are running, as many as its tier allows.",
                    hint="Retry when one has ended.",
                    retry_after_s=BUSY_RETRY_S,
                )
            yield

    async def tier(self, tenant: str) -> Tier:
        """What a tenant may use."""
        return await self._tiers.of(tenant)

    async def close(self) -> None:
        """Give back unspent tokens and end the heartbeat."""
        await self._leases.close()
        await self._slots.close()
        await self._ledger.close()
