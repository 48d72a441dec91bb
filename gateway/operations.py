"""What goes through the gateway, declared like tools: limits, permissions, deadlines and the audit are the gate's."""

from typing import Annotated, Protocol

from pydantic import Field

from core.context import Context
from core.portable import Model, Refers
from core.tool import tool


class Passing(Model):
    """A request on its way; its body stays bytes, and stands here as a digest."""

    agent_id: Annotated[str, Refers("agent")] = Field(max_length=64, description="The agent.")
    operation: str = Field("", max_length=128, description="Method of the protocol.")
    subject: str = Field("", max_length=1024, description="The tool, prompt, resource or task that it is about.")
    body_digest: str = Field("", max_length=64, description="SHA-256 of the body.")


class Passed(Model):
    """How it was answered; the body has gone to the caller as bytes."""

    status: int = Field(description="HTTP status.")
    size_bytes: int = Field(description="Size of what was answered.")


class Exchange(Protocol):
    """One request and the way back to its caller."""

    async def run(self, ctx: "Ctx", agent_id: str) -> Passed: ...


Ctx = Context[Exchange]


@tool("POST //gateway/{agent_id}", needs="agents.run", effect="write")
async def send_to_agent(ctx: Ctx, request: Passing) -> Passed:
    """Pass on a request that may change something."""
    ctx.note(f"{request.operation}:{request.subject}" if request.subject else request.operation)
    return await ctx.engine.run(ctx, request.agent_id)


@tool("GET //gateway/{agent_id}", needs="agents.run", effect="read")
async def read_from_agent(ctx: Ctx, request: Passing) -> Passed:
    """Pass on a request that only reads."""
    ctx.note(f"{request.operation}:{request.subject}" if request.subject else request.operation)
    return await ctx.engine.run(ctx, request.agent_id)


@tool("GET //gateway/{agent_id}/card", needs="agents.read", effect="read")
async def read_agent_card(ctx: Ctx, request: Passing) -> Passed:
    """Show an agent's card, as it was approved."""
    return await ctx.engine.run(ctx, request.agent_id)
