"""Looking at agents: what they say now beside what was approved; a difference puts them in quarantine."""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, insert, select, update

from core.context import Principal
from core.errors import Conflict, Unauthorized, Unavailable
from engine.agents.a2a_client import A2aClient
from engine.agents.live import Live, LiveAgents
from engine.agents.mcp_client import AgentFault, McpClient
from engine.agents.pins import MAX_DOCUMENT_CHARS, NOTHING, Change, Document, a2a_document, diff, mcp_document
from engine.agents.registry import ACTIVE, MCP, QUARANTINED, Agent, AgentRegistry
from engine.store.db import Store
from engine.store.tables import agent_pins, agents

log = logging.getLogger("headwater.agents")


Ask = Callable[[Agent, str], Awaitable[None]]
"""Tells people that an agent says something new, by the digest of it. Told again, it tells nobody twice."""


async def nobody_is_asked(agent: Agent, digest: str) -> None:
    """Where approvals are not kept, people find changes by themselves."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What an agent says now, and how that differs from what was approved."""

    document: Document
    changes: list[Change]
    status: str
    latency_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Pending:
    """What waits for a person."""

    status: str
    pinned_digest: str
    digest: str  # of what the agent says now; empty: nothing is new
    seen_at: float | None
    approved_by: str
    approved_at: float | None
    changes: list[Change]


