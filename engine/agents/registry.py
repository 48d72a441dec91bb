"""The registry: every tenant's agents, our own and those of others, and the projects they belong to."""

import json
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from core.context import Principal
from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from core.pages import Window
from engine.agents.places import Assignment, assign, live_projects
from engine.agents.prompts import add_prompt
from engine.store.db import Store
from engine.store.tables import agent_credentials, agent_pins, agents, project_agents, tenants

ACTIVE, QUARANTINED, DISABLED = "active", "quarantined", "disabled"
A2A, MCP, OWN = "A2A", "MCP", ""
HEADWATER = "headwater"  # the agent that every tenant has, with the workflows for skills
MAX_AGENTS = 2_000  # of one tenant
HOLD_NEW = "hold_new_agents"  # in a tenant's configuration
JSON_FIELDS = ("connections", "capabilities", "agent_metadata", "budget")


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent as it is registered. `protocol` is empty for one of our own."""

    tenant: str
    agent_id: str
    name: str
    description: str
    protocol: str
    endpoint_url: str
    system_prompt: str
    connections: Sequence[str]
    capabilities: Any
    agent_metadata: dict[str, Any]
    status: str
    health: str
    health_at: float | None
    owner: str
    version: int
    created_at: float
    updated_at: float
    archived_at: float | None = None
    model: str = ""
    budget: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_external(self) -> bool:
        return self.protocol != OWN

    @property
    def gateway_path(self) -> str:
        """Where callers reach it through us; agents of our own speak A2A, as the others there do."""
        return f"/mcp/agents/{self.agent_id}" if self.protocol == MCP else f"/a2a/{self.agent_id}/"


@dataclass(frozen=True, slots=True)
class Draft:
    """What is registered, or changed; None leaves a field as it is."""

    name: str | None = None
    description: str | None = None
    protocol: str | None = None
    endpoint_url: str | None = None
    system_prompt: str | None = None
    connections: Sequence[str] | None = None
    capabilities: Any = None
    agent_metadata: dict[str, Any] | None = None
    status: str | None = None
    model: str | None = None
    budget: Mapping[str, Any] | None = None
    rolled_back_to: int | None = None  # the version of the prompt that system_prompt repeats

    def values(self) -> dict[str, Any]:
        """The columns to write."""
        given = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {
            name: json.dumps(value) if name in JSON_FIELDS else value
            for name, value in given.items()
            if value is not None and name != "rolled_back_to"
        }


class AgentRegistry:
    """Who is registered. Everybody who may read agents sees their tenant's."""

    def __init__(
        self,
        store: Store,
        *,
        check_url: Callable[[str], None],
        check_project: Callable[[Principal, str], Awaitable[object]],
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ):
        self._store = store
        self._check_url = check_url
        self._check_project = check_project
        self._clock = clock
        self._new_id = new_id

    async def create(
        self, by: Principal, draft: Draft, *, project_id: str | None, role: str = "", agent_id: str | None = None
    ) -> Agent:
        """Register an agent. Raises Conflict when it lacks a part or its id is taken, Unauthorized for its address."""
        protocol = draft.protocol or OWN
        self._check_parts(protocol, draft.endpoint_url, project_id)
        if project_id is not None:
            await self._check_project(by, project_id)
        now, made_id = self._clock(), agent_id or self._new_id()
        if made_id == HEADWATER:
            raise Conflict(f"The agent id {made_id!r} is Headwater's own.", hint="Choose another.")
        row: dict[str, Any] = {
            **_BLANK,
            **draft.values(),
            "protocol": protocol,
            "tenant_id": by.tenant,
            "agent_id": made_id,
            "owner": by.subject,
            "check_due_at": now if protocol != OWN else None,
            "created_at": now,
            "updated_at": now,
        }

        def work(connection: Connection) -> Any:
            count = select(func.count()).select_from(agents).where(_live(by.tenant))
            if connection.execute(count).scalar_one() >= MAX_AGENTS:
                raise Conflict(f"The tenant has {MAX_AGENTS:,} agents.", hint="delete_agent removes old ones.")
            is_new_held = protocol != OWN and _holds_new(connection, by.tenant)
            connection.execute(insert(agents).values(**row, status=QUARANTINED if is_new_held else ACTIVE))
            if protocol == OWN:
                add_prompt(connection, by, made_id, draft.system_prompt or "", now=now, rolled_back_to=None)
            if project_id is not None:
                assign(connection, Assignment(by.tenant, project_id, made_id, role, now))
            return connection.execute(_one(by.tenant, made_id)).one()

        try:
            return read_agent(await self._store.write(work))
        except IntegrityError:
            raise Conflict(f"The agent id {made_id!r} is taken.", hint="Choose another.") from None

    async def get(self, by: Principal, agent_id: str) -> Agent:
        """Raises NotFound."""
        return await self.find(by.tenant, agent_id)

    async def find(self, tenant: str, agent_id: str) -> Agent:
        """An agent that is not removed. Raises NotFound."""
        row = await self._store.read(lambda connection: connection.execute(_one(tenant, agent_id)).first())
        if row is None:
            raise missing(agent_id)
        return read_agent(row)

    async def page(self, by: Principal, window: Window, *, protocol: str | None = None) -> tuple[list[Agent], int]:
        """A slice of the tenant's agents, the oldest first, and how many there are."""
        condition = _live(by.tenant)
        if protocol is not None:
            condition = and_(condition, agents.c.protocol == protocol)
        query = select(agents).where(condition).order_by(agents.c.created_at, agents.c.agent_id)
        counted = select(func.count()).select_from(agents).where(condition)

        def work(connection: Connection) -> tuple[Sequence[Any], int]:
            rows = connection.execute(query.offset(window.offset).limit(window.size)).all()
            return rows, connection.execute(counted).scalar_one()

        rows, total = await self._store.read(work)
        return [read_agent(row) for row in rows], total

    async def update(self, by: Principal, agent_id: str, draft: Draft, *, expected_version: int | None = None) -> Agent:
        """Change what the draft gives. Raises NotFound, Unauthorized, and Conflict for another version.

        An address on another host loses the credentials, which were given for the old one; another
        protocol loses what was approved."""
        found = await self.get(by, agent_id)
        _check_version(found, expected_version)
        if (draft.protocol or found.protocol) != found.protocol and OWN in (found.protocol, draft.protocol):
            raise Conflict(
                "An agent of our own does not become one of others, nor the reverse.", hint="Make a new one."
            )
        self._check_change(found, draft)
        values = {**draft.values(), "version": found.version + 1, "updated_at": self._clock()}
        has_moved = draft.endpoint_url is not None and draft.endpoint_url != found.endpoint_url
        if has_moved or draft.protocol not in (None, found.protocol):
            values["check_due_at"] = self._clock()

        def work(connection: Connection) -> Any:
            changed = update(agents).where(_is(by.tenant, agent_id), agents.c.version == found.version)
            if connection.execute(changed.values(**values)).rowcount != 1:
                return None
            if not found.is_external and draft.system_prompt not in (None, found.system_prompt):
                is_told = {"now": values["updated_at"], "rolled_back_to": draft.rolled_back_to}
                add_prompt(connection, by, agent_id, draft.system_prompt or "", **is_told)
            if has_moved and _origin(draft.endpoint_url or "") != _origin(found.endpoint_url):
                connection.execute(delete(agent_credentials).where(_of(agent_credentials, by.tenant, agent_id)))
            if draft.protocol not in (None, found.protocol):
                connection.execute(delete(agent_pins).where(_of(agent_pins, by.tenant, agent_id)))
            return connection.execute(_one(by.tenant, agent_id)).one()

        row = await self._store.write(work)
        if row is None:
            raise _stale(None)
        return read_agent(row)

    async def archive(self, by: Principal, agent_id: str, *, expected_version: int | None = None) -> None:
        """Take an agent out of sight, with its credentials and its places in projects. Raises NotFound, Conflict."""
        found = await self.get(by, agent_id)
        _check_version(found, expected_version)
        now = self._clock()

        def work(connection: Connection) -> None:
            gone = update(agents).where(_is(by.tenant, agent_id))
            connection.execute(gone.values(archived_at=now, check_due_at=None, version=found.version + 1))
            connection.execute(delete(agent_credentials).where(_of(agent_credentials, by.tenant, agent_id)))
            left = and_(_of(project_agents, by.tenant, agent_id), project_agents.c.archived_at.is_(None))
            connection.execute(update(project_agents).where(left).values(archived_at=now))

        await self._store.write(work)

    async def projects_of(self, tenant: str, agent_id: str) -> list[str]:
        """The ids of the projects that an agent belongs to."""
        return await self._store.read(lambda connection: live_projects(connection, tenant, agent_id))

    async def set_status(self, tenant: str, agent_id: str, status: str, *, only_from: str | None = None) -> bool:
        """Put an agent into a state; false where it was in another one than it had to be."""
        condition = _is(tenant, agent_id)
        if only_from is not None:
            condition = and_(condition, agents.c.status == only_from)
        changed = update(agents).where(condition, agents.c.status != status)
        values = {"status": status, "version": agents.c.version + 1, "updated_at": self._clock()}
        return await self._store.write(lambda connection: connection.execute(changed.values(**values)).rowcount == 1)

    def _check_parts(self, protocol: str, endpoint_url: str | None, project_id: str | None) -> None:
        if protocol == OWN:
            if endpoint_url:
                raise Conflict("An agent of others has a protocol.", hint="Set protocol to A2A or MCP.")
            return
        if not endpoint_url or not project_id:
            hint = "Give endpoint_url and project_id: an agent of others belongs to a project at least."
            raise Conflict(f"An agent that speaks {protocol} lacks a part.", hint=hint)
        self._check_address(endpoint_url)

    def _check_change(self, found: Agent, draft: Draft) -> None:
        if draft.endpoint_url is not None:
            if not found.is_external:
                raise Conflict("An agent of our own has no address.")
            self._check_address(draft.endpoint_url)
        if draft.status is not None and found.status == QUARANTINED and draft.status == ACTIVE:
            hint = "get_agent_changes shows why; approve_agent_change lets it out."
            raise Conflict("The agent is in quarantine.", hint=hint)

    def _check_address(self, url: str) -> None:
        try:
            self._check_url(url)
        except InvalidArgument as error:  # the schema allows the text: it is the place that may not be called
            raise Unauthorized(error.message, hint=error.hint) from None


