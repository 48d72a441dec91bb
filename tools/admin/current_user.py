"""The caller itself: who it is and what it may do."""

from datetime import UTC, datetime

from pydantic import Field

from core.portable import Model
from core.tool import SIGNED_IN, Empty, tool
from engine.context import Ctx
from engine.identity.roles import main_role


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
    via: str = Field(description="How you came: user, client, token, local, external or agent.")


@tool("GET /users/me", needs=SIGNED_IN, effect="read", toolsets=("default",))
async def get_current_user(ctx: Ctx, request: Empty) -> CurrentUser:
    """Show who you are: tenant, roles, and the permissions of the credential you came with.

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
        via=principal.via,
    )
