"""What a call must know of an agent, read together and kept for 2 s."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, and_, select

from core.errors import Conflict, Unavailable
from engine.agents.limits import RateLimit, read_limit
from engine.agents.pins import NOTHING, Document
from engine.agents.registry import DISABLED, QUARANTINED, Agent, missing, read_agent
from engine.store.db import Store
from engine.store.tables import agent_pins, agents

TTL_S = 2.0
MAX_KEPT = 5_000


@dataclass(frozen=True, slots=True)
class Live:
    """An agent with what was approved of it and what it may be asked."""

    agent: Agent
    pinned: Document
    limit: RateLimit

    @property
    def key(self) -> tuple[str, str]:
        return self.agent.tenant, self.agent.agent_id

    @property
    def is_pinned(self) -> bool:
        return bool(self.pinned.parts)

    def check_open(self) -> None:
        """Raises Conflict in quarantine, Unavailable where it is turned off."""
        if self.agent.status == QUARANTINED:
            hint = "get_agent_changes shows what is new; a person lets it out with approve_agent_change."
            raise Conflict("The agent is in quarantine: what it says of itself is not approved.", hint=hint)
        if self.agent.status == DISABLED:
            raise Unavailable("The agent is turned off.", hint="update_agent turns it on again.")


class LiveAgents:
    """Agents as calls need them. Changes are seen here at once, and in other processes within 2 s."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.monotonic):
        self._store = store
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[float, Live]] = {}
        self._documents: dict[str, Document] = {}

    async def get(self, tenant: str, agent_id: str) -> Live:
        """Raises NotFound."""
        known = self._known.get((tenant, agent_id))
        if known is not None and self._clock() < known[0]:
            return known[1]
        live = await self._store.read(lambda connection: self._read(connection, tenant, agent_id))
        if len(self._known) >= MAX_KEPT:
            self._known.clear()
            self._documents.clear()
        self._known[tenant, agent_id] = (self._clock() + TTL_S, live)
        return live

    def forget(self, tenant: str, agent_id: str) -> None:
        self._known.pop((tenant, agent_id), None)

    def _read(self, connection: Connection, tenant: str, agent_id: str) -> Live:
        where = and_(agents.c.tenant_id == tenant, agents.c.agent_id == agent_id, agents.c.archived_at.is_(None))
        row = connection.execute(select(agents).where(where)).first()
        if row is None:
            raise missing(agent_id)
        pin = select(agent_pins.c.document, agent_pins.c.digest)
        pinned = connection.execute(
            pin.where(agent_pins.c.tenant_id == tenant, agent_pins.c.agent_id == agent_id)
        ).first()
        document = NOTHING if pinned is None or not pinned.document else self._document(*pinned)
        return Live(read_agent(row), document, read_limit(connection, tenant, agent_id))

    def _document(self, text: str, digest: str) -> Document:
        """A document by its digest: parsing one with many tools takes longer than all else."""
        if digest not in self._documents:
            self._documents[digest] = Document.parse(text)
        return self._documents[digest]
