"""Tenants: making, configuring, suspending, archiving and bringing back."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.context import Ctx
from engine.identity import tenants as stored
from engine.identity.founding import found_tenant
from engine.identity.names import EMAIL, SEEN
from tools.admin.users import EXPECTED, ID, maybe, moment

MAYBE_EMAIL = rf"^$|{EMAIL}"
NAME = "Name that people read; no other tenant has it, or one that looks like it."


class KeptDays(Model):
    """Days for which things are kept that pile up; left out: as long as the platform keeps them."""

    results_days: int | None = Field(None, ge=1, le=365, description="Rows of query jobs, and exports.")
    history_days: int | None = Field(
        None, ge=1, le=400, description="What was run: queries and their costs, jobs, agents' runs, conversations; 400."
    )
    notices_days: int | None = Field(None, ge=1, le=30, description="Notices that were sent or given up; 30.")
    sessions_days: int | None = Field(None, ge=1, le=30, description="Sessions that have ended; 30.")
    audit_days: int | None = Field(None, ge=90, le=3650, description="The audit log; left out: for ever.")


class TenantConfiguration(Model):
    """How a tenant is set up; what is left out, or null, stays."""

    description: str | None = Field(None, max_length=2000, description="What the tenant is.")
    contact_email: str | None = Field(None, pattern=MAYBE_EMAIL, max_length=255, description="Whom to ask about it.")
    invitation_days: int | None = Field(None, ge=1, le=30, description="Days that an invitation holds; 7 unless told.")
    min_password_chars: int | None = Field(
        None, ge=12, le=128, description="Characters that a password has at least; 12 unless told."
    )
    hold_new_agents: bool | None = Field(
        None, description="Whether agents of others wait in quarantine until a person has approved what they say."
    )
    retention: KeptDays | None = Field(
        None, description="How long things are kept; given whole, in the place of before."
    )


class TenantRef(Model):
    """Which tenant."""

    tenant_id: Annotated[str, Refers("tenant")] = Field(
        max_length=64, description="Id of the tenant; list_tenants shows them."
    )


class MaybeTenantRef(Model):
    """Which tenant; your own unless told."""

    tenant_id: Annotated[str | None, Refers("tenant")] = Field(
        None, max_length=64, description="Id of the tenant; left out: your own."
    )


class CreateTenant(Model):
    """A new tenant."""

    name: str = Field(min_length=1, max_length=255, pattern=SEEN, description=NAME)
    tenant_id: str | None = Field(None, pattern=ID, description="Id of your choice; made up unless given.")
    tier: Literal["free", "pro", "enterprise"] = Field("free", description="How much it may ask.")
    configuration: TenantConfiguration = Field(TenantConfiguration(), description="How it is set up.")
    admin_email: str = Field("", pattern=MAYBE_EMAIL, max_length=255, description="Whom to invite as administrator.")
    admin_name: str = Field("", max_length=255, pattern=SEEN, description="Name of the administrator.")


class ListTenants(Paged):
    """Which tenants to list."""

    status: Literal["", "active", "suspended", "archived"] = Field(
        "", description="Only these; empty: all that are not archived."
    )


class UpdateTenant(MaybeTenantRef):
    """Changes of a tenant; what is left out stays."""

    name: str | None = Field(None, min_length=1, max_length=255, pattern=SEEN, description=NAME)
    configuration: TenantConfiguration | None = Field(None, description="How it is set up.")
    expected_version: int | None = Field(None, ge=1, description=EXPECTED)


class SetTenantTier(TenantRef):
    """How much a tenant may ask."""

    tier: Literal["free", "pro", "enterprise"] = Field(
        description="free: 60 requests a minute, 5 queries at once; pro: 600 and 25; enterprise: as set here."
    )
    max_requests_per_minute: int | None = Field(None, ge=1, le=10**9, description="Instead of the tier's own.")
    max_concurrent_queries: int | None = Field(None, ge=1, le=10**6, description="Instead of the tier's own.")
    expected_version: int | None = Field(None, ge=1, description=EXPECTED)


class SuspendTenant(TenantRef):
    """Which tenant to stop, and why."""

    reason: str = Field(min_length=1, max_length=1000, description="Why, for whoever has to answer for it.")


class Tenant(Model):
    """A tenant."""

    name: str = Field(description="Name that people read.")
    id: str = Field(description="Its id.")
    created_at: datetime = Field(description="When it was made (UTC).")
    archived_at: datetime | None = Field(description="When it was archived (UTC); nobody of it gets in.")
    status: str = Field(description="active, suspended or archived.")
    tier: str = Field(description="free, pro or enterprise.")
    max_requests_per_minute: int | None = Field(description="Instead of the tier's own.")
    max_concurrent_queries: int | None = Field(description="Instead of the tier's own.")
    configuration: TenantConfiguration = Field(description="How it is set up.")
    suspended_at: datetime | None = Field(description="When it was suspended (UTC).")
    suspended_reason: str = Field(description="Why it was suspended.")
    updated_at: datetime | None = Field(description="When it was last changed (UTC).")
    version: int = Field(description="Raised by every change; updates take it as `expected_version`.")


class CreatedTenant(Tenant):
    """A tenant just made."""

    admin_user_id: str = Field(description="The administrator who was invited; empty without one.")
    invitation_url: str = Field(description="The link for the administrator, shown this once.")
    invitation_token: str = Field(description="The secret of the link, for accept_invitation.")


class TenantList(Listing):
    """A page of tenants."""

    tenants: list[Tenant] = Field(description="The tenants, oldest first.")
    items: list[Tenant] = Field(description="The same list.")


@tool("POST /tenants", needs="platform.tenants", effect="write", status=201, location="/tenants/{id}")
async def create_tenant(ctx: Ctx, request: CreateTenant) -> CreatedTenant:
    """Make a tenant with keys of its own, and invite its first administrator if you say whom."""
    tenant, founder = await found_tenant(
        ctx.engine.identity.admin,
        ctx.principal,
        request.name,
        tenant_id=request.tenant_id or "",
        tier=request.tier,
        configuration=request.configuration.model_dump(exclude_none=True),
        founder=(request.admin_email, request.admin_name) if request.admin_email else None,
    )
    ctx.note(f"tenant:{tenant.tenant_id}")
    return CreatedTenant(
        admin_user_id=founder.user_id if founder else "",
        invitation_url=founder.url(ctx.engine.settings.server.public_url) if founder else "",
        invitation_token=founder.secret if founder else "",
        **show_tenant(tenant).model_dump(),
    )


@tool("GET /tenants", needs="tenant.read", effect="read")
async def list_tenants(ctx: Ctx, request: ListTenants) -> TenantList:
    """List the tenants that you belong to; administrators of the platform see all."""
    window = ctx.engine.pages.window("list_tenants", request, ctx.principal)
    found, total = await ctx.engine.identity.admin.tenants.listing(
        ctx.principal, status=request.status, offset=window.offset, size=window.size
    )
    page = [show_tenant(tenant) for tenant in found]
    token = ctx.engine.pages.next_token("list_tenants", request, ctx.principal, window, total)
    return TenantList(tenants=page, items=page, total_count=total, next_page_token=token)


@tool("GET /tenants/{tenant_id}", "GET /tenant", needs="tenant.read", effect="read")
async def get_tenant(ctx: Ctx, request: MaybeTenantRef) -> Tenant:
    """Show your tenant, its tier and how it is set up."""
    return show_tenant(await ctx.engine.identity.admin.tenants.get(ctx.principal, request.tenant_id or ""))


@tool(
    "PATCH /tenants/{tenant_id}",
    "PUT /tenants/{tenant_id}",
    "PATCH /tenant",
    "PUT /tenant",
    needs="tenant.manage",
    effect="write",
)
async def update_tenant(ctx: Ctx, request: UpdateTenant) -> Tenant:
    """Rename your tenant or change how it is set up; what is left out stays."""
    configuration = None if request.configuration is None else request.configuration.model_dump(exclude_none=True)
    changed = await ctx.engine.identity.admin.tenants.update(
        ctx.principal,
        request.tenant_id or "",
        name=request.name,
        configuration=configuration,
        expected=request.expected_version,
    )
    return show_tenant(changed)


@tool("PUT /tenants/{tenant_id}/tier", needs="platform.tenants", effect="write")
async def set_tenant_tier(ctx: Ctx, request: SetTenantTier) -> Tenant:
    """Say how much a tenant may ask: requests a minute, and queries at once."""
    limits = {
        "max_requests_per_minute": request.max_requests_per_minute,
        "max_concurrent_queries": request.max_concurrent_queries,
    }
    return show_tenant(
        await ctx.engine.identity.admin.tenants.set_tier(
            ctx.principal, request.tenant_id, request.tier, limits, request.expected_version
        )
    )


@tool("POST /tenants/{tenant_id}/suspend", needs="platform.tenants", effect="write")
async def suspend_tenant(ctx: Ctx, request: SuspendTenant) -> Tenant:
    """Stop a tenant for a while: nobody of it gets in, and what runs stops, within two seconds."""
    tenants = ctx.engine.identity.admin.tenants
    return show_tenant(await tenants.set_suspended(ctx.principal, request.tenant_id, reason=request.reason))


@tool("POST /tenants/{tenant_id}/resume", needs="platform.tenants", effect="write")
async def resume_tenant(ctx: Ctx, request: TenantRef) -> Tenant:
    """Let a suspended tenant go on."""
    tenants = ctx.engine.identity.admin.tenants
    return show_tenant(await tenants.set_suspended(ctx.principal, request.tenant_id, reason=None))


@tool("DELETE /tenants/{tenant_id}", needs="platform.tenants", effect="destroy", status=204)
async def delete_tenant(ctx: Ctx, request: TenantRef) -> Empty:
    """Archive a tenant: nobody of it gets in any more.

    Its data stays. `restore_tenant` undoes it."""
    await ctx.engine.identity.admin.tenants.set_archived(ctx.principal, request.tenant_id, is_archived=True)
    return Empty()


@tool("POST /tenants/{tenant_id}/restore", needs="platform.tenants", effect="write")
async def restore_tenant(ctx: Ctx, request: TenantRef) -> Tenant:
    """Bring an archived tenant back, with everything that it had."""
    tenants = ctx.engine.identity.admin.tenants
    return show_tenant(await tenants.set_archived(ctx.principal, request.tenant_id, is_archived=False))


def show_tenant(tenant: stored.Tenant) -> Tenant:
    return Tenant(
        name=tenant.name,
        id=tenant.tenant_id,
        created_at=moment(tenant.created_at),
        archived_at=maybe(tenant.archived_at),
        status=tenant.status,
        tier=tenant.tier,
        max_requests_per_minute=tenant.max_requests_per_minute,
        max_concurrent_queries=tenant.max_concurrent_queries,
        configuration=TenantConfiguration.model_validate(dict(tenant.configuration)),
        suspended_at=maybe(tenant.suspended_at),
        suspended_reason=tenant.suspended_reason,
        updated_at=maybe(tenant.updated_at),
        version=tenant.version,
    )
