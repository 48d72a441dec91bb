"""What people agreed to, and the applications that they are signed in to."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from engine.identity.oauth.asks import Ask
from engine.identity.oauth.browsers import WEB
from engine.identity.sessions import Session
from engine.store.db import Store
from engine.store.tables import oauth_consents, sessions

C = oauth_consents.c
S = sessions.c


@dataclass(frozen=True, slots=True)
class SignedInto:
    """An application that acts for somebody, or may come back without asking."""

    client_id: str
    sign_ins: int
    last_used_at: float


class Consents:
    """Remembers and forgets. An application that is forgotten is signed out, too."""

    def __init__(self, *, store: Store, changed: Callable[[str], None], clock: Callable[[], float] = time.time):
        self._store = store
        self._changed = changed
        self._clock = clock

    async def is_agreed(self, session: Session, ask: Ask) -> bool:
        """Whether the person has agreed to just this before.

        Whoever listens on the person's own machine is asked for each time (RFC 8252, 8.6): it may be any program."""
        if not ask.redirect_uri.startswith("https://"):
            return False
        own = (C.tenant_id == session.tenant, C.subject == session.subject, C.consent_id == ask.consent_id)
        statement = select(C.consent_id).where(*own)
        return await self._store.read(lambda connection: connection.scalar(statement)) is not None

    async def agree(self, session: Session, ask: Ask) -> None:
        """Remember that the person agreed."""
        row = {
            "tenant_id": session.tenant,
            "subject": session.subject,
            "consent_id": ask.consent_id,
            "client_id": ask.app.client_id,
            "created_at": self._clock(),
        }

        def work(connection: Connection) -> None:
            module = postgresql if connection.dialect.name == "postgresql" else sqlite
            connection.execute(module.insert(oauth_consents).values(row).on_conflict_do_nothing())

        await self._store.write(work)

    async def listing(self, session: Session) -> list[SignedInto]:
        """The person's applications, the last used first."""
        living = (S.revoked_at.is_(None), S.expires_at > self._clock(), S.client_id != WEB)
        own = (S.tenant_id == session.tenant, S.subject == session.subject, *living)
        agreed = (C.tenant_id == session.tenant, C.subject == session.subject)

        def work(connection: Connection) -> list[SignedInto]:
            found: dict[str, SignedInto] = {}
            for row in connection.execute(select(C.client_id, C.created_at).where(*agreed)):
                found[row.client_id] = SignedInto(row.client_id, 0, row.created_at)
            for row in connection.execute(select(S.client_id, S.last_used_at).where(*own)):
                known = found.get(row.client_id, SignedInto(row.client_id, 0, 0.0))
                last = max(known.last_used_at, row.last_used_at)
                found[row.client_id] = SignedInto(row.client_id, known.sign_ins + 1, last)
            return sorted(found.values(), key=lambda each: -each.last_used_at)

        return await self._store.read(work)

    async def forget(self, session: Session, client_id: str) -> None:
        """Sign an application out everywhere, and ask again when it comes back."""
        own = (S.tenant_id == session.tenant, S.subject == session.subject, S.client_id == client_id)
        agreed = (C.tenant_id == session.tenant, C.subject == session.subject, C.client_id == client_id)

        def work(connection: Connection) -> None:
            connection.execute(delete(oauth_consents).where(*agreed))
            ending = update(sessions).where(*own, S.client_id != WEB, S.revoked_at.is_(None))
            connection.execute(ending.values(revoked_at=self._clock()))

        try:
            await self._store.write(work)
        finally:
            self._changed(session.tenant)
