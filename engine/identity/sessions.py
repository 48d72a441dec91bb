"""Sessions: somebody signed in to an application, until it expires or is ended.

Whoever issues tokens for a sign-in opens a session and puts its id into their `sid` claim; a token of a session
that is over is refused within 2 s."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, RowMapping, delete, func, insert, select, update

from core.context import Principal
from core.errors import NotFound, Unauthorized
from engine.identity.directory import touch_tenant
from engine.identity.grants import Grants, known_permissions
from engine.identity.users import find_user
from engine.store.db import Store
from engine.store.tables import sessions

S = sessions.c
KEEP_ENDED_S = 30 * 86_400.0
MAX_LIVING = 200  # of one subject; the oldest gives way


@dataclass(frozen=True, slots=True)
class Session:
    """A session as its owner sees it. `scopes` None: everything that the owner may do."""

    session_id: str
    tenant: str
    subject: str
    client_id: str
    scopes: frozenset[str] | None
    address: str
    user_agent: str
    created_at: float
    last_used_at: float
    expires_at: float
    revoked_at: float | None

    def is_living(self, now: float) -> bool:
        return self.revoked_at is None and now < self.expires_at


@dataclass(frozen=True, slots=True)
class SignIn:
    """What is known of a sign-in, for the one who looks at the list later."""

    client_id: str
    scopes: frozenset[str] | None = None
    address: str = ""
    user_agent: str = ""


class Sessions:
    """Opens, lists and ends sessions."""

    def __init__(
        self,
        *,
        store: Store,
        grants: Grants,
        changed: Callable[[str], None],
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid4().hex,
    ):
        self._store = store
        self._grants = grants
        self._changed = changed
        self._clock = clock
        self._new_id = new_id

    async def open(self, tenant: str, subject: str, sign_in: SignIn, *, lifetime_s: float) -> Session:
        """Note a sign-in. Refresh tokens are the caller's: `set_refresh` keeps the hash of the one that counts."""
        now = self._clock()
        row = {
            "tenant_id": tenant,
            "session_id": self._new_id(),
            "subject": subject,
            "client_id": sign_in.client_id[:255],
            "scopes": json.dumps(sorted(sign_in.scopes)) if sign_in.scopes is not None else "null",
            "address": sign_in.address[:255],
            "user_agent": sign_in.user_agent[:255],
            "created_at": now,
            "last_used_at": now,
            "expires_at": now + lifetime_s,
            "revoked_at": None,
        }

        def work(connection: Connection) -> None:
            connection.execute(delete(sessions).where(S.tenant_id == tenant, S.expires_at < now - KEEP_ENDED_S))
            own = (S.tenant_id == tenant, S.subject == subject, S.revoked_at.is_(None), S.expires_at > now)
            living = connection.scalars(select(S.session_id).where(*own).order_by(S.created_at.desc())).all()
            for oldest in living[MAX_LIVING - 1 :]:
                connection.execute(update(sessions).where(*_where(tenant, oldest)).values(revoked_at=now))
            connection.execute(insert(sessions).values(row))

        await self._store.write(work)
        return _read(row)

    async def find(self, tenant: str, session_id: str) -> Session | None:
        """The session, if it lives."""
        where = _where(tenant, session_id)

        def work(connection: Connection) -> Session | None:
            row = connection.execute(select(sessions).where(*where)).mappings().first()
            return _read(row) if row else None

        found = await self._store.read(work)
        return found if found is not None and found.is_living(self._clock()) else None

    async def exchange(self, tenant: str, session_id: str, *, presented: str | None, following: str) -> Session | None:
        """Replace the hash of the refresh token that counts, once; `presented` None for the first.

        A refresh token that was used already ends the session, for it was stolen from one of its users. None when
        the session is over."""
        now = self._clock()

        def work(connection: Connection) -> Session | None:
            living = (*_where(tenant, session_id), S.revoked_at.is_(None), S.expires_at > now)
            counts = S.refresh_hash.is_(None) if presented is None else S.refresh_hash == presented
            values = {"refresh_hash": following, "last_used_at": now}
            if connection.execute(update(sessions).where(*living, counts).values(values)).rowcount:
                return _read(connection.execute(select(sessions).where(*living)).mappings().one())
            connection.execute(update(sessions).where(*living).values(revoked_at=now))
            return None

        found = await self._store.write(work)
        if found is None:
            self._changed(tenant)
        return found

    async def holds(self, tenant: str, session_id: str, refresh_hash: str) -> Session | None:
        """The session, if it lives and this is the hash of the secret that counts."""
        statement = select(sessions).where(*_where(tenant, session_id), S.refresh_hash == refresh_hash)

        def work(connection: Connection) -> Session | None:
            row = connection.execute(statement).mappings().first()
            return _read(row) if row else None

        found = await self._store.read(work)
        return found if found is not None and found.is_living(self._clock()) else None

    async def end(self, tenant: str, session_id: str) -> None:
        """End a session for whoever has proven to hold it."""
        where = (*_where(tenant, session_id), S.revoked_at.is_(None))
        statement = update(sessions).where(*where).values(revoked_at=self._clock())
        try:
            await self._store.write(lambda connection: connection.execute(statement))
        finally:
            self._changed(tenant)

    async def listing(
        self, by: Principal, *, user_id: str = "", offset: int = 0, size: int = 100
    ) -> tuple[Sequence[Session], int]:
        """Living sessions, the last used first, and how many there are: one's own, or of a user whom one manages.

        Raises Unauthorized, NotFound."""
        now = self._clock()

        def work(connection: Connection) -> tuple[Sequence[Session], int]:
            subject = self._whose(connection, by, user_id)
            where = (S.tenant_id == by.tenant, S.subject == subject, S.revoked_at.is_(None), S.expires_at > now)
            total = connection.scalar(select(func.count()).select_from(sessions).where(*where)) or 0
            order = (S.last_used_at.desc(), S.session_id)
            rows = connection.execute(select(sessions).where(*where).order_by(*order).offset(offset).limit(size))
            return [_read(row) for row in rows.mappings()], total

        return await self._store.read(work)

    async def get(self, by: Principal, session_id: str) -> Session:
        """A living session: one's own, or of a user whom one manages. Raises NotFound."""
        return await self._store.read(lambda connection: self._visible(connection, by, session_id))

    async def revoke(self, by: Principal, session_id: str) -> None:
        """End a session: one's own, or of a user whom one manages. Raises NotFound."""

        def work(connection: Connection) -> None:
            touch_tenant(connection, by.tenant)
            self._visible(connection, by, session_id)
            where = _where(by.tenant, session_id)
            connection.execute(update(sessions).where(*where).values(revoked_at=self._clock()))

        try:
            await self._store.write(work)
        finally:
            self._changed(by.tenant)

    def _visible(self, connection: Connection, by: Principal, session_id: str) -> Session:
        row = connection.execute(select(sessions).where(*_where(by.tenant, session_id))).mappings().first()
        if row is None or not _read(row).is_living(self._clock()):
            raise _unknown(session_id)
        try:
            self._whose(connection, by, row["subject"])
        except (Unauthorized, NotFound):
            raise _unknown(session_id) from None
        return _read(row)

    def _whose(self, connection: Connection, by: Principal, user_id: str) -> str:
        if not user_id or user_id == by.subject:
            return by.subject
        giver = self._grants.giver(connection, by)
        user = find_user(connection, by.tenant, user_id)
        giver.check_permissions(known_permissions(connection, by.tenant, user.roles))
        return user.user_id


def _where(tenant: str, session_id: str) -> tuple[Any, Any]:
    return S.tenant_id == tenant, S.session_id == session_id


def _unknown(session_id: str) -> NotFound:
    return NotFound(f"No session {session_id[:64]!r}.", hint="list_sessions shows the sessions.")


def _read(row: RowMapping | Mapping[str, Any]) -> Session:
    scopes = json.loads(row["scopes"])
    return Session(
        session_id=row["session_id"],
        tenant=row["tenant_id"],
        subject=row["subject"],
        client_id=row["client_id"],
        scopes=None if scopes is None else frozenset(scopes),
        address=row["address"],
        user_agent=row["user_agent"],
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )
