"""Who answers: an agent of the tenant's own, or the chat that everybody has."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from core.context import Principal
from core.errors import Conflict, Unauthorized
from core.tool import Tool
from engine.agents.agents import CHAT
from engine.agents.capabilities import chosen, read_capabilities
from engine.agents.registry import ACTIVE, Agent
from engine.context import Ctx

ALSO_IN_CHAT = frozenset(
    {
        "build_query_from_nl",
        "create_knowledge",
        "get_metric",
        "get_table_health",
        "list_metrics",
        "query_metric",
        "run_workflow",
        "search_documents",
        "search_metrics",
    }
)
"""What the chat has beside the default toolset."""

READING = frozenset({"assets.read", "catalog.read", "query.run", "semantic.read"})
NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one run may use at most."""

    steps: int = 16
    tokens: int = 400_000
    nano: int = 2 * NANO
    seconds: float = 300.0

    @classmethod
    def read(cls, budget: Mapping[str, Any]) -> "Bounds":
        """The platform's own, and what an agent's budget says instead."""
        usual, usd = cls(), budget.get("max_usd")
        return cls(
            steps=budget.get("max_steps") or usual.steps,
            tokens=budget.get("max_tokens") or usual.tokens,
            nano=usual.nano if usd is None else int(Decimal(usd) * NANO),
            seconds=budget.get("max_seconds") or usual.seconds,
        )


@dataclass(frozen=True, slots=True)
class Persona:
    """What distinguishes one agent from another. `names` None: the tools of every chat."""

    agent_id: str = ""
    name: str = "Headwater"
    system_prompt: str = ""
    names: tuple[str, ...] | None = None
    connections: frozenset[str] | None = None
    model: str = ""
    bounds: Bounds = Bounds()

    def narrow(self, tools: list[Tool]) -> list[Tool]:
        """Those of the tools that it may call."""
        if self.names is not None:
            return chosen(tools, self.names)
        return [tool for tool in tools if "default" in tool.toolsets or tool.name in ALSO_IN_CHAT]

    def principal(self, by: Principal, tools: list[Tool]) -> Principal:
        """Who calls for the person: with the rights that these tools take, and no others."""
        needs = {tool.needs for tool in tools}
        if any(tool.name == "run_workflow" for tool in tools):
            needs |= READING
        given = [names for names in (self.connections, by.connections) if names is not None]
        return replace(
            by,
            via="agent",
            credential_id=self.agent_id or CHAT,
            permissions=by.permissions & needs,
            connections=frozenset.intersection(*given) if given else None,
        )


async def find_persona(ctx: Ctx, agent_id: str) -> Persona:
    """The agent of that id; without one, the chat. Raises NotFound, Conflict, Unauthorized."""
    if ctx.principal.via == "agent":
        raise Unauthorized("An agent does not run agents.", hint="Ask the person to run it.")
    if not agent_id:
        return Persona()
    found = await ctx.engine.agents.get(ctx.principal, agent_id)
    if found.is_external:
        raise Conflict("This is an agent of others.", hint="route_to_agent sends a message to it.")
    if found.status != ACTIVE:
        raise Conflict(f"The agent is {found.status}.", hint="update_agent turns it on.")
    return _persona(found)


def _persona(found: Agent) -> Persona:
    return Persona(
        agent_id=found.agent_id,
        name=found.name,
        system_prompt=found.system_prompt,
        names=read_capabilities(found.capabilities),
        connections=frozenset(found.connections) or None,
        model=found.model,
        bounds=Bounds.read(found.budget),
    )
