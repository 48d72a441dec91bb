"""Agents: our own and those of others, registered for a tenant."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from core.errors import Conflict
from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.agents.agents import CHAT, Agents
from engine.agents.own import check_others, check_own
from engine.agents.registry import Agent as Stored
from engine.agents.registry import Draft
from engine.context import Ctx

ID = r"^[A-Za-z0-9_-]{1,64}$"
MAX_TEXT = 65_536
NAME = "Name for people."
ABOUT = "What it does; models read it."
PROTOCOL = "What an agent of others speaks: A2A or MCP. Left out, or empty, for an agent of your own."
ENDPOINT = "Where an agent of others is reached. Only https, and hosts that the operator allows."
PROMPT = "What an agent of your own is told to be."
CONNECTIONS = "Ids of the connections that an agent of your own may use."
CAPABILITIES = (
    "For an agent of your own: toolsets and tools that it may call, such as query or get_table_health; a list, or an "
    "object of names that are true. Left out, what every chat has. For one of others: any words."
)
MODEL = "Model that an agent of your own asks, by its name; empty: the tenant's."
BUDGET = "What one run of an agent of your own may use at most."
METADATA = "Whatever else you want to keep with it."
PROJECT = "Project that it is put into; an agent of others belongs to one at least."
ROLE = "Its role in the project."
VERSION = "The version that you read: if it has changed since, nothing is done and CONFLICT is answered."


class AgentRef(Model):
    """Which agent."""

    agent_id: Annotated[str, Refers("agent")] = Field(max_length=64, description="Its id; list_agents shows them.")


class ListAgents(Paged):
    """Which agents to list."""

    protocol: Literal["A2A", "MCP"] | None = Field(None, description="Only agents of others that speak it.")


class AgentBudget(Model):
    """Bounds of one run; null leaves the platform's own."""

    max_steps: int | None = Field(None, ge=1, le=50, description="Times that it may ask the model.")
    max_tokens: int | None = Field(None, ge=1, le=10_000_000, description="Tokens, in and out.")
    max_usd: Decimal | None = Field(None, ge=0, le=10_000, description="US dollars, as the model is priced.")
    max_seconds: int | None = Field(None, ge=1, le=3600, description="Seconds.")


class CreateAgent(Model):
    """An agent to register."""

    name: str = Field(min_length=1, max_length=255, description=NAME)
    description: str | None = Field(None, max_length=8000, description=ABOUT)
    system_prompt: str | None = Field(None, max_length=MAX_TEXT, description=PROMPT)
    connections: list[str] | None = Field(None, max_length=100, description=CONNECTIONS)
    capabilities: JsonValue = Field(None, description=CAPABILITIES)
    model: str | None = Field(None, max_length=255, description=MODEL)
    budget: AgentBudget | None = Field(None, description=BUDGET)
    protocol: Literal["A2A", "MCP", ""] | None = Field(None, description=PROTOCOL)
    endpoint_url: str | None = Field(None, max_length=2048, description=ENDPOINT)
    agent_metadata: dict[str, JsonValue] | None = Field(None, max_length=200, description=METADATA)
    project_id: Annotated[str | None, Refers("own_project")] = Field(None, pattern=ID, description=PROJECT)
    role: str | None = Field(None, max_length=255, description=ROLE)
    agent_id: str | None = Field(None, pattern=ID, description="Id of your choice; left out, one is made.")


class UpdateAgent(AgentRef):
    """What to change; fields left out, or null, stay as they are."""

    name: str | None = Field(None, min_length=1, max_length=255, description=NAME)
    description: str | None = Field(None, max_length=8000, description=ABOUT)
    system_prompt: str | None = Field(None, max_length=MAX_TEXT, description=PROMPT)
    connections: list[str] | None = Field(None, max_length=100, description=CONNECTIONS)
    capabilities: JsonValue = Field(None, description=CAPABILITIES)
    model: str | None = Field(None, max_length=255, description=MODEL)
    budget: AgentBudget | None = Field(None, description=BUDGET)
    protocol: Literal["A2A", "MCP"] | None = Field(None, description=PROTOCOL)
    endpoint_url: str | None = Field(None, max_length=2048, description=ENDPOINT)
    agent_metadata: dict[str, JsonValue] | None = Field(None, max_length=200, description=METADATA)
    status: Literal["active", "disabled"] | None = Field(
        None, description="`disabled` turns it off; out of quarantine only approve_agent_change leads."
    )
    expected_version: int | None = Field(None, ge=1, description=VERSION)


class DeleteAgent(AgentRef):
    """Which agent to remove."""

    expected_version: int | None = Field(None, ge=1, description=VERSION)


class Agent(Model):
    """An agent as it is registered."""

    id: str = Field(description="Its id.")
    tenant_id: str = Field(description="The tenant that it belongs to.")
    name: str = Field(description=NAME)
    description: str = Field(description=ABOUT)
    protocol: str = Field(description="A2A, MCP, or empty for an agent of your own.")
    endpoint_url: str = Field(description=ENDPOINT)
    system_prompt: str = Field(description=PROMPT)
    connections: list[str] = Field(description=CONNECTIONS)
    capabilities: JsonValue = Field(description=CAPABILITIES)
    model: str = Field(description=MODEL)
    budget: AgentBudget = Field(description=BUDGET)
    agent_metadata: dict[str, JsonValue] = Field(description=METADATA)
    status: str = Field(description="active, disabled, or quarantined: what it says of itself is not approved.")
    gateway_url: str = Field(description="Where to reach it through Headwater, with your own token.")
    health: str = Field(description="healthy, unreachable or unknown; looked at every minute.")
    health_checked_at: datetime | None = Field(description="When it was last looked at (UTC).")
    owner: str = Field(description="Who registered it.")
    version: int = Field(description="Raised by every change; update_agent takes it as expected_version.")
    created_at: datetime = Field(description="When it was registered (UTC).")
    updated_at: datetime = Field(description="When it was last changed (UTC).")
    archived_at: datetime | None = Field(description="When it was removed (UTC); null while it is there.")


