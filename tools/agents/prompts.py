"""What an agent of your own was told to be: its versions, and the way back to one."""

from datetime import UTC, datetime

from pydantic import Field

from core.errors import Conflict
from core.pages import Listing, Paged
from core.portable import Model
from core.tool import tool
from engine.agents.prompts import PromptVersion
from engine.agents.registry import Draft
from engine.context import Ctx
from tools.agents.agents import VERSION, Agent, AgentRef, show_agent

PROMPT_VERSION = "Number of the version, from 1."


class ListAgentPrompts(AgentRef, Paged):
    """Which agent's prompts."""


class AgentPrompt(Model):
    """One version of what an agent is told."""

    agent_id: str = Field(description="The agent.")
    prompt_version: int = Field(description=PROMPT_VERSION)
    system_prompt: str = Field(description="What it was told to be.")
    author: str = Field(description="Who wrote it.")
    rolled_back_to: int | None = Field(description="The version that it repeats, where it is a way back.")
    created_at: datetime = Field(description="When it began to hold (UTC).")


class AgentPromptList(Listing):
    """A page of versions."""

    prompts: list[AgentPrompt] = Field(description="The versions, the newest first; the newest holds.")
    items: list[AgentPrompt] = Field(description="The same list.")


class RollbackAgentPrompt(AgentRef):
    """Which version to go back to."""

    prompt_version: int = Field(ge=1, le=1_000_000, description=PROMPT_VERSION)
    expected_version: int | None = Field(None, ge=1, description=VERSION)


@tool("GET /agents/{agent_id}/prompts", needs="agents.read", effect="read")
async def list_agent_prompts(ctx: Ctx, request: ListAgentPrompts) -> AgentPromptList:
    """List what an agent of your own was told to be, version by version, the newest first."""
    pages = ctx.engine.pages
    window = pages.window("list_agent_prompts", request, ctx.principal)
    found, total = await ctx.engine.agents.prompts.page(ctx.principal, request.agent_id, window)
    shown = [_show(each) for each in found]
    return AgentPromptList(
        prompts=shown,
        items=shown,
        total_count=total,
        next_page_token=pages.next_token("list_agent_prompts", request, ctx.principal, window, total),
    )


@tool("POST /agents/{agent_id}/prompts/{prompt_version}/rollback", needs="agents.manage", effect="write")
async def rollback_agent_prompt(ctx: Ctx, request: RollbackAgentPrompt) -> Agent:
    """Tell an agent of your own again what an earlier version of its prompt said.

    The text becomes a new version, so that nothing is lost; its other settings stay."""
    agents, by = ctx.engine.agents, ctx.principal
    found = await agents.registry.get(by, request.agent_id)
    if found.is_external:
        raise Conflict("An agent of others has no prompt here.", hint="Only agents of your own are told what to be.")
    earlier = await agents.prompts.get(by, request.agent_id, request.prompt_version)
    draft = Draft(system_prompt=earlier.system_prompt, rolled_back_to=earlier.prompt_version)
    changed = await agents.registry.update(by, request.agent_id, draft, expected_version=request.expected_version)
    agents.live.forget(by.tenant, request.agent_id)
    return show_agent(agents, changed)


def _show(found: PromptVersion) -> AgentPrompt:
    return AgentPrompt(
        agent_id=found.agent_id,
        prompt_version=found.prompt_version,
        system_prompt=found.system_prompt,
        author=found.author,
        rolled_back_to=found.rolled_back_to,
        created_at=datetime.fromtimestamp(found.created_at, UTC),
    )
