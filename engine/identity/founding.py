"""A new tenant and its first administrator, made together or not at all."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from core.context import Principal
from engine.identity.administration import Administration
from engine.identity.grants import ADMIN, Giver
from engine.identity.links import OneTimeLink
from engine.identity.people import UserDraft
from engine.identity.tenants import Tenant


async def found_tenant(
    desks: Administration,
    by: Principal,
    name: str,
    *,
    tenant_id: str = "",
    tier: str = "free",
    configuration: Mapping[str, Any],
    founder: tuple[str, str] | None = None,
) -> tuple[Tenant, OneTimeLink | None]:
    """The tenant, and the invitation of its `founder`, who is an e-mail address and a name.

    Raises Unauthorized, Conflict."""

    def invite(connection: Connection, giver: Giver, tenant: str) -> OneTimeLink | None:
        if founder is None:
            return None
        email, shown = founder
        draft = UserDraft(email=email, name=shown or email, roles=[ADMIN])
        return desks.people.invite_now(connection, giver, tenant, draft)[1]

    tenant, link = await desks.tenants.create(
        by, name, tenant_id=tenant_id, tier=tier, configuration=configuration, then=invite
    )
    if link is not None:
        await desks.links.deliver(link)
    return tenant, link
