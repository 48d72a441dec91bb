"""Authorization codes: 60 seconds, one use, bound to the application, its address and its proof (PKCE)."""

import json
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from engine.identity.oauth.apps import App
from engine.identity.oauth.asks import Ask
from engine.identity.oauth.refusals import InvalidGrant
from engine.identity.secrets import digest
from engine.identity.sessions import Session
from engine.store.db import Store
from engine.store.tables import oauth_codes

C = oauth_codes.c
PREFIX = "hwc_"
LIFETIME_S = 60.0
REMEMBER_S = 86_400.0  # so long a second use of a code ends what the first has opened
SPENT = "This code does not work, or not any more."


@dataclass(frozen=True, slots=True)
class Granted:
    """Whom a code or an answered device stands for, and for what."""

    tenant: str
    subject: str
    client_id: str
    scopes: frozenset[str] | None
    resource: str


class Codes:
    """Makes codes and takes them back."""

    def __init__(self, *, store: Store, clock: Callable[[], float] = time.time):
        self._store = store
        self._clock = clock

    async def make(self, session: Session, ask: Ask) -> str:
        """A code for what a signed-in person has agreed to."""
        now, code = self._clock(), PREFIX + secrets.token_urlsafe(32)
        row = {
            "code_hash": digest(code),
            "tenant_id": session.tenant,
            "subject": session.subject,
            "client_id": ask.app.client_id,
            "redirect_uri": ask.redirect_uri,
            "challenge": ask.challenge,
            "scopes": json.dumps(None if ask.scopes is None else sorted(ask.scopes)),
            "resource": ask.resource,
            "signed_in_at": session.created_at,
            "expires_at": now + LIFETIME_S,
            "used_at": None,
            "session_id": "",
        }

        def work(connection: Connection) -> None:
            connection.execute(delete(oauth_codes).where(C.expires_at < now - REMEMBER_S))
            connection.execute(insert(oauth_codes).values(row))

        await self._store.write(work)
        return code

    async def take(self, code: str, app: App, *, redirect_uri: str, verifier: str) -> Granted:
        """What a code stands for, once. A wrong proof uses it up too. Raises InvalidGrant."""
        now, where = self._clock(), C.code_hash == digest(code)

        def work(connection: Connection) -> Mapping[str, Any] | None:
            fresh = (where, C.used_at.is_(None), C.expires_at > now, C.client_id == app.client_id)
            if not connection.execute(update(oauth_codes).where(*fresh).values(used_at=now)).rowcount:
                return None
            return dict(connection.execute(select(oauth_codes).where(where)).mappings().one())

        row = await self._store.write(work)
        if row is None or row["redirect_uri"] != redirect_uri or not is_proven(verifier, row["challenge"]):
            raise InvalidGrant(SPENT, hint="Ask the person again: GET /oauth/authorize.")
        scopes = json.loads(row["scopes"])
        granted = None if scopes is None else frozenset(scopes)
        return Granted(row["tenant_id"], row["subject"], row["client_id"], granted, row["resource"])

    async def note_session(self, code: str, session_id: str) -> None:
        """What the code has opened."""
        values = update(oauth_codes).where(C.code_hash == digest(code)).values(session_id=session_id)
        await self._store.write(lambda connection: connection.execute(values))

    async def whose(self, code: str) -> tuple[str, str, str] | None:
        """Tenant, subject, and the session that the code has opened; whoever brings it again may have stolen it."""
        statement = select(C.tenant_id, C.subject, C.session_id).where(C.code_hash == digest(code))
        row = await self._store.read(lambda connection: connection.execute(statement).first())
        return (row.tenant_id, row.subject, row.session_id) if row else None


def is_proven(verifier: str, challenge: str) -> bool:
    """PKCE, S256 (RFC 7636, 4.6)."""
    if not 43 <= len(verifier) <= 128 or not verifier.isascii():
        return False
    made = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return secrets.compare_digest(made, challenge)
