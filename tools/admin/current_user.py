"""The caller itself: who it is and what it may do."""

from datetime import UTC, datetime
from decimal import Decimal

from pydantic import Field

from core.portable import Model
from core.tool import SIGNED_IN, Empty, tool
from engine.context import Ctx
from engine.identity.roles import main_role
from engine.usage.amounts import shown
from engine.usage.limits import Limit
from engine.usage.usage import QuotaState


class OwnLimit(Model):
    """A limit that binds you."""

    metric: str = Field(description="What is limited, as in get_query_quota; `query_usd`: the price of queries.")
    scope: str = Field(description="`user`: what you use; `tenant`: what all of you use together.")
    span: str = Field(description="How long until it renews: a `day` or a `month`, in UTC.")
    hard: Decimal = Field(description="What passes it is refused with QUOTA_EXCEEDED.")
    used: Decimal | None = Field(description="Used so far; null where only tenant.read may know, or it is measured.")
    renews_at: datetime = Field(description="When it renews (UTC).")


class OwnLimits(Model):
    """How much you may ask."""

    tier_requests_per_minute: int | None = Field(description="Requests of your tenant a minute; null: without limit.")
    tier_concurrent_queries: int | None = Field(description="Your tenant's queries at once; null: without limit.")
    quotas: list[OwnLimit] = Field(description="Limits per day and month.")


class CurrentUser(Model):
    """A user or client as it sees itself."""

    id: str = Field(description="Your id: the subject of your calls, jobs and audit records.")
    email: str = Field(description="Your e-mail address; empty for clients.")
    name: str = Field(description="Your name.")
    role: str = Field(description="Your main role, as `Dataset user`, `Dataset editor` or `Org admin` where it is one.")
    tenant_id: str = Field(description="Id of your tenant.")
    identity_provider_id: str | None = Field(description="External issuer that vouches for you; null for local users.")
    created_at: datetime | None = Field(description="When you were created (UTC); null for clients of a file.")
    tenant: str = Field(description="Name of your tenant.")
    roles: list[str] = Field(description="All your roles.")
    permissions: list[str] = Field(description="What you may do with the credential you came with.")
    limits: OwnLimits = Field(description="How much you, and your tenant with you, may ask.")
    via: str = Field(description="How you came: user, client, token, local, external or agent.")


@tool("GET /users/me", needs=SIGNED_IN, effect="read", toolsets=("default",))
async def get_current_user(ctx: Ctx, request: Empty) -> CurrentUser:
    """Show who you are: tenant, roles, limits, and the permissions of the credential you came with.

    Look here when a tool is refused or missing from your list."""
    principal = ctx.principal
    profile = await ctx.engine.identity.profile(principal)
    return CurrentUser(
        id=principal.subject,
        email=profile.email,
        name=profile.name,
        role=main_role(principal.roles),
        tenant_id=principal.tenant,
        identity_provider_id=profile.issuer or None,
        created_at=None if profile.created_at is None else datetime.fromtimestamp(profile.created_at, UTC),
        tenant=profile.tenant_name,
        roles=sorted(principal.roles),
        permissions=sorted(principal.permissions),
        limits=await _limits(ctx),
        via=principal.via,
    )


async def _limits(ctx: Ctx) -> OwnLimits:
    tenant, subject = ctx.principal.tenant, ctx.principal.subject
    tier, state = await ctx.engine.quotas.tier(tenant), await ctx.engine.usage.quota(tenant)
    may_know = ctx.principal.may("tenant.read")
    spent = (("day", state.limits.daily, state.spent.daily), ("month", state.limits.monthly, state.spent.monthly))
    dollars = [
        _limit(Limit("tenant", "", "query_usd", span, None, hard), state, used if may_know else None)
        for span, hard, used in spent
    ]
    others = [
        _limit(limit, state, _used(limit, state, subject) if may_know or limit.scope == "user" else None)
        for limit in state.others
        if limit.binds("tenant", "") or limit.binds("user", subject)
    ]
    return OwnLimits(
        tier_requests_per_minute=tier.requests_per_minute,
        tier_concurrent_queries=tier.concurrent_queries,
        quotas=[limit for limit in (*dollars, *others) if limit is not None],
    )


def _used(limit: Limit, state: QuotaState, subject: str) -> int | None:
    if limit.metric == "storage_bytes":
        return None
    amount = state.used.get((limit.scope, subject if limit.scope == "user" else "", state.periods.of(limit.span)[0]))
    return amount.of(limit.metric) if amount else 0


def _limit(limit: Limit, state: QuotaState, used: int | None) -> OwnLimit | None:
    if limit.hard is None:
        return None
    return OwnLimit(
        metric=limit.metric,
        scope=limit.scope,
        span=limit.span,
        hard=shown(limit.metric, limit.hard),
        used=None if used is None else shown(limit.metric, used),
        renews_at=state.periods.of(limit.span)[1],
    )
