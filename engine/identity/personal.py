"""Personal tokens: opaque, named, expiring, with fewer permissions than their owner at will.

Only the SHA-256 of a token is stored; it has 256 random bits, so nothing slower is needed."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, func, insert, select, update

from core.context import Principal
from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from engine.identity.directory import touch_tenant
from engine.identity.secrets import digest, new_personal_token
from engine.store.db import Store
from engine.store.tables import tokens

DAY_S = 86_400
MAX_DAYS = 365
MAX_LIVING = 100
USE_NOTED_EVERY_S = 60.0
NO_MINTING = frozenset({"token", "agent"})


@dataclass(frozen=True, slots=True)
class PersonalToken:
    """A token as listed; `permissions` None means all that the owner has."""

    token_id: str
    name: str
    tenant: str
    subject: str
    permissions: frozenset[str] | None
    created_at: float
    expires_at: float
    revoked_at: float | None
    last_used_at: float | None

    def is_living(self, now: float) -> bool:
        return self.revoked_at is None and now < self.expires_at


@dataclass(frozen=True, slots=True)
class NewPersonalToken:
    """A token just made, with the secret that is shown this once."""

    info: PersonalToken
    token: str


class PersonalTokens:
    """Every method but `find` is for the owner alone."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid4().hex,
    ):
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def create(
        self, *, by: Principal, name: str, lifetime_days: int = 90, permissions: Sequence[str] | None = None
    ) -> NewPersonalToken:
        """Make a token for the caller. Raises Unauthorized when the caller came with one, or is an agent."""
        if by.via in NO_MINTING:
            raise Unauthorized(
                "A personal token or an agent can not create tokens.", hint="Sign in as yourself and create it there."
            )
        if not 1 <= lifetime_days <= MAX_DAYS:
            raise InvalidArgument(f"A token lives 1 to {MAX_DAYS} days.")
        token, now = new_personal_token(), self._clock()
        row = {
            "token_id": self._new_id(),
            "tenant_id": by.tenant,
            "subject": by.subject,
            "name": name,
            "token_hash": digest(token),
            "permissions": _narrowed(by, permissions),
            "created_at": now,
            "expires_at": now + lifetime_days * DAY_S,
        }

        def work(connection: Connection) -> None:
            living = (*_own(by), tokens.c.revoked_at.is_(None), tokens.c.expires_at > now)
            if (connection.scalar(select(func.count()).where(*living)) or 0) >= MAX_LIVING:
                raise Conflict(f"You have {MAX_LIVING} tokens already.", hint="Revoke some that you no longer need.")
            connection.execute(insert(tokens).values(row))

        await self._store.write(work)
        return NewPersonalToken(_read({"revoked_at": None, "last_used_at": None} | row), token)

    async def list(self, *, by: Principal, offset: int = 0, size: int = 100) -> tuple[Sequence[PersonalToken], int]:
        """The caller's tokens that were not revoked, newest first, and how many there are."""
        where = (*_own(by), tokens.c.revoked_at.is_(None))
        order = (tokens.c.created_at.desc(), tokens.c.token_id)

        def work(connection: Connection) -> tuple[Sequence[PersonalToken], int]:
            total = connection.scalar(select(func.count()).where(*where)) or 0
            rows = connection.execute(select(tokens).where(*where).order_by(*order).offset(offset).limit(size))
            return [_read(row) for row in rows.mappings()], total

        return await self._store.read(work)

    async def revoke(self, token_id: str, *, by: Principal) -> None:
        """End one of the caller's tokens. Raises NotFound for anybody else's."""
        where = (*_own(by), tokens.c.token_id == token_id, tokens.c.revoked_at.is_(None))

        def work(connection: Connection) -> None:
            if not connection.execute(update(tokens).where(*where).values(revoked_at=self._clock())).rowcount:
                raise NotFound("You have no such token.", hint="list_tokens shows yours.")
            touch_tenant(connection, by.tenant)

        await self._store.write(work)

    async def find(self, token: str) -> PersonalToken | None:
        """The living token of that secret."""
        return await self._find(tokens.c.token_hash == digest(token))

    async def find_by_id(self, tenant: str, token_id: str) -> PersonalToken | None:
        """The living token of that id."""
        return await self._find((tokens.c.tenant_id == tenant) & (tokens.c.token_id == token_id))

    async def note_use(self, token: PersonalToken) -> None:
        """Remember that it was used, a minute apart at most, since each time is a write."""
        now = self._clock()
        if token.last_used_at is not None and now - token.last_used_at < USE_NOTED_EVERY_S:
            return
        statement = update(tokens).where(tokens.c.tenant_id == token.tenant, tokens.c.token_id == token.token_id)
        await self._store.write(lambda connection: connection.execute(statement.values(last_used_at=now)))

    async def _find(self, where: Any) -> PersonalToken | None:
        def work(connection: Connection) -> PersonalToken | None:
            row = connection.execute(select(tokens).where(where)).mappings().first()
            return _read(row) if row else None

        found = await self._store.read(work)
        return found if found is not None and found.is_living(self._clock()) else None


def _narrowed(by: Principal, permissions: Sequence[str] | None) -> str | None:
    """The permissions to store. An external caller's are pinned: it may have fewer than its linked user."""
    if permissions is None:
        return json.dumps(sorted(by.permissions)) if by.via == "external" else None
    missing = sorted(set(permissions) - by.permissions)
    if missing:
        raise Unauthorized(
            f"You do not have: {', '.join(missing)[:200]}.", hint="get_current_user shows what you have."
        )
    return json.dumps(sorted(set(permissions)))


def _own(by: Principal) -> tuple[Any, Any]:
    return tokens.c.tenant_id == by.tenant, tokens.c.subject == by.subject


def _read(row: Any) -> PersonalToken:
    return PersonalToken(
        token_id=row["token_id"],
        name=row["name"],
        tenant=row["tenant_id"],
        subject=row["subject"],
        permissions=None if row["permissions"] is None else frozenset(json.loads(row["permissions"])),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
    )
