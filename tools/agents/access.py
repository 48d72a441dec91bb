"""What proves us to an agent, and how much may be asked of it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from core.errors import Conflict
from core.portable import Model, Refers
from core.tool import tool
from engine.agents.limits import RateLimit
from engine.agents.looks import check_person
from engine.context import Ctx
from tools.agents.agents import AgentRef

SECRET = 32_768
NEEDED = {
    "none": (),
    "bearer": ("bearer_token",),
    "oauth2_client": ("token_url", "oauth_client", "oauth_secret"),
    "token_exchange": ("token_url",),
    "mtls": ("certificate", "private_key"),
}
RATE = "Zero lets nothing pass; below one, one request in as many units as it takes."


class SetAgentCredential(AgentRef):
    """A credential that calls of the agent carry, in place of the one before."""

    kind: Literal["bearer", "oauth2_client", "token_exchange", "mtls", "none"] = Field(
        description="`none` removes it. token_exchange is RFC 8693: each caller gets a token of their own."
    )
    user_id: Annotated[str | None, Refers("user")] = Field(
        None, max_length=64, description="Only for calls of this user; left out, for all."
    )
    bearer_token: str | None = Field(None, max_length=8192, pattern=r"^[!-~]+$", description="For bearer.")
    token_url: str | None = Field(None, max_length=2048, description="For oauth2_client and token_exchange.")
    oauth_client: str | None = Field(None, max_length=512, description="Our client_id, for oauth2_client.")
    oauth_secret: str | None = Field(None, max_length=4096, description="The client_secret of `oauth_client`.")
    scope: str | None = Field(None, max_length=2048, description="Scope to ask the token endpoint for.")
    audience: str | None = Field(None, max_length=2048, description="Audience to ask the token endpoint for.")
    resource: str | None = Field(None, max_length=2048, description="Resource to ask the token endpoint for.")
    subject_audience: str | None = Field(
        None, max_length=2048, description="`aud` of our proof for token_exchange; default the token endpoint's origin."
    )
    certificate: str | None = Field(None, max_length=SECRET, description="For mtls: our certificate, in PEM.")
    private_key: str | None = Field(None, max_length=SECRET, description="For mtls: its key, in PEM.")


class AgentCredential(Model):
    """What was set; the secret itself is never shown."""

    agent_id: str = Field(description="The agent.")
    user_id: str = Field(description="Whose calls carry it; empty for everybody without one of their own.")
    kind: str = Field(description="Its kind.")
    updated_at: datetime = Field(description="When it was set (UTC).")


class UpdateAgentRateLimit(AgentRef):
    """How many requests the agent may get."""

    max_requests_per_second: Decimal = Field(ge=0, le=10**6, max_digits=12, decimal_places=4, description=RATE)
    max_requests_per_minute: Decimal = Field(ge=0, le=10**7, max_digits=12, decimal_places=4, description=RATE)
    max_requests_per_hour: Decimal = Field(ge=0, le=10**8, max_digits=13, decimal_places=4, description=RATE)


class AgentRateLimit(Model):
    """How many requests an agent may get, over all callers and processes."""

    max_requests_per_second: Decimal = Field(description="In any second.")
    max_requests_per_minute: Decimal = Field(description="In any minute.")
    max_requests_per_hour: Decimal = Field(description="In any hour.")
    id: str = Field(description="Id of the limits; empty where they are everybody's.")
    agent_id: str = Field(description="The agent.")


@tool("PUT /agents/{agent_id}/credential", needs="agents.manage", effect="write")
async def set_agent_credential(ctx: Ctx, request: SetAgentCredential) -> AgentCredential:
    """Set what proves us to an agent: a token, an OAuth client, token exchange or a certificate.

    It is kept sealed and never shown again. Callers' own tokens are never sent on to agents."""
    check_person(ctx.principal)
    given = request.model_dump(exclude={"agent_id", "kind", "user_id"}, exclude_none=True)
    missing = [name for name in NEEDED[request.kind] if not given.get(name)]
    if missing:
        raise Conflict(f"A credential of kind {request.kind} needs {', '.join(NEEDED[request.kind])}.")
    at = await ctx.engine.agents.credentials.set(
        ctx.principal, request.agent_id, request.kind, given, user_id=request.user_id or ""
    )
    updated_at = datetime.fromtimestamp(at, UTC)
    return AgentCredential(
        agent_id=request.agent_id, user_id=request.user_id or "", kind=request.kind, updated_at=updated_at
    )


@tool("GET /agents/{agent_id}/rate-limit", needs="agents.read", effect="read")
async def get_agent_rate_limit(ctx: Ctx, request: AgentRef) -> AgentRateLimit:
    """Show how many requests an agent may get in a second, a minute and an hour."""
    return _limit(request.agent_id, await ctx.engine.agents.limits.get(ctx.principal.tenant, request.agent_id))


@tool("PUT /agents/{agent_id}/rate-limit", needs="agents.manage", effect="write")
async def update_agent_rate_limit(ctx: Ctx, request: UpdateAgentRateLimit) -> AgentRateLimit:
    """Set how many requests an agent may get; never more pass, over all callers and servers.

    Exact in any second, minute and hour, wherever it starts."""
    check_person(ctx.principal)
    asked = RateLimit(
        "", request.max_requests_per_second, request.max_requests_per_minute, request.max_requests_per_hour
    )
    kept = await ctx.engine.agents.limits.set(ctx.principal.tenant, request.agent_id, asked)
    ctx.engine.agents.live.forget(ctx.principal.tenant, request.agent_id)
    return _limit(request.agent_id, kept)


def _limit(agent_id: str, kept: RateLimit) -> AgentRateLimit:
    return AgentRateLimit(
        max_requests_per_second=kept.per_second,
        max_requests_per_minute=kept.per_minute,
        max_requests_per_hour=kept.per_hour,
        id=kept.limit_id,
        agent_id=agent_id,
    )
