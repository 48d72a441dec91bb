"""Tenants in the hands of the platform's administrators, and of their own."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from core.context import Principal
from core.errors import Conflict, NotFound, Unauthorized
from engine.identity.auth_file import DEFAULT_TENANT
from engine.identity.directory import checked_id, tenant_row, touch_tenant
from engine.identity.grants import PLATFORM, Giver, Grants, check_version
from engine.identity.names import checked_name, name_key
from engine.identity.vault import Vault
from engine.store.db import Store
from engine.store.tables import tenants

T = tenants.c

INVITATION_DAYS = 7
MIN_PASSWORD_CHARS = 12
MANAGE = "tenant.manage"
PURGED = "purged"  # the tier of a tenant that `purge_tenant` has begun to delete


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant as its administrators see it."""

    tenant_id: str
    name: str
    tier: str
    max_requests_per_minute: int | None
    max_concurrent_queries: int | None
    configuration: Mapping[str, Any]
    created_at: float
    updated_at: float | None
    archived_at: float | None
    suspended_at: float | None
    suspended_reason: str
    version: int

    @property
    def status(self) -> str:
        if self.archived_at is not None:
            return "archived"
        return "active" if self.suspended_at is None else "suspended"


class Tenants:
    """Makes, shows and changes tenants. `changed` drops what this process remembers of one."""

    def __init__(
        self,
        *,
        store: Store,
        vault: Vault,
        grants: Grants,
        changed: Callable[[str], None],
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid4().hex,
    ):
        self._store = store
        self._vault = vault
        self._grants = grants
        self._changed = changed
        self._clock = clock
        self._new_id = new_id

    async def create(
        self,
        by: Principal,
        name: str,
        *,
        tenant_id: str = "",
        tier: str = "free",
        configuration: Mapping[str, Any],
        then: Callable[[Connection, Giver, str], Any] = lambda connection, giver, tenant: None,
    ) -> tuple[Tenant, Any]:
        """Make a tenant, and `then` whatever belongs to it, together. Raises Unauthorized, Conflict."""
        chosen, shown = checked_id(tenant_id or self._new_id()), checked_name(name, "a tenant")
        row = tenant_row(chosen, shown, tier, wrapped_key=self._vault.new_tenant_key(), now=self._clock())
        row["configuration"] = json.dumps(dict(configuration))

        def work(connection: Connection) -> tuple[Tenant, Any]:
            touch_tenant(connection, by.tenant)
            giver = self._grants.giver(connection, by, PLATFORM)
            if connection.scalar(select(T.tenant_id).where(T.tenant_id == chosen)) is not None:
                raise Conflict(f"There is a tenant {chosen!r} already.", hint="Choose another id.")
            _check_name_free(connection, shown, but=chosen)
            connection.execute(insert(tenants).values(row))
            made = then(connection, giver, chosen)
            return find_tenant(connection, chosen), made

        return await self._store.write(work)

    async def listing(
        self, by: Principal, *, status: str = "", offset: int = 0, size: int = 100
    ) -> tuple[Sequence[Tenant], int]:
        """The tenants that the caller may know of, by age, and how many there are."""
        where = [] if by.may(PLATFORM) else [T.tenant_id == by.tenant]
        where.append(T.archived_at.is_not(None) if status == "archived" else T.archived_at.is_(None))
        if status in ("active", "suspended"):
            where.append(T.suspended_at.is_(None) if status == "active" else T.suspended_at.is_not(None))

        def work(connection: Connection) -> tuple[Sequence[Tenant], int]:
            total = connection.scalar(select(func.count()).select_from(tenants).where(*where)) or 0
            order = select(tenants).where(*where).order_by(T.created_at, T.tenant_id).offset(offset).limit(size)
            return [_read(row) for row in connection.execute(order).mappings()], total

        return await self._store.read(work)

    async def get(self, by: Principal, tenant_id: str = "") -> Tenant:
        """The caller's own tenant, or for the platform's administrators any. Raises NotFound."""
        asked = self.visible(by, tenant_id)
        return await self._store.read(lambda connection: find_tenant(connection, asked))

    def visible(self, by: Principal, tenant_id: str) -> str:
        """The id itself, or the caller's own tenant for none. Raises NotFound for one that is not the caller's."""
        asked = tenant_id or by.tenant
        if asked != by.tenant and not by.may(PLATFORM):
            raise _unknown(asked)
        return asked

    async def update(
        self,
        by: Principal,
        tenant_id: str,
        *,
        name: str | None = None,
        configuration: Mapping[str, Any] | None = None,
        expected: int | None = None,
    ) -> Tenant:
        """Rename or configure a tenant; configuration is merged. Raises NotFound, Unauthorized, Conflict."""
        asked = self.visible(by, tenant_id)

        def values(connection: Connection, tenant: Tenant) -> dict[str, Any]:
            found: dict[str, Any] = {}
            if name is not None:
                shown = checked_name(name, "a tenant")
                _check_name_free(connection, shown, but=asked)
                found |= {"name": shown, "name_key": name_key(shown)}
            if configuration is not None:
                found["configuration"] = json.dumps({**tenant.configuration, **configuration})
            return found

        return await self._change(by, asked, MANAGE, values, expected)

    async def set_tier(
        self, by: Principal, tenant_id: str, tier: str, limits: Mapping[str, int | None], expected: int | None = None
    ) -> Tenant:
        """How much a tenant may ask. Raises NotFound, Unauthorized, Conflict."""
        values = {"tier": tier, **limits}
        return await self._change(by, tenant_id, PLATFORM, lambda connection, tenant: values, expected)

    async def set_archived(self, by: Principal, tenant_id: str, *, is_archived: bool) -> Tenant:
        """From now on (2 s at most) nobody of the tenant gets in; or they do again. Raises NotFound, Conflict."""

        def values(connection: Connection, tenant: Tenant) -> dict[str, Any]:
            if not is_archived:
                if tenant.tier == PURGED:
                    raise Conflict("The tenant is being purged, or was.", hint="Nothing brings it back.")
                _check_name_free(connection, tenant.name, but=tenant_id)
                return {"archived_at": None}
            _refuse_own(by, tenant_id)
            return {"archived_at": tenant.archived_at or self._clock()}

        return await self._change(by, tenant_id, PLATFORM, values)

    async def set_suspended(self, by: Principal, tenant_id: str, *, reason: str | None) -> Tenant:
        """Stop a tenant for a while, with a reason, or with None let it go on. Raises NotFound, Conflict."""

        def values(connection: Connection, tenant: Tenant) -> dict[str, Any]:
            if reason is None:
                return {"suspended_at": None, "suspended_reason": ""}
            _refuse_own(by, tenant_id)
            return {"suspended_at": tenant.suspended_at or self._clock(), "suspended_reason": reason}

        return await self._change(by, tenant_id, PLATFORM, values)

    async def _change(
        self,
        by: Principal,
        tenant_id: str,
        needs: str,
        values: Callable[[Connection, Tenant], dict[str, Any]],
        expected: int | None = None,
    ) -> Tenant:
        def work(connection: Connection) -> Tenant:
            for held in sorted({by.tenant, tenant_id}):  # in one order, so that no two wait for each other
                _hold(connection, held)
            giver = self._grants.giver(connection, by, needs)
            tenant = find_tenant(connection, tenant_id)
            if tenant_id != by.tenant and PLATFORM not in giver.permissions:
                raise Unauthorized(f"It takes the permission {PLATFORM}.")
            check_version(expected, tenant.version, "The tenant")
            changed = {**values(connection, tenant), "revision": tenant.version + 1, "updated_at": self._clock()}
            connection.execute(update(tenants).where(T.tenant_id == tenant_id).values(changed))
            return find_tenant(connection, tenant_id)

        try:
            return await self._store.write(work)
        finally:
            self._changed(tenant_id)


