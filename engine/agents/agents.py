"""Agents as one part of the engine: who they are, what may be asked of them, and the way to them."""

import base64
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from core.context import Principal
from core.errors import NotFound, PlatformError
from core.pages import Window
from engine.agents.a2a_client import A2aClient
from engine.agents.breaker import Breakers
from engine.agents.credentials import Assertion, Credentials, Seal
from engine.agents.limits import AgentLimits
from engine.agents.live import MAX_KEPT, TTL_S, LiveAgents
from engine.agents.looks import Looks
from engine.agents.mcp_client import McpClient
from engine.agents.ownership import Ownership
from engine.agents.places import MAX_IN_PROJECT, ProjectAgents
from engine.agents.prompts import AgentPrompts
from engine.agents.registry import Agent, AgentRegistry, read_agent
from engine.agents.routing import Routing
from engine.agents.served import ServedTasks
from engine.agents.upstream import Upstream
from engine.agents.watch import AgentWatch
from engine.egress.client import EgressClient
from engine.quotas.leases import Leases
from engine.quotas.ledger import Ledger
from engine.store.db import Store

CHAT = "chat"  # in the place of an agent's id

CheckProject = Callable[[Principal, str], Awaitable[object]]
"""Raises NotFound unless the caller can see the project."""
SignDocument = Callable[[bytes, str], Awaitable[tuple[str, str]]]
"""Signs bytes with a key that is published at a URL: the protected header, and the signature."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What agents stand on."""

    store: Store
    egress: EgressClient
    ledger: Ledger
    seal: Seal
    unseal: Seal
    assertion: Assertion
    check_project: CheckProject
    sign_document: SignDocument
    public_url: str = ""


class Agents:
    """Every part by name; nothing here knows a face."""

    def __init__(self, ground: Ground):
        store = ground.store
        self.egress = ground.egress
        self.check_project = ground.check_project
        self.sign_document = ground.sign_document
        self.registry = AgentRegistry(store, check_url=ground.egress.check, check_project=ground.check_project)
        self.prompts = AgentPrompts(store)
        self.places = ProjectAgents(store)
        self.live = LiveAgents(store)
        self.breakers = Breakers()
        self._leases = Leases(ground.ledger)
        self.limits = AgentLimits(store, self._leases, ground.ledger)
        self.credentials = Credentials(
            store, ground.egress, seal=ground.seal, unseal=ground.unseal, assertion=ground.assertion
        )
        self.upstream = Upstream(ground.egress, self.limits, self.breakers, self.credentials)
        a2a, mcp = A2aClient(self.upstream), McpClient(self.upstream)
        self.looks = Looks(store, self.registry, self.live, a2a, mcp)
        self.ownership = Ownership(store)
        self.served = ServedTasks(store, seal=ground.seal, unseal=ground.unseal)
        self.routing = Routing(self.live, self.looks, (a2a, mcp), self.ownership, self.places)
        self.watch = AgentWatch(store, self.looks)
        self._seen: dict[tuple[str, str], float] = {}
        self._members: dict[tuple[str, str], tuple[float, list[str]]] = {}
        self._seal, self._unseal = ground.seal, ground.unseal
        self._public_url = ground.public_url.rstrip("/")

    @property
    def public_url(self) -> str:
        return self._public_url

    async def get(self, by: Principal, agent_id: str) -> Agent:
        """An agent of the caller's tenant. Raises NotFound."""
        return (await self.live.get(by.tenant, agent_id)).agent

    async def see_own(self, by: Principal, agent_id: str) -> None:
        """The chat that everybody has, or an agent of the caller's tenant. Raises NotFound."""
        if agent_id != CHAT:
            await self.get(by, agent_id)

    async def see_project(self, by: Principal, project_id: str) -> None:
        """Raises NotFound unless the caller can see the project."""
        if not project_id:
            raise NotFound("No such project.")
        key, now = (by.tenant, project_id), time.monotonic()
        if now >= self._seen.get(key, 0.0):
            await self.check_project(by, project_id)
            if len(self._seen) >= MAX_KEPT:
                self._seen.clear()
            self._seen[key] = now + TTL_S

    async def members(self, by: Principal, project_id: str) -> list[str]:
        """The ids of a project's agents of others, read every 2 s at most."""
        key, now = (by.tenant, project_id), time.monotonic()
        known = self._members.get(key)
        if known is None or now >= known[0]:
            found, _ = await self.places.page(by.tenant, project_id, Window(0, MAX_IN_PROJECT))
            agents = [read_agent(row) for row, _ in found]
            if len(self._members) >= MAX_KEPT:
                self._members.clear()
            known = (now + TTL_S, [agent.agent_id for agent in agents if agent.is_external])
            self._members[key] = known
        return known[1]

    def gateway_url(self, agent: Agent) -> str:
        """Where callers reach an agent through us: whole where our public address is known, else the path."""
        return self._public_url + agent.gateway_path

    def seal_session(self, by: Principal, agent_id: str, session: str) -> str:
        """An agent's session as its caller gets it: good for this caller and agent alone."""
        sealed = self._seal(by.tenant, session.encode("utf-8", "replace"), _session_of(by, agent_id))
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open_session(self, by: Principal, agent_id: str, sealed: str) -> str:
        """Raises NotFound for a session that is none of the caller's."""
        try:
            data = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
            return self._unseal(by.tenant, data, _session_of(by, agent_id)).decode()
        except (ValueError, PlatformError):
            raise NotFound("No such session.", hint="Begin a new one with initialize.") from None

    async def close(self) -> None:
        await self.limits.close()
        await self._leases.close()


def _session_of(by: Principal, agent_id: str) -> bytes:
    return f"session\0{agent_id}\0{by.subject}".encode()
