"""Roles: the built-in ones, and those that a tenant makes of permissions that their maker holds."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from core.context import Principal
from core.errors import Conflict, NotFound
from engine.identity.directory import touch_tenant
from engine.identity.grants import Giver, Grants, check_version
from engine.identity.names import checked_name, name_key
from engine.identity.roles import ALIASES, BUILT_IN, PERMISSIONS, PLATFORM_ONLY, canonical
from engine.store.db import Store
from engine.store.tables import clients, roles, users

R = roles.c
MAX_ROLES = 2000  # of one tenant

GRANTABLE = PERMISSIONS - PLATFORM_ONLY
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Role:
    """A role and what it allows. Built-in ones have version 1 for good."""

    role: str
    name: str
    description: str
    permissions: frozenset[str]
    is_built_in: bool
    version: int = 1
    created_at: float | None = None
    updated_at: float | None = None
    profile: Mapping[str, Any] = field(default_factory=dict)


DESCRIPTIONS = {
    "viewer": "Reads and asks questions.",
    "editor": "Changes records, saved queries, assets, datasets and projects.",
    "auditor": "Reads the audit log, jobs and usage; runs no queries.",
    "data_engineer": "Runs pipelines and cares for tables.",
    "lead_data_engineer": "Manages connections and leads pipelines.",
    "admin": "Manages people, policies, agents and the tenant itself.",
    "super_admin": "Manages the platform and all its tenants.",
}


@dataclass(frozen=True, slots=True)
class RoleDraft:
    """What is said about a role; None leaves it as it is."""

    name: str | None = None
    description: str | None = None
    permissions: Sequence[str] | None = None
    profile: Mapping[str, Any] | None = None


class RoleBook:
    """Lists, makes and changes roles of the caller's tenant."""

    def __init__(
        self,
        *,
        store: Store,
        grants: Grants,
        changed: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ):
        self._store = store
        self._grants = grants
        self._changed = changed
        self._clock = clock

    async def listing(self, by: Principal) -> Sequence[Role]:
        """Built-in roles first, then the tenant's own by name."""
        return await self._store.read(lambda connection: all_roles(connection, by.tenant))

    async def get(self, by: Principal, role: str) -> Role:
        """Raises NotFound."""
        return await self._store.read(lambda connection: find_role(connection, by.tenant, role))

    async def create(
        self,
        by: Principal,
        role: str,
        *,
        permissions: Sequence[str] = (),
        description: str = "",
        name: str = "",
        profile: Mapping[str, Any] | None = None,
    ) -> Role:
        """Raises Unauthorized, Conflict."""
        draft = RoleDraft(name or role, description, permissions, profile)
        return await self._write(by, lambda connection, giver: self.create_now(connection, giver, role, draft))

    async def update(
        self,
        by: Principal,
        role: str,
        *,
        permissions: Sequence[str] | None = None,
        description: str | None = None,
        name: str | None = None,
        profile: Mapping[str, Any] | None = None,
        expected: int | None = None,
    ) -> Role:
        """Raises NotFound, Unauthorized, Conflict."""

        draft = RoleDraft(name, description, permissions, profile)
        return await self._write(
            by, lambda connection, giver: self.update_now(connection, giver, role, draft, expected)
        )

    async def delete(self, by: Principal, role: str) -> None:
        """Delete a role that nobody has any more. Raises NotFound, Unauthorized, Conflict."""

        await self._write(by, lambda connection, giver: self.delete_now(connection, giver, role))

    def create_now(self, connection: Connection, giver: Giver, role: str, draft: RoleDraft) -> Role:
        """`create` inside a transaction that holds the tenant."""
        given = _known(draft.permissions or ())
        giver.check_permissions(given)
        shown = checked_name(draft.name or role, "a role")
        self._check_free(connection, giver.tenant, role, shown)
        row = {
            "tenant_id": giver.tenant,
            "role": role,
            "name": shown,
            "permissions": json.dumps(sorted(given)),
            "description": draft.description or "",
            "profile": json.dumps(dict(draft.profile or {})),
            "created_at": self._clock(),
        }
        connection.execute(insert(roles).values(row))
        return find_role(connection, giver.tenant, role)

    def update_now(
        self, connection: Connection, giver: Giver, role: str, draft: RoleDraft, expected: int | None = None
    ) -> Role:
        """`update` inside a transaction that holds the tenant."""
        found = self._own(connection, giver.tenant, role)
        check_version(expected, found.version, "The role")
        values: dict[str, Any] = {}
        if draft.permissions is not None:
            given = _known(draft.permissions)
            giver.check_permissions(given ^ found.permissions)
            values["permissions"] = json.dumps(sorted(given))
        if draft.description is not None:
            values["description"] = draft.description
        if draft.name is not None and draft.name != found.name:
            values["name"] = checked_name(draft.name, "a role")
            self._check_free(connection, giver.tenant, "", values["name"], but=found.role)
        if draft.profile is not None:
            values["profile"] = json.dumps(dict(draft.profile))
        values |= {"version": found.version + 1, "updated_at": self._clock()}
        connection.execute(update(roles).where(*_where(giver.tenant, found.role)).values(values))
        return find_role(connection, giver.tenant, found.role)

    def delete_now(self, connection: Connection, giver: Giver, role: str) -> None:
        """`delete` inside a transaction that holds the tenant."""
        found = self._own(connection, giver.tenant, role)
        giver.check_permissions(found.permissions)
        if _is_held(connection, giver.tenant, found.role):
            raise Conflict("Somebody still has this role.", hint="list_users with `role` shows who; revoke it first.")
        connection.execute(delete(roles).where(*_where(giver.tenant, found.role)))

    def _own(self, connection: Connection, tenant: str, role: str) -> Role:
        found = find_role(connection, tenant, role)
        if found.is_built_in:
            raise Conflict(f"The role {found.role} is built in.", hint="Make a role of your own with create_role.")
        return found

    def _check_free(self, connection: Connection, tenant: str, role: str, name: str, *, but: str = "") -> None:
        taken = all_roles(connection, tenant)
        names = {name_key(text) for found in taken if found.role != but for text in (found.role, found.name)}
        names |= {name_key(alias) for alias in ALIASES}
        if not {name_key(role), name_key(name)}.isdisjoint(names):
            raise Conflict("There is a role of that name, or of one that looks like it.", hint="Choose another name.")
        if not but and len(taken) - len(BUILT_IN) >= MAX_ROLES:
            raise Conflict(f"The tenant has {MAX_ROLES} roles already.", hint="Delete some that nobody has.")

    async def _write(self, by: Principal, work: Callable[[Connection, Giver], T]) -> T:
        def held(connection: Connection) -> T:
            touch_tenant(connection, by.tenant)
            return work(connection, self._grants.giver(connection, by))

        try:
            return await self._store.write(held)
        finally:
            self._changed(by.tenant)


