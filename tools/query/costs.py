"""What queries cost: the history; and quotas, in USD and of whatever else is counted, per day and month."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, cast

from pydantic import Field

from core.portable import Model
from core.tool import Empty, tool
from engine.context import Ctx
from engine.usage.amounts import EACH, Metric, Scope, shown, units
from engine.usage.limits import Limit, Notice
from engine.usage.prices import to_usd
from engine.usage.usage import QueryCost as StoredCost
from engine.usage.usage import QuotaState

LIMIT = "USD that queries may cost per {}, in UTC; null: without limit."
MOST_USD = 10**9
MOST = 10**18


class QueryQuota(Model):
    """What a tenant may spend on queries."""

    daily_limit_usd: Decimal | None = Field(description=LIMIT.format("day"))
    monthly_limit_usd: Decimal | None = Field(description=LIMIT.format("month"))


class QueryUsage(Model):
    """What a tenant has spent on queries."""

    daily_used_usd: Decimal = Field(description="USD spent since midnight UTC.")
    monthly_used_usd: Decimal = Field(description="USD spent since the first of the month, UTC.")


class UsageLimit(Model):
    """A limit on what a tenant, a project or a user may use."""

    metric: Metric = Field(description="What is limited; `storage_bytes` is measured, whatever the span.")
    scope: Scope = Field("tenant", description="Whom it binds.")
    scope_id: str = Field(
        "", pattern=r"^(\*|[A-Za-z0-9_-]{0,64})$", description="Which project or user; `*`: each. Empty for the tenant."
    )
    span: Literal["day", "month"] = Field("day", description="How long until it renews, in UTC.")
    soft: Decimal | None = Field(None, ge=0, le=MOST, description="Passing it is told in `warnings`; USD or a count.")
    hard: Decimal | None = Field(None, ge=0, le=MOST, description="Nothing passes it: QUOTA_EXCEEDED.")


class LimitState(UsageLimit):
    """A limit, and what is used of it."""

    used: Decimal = Field(description="Used since it last renewed; with `*`, by whoever used most.")
    remaining: Decimal | None = Field(description="Left until `hard`; null: without limit.")
    is_warned: bool = Field(description="Whether `soft` is passed.")
    is_exceeded: bool = Field(description="Whether `hard` is reached.")
    renews_at: datetime = Field(description="When it renews (UTC).")


class QuotaWarning(Model):
    """A soft limit that was passed."""

    metric: str = Field(description="What was used.")
    scope: str = Field(description="`tenant`, `project` or `user`.")
    scope_id: str = Field(description="Which project or user.")
    period: str = Field(description="The day or month, in UTC.")
    soft: Decimal = Field(description="The limit then.")
    at: datetime = Field(description="When it was passed (UTC).")


class QuotaSummary(Model):
    """Limits, usage, and what remains."""

    quota: QueryQuota = Field(description="What may be spent.")
    usage: QueryUsage = Field(description="What is spent.")
    daily_remaining_usd: Decimal | None = Field(description="USD left today; null: without limit.")
    monthly_remaining_usd: Decimal | None = Field(description="USD left this month; null: without limit.")
    daily_percentage_used: float = Field(description="Part of the daily limit that is spent; 0 without limit.")
    monthly_percentage_used: float = Field(description="Part of the monthly limit that is spent; 0 without limit.")
    is_daily_quota_exceeded: bool = Field(description="Whether no query may start until midnight UTC.")
    is_monthly_quota_exceeded: bool = Field(description="Whether no query may start until the month ends, UTC.")
    max_requests_per_minute: int | None = Field(description="Requests that pass in any minute; null: without limit.")
    max_concurrent_queries: int | None = Field(description="Queries that run at once; null: without limit.")
    limits: list[LimitState] = Field(description="Every other limit.")
    warnings: list[QuotaWarning] = Field(description="Soft limits passed today or this month.")


class SetQueryQuota(Model):
    """The limits, both at once."""

    daily_limit_usd: Decimal | None = Field(None, ge=0, le=MOST_USD, description=LIMIT.format("day"))
    monthly_limit_usd: Decimal | None = Field(None, ge=0, le=MOST_USD, description=LIMIT.format("month"))
    tenant_id: str = Field("", max_length=64, description="Which tenant; left out: your own.")
    limits: list[UsageLimit] | None = Field(
        None, max_length=100, description="Every other limit, in the place of those of now; left out: they stay."
    )


class ListQueryCosts(Model):
    """Which page."""

    page: int = Field(1, ge=1, le=1_000_000, description="Number of the page, from 1.")
    page_size: int = Field(20, ge=1, le=100, description="Queries on a page.")


class QueryCost(Model):
    """What one query cost."""

    query_id: str = Field(description="Id of the run.")
    user_id: str = Field(description="Who ran it.")
    connection_id: str = Field(description="Connection that it read.")
    status: str = Field(description="`succeeded`, `failed` or `cancelled`.")
    created_at: datetime = Field(description="When it ended (UTC).")
    rows_scanned: int = Field(description="Rows read from tables, as far as the source says.")
    bytes_scanned: int = Field(description="Bytes read from tables, as far as the source says.")
    cpu_ms: int = Field(description="CPU time; elapsed time where the source does not say.")
    execution_time_ms: int = Field(description="Milliseconds from start to last row.")
    from_cache: bool = Field(description="Whether a kept answer was given, which costs nothing.")
    cost_usd: Decimal = Field(description="Its price.")


class QueryCostPage(Model):
    """A page of the history, newest first."""

    items: list[QueryCost] = Field(description="The queries.")
    total: int = Field(description="Queries in all.")
    page: int = Field(description="Number of this page.")
    page_size: int = Field(description="Queries on a page.")


@tool("GET /query-quota", needs="tenant.read", effect="read")
async def get_query_quota(ctx: Ctx, request: Empty) -> QuotaSummary:
    """Show what your tenant may spend on queries, has spent, and has left.

    Running queries count when they have ended. A query that would pass a limit is refused with QUOTA_EXCEEDED."""
    return await _summary(ctx, ctx.principal.tenant, await ctx.engine.usage.quota(ctx.principal.tenant))


@tool("GET /query-quota/history", needs="tenant.read", effect="read")
async def list_query_costs(ctx: Ctx, request: ListQueryCosts) -> QueryCostPage:
    """List what each query of your tenant read, took and cost, newest first.

    It shows no SQL and no rows."""
    offset = (request.page - 1) * request.page_size
    found, total = await ctx.engine.usage.history(ctx.principal.tenant, offset=offset, size=request.page_size)
    items = [_cost(cost) for cost in found]
    return QueryCostPage(items=items, total=total, page=request.page, page_size=request.page_size)


@tool("PUT /query-quota", needs="platform.tenants", effect="write")
async def set_query_quota(ctx: Ctx, request: SetQueryQuota) -> QuotaSummary:
    """Set what a tenant may spend on queries per day and month in USD, and what else it may use.

    A limit in USD that is left out or null is taken away; 0 lets no query run. It holds from the next query on, one
    on requests within 2 s. `limits` binds the tenant, its projects or its users, softly or hard."""
    tenant = request.tenant_id or ctx.principal.tenant
    others = None if request.limits is None else [_stored(limit) for limit in request.limits]
    state = await ctx.engine.usage.set_quota(
        tenant, daily_usd=request.daily_limit_usd, monthly_usd=request.monthly_limit_usd, others=others
    )
    ctx.note(f"tenant:{tenant}")
    return await _summary(ctx, tenant, state)


async def _summary(ctx: Ctx, tenant: str, state: QuotaState) -> QuotaSummary:
    limits, spent = state.limits, state.spent
    tier = await ctx.engine.quotas.tier(tenant)
    is_stored = any(limit.metric == "storage_bytes" for limit in state.others)
    stored = (await ctx.engine.usage.storage.measure(tenant)).total if is_stored else 0
    return QuotaSummary(
        quota=QueryQuota(daily_limit_usd=_usd(limits.daily), monthly_limit_usd=_usd(limits.monthly)),
        usage=QueryUsage(daily_used_usd=to_usd(spent.daily), monthly_used_usd=to_usd(spent.monthly)),
        daily_remaining_usd=_left(limits.daily, spent.daily),
        monthly_remaining_usd=_left(limits.monthly, spent.monthly),
        daily_percentage_used=_part(limits.daily, spent.daily),
        monthly_percentage_used=_part(limits.monthly, spent.monthly),
        is_daily_quota_exceeded=limits.daily is not None and spent.daily >= limits.daily,
        is_monthly_quota_exceeded=limits.monthly is not None and spent.monthly >= limits.monthly,
        max_requests_per_minute=tier.requests_per_minute,
        max_concurrent_queries=tier.concurrent_queries,
        limits=[_limit_state(limit, state, stored) for limit in state.others],
        warnings=[_warning(notice) for notice in state.notices],
    )


def _stored(limit: UsageLimit) -> Limit:
    soft, hard = (None if value is None else units(limit.metric, value) for value in (limit.soft, limit.hard))
    scope_id = "" if limit.scope == "tenant" else limit.scope_id or EACH
    return Limit(limit.scope, scope_id, limit.metric, limit.span, soft, hard)


def _limit_state(limit: Limit, state: QuotaState, stored: int) -> LimitState:
    used = stored if limit.metric == "storage_bytes" else state.used_of(limit)
    values = (limit.soft, limit.hard, None if limit.hard is None else max(0, limit.hard - used))
    soft, hard, left = (None if value is None else shown(limit.metric, value) for value in values)
    return LimitState(
        metric=cast(Metric, limit.metric),
        scope=cast(Scope, limit.scope),
        scope_id=limit.scope_id,
        span="day" if limit.span == "day" else "month",
        soft=soft,
        hard=hard,
        used=shown(limit.metric, used),
        remaining=left,
        is_warned=limit.soft is not None and used >= limit.soft,
        is_exceeded=limit.hard is not None and used >= limit.hard,
        renews_at=state.periods.of(limit.span)[1],
    )


def _warning(notice: Notice) -> QuotaWarning:
    return QuotaWarning(
        metric=notice.metric,
        scope=notice.scope,
        scope_id=notice.scope_id,
        period=notice.period,
        soft=shown(notice.metric, notice.soft),
        at=datetime.fromtimestamp(notice.at, UTC),
    )


def _usd(nano: int | None) -> Decimal | None:
    return None if nano is None else to_usd(nano)


def _left(limit: int | None, spent: int) -> Decimal | None:
    return None if limit is None else to_usd(max(0, limit - spent))


def _part(limit: int | None, spent: int) -> float:
    if limit is None:
        return 0.0
    return round(100 * spent / limit, 2) if limit else 100.0


def _cost(cost: StoredCost) -> QueryCost:
    return QueryCost(
        query_id=cost.query_id,
        user_id=cost.owner,
        connection_id=cost.connection_id,
        status=cost.status,
        created_at=datetime.fromtimestamp(cost.at, UTC),
        rows_scanned=cost.work.rows_scanned,
        bytes_scanned=cost.work.bytes_scanned,
        cpu_ms=cost.work.cpu_ms,
        execution_time_ms=cost.execution_time_ms,
        from_cache=cost.from_cache,
        cost_usd=cost.cost_usd,
    )
