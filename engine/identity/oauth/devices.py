"""Devices without a browser (RFC 8628): they show a short code, and a person types it in elsewhere."""

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from core.errors import NotFound
from engine.identity.oauth.apps import App
from engine.identity.oauth.codes import Granted
from engine.identity.oauth.refusals import (
    AccessDenied,
    CodeExpired,
    InvalidGrant,
    OAuthRefused,
    Pending,
    SlowDown,
    TooManyApps,
)
from engine.identity.secrets import digest
from engine.identity.sessions import Session
from engine.store.db import Store
from engine.store.tables import oauth_devices

D = oauth_devices.c
PREFIX = "hwd_"
LIFETIME_S = 600
INTERVAL_S = 2
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, no look-alikes: 25 bits and more in eight of them
MAX_WAITING = 2_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """A device that waits for an answer."""

    client_id: str
    scopes: frozenset[str] | None
    resource: str
    address: str


class Devices:
    """Starts, answers and ends waits."""

    def __init__(self, *, store: Store, clock: Callable[[], float] = time.time):
        self._store = store
        self._clock = clock

    async def start(self, app: App, scopes: frozenset[str] | None, resource: str, address: str) -> tuple[str, str]:
        """The device's own code and the one to show. Raises TooManyApps."""
        now, device = self._clock(), PREFIX + secrets.token_urlsafe(32)
        letters = "".join(secrets.choice(LETTERS) for _ in range(8))
        row = {
            "device_hash": digest(device),
            "tenant_id": "",
            "user_code_hash": digest(letters),
            "client_id": app.client_id,
            "scopes": json.dumps(None if scopes is None else sorted(scopes)),
            "resource": resource,
            "address": address[:255],
            "polled_at": None,
            "expires_at": now + LIFETIME_S,
            "subject": "",
            "is_allowed": None,
        }

        def work(connection: Connection) -> None:
            connection.execute(delete(oauth_devices).where(D.expires_at < now))
            if (connection.scalar(select(func.count()).select_from(oauth_devices)) or 0) >= MAX_WAITING:
                raise TooManyApps("Too many devices wait already.", hint="Try later.", retry_after_s=LIFETIME_S)
            connection.execute(insert(oauth_devices).values(row))

        await self._store.write(work)
        return device, f"{letters[:4]}-{letters[4:]}"

    async def find(self, user_code: str) -> Waiting:
        """The device that shows a code and waits. Raises NotFound."""
        statement = select(oauth_devices).where(*self._open(user_code))
        row = await self._store.read(lambda connection: connection.execute(statement).first())
        if row is None:
            raise NotFound("No device shows this code.", hint="Codes last ten minutes. Ask the device for a new one.")
        scopes = json.loads(row.scopes)
        return Waiting(row.client_id, None if scopes is None else frozenset(scopes), row.resource, row.address)

    async def answer(self, session: Session, user_code: str, *, is_allowed: bool) -> str:
        """What the person says, and to which application. Raises NotFound."""
        waiting = await self.find(user_code)
        values = {"tenant_id": session.tenant, "subject": session.subject, "is_allowed": is_allowed}
        statement = update(oauth_devices).where(*self._open(user_code)).values(values)
        if await self._store.write(lambda connection: connection.execute(statement).rowcount):
            return waiting.client_id
        raise NotFound("No device shows this code.", hint="Codes last ten minutes. Ask the device for a new one.")

    async def take(self, device: str, app: App) -> Granted:
        """What the person has said yes to, once. Raises Pending, SlowDown, AccessDenied, CodeExpired, InvalidGrant."""
        now, where = self._clock(), (D.device_hash == digest(device), D.client_id == app.client_id)

        def work(connection: Connection) -> Granted | type[OAuthRefused]:
            row = connection.execute(select(oauth_devices).where(*where).with_for_update()).first()
            if row is None:
                return InvalidGrant
            if row.expires_at <= now:
                return CodeExpired
            if row.is_allowed is None:
                connection.execute(update(oauth_devices).where(*where).values(polled_at=now))
                is_early = row.polled_at is not None and now - row.polled_at < INTERVAL_S * 0.9
                return SlowDown if is_early else Pending
            if not connection.execute(delete(oauth_devices).where(*where)).rowcount:
                return InvalidGrant
            scopes = json.loads(row.scopes)
            held = None if scopes is None else frozenset[str](scopes)
            granted = Granted(row.tenant_id, row.subject, row.client_id, held, row.resource)
            return granted if row.is_allowed else AccessDenied

        found = await self._store.write(work)
        if isinstance(found, Granted):
            return found
        raise found()

    def _open(self, user_code: str) -> tuple[Any, ...]:
        letters = "".join(letter for letter in user_code.upper() if letter.isalnum())
        return D.user_code_hash == digest(letters), D.is_allowed.is_(None), D.expires_at > self._clock()
