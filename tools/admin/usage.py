"""What a tenant uses: requests, queries, models and storage, by user and project."""

from datetime import datetime
from decimal import Decimal

from pydantic import Field

from core.portable import Model
from core.tool import tool
from engine.context import Ctx
from engine.usage.amounts import Amount
from engine.usage.prices import to_usd

MOST_LISTED = 200


class GetTenantUsage(Model):
    """Whose usage, and of when."""

    tenant_id: str = Field("", max_length=64, description="Which tenant; left out: your own.")
    month: str = Field(
        "", pattern=r"^(20[0-9]{2}-(0[1-9]|1[0-2]))?$", description="An earlier month, as 2026-11; left out: this one."
    )


class UsedAmount(Model):
    """What was used in a day or a month."""

    requests: int = Field(description="Calls that were let in.")
    queries: int = Field(description="Queries that ended, also those answered from the cache.")
    rows_scanned: int = Field(description="Rows that queries read from tables.")
    bytes_scanned: int = Field(description="Bytes that queries read from tables.")
    query_usd: Decimal = Field(description="Price of the queries.")
    model_tokens: int = Field(description="Tokens that models read and wrote.")
    model_usd: Decimal = Field(description="Price of the models' work.")


class UsedBy(UsedAmount):
    """What one user or project used in the month."""

    id: str = Field(description="The user or project.")


class StorageUsage(Model):
    """What is stored now, measured at most once a minute."""

    total_bytes: int = Field(description="Bytes in all.")
    table_bytes: int | None = Field(description="Files of the lakehouse's tables; null where they lie in a bucket.")
    result_bytes: int = Field(description="Results of query jobs.")
    export_bytes: int = Field(description="Exports.")
    upload_bytes: int = Field(description="Uploads.")


class TenantUsage(Model):
    """What a tenant has used."""

    tenant_id: str = Field(description="The tenant.")
    day: str = Field(description="Today, in UTC.")
    month: str = Field(description="The month, in UTC.")
    day_ends_at: datetime = Field(description="When the day's counters begin anew (UTC).")
    month_ends_at: datetime = Field(description="When this month's counters begin anew (UTC).")
    today: UsedAmount = Field(description="Used today.")
    this_month: UsedAmount = Field(description="Used in the month.")
    storage: StorageUsage = Field(description="Stored now.")
    users: list[UsedBy] = Field(description="Users in the month, the dearest first; at most 200.")
    projects: list[UsedBy] = Field(description="Projects in the month, the dearest first; at most 200.")


@tool("GET /tenants/{tenant_id}/usage", "GET /tenant/usage", needs="tenant.read", effect="read")
async def get_tenant_usage(ctx: Ctx, request: GetTenantUsage) -> TenantUsage:
    """Show what your tenant has used today and this month, and what it has stored.

    Counters are of UTC days and months. Requests of the last second may be missing; queries and models are exact."""
    tenant = request.tenant_id or ctx.principal.tenant
    usage = ctx.engine.usage
    if tenant != ctx.principal.tenant:
        await usage.check_tenant(tenant, by=ctx.principal)
    now = (await usage.quota(tenant)).periods
    month = request.month or now.month
    used, stored = await usage.used(tenant, (now.day, month)), await usage.storage.measure(tenant)
    by = {key: amount for key, amount in used.items() if key[2] == month}
    return TenantUsage(
        tenant_id=tenant,
        day=now.day,
        month=month,
        day_ends_at=now.day_ends,
        month_ends_at=now.month_ends,
        today=UsedAmount(**_shown(used.get(("tenant", "", now.day), Amount()))),
        this_month=UsedAmount(**_shown(used.get(("tenant", "", month), Amount()))),
        storage=StorageUsage(
            total_bytes=stored.total,
            table_bytes=stored.tables,
            result_bytes=stored.results,
            export_bytes=stored.exports,
            upload_bytes=stored.uploads,
        ),
        users=_listed({key[1]: amount for key, amount in by.items() if key[0] == "user"}),
        projects=_listed({key[1]: amount for key, amount in by.items() if key[0] == "project"}),
    )


def _listed(amounts: dict[str, Amount]) -> list[UsedBy]:
    ranked = sorted(amounts.items(), key=lambda item: (-item[1].query_nano - item[1].model_nano, -item[1].requests))
    return [UsedBy(id=name, **_shown(amount)) for name, amount in ranked[:MOST_LISTED]]


def _shown(amount: Amount) -> dict[str, int | Decimal]:
    return {
        "requests": amount.requests,
        "queries": amount.queries,
        "rows_scanned": amount.rows_scanned,
        "bytes_scanned": amount.bytes_scanned,
        "query_usd": to_usd(amount.query_nano),
        "model_tokens": amount.model_tokens,
        "model_usd": to_usd(amount.model_nano),
    }
