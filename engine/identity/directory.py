"""Tenants, users, clients and roles in the store. Every change raises the tenant's version."""

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, insert, select, update

from core.errors import Conflict, InvalidArgument, NotFound
from engine.identity.names import login_key, name_key
from engine.identity.roles import BUILT_IN, canonical
from engine.identity.secrets import hash_secret, new_client_secret
from engine.identity.vault import Vault
from engine.store.db import Store
from engine.store.tables import clients, roles, tenants, users

ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
EXTERNAL_PREFIX = "ext-"  # ids of users that an external issuer vouches for; nobody may choose one
TIERS = ("free", "pro", "enterprise")


@dataclass(frozen=True, slots=True)
class Profile:
    """A user or client as shown to itself."""

    subject: str
    name: str
    email: str
    tenant_name: str
    issuer: str
    created_at: float | None


@dataclass(frozen=True, slots=True)
class NewClient:
    """A client just made; the secret is not stored and can not be shown again."""

    client_id: str
    client_secret: str


class Directory:
    """Makes, changes and retires whoever may call."""

    def __init__(
        self,
        *,
        store: Store,
        vault: Vault,
        reserved_ids: frozenset[str] = frozenset(),
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid4().hex,
    ):
        self._store = store
        self._vault = vault
        self._reserved_ids = reserved_ids  # clients of auth_clients.yml
        self._clock = clock
        self._new_id = new_id

    async def create_tenant(self, name: str, *, tenant_id: str = "", tier: str = "free") -> str:
        """Make a tenant with a data key of its own, and return its id."""
        if tier not in TIERS:
            raise InvalidArgument(f"{tier!r} is no tier.", hint=f"Tiers: {', '.join(TIERS)}.")
        chosen = checked_id(tenant_id or self._new_id())
        row = self._tenant_row(chosen, name, tier)

        def work(connection: Connection) -> None:
            if connection.scalar(select(tenants.c.tenant_id).where(tenants.c.tenant_id == chosen)):
                raise Conflict(f"There is a tenant {chosen!r} already.", hint="Choose another id.")
            connection.execute(insert(tenants).values(row))

        await self._store.write(work)
        return chosen

    async def create_user(
        self,
        tenant: str,
        *,
        user_id: str = "",
        roles: Iterable[str] = (),
        email: str = "",
        name: str = "",
        attributes: Mapping[str, str] | None = None,
    ) -> str:
        """Make a user and return its id."""
        chosen = checked_id(user_id or self._new_id())
        row = user_row(tenant, chosen, roles, self._clock(), email=email, name=name, attributes=attributes)

        def work(connection: Connection) -> None:
            touch_tenant(connection, tenant)
            self.check_free(connection, tenant, chosen)
            connection.execute(insert(users).values(row))

        await self._store.write(work)
        return chosen

    async def create_client(
        self, tenant: str, *, client_id: str = "", roles: Iterable[str] = (), name: str = "", secret: str = ""
    ) -> NewClient:
        """Make a client. Without a secret of your choice a 256-bit one is made, which is checked much faster."""
        chosen = checked_id(client_id or self._new_id())
        given = secret or new_client_secret()
        row = {
            "client_id": chosen,
            "tenant_id": tenant,
            "name": name or chosen,
            "name_key": name_key(name or chosen),
            "secret_hash": hash_secret(given),
            "roles": _role_list(roles),
            "created_at": self._clock(),
        }

        def work(connection: Connection) -> None:
            touch_tenant(connection, tenant)
            self.check_free(connection, tenant, chosen)
            connection.execute(insert(clients).values(row))

        await self._store.write(work)
        return NewClient(chosen, given)

    async def set_user_roles(self, tenant: str, user_id: str, roles: Iterable[str]) -> None:
        await self._change(tenant, update(users).where(*_user(tenant, user_id)).values(roles=_role_list(roles)))

    async def deactivate_user(self, tenant: str, user_id: str) -> None:
        """From now on (2 s at most) nothing that this user holds lets anybody in."""
        values = {"deactivated_at": self._clock(), "access_ended_at": self._clock()}
        await self._change(tenant, update(users).where(*_user(tenant, user_id)).values(values))

    async def reactivate_user(self, tenant: str, user_id: str) -> None:
        await self._change(tenant, update(users).where(*_user(tenant, user_id)).values(deactivated_at=None))

    async def disable_client(self, tenant: str, client_id: str) -> None:
        where = (clients.c.tenant_id == tenant, clients.c.client_id == client_id)
        await self._change(tenant, update(clients).where(*where).values(disabled_at=self._clock()))

    async def archive_tenant(self, tenant: str) -> None:
        """From now on (2 s at most) nobody of this tenant gets in."""
        await self._change(
            tenant, update(tenants).where(tenants.c.tenant_id == tenant).values(archived_at=self._clock())
        )

    async def define_role(self, tenant: str, role: str, permissions: Iterable[str], description: str = "") -> None:
        """Make or replace a role of the tenant's own."""
        name = checked_id(role)
        if canonical(name) in BUILT_IN:
            raise Conflict(f"{name!r} is built in.", hint="Choose another name.")
        values = {"permissions": json.dumps(sorted(set(permissions))), "description": description}
        where = (roles.c.tenant_id == tenant, roles.c.role == name)

        def work(connection: Connection) -> None:
            touch_tenant(connection, tenant)
            if not connection.execute(update(roles).where(*where).values(values)).rowcount:
                connection.execute(insert(roles).values(tenant_id=tenant, role=name, **values))

        await self._store.write(work)

    async def has_role(self, tenant: str, role: str) -> bool:
        """Whether the tenant has a role of its own by that name."""
        statement = select(roles.c.role).where(roles.c.tenant_id == tenant, roles.c.role == role)
        return await self._store.read(lambda connection: connection.scalar(statement) is not None)

    async def profile(self, tenant: str, subject: str) -> Profile:
        """Who a subject is. Clients of auth_clients.yml have an id and nothing more."""

        def work(connection: Connection) -> Profile:
            tenant_name = connection.scalar(select(tenants.c.name).where(tenants.c.tenant_id == tenant)) or tenant
            user = connection.execute(select(users).where(*_user(tenant, subject))).mappings().first()
            if user is not None:
                return Profile(subject, user["name"], user["email"], tenant_name, user["issuer"], user["created_at"])
            where = (clients.c.tenant_id == tenant, clients.c.client_id == subject)
            client = connection.execute(select(clients).where(*where)).mappings().first()
            if client is not None:
                return Profile(subject, client["name"], "", tenant_name, "", client["created_at"])
            return Profile(subject, subject, "", tenant_name, "", None)

        return await self._store.read(work)

    async def _change(self, tenant: str, statement: Any) -> None:
        def work(connection: Connection) -> None:
            touch_tenant(connection, tenant)
            if not connection.execute(statement).rowcount:
                raise NotFound("Nothing by that id is there.")

        await self._store.write(work)

    def check_free(self, connection: Connection, tenant: str, subject: str) -> None:
        """Users and clients share one space of ids, since jobs, results and audit know only the subject.

        Raises Conflict."""
        is_user = connection.scalar(select(users.c.user_id).where(*_user(tenant, subject)))
        is_client = connection.scalar(select(clients.c.client_id).where(clients.c.client_id == subject))
        if is_user or is_client or subject in self._reserved_ids or subject.startswith(EXTERNAL_PREFIX):
            raise Conflict(f"The id {subject!r} is taken.", hint="Choose another id.")

    def _tenant_row(self, tenant_id: str, name: str, tier: str) -> dict[str, Any]:
        return tenant_row(tenant_id, name, tier, wrapped_key=self._vault.new_tenant_key(), now=self._clock())


