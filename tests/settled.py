"""Principals of tests, made known to a real platform: whoever it does not know is stopped in the middle of a call."""

from core.context import Principal
from headwater.build import Platform


async def settle(platform: Platform, *principals: Principal) -> None:
    """Make their tenants and users, where they are missing."""
    identity = platform.engine.identity
    known = {tenant.tenant_id for tenant in (await identity.admin.tenants.listing(_SOMEBODY))[0]}
    for by in principals:
        if by.tenant not in known:
            await identity.directory.create_tenant(by.tenant, tenant_id=by.tenant, tier="enterprise")
            known.add(by.tenant)
        if by.subject != "admin" or by.tenant != "default":
            await identity.directory.create_user(
                by.tenant, user_id=by.subject, roles=by.roles, attributes=by.attributes
            )


_SOMEBODY = Principal("", "default", permissions=frozenset({"platform.tenants"}))