class Looks:
    """Fetches what agents say, pins the first of it, and compares what comes later."""

    def __init__(
        self,
        store: Store,
        registry: AgentRegistry,
        live: LiveAgents,
        a2a: A2aClient,
        mcp: McpClient,
        *,
        clock: Callable[[], float] = time.time,
    ):
        self._store = store
        self._registry = registry
        self._live = live
        self._a2a = a2a
        self._mcp = mcp
        self._clock = clock
        self.ask: Ask = nobody_is_asked

    async def look(self, by: Principal, agent_id: str) -> Seen:
        """Ask an agent what it says of itself. Raises Conflict for our own, and what calling it raises."""
        live = await self._live.get(by.tenant, agent_id)
        if not live.agent.is_external:
            raise Conflict("This agent is our own: there is nobody to ask.")
        started = time.perf_counter()
        document = await self._fetch(by, live)
        latency_ms = (time.perf_counter() - started) * 1000
        return await self._compare(live, document, latency_ms)

    async def pinned(self, by: Principal, live: Live) -> Live:
        """The agent with what was approved of it; one that was never looked at is looked at now."""
        if live.is_pinned or not live.agent.is_external:
            return live
        live.check_open()
        await self.look(by, live.agent.agent_id)
        return await self._live.get(live.agent.tenant, live.agent.agent_id)

    async def pending(self, by: Principal, agent_id: str) -> Pending:
        """What is new of an agent since a person approved it."""
        agent = await self._registry.get(by, agent_id)
        row = await self._pin(by.tenant, agent_id)
        if row is None:
            return Pending(agent.status, "", "", None, "", None, [])
        before = Document.parse(row.document) if row.document else NOTHING
        after = Document.parse(row.seen_document) if row.seen_document else before
        return Pending(
            status=agent.status,
            pinned_digest=row.digest,
            digest=row.seen_digest,
            seen_at=row.seen_at,
            approved_by=row.approved_by,
            approved_at=row.approved_at,
            changes=diff(before, after) if row.seen_document else [],
        )

    async def approve(self, by: Principal, agent_id: str, digest: str) -> Pending:
        """Take what the agent says now as approved, and let it out. Raises Conflict where that is not what was read."""
        check_person(by)
        await self._registry.get(by, agent_id)
        await self._store.write(self.approval(by, agent_id, digest))
        self._live.forget(by.tenant, agent_id)
        return await self.pending(by, agent_id)

    def approval(self, by: Principal, agent_id: str, digest: str) -> Callable[[Connection], None]:
        """What an approval brings about, in whoever's transaction. It raises Conflict when it is too late."""
        now = self._clock()

        def work(connection: Connection) -> None:
            row = connection.execute(_one(by.tenant, agent_id).with_for_update()).first()
            now_said = None if row is None else (row.seen_digest if row.seen_document else row.digest)
            if row is None or not now_said or now_said != digest:
                raise _stale()
            values = {"document": row.seen_document or row.document, "digest": now_said}
            values |= {"seen_document": "", "seen_digest": ""}
            approval = {"approved_by": by.subject, "approved_at": now, "rejected_digest": ""}
            connection.execute(update(agent_pins).where(_is(by.tenant, agent_id)).values(**values, **approval))
            there = and_(agents.c.tenant_id == by.tenant, agents.c.agent_id == agent_id)
            held = update(agents).where(there, agents.c.status == QUARANTINED)
            connection.execute(held.values(status=ACTIVE, version=agents.c.version + 1, updated_at=now))

        return work

    async def reject(self, by: Principal, agent_id: str, digest: str) -> Pending:
        """Refuse what the agent says now: it stays in quarantine until it says what was approved, or something new."""
        check_person(by)
        await self._registry.get(by, agent_id)

        def work(connection: Connection) -> bool:
            here = and_(_is(by.tenant, agent_id), agent_pins.c.seen_digest == digest, agent_pins.c.seen_document != "")
            return connection.execute(update(agent_pins).where(here).values(rejected_digest=digest)).rowcount == 1

        if not await self._store.write(work):
            raise _stale()
        await self._registry.set_status(by.tenant, agent_id, QUARANTINED)
        self._live.forget(by.tenant, agent_id)
        return await self.pending(by, agent_id)

    async def quarantine(self, tenant: str, agent_id: str) -> None:
        """Stop calls at once: the agent has just answered with something that nobody approved."""
        log.warning("agent %s of tenant %s says what nobody approved: quarantined", agent_id, tenant)
        await self._registry.set_status(tenant, agent_id, QUARANTINED, only_from=ACTIVE)
        due = update(agents).where(agents.c.tenant_id == tenant, agents.c.agent_id == agent_id)
        await self._store.write(lambda connection: connection.execute(due.values(check_due_at=self._clock())))
        self._live.forget(tenant, agent_id)

    async def _fetch(self, by: Principal, live: Live) -> Document:
        if live.agent.protocol != MCP:
            document = a2a_document(await self._a2a.card(by, live))
        else:
            try:
                tools = await self._mcp.list(by, live, "tools", is_look=True)
                prompts = await self._mcp.list(by, live, "prompts", is_look=True)
                instructions = await self._instructions(by, live)
            except AgentFault:
                raise Unavailable("The agent refuses to list its tools.") from None
            document = mcp_document(instructions, tools, prompts)
        if len(document.text) > MAX_DOCUMENT_CHARS:
            raise Unavailable("What the agent says of itself is too long to be read by a person.")
        return document

    async def _instructions(self, by: Principal, live: Live) -> str:
        try:
            return await self._mcp.instructions(by, live)
        except AgentFault:
            return ""

    async def _compare(self, live: Live, document: Document, latency_ms: float) -> Seen:
        """Write down what was seen: as the pin, where there is none and new agents are trusted, else beside it."""
        agent, now = live.agent, self._clock()
        is_held = agent.status == QUARANTINED

        def work(connection: Connection) -> str:
            row = connection.execute(_one(agent.tenant, agent.agent_id).with_for_update()).first()
            pinned = Document.parse(row.document) if row is not None and row.document else NOTHING
            is_first, is_same = not pinned.parts, pinned.digest == document.digest
            if is_same or (is_first and not is_held):
                kept, seen = document, None
            else:
                kept, seen = pinned, document
            values = _values(kept, seen, now)
            if row is None:
                ids = {"tenant_id": agent.tenant, "agent_id": agent.agent_id}
                connection.execute(insert(agent_pins).values(**ids, **values, approved_by="", rejected_digest=""))
            else:
                connection.execute(update(agent_pins).where(_is(agent.tenant, agent.agent_id)).values(**values))
            return "same" if seen is None else "differs"

        outcome = await self._store.write(work)
        status = agent.status
        if outcome == "differs":
            await self.ask(agent, document.digest)
        if outcome == "differs" and await self._registry.set_status(
            agent.tenant, agent.agent_id, QUARANTINED, only_from=ACTIVE
        ):
            log.warning("agent %s of tenant %s has changed: quarantined", agent.agent_id, agent.tenant)
            status = QUARANTINED
        self._live.forget(agent.tenant, agent.agent_id)
        changes = [] if outcome == "same" else diff(live.pinned, document)
        return Seen(document, changes, status, latency_ms)

    async def _pin(self, tenant: str, agent_id: str) -> Any:
        return await self._store.read(lambda connection: connection.execute(_one(tenant, agent_id)).first())


def check_person(by: Principal) -> None:
    """Agents approve nothing, and set no credentials and limits: people do. Raises Unauthorized."""
    if by.via == "agent":
        raise Unauthorized("A person does this: not an agent, whoever it acts for.", hint="Sign in as yourself.")


def _values(kept: Document, seen: Document | None, now: float) -> dict[str, Any]:
    return {
        "document": kept.text if kept.parts else "",
        "digest": kept.digest if kept.parts else "",
        "seen_document": seen.text if seen is not None else "",
        "seen_digest": seen.digest if seen is not None else "",
        "seen_at": now,
    }


def _is(tenant: str, agent_id: str) -> Any:
    return and_(agent_pins.c.tenant_id == tenant, agent_pins.c.agent_id == agent_id)


def _one(tenant: str, agent_id: str) -> Any:
    return select(agent_pins).where(_is(tenant, agent_id))


def _stale() -> Conflict:
    return Conflict("That is not what the agent says now.", hint="Read get_agent_changes again, and give its digest.")