def tenant_row(tenant_id: str, name: str, tier: str, *, wrapped_key: bytes, now: float) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "name": name,
        "tier": tier,
        "wrapped_key": wrapped_key,
        "version": 1,
        "created_at": now,
        "name_key": name_key(name),
    }


def user_row(
    tenant: str,
    user_id: str,
    roles: Iterable[str],
    now: float,
    *,
    email: str = "",
    name: str = "",
    attributes: Mapping[str, str] | None = None,
    issuer: str = "",
    external_subject: str = "",
) -> dict[str, Any]:
    return {
        "tenant_id": tenant,
        "user_id": user_id,
        "email": email,
        "name": name or user_id,
        "roles": _role_list(roles),
        "attributes": json.dumps(dict(attributes or {})),
        "issuer": issuer,
        "external_subject": external_subject,
        "created_at": now,
        "email_key": login_key(email),
    }


def touch_tenant(connection: Connection, tenant: str) -> None:
    """Raise the tenant's version, so that every process reads its people again. Raises NotFound."""
    statement = update(tenants).where(tenants.c.tenant_id == tenant).values(version=tenants.c.version + 1)
    if not connection.execute(statement).rowcount:
        raise NotFound(f"No tenant {tenant!r}.")


def _user(tenant: str, user_id: str) -> tuple[Any, Any]:
    return users.c.tenant_id == tenant, users.c.user_id == user_id


def _role_list(roles: Iterable[str]) -> str:
    return json.dumps(sorted({canonical(role) for role in roles}))


def checked_id(text: str) -> str:
    """Raises InvalidArgument."""
    if not ID.fullmatch(text):
        raise InvalidArgument(f"{text[:64]!r} is no id.", hint="Ids are 1 to 64 of A-Z, a-z, 0-9, _ and -.")
    return text
