"""Users that an external issuer vouches for: a local row each, made on first sight, so that they can be
listed, deactivated and run jobs. A row that an administrator linked keeps its own roles."""

import json
import time
from collections.abc import Callable
from hashlib import sha256

from sqlalchemy import Connection, insert, select, update

from engine.identity.directory import EXTERNAL_PREFIX, touch_tenant, user_row
from engine.identity.issuers import Issuer
from engine.store.db import Store
from engine.store.tables import users

MAX_KNOWN = 20_000
KNOWN_S = 30.0


class ExternalUsers:
    """Finds or makes the local user of an external subject."""

    def __init__(self, *, store: Store, clock: Callable[[], float] = time.time):
        self._store = store
        self._clock = clock
        self._known: dict[tuple[str, str, str], tuple[str, frozenset[str], float]] = {}

    async def user_of(self, issuer: Issuer, external_subject: str, roles: frozenset[str]) -> str:
        """The id of the local user, whose roles are brought up to date unless it is linked."""
        key = (issuer.tenant, issuer.expected.issuer, external_subject)
        user_id, known_roles, seen_at = self._known.get(key, ("", frozenset(), 0.0))
        if user_id and known_roles == roles and 0 <= self._clock() - seen_at < KNOWN_S:
            return user_id
        user_id = await self._read(*key, roles) or await self._write(*key, roles)
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[key] = (user_id, roles, self._clock())
        return user_id

    async def _read(self, tenant: str, issuer: str, external_subject: str, roles: frozenset[str]) -> str:
        return await self._store.read(lambda connection: _settled(connection, tenant, issuer, external_subject, roles))

    async def _write(self, tenant: str, issuer: str, external_subject: str, roles: frozenset[str]) -> str:
        own_id = external_id(issuer, external_subject)

        def work(connection: Connection) -> str:
            touch_tenant(connection, tenant)  # locks: of two first sights the second finds the row of the first
            settled = _settled(connection, tenant, issuer, external_subject, roles)
            if settled:
                return settled
            changed = connection.execute(
                update(users)
                .where(users.c.tenant_id == tenant, users.c.user_id == own_id)
                .values(roles=json.dumps(sorted(roles)))
            )
            if not changed.rowcount:
                row = user_row(
                    tenant,
                    own_id,
                    roles,
                    self._clock(),
                    name=external_subject,
                    issuer=issuer,
                    external_subject=external_subject,
                )
                connection.execute(insert(users).values(row))
            return own_id

        return await self._store.write(work)


def external_id(issuer: str, external_subject: str) -> str:
    """The id of a user made on first sight: no chosen id can be equal, and no other issuer's."""
    return EXTERNAL_PREFIX + sha256(json.dumps([issuer, external_subject]).encode()).hexdigest()[:40]


def _settled(connection: Connection, tenant: str, issuer: str, external_subject: str, roles: frozenset[str]) -> str:
    """The user's id where nothing needs writing, else nothing."""
    statement = select(users.c.user_id, users.c.roles).where(
        users.c.tenant_id == tenant, users.c.issuer == issuer, users.c.external_subject == external_subject
    )
    # A link goes before what was made on first sight, and a deleted user stays the one whom the issuer means.
    for row in sorted(connection.execute(statement), key=lambda row: row.user_id.startswith(EXTERNAL_PREFIX)):
        is_linked = not row.user_id.startswith(EXTERNAL_PREFIX)
        if is_linked or frozenset(json.loads(row.roles)) == roles:
            return str(row.user_id)
    return ""