_BLANK: dict[str, Any] = {
    "name": "",
    "description": "",
    "endpoint_url": "",
    "system_prompt": "",
    "connections": "[]",
    "capabilities": "null",
    "agent_metadata": "{}",
    "model": "",
    "budget": "{}",
    "health": "unknown",
    "version": 1,
}


def missing(agent_id: str) -> NotFound:
    return NotFound(f"No agent {agent_id[:64]!r}.", hint="list_agents shows your tenant's.")


def _check_version(found: Agent, expected: int | None) -> None:
    if expected is not None and expected != found.version:
        raise _stale(found.version)


def _stale(version: int | None) -> Conflict:
    now = f"; it is at version {version}" if version is not None else ""
    return Conflict(f"The agent was changed meanwhile{now}.", hint="Read it with get_agent and try again.")


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _holds_new(connection: Connection, tenant: str) -> bool:
    """Whether the tenant's configuration has new agents wait until a person has approved them."""
    found = connection.scalar(select(tenants.c.configuration).where(tenants.c.tenant_id == tenant))
    return json.loads(found or "{}").get(HOLD_NEW) is True


def _is(tenant: str, agent_id: str) -> ColumnElement[bool]:
    return and_(_of(agents, tenant, agent_id), agents.c.archived_at.is_(None))


def _of(table: Any, tenant: str, agent_id: str) -> ColumnElement[bool]:
    return and_(table.c.tenant_id == tenant, table.c.agent_id == agent_id)


def _live(tenant: str) -> ColumnElement[bool]:
    return and_(agents.c.tenant_id == tenant, agents.c.archived_at.is_(None))


def _one(tenant: str, agent_id: str) -> Any:
    return select(agents).where(_is(tenant, agent_id))


def read_agent(row: Any) -> Agent:
    """An agent out of its row."""
    return Agent(
        tenant=row.tenant_id,
        agent_id=row.agent_id,
        name=row.name,
        description=row.description,
        protocol=row.protocol,
        endpoint_url=row.endpoint_url,
        system_prompt=row.system_prompt,
        connections=json.loads(row.connections),
        capabilities=json.loads(row.capabilities),
        agent_metadata=json.loads(row.agent_metadata),
        status=row.status,
        health=row.health,
        health_at=row.health_at,
        owner=row.owner,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        archived_at=row.archived_at,
        model=row.model,
        budget=json.loads(row.budget),
    )
