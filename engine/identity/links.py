"""One-time links: a secret that lets one user set a password, once, for a while.

Only the SHA-256 of a secret is stored. Whoever makes a link hands it over, or `deliver` does."""

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, delete, func, insert, select

from core.errors import NotFound
from engine.identity.secrets import digest
from engine.store.tables import one_time_links

Purpose = Literal["invitation", "password"]

PREFIX = "hwl_"
HOUR_S = 3600.0
MAX_LIVING = 5  # of one user
_PATHS = {"invitation": "/auth/invitation", "password": "/auth/password"}
L = one_time_links.c


@dataclass(frozen=True, slots=True)
class OneTimeLink:
    """A link just made; its secret is not stored."""

    tenant: str
    user_id: str
    email: str
    purpose: Purpose
    secret: str
    expires_at: float

    def url(self, base: str) -> str:
        """The page that takes the secret. It stands behind `#`, so that no server or proxy logs it."""
        return f"{base.rstrip('/')}{_PATHS[self.purpose]}#{self.secret}"


Deliver = Callable[[OneTimeLink], Awaitable[None]]


async def keep(link: OneTimeLink) -> None:
    """The `Deliver` of a platform that sends no e-mail: whoever made the link has it."""


class OneTimeLinks:
    """Makes, finds and uses up links; all methods run inside a transaction of the caller's."""

    def __init__(self, clock: Callable[[], float] = time.time):
        self._clock = clock
        self.deliver: Deliver = keep  # set by whatever can send e-mail

    def make(
        self, connection: Connection, tenant: str, user_id: str, purpose: Purpose, *, by: str, hours: float, email: str
    ) -> OneTimeLink:
        """A link beside those that the user has."""
        now, secret = self._clock(), PREFIX + secrets.token_urlsafe(32)
        expires_at = now + hours * HOUR_S
        connection.execute(delete(one_time_links).where(L.expires_at <= now))
        row = {
            "token_hash": digest(secret),
            "tenant_id": tenant,
            "user_id": user_id,
            "purpose": purpose,
            "made_by": by,
            "created_at": now,
            "expires_at": expires_at,
        }
        connection.execute(insert(one_time_links).values(row))
        return OneTimeLink(tenant, user_id, email, purpose, secret, expires_at)

    def find(self, connection: Connection, secret: str, purpose: Purpose) -> tuple[str, str]:
        """Tenant and user of a living link. Raises NotFound, with one text for every cause."""
        statement = select(L.tenant_id, L.user_id).where(
            L.token_hash == digest(secret), L.purpose == purpose, L.expires_at > self._clock()
        )
        row = connection.execute(statement).first()
        if row is None:
            raise NotFound("This link does not work any more.", hint="Ask for a new one; each works once.")
        return row.tenant_id, row.user_id

    def is_enough(self, connection: Connection, tenant: str, user_id: str) -> bool:
        """Whether a user has so many links that whoever asks for one more is not the user."""
        own = (L.tenant_id == tenant, L.user_id == user_id, L.expires_at > self._clock())
        return (connection.scalar(select(func.count()).select_from(one_time_links).where(*own)) or 0) >= MAX_LIVING

    def end(self, connection: Connection, tenant: str, user_id: str) -> None:
        """None of a user's links works from now on."""
        connection.execute(delete(one_time_links).where(L.tenant_id == tenant, L.user_id == user_id))
