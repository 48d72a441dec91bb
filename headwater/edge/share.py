"""Who runs next: slots and engines of one data plane, shared fairly between tenants."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from core.errors import Unavailable

Key = tuple[str, str]
"""Tenant and connection: what has an engine of its own."""


@dataclass(slots=True)
class _Waiting:
    key: Key
    turn: "asyncio.Future[None]"


class FairShare:
    """Tenants take turns, however many statements each has waiting, and none can hold every slot.

    `engines` bounds the connections that run at once: each has memory of its own."""

    def __init__(self, *, slots: int, per_tenant: int, engines: int):
        self._slots = slots
        self._per_tenant = per_tenant
        self._engines = engines
        self._running: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[_Waiting]] = OrderedDict()
        self.busy: Counter[Key] = Counter()

    @property
    def running(self) -> int:
        return self._running.total()

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    @asynccontextmanager
    async def turn(self, key: Key, *, patience_s: float) -> AsyncIterator[None]:
        """Hold a slot. Raises Unavailable when none came free in time."""
        await self._wait(key, patience_s)
        try:
            yield
        finally:
            self._leave(key)

    async def _wait(self, key: Key, patience_s: float) -> None:
        entry = _Waiting(key, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(key[0], deque()).append(entry)
        self._admit()
        try:
            # Not wait_for: before Python 3.12 it forgets a cancellation that comes together with the turn.
            await asyncio.wait({entry.turn}, timeout=patience_s)
        except asyncio.CancelledError:
            if entry.turn.done():
                self._leave(key)
            else:
                self._forget(entry)
            raise
        if not entry.turn.done():
            self._forget(entry)
            raise _busy()

    def _admit(self) -> None:
        """Start whoever may start, one of each tenant in turn."""
        is_moving = True
        while is_moving and self.running < self._slots:
            is_moving = False
            for tenant in list(self._waiting):
                if self.running < self._slots and self._start_one(tenant):
                    is_moving = True

    def _start_one(self, tenant: str) -> bool:
        queue = self._waiting[tenant]
        if self._running[tenant] >= self._per_tenant:
            return False
        entry = next((item for item in queue if self._has_engine(item.key)), None)
        if entry is None:
            return False
        self._running[tenant] += 1
        self.busy[entry.key] += 1
        self._waiting.move_to_end(tenant)
        self._remove(entry)
        entry.turn.set_result(None)
        return True

    def _has_engine(self, key: Key) -> bool:
        return key in self.busy or len(self.busy) < self._engines

    def _leave(self, key: Key) -> None:
        self._running[key[0]] -= 1
        self.busy[key] -= 1
        if not self.busy[key]:
            del self.busy[key]
        self._admit()

    def _forget(self, entry: _Waiting) -> None:
        self._remove(entry)
        self._admit()

    def _remove(self, entry: _Waiting) -> None:
        queue = self._waiting[entry.key[0]]
        queue.remove(entry)
        if not queue:
            del self._waiting[entry.key[0]]


def _busy() -> Unavailable:
    return Unavailable("Too many queries run now.", hint="Retry in a moment.", retry_after_s=1.0)
