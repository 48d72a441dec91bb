"""Who may do what right now: roles and state from the store, through a cache keyed by the tenant's version.

Every change of a tenant's people raises `tenant.version`. One read of that number per tenant and second tells
whether anything that is cached about the tenant still holds."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sqlalchemy import Connection, case, select

from engine.identity.auth_file import FileClient
from engine.identity.jws import LEEWAY_S
from engine.identity.roles import BUILT_IN, canonical, permissions_of
from engine.store.db import Store
from engine.store.tables import clients, roles, tenants, users

CHECK_S = 0.9  # age at which a tenant's version is read again
GRACE_S = 1.4  # age up to which others go on with the old one while that read is under way
FRESH_S = 1.8  # age at which nothing derived from it may be used any more
SUBJECT_S = 30.0  # a second bound, should anybody forget to raise the version
MAX_SUBJECTS = 20_000

Kind = Literal["user", "client"]


@dataclass(frozen=True, slots=True)
class Subject:
    """A living user or client and what it may do."""

    kind: Kind
    subject: str
    tenant: str
    roles: frozenset[str]
    permissions: frozenset[str]
    attributes: Mapping[str, str]
    created_at: float
    ended_at: float = 0.0  # when it was let go last: no token from before works again


@dataclass(frozen=True, slots=True)
class Standing:
    """A subject as known now; `fresh_until` is when that must be looked up again."""

    subject: Subject
    fresh_until: float


@dataclass(slots=True)
class _Tenant:
    version: int | None  # None: not there, archived or suspended
    checked_at: float
    is_checking: bool = False
    subjects: dict[str, tuple[Subject | None, float]] = field(default_factory=dict)


class Rights:
    """Looks subjects up. Everything that it answers is at most 2 s old."""

    def __init__(self, *, store: Store, file_clients: Mapping[str, FileClient], clock: Callable[[], float] = time.time):
        self._store = store
        self._file_clients = file_clients
        self._clock = clock
        self._tenants: dict[str, _Tenant] = {}

    async def standing(self, tenant: str, subject: str) -> Standing | None:
        """The subject's standing, or None when it, or its tenant, is gone, disabled or archived."""
        known = await self._checked(tenant)
        if known.version is None:
            return None
        found, loaded_at = known.subjects.get(subject, (None, 0.0))
        if not 0 <= self._clock() - loaded_at < SUBJECT_S:
            found = await self._store.read(lambda connection: self.load_now(connection, tenant, subject))
            if len(known.subjects) >= MAX_SUBJECTS:
                known.subjects.clear()
            known.subjects[subject] = (found, self._clock())
        return Standing(found, known.checked_at + FRESH_S) if found else None

    def forget(self, tenant: str) -> None:
        """Look everything of a tenant up again, at once in this process."""
        self._tenants.pop(tenant, None)

    async def _checked(self, tenant: str) -> _Tenant:
        known, now = self._tenants.get(tenant), self._clock()
        if known is not None:
            age = now - known.checked_at
            if 0 <= age < (GRACE_S if known.is_checking else CHECK_S):
                return known
            known.is_checking = True
        try:
            version = await self._store.read(lambda connection: _version(connection, tenant))
        finally:
            if known is not None:
                known.is_checking = False
        # The time before the read counts: a change made while it ran may have been missed.
        same = known is not None and known.version == version
        fresh = _Tenant(version, now, subjects=known.subjects if known is not None and same else {})
        if version is None:
            self._tenants.pop(tenant, None)  # unknown tenants take no memory
        else:
            self._tenants[tenant] = fresh
        return fresh

    def load_now(self, connection: Connection, tenant: str, subject: str) -> Subject | None:
        """The subject as the store says in this transaction; whether its tenant lives is asked elsewhere."""
        from_file = self._file_clients.get(subject)
        if from_file is not None:
            if from_file.tenant != tenant:
                return None
            return self._subject(connection, "client", tenant, subject, roles=from_file.roles, attributes={}, at=0.0)
        user = connection.execute(
            select(
                *(users.c.roles, users.c.attributes, users.c.created_at),
                *(users.c.deactivated_at, users.c.deleted_at, users.c.invited_at, users.c.access_ended_at),
            ).where(users.c.tenant_id == tenant, users.c.user_id == subject)
        ).first()
        if user is not None:
            is_out = user.deactivated_at or user.deleted_at or user.invited_at
            return None if is_out else self._from_row(connection, "user", tenant, subject, user)
        client = connection.execute(
            select(clients.c.roles, _tokens_since, clients.c.disabled_at).where(
                clients.c.tenant_id == tenant, clients.c.client_id == subject
            )
        ).first()
        if client is None or client.disabled_at:
            return None
        return self._from_row(connection, "client", tenant, subject, client)

    def _from_row(self, connection: Connection, kind: Kind, tenant: str, subject: str, row: Any) -> Subject:
        attributes = json.loads(row.attributes) if kind == "user" else {}
        found = self._subject(
            connection, kind, tenant, subject, roles=json.loads(row.roles), attributes=attributes, at=row.created_at
        )
        return replace(found, ended_at=row.access_ended_at or 0.0) if kind == "user" else found

    def _subject(
        self,
        connection: Connection,
        kind: Kind,
        tenant: str,
        subject: str,
        *,
        roles: Iterable[str],
        attributes: Mapping[str, str],
        at: float,
    ) -> Subject:
        held = frozenset(canonical(role) for role in roles)
        own = own_roles(connection, tenant, held - BUILT_IN.keys())
        return Subject(kind, subject, tenant, held, permissions_of(held, own), attributes, at)


def own_roles(connection: Connection, tenant: str, names: frozenset[str]) -> dict[str, frozenset[str]]:
    """The permissions of the tenant's own roles among `names`."""
    if not names:
        return {}
    statement = select(roles.c.role, roles.c.permissions).where(roles.c.tenant_id == tenant, roles.c.role.in_(names))
    return {row.role: frozenset(json.loads(row.permissions)) for row in connection.execute(statement)}


# A secret that was replaced without an overlap takes the tokens with it that it was good for.
_tokens_since = case(
    (clients.c.rotated_at.is_not(None) & clients.c.previous_hash.is_(None), clients.c.rotated_at + LEEWAY_S - 1),
    else_=clients.c.created_at,
).label("created_at")


def _version(connection: Connection, tenant: str) -> int | None:
    is_open = (tenants.c.archived_at.is_(None), tenants.c.suspended_at.is_(None))
    return connection.scalar(select(tenants.c.version).where(tenants.c.tenant_id == tenant, *is_open))
