"""How much may be asked of an agent: requests in three windows, and calls at once."""

import asyncio
import hashlib
import math
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from sqlalchemy import Connection, delete, insert, select

from core.errors import RateLimited
from engine.quotas.ledger import Ledger
from engine.quotas.slots import Slots
from engine.quotas.windows import Window
from engine.store.db import Store
from engine.store.tables import agent_limits

UNITS = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
SECOND_SLICES = 6
IDLE_S = 1.0  # how long a slot stays with this process after its call, for the next one
CALLS_AT_ONCE = 64


class Takes(Protocol):
    """Spends tokens of windows, exactly, for any number of processes."""

    async def take(self, tenant: str, purpose: str, window: Window) -> None: ...


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Requests that an agent may get, by unit of time."""

    limit_id: str
    per_second: Decimal
    per_minute: Decimal
    per_hour: Decimal

    def windows(self) -> list[tuple[str, Window]]:
        """The windows to count in, the longest first: it refuses most, and what it takes is lost least."""
        rates = {"hour": self.per_hour, "minute": self.per_minute, "second": self.per_second}
        return [(unit, window_of(rate, UNITS[unit])) for unit, rate in rates.items()]


DEFAULT = RateLimit("", Decimal(100), Decimal(3_000), Decimal(100_000))


def window_of(rate: Decimal, seconds: float) -> Window:
    """The window of a rate: whole requests in its unit, or one in as many units as it takes."""
    if rate <= 0:
        return Window(0, seconds)
    if rate < 1:
        return Window(1, float(Decimal(seconds) / rate))
    return Window(math.floor(rate), seconds, SECOND_SLICES) if seconds <= 1 else Window(math.floor(rate), seconds)


class AgentLimits:
    """Keeps the limits and holds callers to them."""

    def __init__(
        self,
        store: Store,
        takes: Takes,
        ledger: Ledger,
        *,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ):
        self._store = store
        self._takes = takes
        self._slots = Slots(ledger)
        self._clock = clock
        self._new_id = new_id
        self._idle = IdleSlots(self._slots)

    async def set(self, tenant: str, agent_id: str, limit: RateLimit) -> RateLimit:
        """Keep an agent's limits. It keeps its id."""

        def work(connection: Connection) -> RateLimit:
            before = read_limit(connection, tenant, agent_id)
            kept = RateLimit(before.limit_id or self._new_id(), limit.per_second, limit.per_minute, limit.per_hour)
            where = (agent_limits.c.tenant_id == tenant, agent_limits.c.agent_id == agent_id)
            connection.execute(delete(agent_limits).where(*where))
            row = {
                "tenant_id": tenant,
                "agent_id": agent_id,
                "limit_id": kept.limit_id,
                "per_second": f"{kept.per_second:f}",
                "per_minute": f"{kept.per_minute:f}",
                "per_hour": f"{kept.per_hour:f}",
                "updated_at": self._clock(),
            }
            connection.execute(insert(agent_limits).values(row))
            return kept

        return await self._store.write(work)

    async def get(self, tenant: str, agent_id: str) -> RateLimit:
        """An agent's limits, or those of every agent."""
        return await self._store.read(lambda connection: read_limit(connection, tenant, agent_id))

    async def take(self, tenant: str, agent_id: str, limit: RateLimit) -> None:
        """Spend one request. Raises RateLimited."""
        for unit, window in limit.windows():
            try:
                await self._takes.take(tenant, purpose(agent_id, unit), window)
            except RateLimited as error:
                raise RateLimited(
                    f"The agent's limit of {window.limit} requests per {_span(window, unit)} is reached.",
                    hint="Retry later; update_agent_rate_limit sets the limits.",
                    retry_after_s=error.retry_after_s,
                ) from None

    @asynccontextmanager
    async def slot(self, tenant: str, agent_id: str, *, cap: int = CALLS_AT_ONCE) -> AsyncIterator[None]:
        """Call an agent inside. Raises RateLimited when as many calls run, in all processes, as it may have."""
        held = await self._idle.take(tenant, purpose(agent_id, "slots"), cap)
        if held is None:
            raise RateLimited(
                f"{cap} calls of this agent are running, as many as it may have.",
                hint="Retry when one has ended.",
                retry_after_s=1.0,
            )
        try:
            yield
        finally:
            self._idle.give(tenant, purpose(agent_id, "slots"), held)

    async def close(self) -> None:
        await self._idle.close()
        await self._slots.close()


class IdleSlots:
    """Slots that this process keeps for a moment after a call, so that the next call need not ask the ledger."""

    def __init__(self, slots: Slots):
        self._slots = slots
        self._idle: dict[tuple[str, str], list[tuple[float, AsyncExitStack]]] = {}
        self._sweeping: asyncio.Task[None] | None = None

    async def take(self, tenant: str, purpose_: str, cap: int) -> AsyncExitStack | None:
        idle = self._idle.get((tenant, purpose_))
        if idle:
            return idle.pop()[1]
        async with AsyncExitStack() as stack:
            is_held = await stack.enter_async_context(self._slots.hold(tenant, purpose_, cap))
            if is_held:
                return stack.pop_all()
        return None

    def give(self, tenant: str, purpose_: str, held: AsyncExitStack) -> None:
        now = asyncio.get_running_loop().time()
        self._idle.setdefault((tenant, purpose_), []).append((now + IDLE_S, held))
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(self._sweep(), name="idle agent slots")

    async def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        for held in [held for idle in self._idle.values() for _, held in idle]:
            await held.aclose()
        self._idle.clear()

    async def _sweep(self) -> None:
        """Give back what was idle for too long; ends when nothing is left."""
        loop = asyncio.get_running_loop()
        while self._idle:
            await asyncio.sleep(IDLE_S / 2)
            for key, idle in list(self._idle.items()):
                due = [held for until, held in idle if until <= loop.time()]
                idle[:] = [(until, held) for until, held in idle if until > loop.time()]
                if not idle:
                    del self._idle[key]
                for held in due:
                    await held.aclose()


def purpose(agent_id: str, what: str) -> str:
    """Under which name an agent's use is counted; ids may be as long as the column is."""
    return f"ag:{what[:3]}:{agent_id}" if len(agent_id) <= 57 else f"ag:{what[:3]}:{_short(agent_id)}"


def _short(agent_id: str) -> str:
    return hashlib.sha256(agent_id.encode()).hexdigest()[:40]


def read_limit(connection: Connection, tenant: str, agent_id: str) -> RateLimit:
    where = (agent_limits.c.tenant_id == tenant, agent_limits.c.agent_id == agent_id)
    row = connection.execute(select(agent_limits).where(*where)).first()
    if row is None:
        return DEFAULT
    return RateLimit(row.limit_id, Decimal(row.per_second), Decimal(row.per_minute), Decimal(row.per_hour))


def _span(window: Window, unit: str) -> str:
    return unit if window.seconds == UNITS[unit] else f"{window.seconds:g} s"
