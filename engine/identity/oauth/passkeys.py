"""Passkeys: a key pair of the person's device, beside the password. Whoever has no password here has none either."""

import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from core.errors import Conflict, NotFound, Unauthenticated, Unauthorized
from engine.identity.names import checked_name
from engine.identity.oauth.browsers import Browsers
from engine.identity.oauth.webauthn import (
    ALGORITHMS,
    PasskeyRefused,
    Place,
    check_used,
    encode,
    read_made,
)
from engine.identity.rights import Rights
from engine.identity.secrets import digest
from engine.identity.sessions import Session
from engine.store.db import Store
from engine.store.tables import passkeys, passwords

log = logging.getLogger("headwater.identity")
K = passkeys.c
WAIT_S = 300.0
FRESH_S = 900.0  # so soon after signing in a person may change passkeys
MAX_PASSKEYS = 20
MAX_ANSWER = 20_000
AGAIN = "The passkey did not work."


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey as its owner sees it."""

    passkey_id: str
    name: str
    created_at: float
    used_at: float


@dataclass(frozen=True, slots=True)
class Question:
    """What the browser asks a device, and a text that must come back with the answer."""

    options: dict[str, Any]
    sealed: str


class Passkeys:
    """Makes, lists, checks and removes them. A question is for one browser, and its answer works once."""

    def __init__(self, *, store: Store, rights: Rights, browsers: Browsers, clock: Callable[[], float] = time.time):
        self._store = store
        self._rights = rights
        self._browsers = browsers
        self._clock = clock

    def ask(self, base: str, browser: str) -> Question | None:
        """Ask for any passkey of this site; None where browsers have none."""
        place = Place.of(base)
        if place is None:
            return None
        options = {"rpId": place.site, "userVerification": "required", "timeout": int(WAIT_S * 1000)}
        return self._question(options, "use", browser)

    async def ask_new(self, session: Session, base: str, browser: str, *, name: str) -> Question | None:
        """Ask for a new passkey; None where browsers have none. Raises Conflict for people without a password here."""
        place = Place.of(base)
        if place is None:
            return None
        if not await self._store.read(lambda connection: _has_password(connection, session)):
            raise Conflict("Passkeys are for people who have a password here.", hint="Sign in as your provider does.")
        known = [each.passkey_id for each in await self.listing(session)]
        handle = sha256(json.dumps([session.tenant, session.subject]).encode()).digest()
        options = {
            "rp": {"id": place.site, "name": "Headwater"},
            "user": {"id": encode(handle), "name": name, "displayName": name},
            "pubKeyCredParams": [{"type": "public-key", "alg": algorithm} for algorithm in ALGORITHMS],
            "authenticatorSelection": {"residentKey": "required", "userVerification": "required"},
            "excludeCredentials": [{"type": "public-key", "id": passkey_id} for passkey_id in known],
            "attestation": "none",
            "timeout": int(WAIT_S * 1000),
        }
        return self._question(options, "make", browser + session.session_id)

    def is_fresh(self, session: Session) -> bool:
        """Whether the person has just signed in: whoever took over an old session makes no key for later."""
        return self._clock() - session.created_at < FRESH_S

    async def listing(self, session: Session) -> list[Passkey]:
        """The person's own, the newest first."""
        own = (K.tenant_id == session.tenant, K.user_id == session.subject)
        statement = select(K.passkey_id, K.name, K.created_at, K.used_at).where(*own).order_by(K.created_at.desc())

        def work(connection: Connection) -> list[Passkey]:
            return [Passkey(*row) for row in connection.execute(statement)]

        return await self._store.read(work)

    async def add(self, session: Session, sealed: str, answer: str, base: str, browser: str, *, name: str) -> None:
        """Keep a new passkey. Raises Unauthorized, Conflict, InvalidArgument for a name that is none."""
        name = checked_name(name or "Passkey", "a passkey")
        if not self.is_fresh(session):
            raise Unauthorized("You signed in a while ago.", hint="Sign in again.")
        try:
            place, challenge, _ = self._opened(sealed, "make", base, browser + session.session_id)
            made = read_made(_read(answer), challenge, place)
        except PasskeyRefused as refused:
            log.info("a new passkey was refused: %s", refused)
            raise Unauthorized("The device's answer does not fit.", hint="Try again.") from None
        now = self._clock()
        row = {
            "passkey_hash": digest(made.passkey_id),
            "tenant_id": session.tenant,
            "passkey_id": made.passkey_id,
            "user_id": session.subject,
            "site": place.site,
            "name": name,
            "public_key": made.public_key,
            "uses": made.uses,
            "created_at": now,
            "used_at": now,
        }
        own = (K.tenant_id == session.tenant, K.user_id == session.subject)

        def work(connection: Connection) -> None:
            if not _has_password(connection, session):
                raise Conflict("Passkeys are for people who have a password here.")
            if (connection.scalar(select(func.count()).select_from(passkeys).where(*own)) or 0) >= MAX_PASSKEYS:
                raise Conflict(f"You have {MAX_PASSKEYS} passkeys.", hint="Remove one first.")
            connection.execute(insert(passkeys).values(row))

        try:
            await self._store.write(work)
        except IntegrityError:
            raise Conflict("This passkey is known already.") from None

    async def remove(self, session: Session, passkey_id: str) -> None:
        """Forget one of the person's own. Raises NotFound, Unauthorized."""
        if not self.is_fresh(session):
            raise Unauthorized("You signed in a while ago.", hint="Sign in again.")
        own = (K.tenant_id == session.tenant, K.user_id == session.subject, K.passkey_hash == digest(passkey_id))
        statement = delete(passkeys).where(*own)
        if not await self._store.write(lambda connection: connection.execute(statement).rowcount):
            raise NotFound("You have no such passkey.")

    async def check(self, sealed: str, answer: str, base: str, browser: str) -> tuple[str, str]:
        """Tenant and id of whoever holds the passkey. Raises Unauthenticated with one text for every cause."""
        try:
            place, challenge, asked_at = self._opened(sealed, "use", base, browser)
            said = _read(answer)
            where = (K.passkey_hash == digest(str(said.get("id"))), K.site == place.site)
            statement = select(K.tenant_id, K.user_id, K.public_key).where(*where)
            row = await self._store.read(lambda connection: connection.execute(statement).first())
            if row is None:
                raise PasskeyRefused("no such passkey")
            uses = check_used(said, challenge, place, row.public_key)
            # A device that counts counts up; and no answer to a question from before the last use comes in.
            fresh = (K.used_at < asked_at, (K.uses < uses) if uses else (K.uses == 0))
            using = update(passkeys).where(*where, *fresh).values(used_at=self._clock(), uses=uses)
            if not await self._store.write(lambda connection: connection.execute(using).rowcount):
                raise PasskeyRefused("answered before, or copied")
            standing = await self._rights.standing(row.tenant_id, row.user_id)
            if standing is None or standing.subject.kind != "user":
                raise PasskeyRefused("its owner is gone")
            return row.tenant_id, row.user_id
        except PasskeyRefused as refused:
            log.info("a passkey was refused: %s", refused)
            raise Unauthenticated(AGAIN, hint="Load the page again, or use your password.") from None

    def _question(self, options: dict[str, Any], purpose: str, bound_to: str) -> Question:
        challenge = secrets.token_urlsafe(32)
        said = {"challenge": challenge, "at": self._clock(), "for": digest(bound_to)}
        return Question(options | {"challenge": challenge}, self._browsers.seal(f"passkey {purpose}", said, WAIT_S))

    def _opened(self, sealed: str, purpose: str, base: str, bound_to: str) -> tuple[Place, str, float]:
        place, asked = Place.of(base), self._browsers.unseal(f"passkey {purpose}", sealed)
        if place is None or asked is None or asked["for"] != digest(bound_to):
            raise PasskeyRefused("not asked here, or too long ago")
        return place, asked["challenge"], asked["at"]


def _read(answer: str) -> Mapping[str, Any]:
    try:
        said = json.loads(answer) if len(answer) <= MAX_ANSWER else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise PasskeyRefused("not an answer")
    return said


def _has_password(connection: Connection, session: Session) -> bool:
    own = (passwords.c.tenant_id == session.tenant, passwords.c.user_id == session.subject)
    return connection.scalar(select(passwords.c.user_id).where(*own)) is not None
