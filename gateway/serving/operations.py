"""What callers of our own agents do, declared like tools: limits, permissions and the audit are the gate's.

The work that a message asks for is a call of a tool of its own, which passes the gate again."""

from pydantic import Field

from core.portable import Model
from core.tool import tool
from gateway.operations import Ctx, Passed


class Asking(Model):
    """A request to an agent of ours; its body stands here as a digest."""

    agent_id: str = Field(max_length=64, description="The agent.")
    operation: str = Field("", max_length=128, description="Method of the protocol.")
    subject: str = Field("", max_length=1024, description="The task that it is about.")
    body_digest: str = Field("", max_length=64, description="SHA-256 of the body.")


def _note(ctx: Ctx, request: Asking) -> None:
    ctx.note(f"agent:{request.agent_id}")
    ctx.note(f"{request.operation}:{request.subject}" if request.subject else request.operation)


@tool("POST //served/{agent_id}", needs="agents.run", effect="write")
async def send_to_own_agent(ctx: Ctx, request: Asking) -> Passed:
    """Take a message, or change a task."""
    _note(ctx, request)
    return await ctx.engine.run(ctx, request.agent_id)


@tool("GET //served/{agent_id}", needs="agents.run", effect="read")
async def read_from_own_agent(ctx: Ctx, request: Asking) -> Passed:
    """Read or follow tasks."""
    _note(ctx, request)
    return await ctx.engine.run(ctx, request.agent_id)


@tool("GET //served/{agent_id}/card", needs="agents.read", effect="read")
async def read_own_agent_card(ctx: Ctx, request: Asking) -> Passed:
    """Show the card of a tenant's own agent."""
    return await ctx.engine.run(ctx, request.agent_id)
