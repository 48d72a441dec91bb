"""One load for all who wait for it, and values per tenant that are reloaded after a moment."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

DEFAULT_TTL_S = 2.0
DEFAULT_CAPACITY = 512


class Flights(Generic[K, T]):
    """Joins concurrent loads of one key. A caller that goes away does not stop the load of the others."""

    def __init__(self) -> None:
        self._running: dict[K, asyncio.Task[T]] = {}

    async def join(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of the load under way, or of one started now."""
        task = self._running.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(work())
            self._running[key] = task
            task.add_done_callback(lambda done: self._land(key, done))
        return await asyncio.shield(task)

    def forget(self, key: K) -> None:
        """Let later callers start a load of their own."""
        self._running.pop(key, None)

    async def settle(self) -> None:
        """Wait for all that is under way, however it ends."""
        if self._running:
            await asyncio.wait(self._running.values())

    def _land(self, key: K, task: asyncio.Task[T]) -> None:
        if self._running.get(key) is task:
            del self._running[key]
        if not task.cancelled():
            task.exception()  # marks it as seen: all callers may have gone away


class TenantCache(Generic[T]):
    """A value per tenant, at most `ttl_s` old; what another process wrote is seen after that time."""

    def __init__(
        self,
        load: Callable[[str, T | None], Awaitable[T]],
        *,
        ttl_s: float = DEFAULT_TTL_S,
        capacity: int = DEFAULT_CAPACITY,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._load = load
        self._ttl_s = ttl_s
        self._capacity = capacity
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, T]] = OrderedDict()
        self._flights: Flights[str, T] = Flights()
        self._changes = 0

    async def get(self, tenant: str) -> T:
        entry = self._entries.get(tenant)
        if entry is not None and self._clock() - entry[0] < self._ttl_s:
            self._entries.move_to_end(tenant)
            return entry[1]
        return await self._flights.join(tenant, lambda: self._reload(tenant))

    def forget(self, tenant: str) -> None:
        """Call after a write of this process: the next `get` reads the store."""
        self._changes += 1
        self._entries.pop(tenant, None)
        self._flights.forget(tenant)

    async def _reload(self, tenant: str) -> T:
        changes, started = self._changes, self._clock()
        entry = self._entries.get(tenant)
        value = await self._load(tenant, entry[1] if entry else None)
        # A load that began before a write could put back what the write replaced.
        if changes == self._changes:
            self._entries[tenant] = (started, value)
            self._entries.move_to_end(tenant)
            while len(self._entries) > self._capacity:
                self._entries.popitem(last=False)
        return value
