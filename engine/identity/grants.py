"""What one may give to others: nothing that one does not hold oneself, and nothing through an agent."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from core.context import Principal
from core.errors import Conflict, NotFound, Unauthorized
from engine.identity.rights import Subject, own_roles
from engine.identity.roles import BUILT_IN, SUPER_ADMIN, canonical, permissions_of
from engine.store.tables import users

ADMIN = "admin"
MANAGE_POLICIES = "policies.manage"
MANAGE_USERS = "users.manage"
PLATFORM = "platform.tenants"

Load = Callable[[Connection, str, str], Subject | None]


@dataclass(frozen=True, slots=True)
class Giver:
    """Somebody who is about to change what others may do, with the rights of this very moment."""

    subject: str
    tenant: str
    roles: frozenset[str]
    permissions: frozenset[str]

    def is_self(self, tenant: str, subject: str) -> bool:
        return (tenant, subject) == (self.tenant, self.subject)

    def check_permissions(self, permissions: Iterable[str]) -> None:
        """Raises Unauthorized for a permission that the giver does not hold."""
        missing = sorted(set(permissions) - self.permissions)
        if missing:
            raise Unauthorized(
                f"You cannot give or take what you do not hold yourself: {', '.join(missing)[:200]}.",
                hint="Ask somebody who holds it; get_current_user shows what you hold.",
            )

    def check_roles(self, connection: Connection, tenant: str, roles: frozenset[str]) -> None:
        """Whether the giver may give these roles to somebody else. Raises NotFound, Unauthorized.

        A role opens more than its permissions, since policies speak of roles: who cannot change policies gives
        only roles of their own."""
        self.check_permissions(role_permissions(connection, tenant, roles))
        strange = sorted(roles - self.roles) if tenant == self.tenant else []
        if strange and MANAGE_POLICIES not in self.permissions:
            raise Unauthorized(
                f"You cannot give a role that you do not have: {strange[0][:64]}.",
                hint=f"It takes the role itself, or {MANAGE_POLICIES}.",
            )

    def check_new_roles(
        self, connection: Connection, tenant: str, subject: str, *, before: frozenset[str], after: frozenset[str]
    ) -> None:
        """Whether somebody's roles may change like that. Raises NotFound, Unauthorized."""
        self.check_roles(connection, tenant, after - before)
        self.check_permissions(known_permissions(connection, tenant, before - after))
        if self.is_self(tenant, subject) and after - before:
            raise Unauthorized("Nobody raises their own rights.", hint="Ask another administrator.")

    def check_above(self, connection: Connection, tenant: str, roles: frozenset[str]) -> None:
        """Whether the giver may act on an account with these roles, be it their own: whoever may is able to
        become it, and a narrowed token is less than its owner. Raises Unauthorized."""
        self.check_permissions(known_permissions(connection, tenant, roles))


class Grants:
    """Finds out who gives. `load` reads a living subject as it is now."""

    def __init__(self, load: Load):
        self._load = load

    def giver(self, connection: Connection, by: Principal, needs: str = MANAGE_USERS) -> Giver:
        """The caller with what it may do in this transaction. Raises Unauthorized."""
        refuse_agents(by)
        now = self._load(connection, by.tenant, by.subject)
        held = by.permissions & now.permissions if now else frozenset[str]()
        if now is None or needs not in held:
            raise Unauthorized(f"It takes the permission {needs}.", hint="get_current_user shows what you have.")
        return Giver(by.subject, by.tenant, now.roles, held)


def refuse_agents(by: Principal) -> None:
    """Agents never grant, mint or change who may do what. Raises Unauthorized."""
    if by.via == "agent":
        raise Unauthorized("Agents do not change who may do what.", hint="Ask the person to do it themselves.")


def canonical_roles(roles: Iterable[str]) -> frozenset[str]:
    return frozenset(canonical(role) for role in roles)


def role_permissions(connection: Connection, tenant: str, roles: frozenset[str]) -> frozenset[str]:
    """Everything that these roles allow. Raises NotFound for a role that the tenant does not have."""
    own = own_roles(connection, tenant, roles - BUILT_IN.keys())
    unknown = sorted(roles - BUILT_IN.keys() - own.keys())
    if unknown:
        raise NotFound(f"No role {unknown[0][:64]!r}.", hint="list_roles shows the roles.")
    return permissions_of(roles, own)


def known_permissions(connection: Connection, tenant: str, roles: frozenset[str]) -> frozenset[str]:
    """Everything that these roles allow; roles that are gone allow nothing."""
    return permissions_of(roles, own_roles(connection, tenant, roles - BUILT_IN.keys()))


def is_admin(roles: Iterable[str]) -> bool:
    return not {ADMIN, SUPER_ADMIN}.isdisjoint(roles)


def check_admin_left(connection: Connection, tenant: str) -> None:
    """To be called after a change in the same transaction, which holds the tenant's row. Raises Conflict."""
    living = (users.c.tenant_id == tenant, users.c.deactivated_at.is_(None), users.c.deleted_at.is_(None))
    named = users.c.roles.contains(f'"{ADMIN}"') | users.c.roles.contains(f'"{SUPER_ADMIN}"')
    if not connection.scalar(select(func.count()).where(*living, named, users.c.invited_at.is_(None))):
        raise Conflict(
            "This is the tenant's last administrator.", hint="Give somebody else the role admin first, then try again."
        )


def read_roles(text: str) -> frozenset[str]:
    return canonical_roles(json.loads(text))


def check_version(expected: int | None, present: int, what: str) -> None:
    """Raises Conflict when somebody else changed it since it was read."""
    if expected is not None and expected != present:
        raise Conflict(
            f"{what} has changed meanwhile: it is at version {present}, not {expected}.",
            hint="Read it again, then decide.",
        )