def all_roles(connection: Connection, tenant: str) -> list[Role]:
    rows = connection.execute(select(roles).where(R.tenant_id == tenant).order_by(R.role)).mappings()
    return [*map(built_in, BUILT_IN), *map(_read, rows)]


def find_role(connection: Connection, tenant: str, role: str) -> Role:
    """A role by its own name or an alias. Raises NotFound."""
    name = canonical(role)
    if name in BUILT_IN:
        return built_in(name)
    row = connection.execute(select(roles).where(*_where(tenant, name))).mappings().first()
    if row is None:
        raise NotFound(f"No role {role[:64]!r}.", hint="list_roles shows the roles.")
    return _read(row)


def built_in(name: str) -> Role:
    return Role(name, name, DESCRIPTIONS[name], BUILT_IN[name], is_built_in=True)


def _is_held(connection: Connection, tenant: str, role: str) -> bool:
    mark = json.dumps(role)
    by_user = select(users.c.user_id).where(
        users.c.tenant_id == tenant, users.c.roles.contains(mark, autoescape=True), users.c.deleted_at.is_(None)
    )
    by_client = select(clients.c.client_id).where(
        clients.c.tenant_id == tenant, clients.c.roles.contains(mark, autoescape=True), clients.c.disabled_at.is_(None)
    )
    return any(connection.scalar(holders.limit(1)) is not None for holders in (by_user, by_client))


def _where(tenant: str, role: str) -> tuple[Any, Any]:
    return R.tenant_id == tenant, R.role == role


def _known(permissions: Sequence[str]) -> frozenset[str]:
    """Raises Conflict for what is no permission that a tenant's role can have."""
    strange = sorted(set(permissions) - GRANTABLE)
    if strange:
        raise Conflict(
            f"No role can have the permission {strange[0][:64]!r}.", hint="list_roles shows all permissions."
        )
    return frozenset(permissions)


def _read(row: RowMapping) -> Role:
    return Role(
        role=row["role"],
        name=row["name"] or row["role"],
        description=row["description"],
        permissions=frozenset(json.loads(row["permissions"])) & GRANTABLE,
        is_built_in=False,
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        profile=json.loads(row["profile"]),
    )


def permission_matrix(found: Sequence[Role]) -> dict[str, list[str]]:
    """Every permission that there is, with those of the roles that have it."""
    return {name: [role.role for role in found if name in role.permissions] for name in sorted(PERMISSIONS)}