def find_tenant(connection: Connection, tenant_id: str) -> Tenant:
    """Raises NotFound."""
    row = connection.execute(select(tenants).where(T.tenant_id == tenant_id)).mappings().first()
    if row is None:
        raise _unknown(tenant_id)
    return _read(row)


def invitation_days(connection: Connection, tenant_id: str) -> int:
    """Days that an invitation to a tenant holds."""
    found = find_tenant(connection, tenant_id).configuration.get("invitation_days")
    return int(found) if found else INVITATION_DAYS


def min_password_chars(connection: Connection, tenant_id: str) -> int:
    """Characters that passwords of a tenant's users have at least."""
    found = find_tenant(connection, tenant_id).configuration.get("min_password_chars")
    return max(MIN_PASSWORD_CHARS, int(found or 0))


def _hold(connection: Connection, tenant_id: str) -> None:
    try:
        touch_tenant(connection, tenant_id)
    except NotFound:
        raise _unknown(tenant_id) from None


def _check_name_free(connection: Connection, name: str, *, but: str) -> None:
    # Whoever gives a name holds the first tenant's row, so that of two equal names at once one is refused.
    connection.execute(update(tenants).where(T.tenant_id == DEFAULT_TENANT).values(version=T.version))
    taken = select(T.tenant_id).where(T.name_key == name_key(name), T.tenant_id != but, T.archived_at.is_(None))
    if connection.scalar(taken.limit(1)) is not None:
        raise Conflict("Another tenant has that name, or one that looks like it.", hint="Choose another name.")


def _refuse_own(by: Principal, tenant_id: str) -> None:
    if tenant_id == by.tenant:
        raise Conflict("This is your own tenant.", hint="Somebody of another tenant can do that.")


def _unknown(tenant_id: str) -> NotFound:
    return NotFound(f"No tenant {tenant_id[:64]!r}.", hint="list_tenants shows the tenants.")


def _read(row: RowMapping) -> Tenant:
    return Tenant(
        tenant_id=row["tenant_id"],
        name=row["name"],
        tier=row["tier"],
        max_requests_per_minute=row["max_requests_per_minute"],
        max_concurrent_queries=row["max_concurrent_queries"],
        configuration=json.loads(row["configuration"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        archived_at=row["archived_at"],
        suspended_at=row["suspended_at"],
        suspended_reason=row["suspended_reason"],
        version=row["revision"],
    )
