"""Our own agents as others see them: `headwater` with the workflows, and those that a tenant has made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.context import Principal
from core.errors import NotFound
from core.pages import Window
from engine.agents.agents import Agents
from engine.agents.registry import ACTIVE, HEADWATER, OWN, Agent

DEFAULT_SKILL = "nl2sql"
AGENT_SKILL, TALK = "agent:", "chat"
MAX_LISTED = 100


@dataclass(frozen=True, slots=True)
class Skill:
    """One thing that an agent does."""

    skill_id: str
    name: str
    description: str
    tags: tuple[str, ...]
    examples: tuple[str, ...] = ()


WORKFLOWS = (
    Skill(
        DEFAULT_SKILL,
        "Ask the data",
        "Finds the way to answer a question about the data, makes SQL for it, runs it and answers with rows.",
        ("sql", "analysis"),
        ("Total revenue by region last quarter", "Which ten customers ordered most in March 2024?"),
    ),
    Skill(
        "fixed",
        "One pass to SQL",
        "Makes SQL for a question in one pass and runs it; the quickest way.",
        ("sql",),
        ("How many orders were there yesterday?",),
    ),
    Skill(
        "reflection",
        "SQL with a second look",
        "Makes SQL for a question, looks at what came out and repairs it where that pays.",
        ("sql", "analysis"),
        ("Revenue per customer this year beside last year",),
    ),
    Skill(
        "metric_to_sql",
        "Ask for a metric",
        "Answers a question with the metrics that the semantic layer defines.",
        ("metrics", "semantic-layer"),
        ("Monthly active users by country",),
    ),
)


@dataclass(frozen=True, slots=True)
class Profile:
    """What a card says of an agent."""

    agent_id: str
    name: str
    description: str
    skills: tuple[Skill, ...]


_HEADWATER = Profile(
    HEADWATER,
    "Headwater",
    "Answers questions about governed data: it writes SQL, runs it with the caller's rights, and shows both.",
    WORKFLOWS,
)


class Roster:
    """Who can be asked, by whom."""

    def __init__(self, agents: Agents):
        self._agents = agents

    @property
    def public(self) -> Profile:
        """What strangers may know: the workflows, and nothing of any tenant."""
        return _HEADWATER

    async def is_own(self, tenant: str, agent_id: str) -> bool:
        """Whether an id means one of our own agents; false for others' and for none."""
        if agent_id == HEADWATER:
            return True
        try:
            return not (await self._agents.live.get(tenant, agent_id)).agent.is_external
        except NotFound:
            return False

    async def find(self, by: Principal, agent_id: str) -> Profile:
        """The agent as this caller may use it. Raises NotFound, Unavailable where it is turned off."""
        if agent_id == HEADWATER:
            return _HEADWATER
        live = await self._agents.live.get(by.tenant, agent_id)
        if live.agent.is_external:
            raise NotFound("No such agent.", hint="list_agents shows yours.")
        live.check_open()
        return _profile(live.agent)

    async def extended(self, by: Principal, agent_id: str) -> Profile:
        """The same with what only callers of the tenant may know: Headwater leads to the tenant's agents too."""
        profile = await self.find(by, agent_id)
        if agent_id != HEADWATER or not by.may("agents.read"):
            return profile
        own = [_as_skill(agent) for agent in await self._listed(by)]
        return Profile(profile.agent_id, profile.name, profile.description, (*profile.skills, *own))

    async def _listed(self, by: Principal) -> Sequence[Agent]:
        found, _ = await self._agents.registry.page(by, Window(0, MAX_LISTED), protocol=OWN)
        return [agent for agent in found if agent.status == ACTIVE]


def _profile(agent: Agent) -> Profile:
    described = agent.description or f"An agent named {agent.name}."
    return Profile(agent.agent_id, agent.name, described, (Skill(TALK, agent.name, described, _tags(agent)),))


def _as_skill(agent: Agent) -> Skill:
    described = agent.description or f"An agent named {agent.name}."
    return Skill(AGENT_SKILL + agent.agent_id, agent.name, described, _tags(agent))


def _tags(agent: Agent) -> tuple[str, ...]:
    given: Any = agent.capabilities
    if isinstance(given, Mapping):
        given = list(given)
    tags = [item[:64] for item in given if isinstance(item, str)] if isinstance(given, list) else []
    return tuple(tags[:20]) or ("agent",)