class AgentList(Listing):
    """A page of agents."""

    agents: list[Agent] = Field(description="The agents, the oldest first.")
    items: list[Agent] = Field(description="The same list.")


@tool("POST /agents", needs="agents.manage", effect="write", status=201, location="/agents/{id}")
async def create_agent(ctx: Ctx, request: CreateAgent) -> Agent:
    """Register an agent: one of your own, or one of others that speaks A2A or MCP.

    One of others needs protocol, endpoint_url and project_id. It is not called yet: test_agent_connection does that.
    Where the tenant wants it so, it waits in quarantine until a person has approved what it says of itself."""
    draft = _draft(request, exclude={"agent_id", "project_id", "role"})
    if request.agent_id == CHAT:
        raise Conflict("`chat` is the chat that everybody has.", hint="Choose another id.")
    await _check(ctx, draft, is_external=bool(request.protocol))
    made = await ctx.engine.agents.registry.create(
        ctx.principal, draft, project_id=request.project_id, role=request.role or "", agent_id=request.agent_id
    )
    ctx.note(f"agent:{made.agent_id}")
    return show_agent(ctx.engine.agents, made)


@tool("GET /agents", needs="agents.read", effect="read")
async def list_agents(ctx: Ctx, request: ListAgents) -> AgentList:
    """List the tenant's agents, the oldest first."""
    pages = ctx.engine.pages
    window = pages.window("list_agents", request, ctx.principal)
    found, total = await ctx.engine.agents.registry.page(ctx.principal, window, protocol=request.protocol)
    shown = [show_agent(ctx.engine.agents, each) for each in found]
    return AgentList(
        agents=shown,
        items=shown,
        total_count=total,
        next_page_token=pages.next_token("list_agents", request, ctx.principal, window, total),
    )


@tool("GET /agents/{agent_id}", needs="agents.read", effect="read")
async def get_agent(ctx: Ctx, request: AgentRef) -> Agent:
    """Show one agent: what it is, where it is reached and how it is."""
    return show_agent(ctx.engine.agents, await ctx.engine.agents.registry.get(ctx.principal, request.agent_id))


@tool("PATCH /agents/{agent_id}", "PUT /agents/{agent_id}", needs="agents.manage", effect="write")
async def update_agent(ctx: Ctx, request: UpdateAgent) -> Agent:
    """Change an agent, or turn it off and on.

    An endpoint_url on another host loses the credentials that were set; give `expected_version` so that nobody
    else's change is lost."""
    agents = ctx.engine.agents
    draft = _draft(request, exclude={"agent_id", "expected_version"})
    found = await agents.registry.get(ctx.principal, request.agent_id)
    await _check(ctx, draft, is_external=found.is_external)
    changed = await agents.registry.update(
        ctx.principal, request.agent_id, draft, expected_version=request.expected_version
    )
    agents.live.forget(ctx.principal.tenant, request.agent_id)
    return show_agent(agents, changed)


@tool("DELETE /agents/{agent_id}", needs="agents.manage", effect="destroy", status=204)
async def delete_agent(ctx: Ctx, request: DeleteAgent) -> Empty:
    """Remove an agent, with its credentials and its places in projects."""
    agents = ctx.engine.agents
    await agents.registry.archive(ctx.principal, request.agent_id, expected_version=request.expected_version)
    agents.live.forget(ctx.principal.tenant, request.agent_id)
    return Empty()


def _draft(request: CreateAgent | UpdateAgent, *, exclude: set[str]) -> Draft:
    given = request.model_dump(exclude={*exclude, "budget"})
    budget = None if request.budget is None else request.budget.model_dump(mode="json", exclude_none=True)
    return Draft(**given, budget=budget)


async def _check(ctx: Ctx, draft: Draft, *, is_external: bool) -> None:
    if is_external:
        check_others(draft)
    else:
        await check_own(ctx.principal, draft, ctx.call.tools(), ctx.engine.catalog.connections.see)


def show_agent(agents: Agents, stored: Stored) -> Agent:
    return Agent(
        id=stored.agent_id,
        tenant_id=stored.tenant,
        name=stored.name,
        description=stored.description,
        protocol=stored.protocol,
        endpoint_url=stored.endpoint_url,
        system_prompt=stored.system_prompt,
        connections=list(stored.connections),
        capabilities=stored.capabilities,
        model=stored.model,
        budget=AgentBudget.model_validate_json(json.dumps(stored.budget)),
        agent_metadata=stored.agent_metadata,
        status=stored.status,
        gateway_url=agents.gateway_url(stored),
        health=stored.health,
        health_checked_at=moment(stored.health_at),
        owner=stored.owner,
        version=stored.version,
        created_at=datetime.fromtimestamp(stored.created_at, UTC),
        updated_at=datetime.fromtimestamp(stored.updated_at, UTC),
        archived_at=moment(stored.archived_at),
    )


def moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
