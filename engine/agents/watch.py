"""Looks at every agent now and then: whether it answers, and whether it still says what was approved."""

import asyncio
import logging
import time
from collections.abc import Callable

from sqlalchemy import ColumnElement, Connection, or_, select, update

from core.context import Principal
from core.errors import Conflict, NotFound, PlatformError, Unavailable
from engine.agents.looks import Looks
from engine.store.db import Store
from engine.store.tables import agents

log = logging.getLogger("headwater.agents")

EVERY_S = 60.0
LOOK_S = 20.0
ROUND_S = 5.0
AT_ONCE = 8


class AgentWatch:
    """Keeps health fresh. Several processes share the work: each agent is looked at by one of them at a time."""

    def __init__(self, store: Store, looks: Looks, *, every_s: float = EVERY_S, clock: Callable[[], float] = time.time):
        self._store = store
        self._looks = looks
        self._every_s = every_s
        self._clock = clock
        self._stopped = asyncio.Event()

    async def serve(self) -> None:
        """Look until `stop` is called."""
        while not self._stopped.is_set():
            try:
                await self.look_round()
            except Unavailable as error:
                log.warning("agents were not looked at: %s", error.message)
            try:
                await asyncio.wait_for(self._stopped.wait(), ROUND_S)
            except TimeoutError:
                continue

    def stop(self) -> None:
        self._stopped.set()

    async def look_round(self) -> int:
        """Look at the agents whose turn it is, a few at a time; says how many they were."""
        due = await self._store.read(self._due)
        mine = await self._store.write(lambda connection: self._claim(connection, due)) if due else []
        await asyncio.gather(*(self._look(tenant, agent_id) for tenant, agent_id in mine))
        return len(mine)

    def _due(self, connection: Connection) -> list[tuple[str, str]]:
        query = select(agents.c.tenant_id, agents.c.agent_id).where(self._is_due(self._clock()))
        rows = connection.execute(query.order_by(agents.c.check_due_at).limit(AT_ONCE)).all()
        return [(row.tenant_id, row.agent_id) for row in rows]

    def _claim(self, connection: Connection, due: list[tuple[str, str]]) -> list[tuple[str, str]]:
        now, claimed = self._clock(), []
        for tenant, agent_id in due:
            there = (agents.c.tenant_id == tenant, agents.c.agent_id == agent_id, self._is_due(now))
            changed = update(agents).where(*there).values(check_due_at=now + self._every_s)
            if connection.execute(changed).rowcount == 1:
                claimed.append((tenant, agent_id))
        return claimed

    def _is_due(self, now: float) -> ColumnElement[bool]:
        """Its time has come, or is further away than any is ever set: a clock was put back meanwhile."""
        due = agents.c.check_due_at
        return or_(due <= now, due > now + 2 * self._every_s)

    async def _look(self, tenant: str, agent_id: str) -> None:
        health = "healthy"
        try:
            async with asyncio.timeout(LOOK_S):
                await self._looks.look(Principal("", tenant), agent_id)
        except (NotFound, Conflict):
            return
        except (PlatformError, TimeoutError):
            health = "unreachable"
        there = (agents.c.tenant_id == tenant, agents.c.agent_id == agent_id)
        noted = update(agents).where(*there).values(health=health, health_at=self._clock())
        await self._store.write(lambda connection: connection.execute(noted))
