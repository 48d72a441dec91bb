"""Whose turn it is to write: one write of a table at a time, a few of a tenant, and not many in all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

IN_ALL = 4  # each may use the memory of its bench
OF_TENANT = 3  # so that one tenant never has them all


class Turns:
    """Of one process; writers in others meet at the commit."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(IN_ALL)
        self._tenants: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._tables: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def take(self, tenant: str, table: str) -> AsyncIterator[None]:
        """Wait for a turn and hold it. Writers of one table would only make each other's commits void."""
        own = self._tables.setdefault((tenant, table), asyncio.Lock())
        shared = self._tenants.setdefault(tenant, asyncio.Semaphore(OF_TENANT))
        async with own, shared, self._all:
            yield
