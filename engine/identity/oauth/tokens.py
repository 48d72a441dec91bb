"""Tokens of a sign-in: short access tokens for one resource, refresh tokens that work once each."""

import asyncio
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.identity.claims import Claims, audience_of
from engine.identity.jws import Expected, TokenRefused, check_claims, check_signature, parse, text_claim
from engine.identity.oauth.apps import App
from engine.identity.oauth.asks import resource_of, scope_text
from engine.identity.oauth.codes import Granted
from engine.identity.oauth.refusals import InvalidGrant, InvalidScope, InvalidTarget
from engine.identity.rights import Rights
from engine.identity.secrets import digest
from engine.identity.sessions import Session, Sessions, SignIn
from engine.identity.signing import SigningKeys

PREFIX = "hwr_"
ACCESS_S = 900
FAMILY_S = 60 * 86_400.0  # after which a person signs in again
MAX_CHARS = 1024
SPENT = "This refresh token does not work, or not any more."


@dataclass(frozen=True, slots=True)
class Refresh:
    """A refresh token taken apart. It is hashed whole, so nothing in it can be exchanged."""

    tenant: str
    session_id: str
    resource: str

    def token(self) -> str:
        said = json.dumps([self.tenant, self.session_id, self.resource], separators=(",", ":"))
        return f"{PREFIX}{urlsafe_b64encode(said.encode()).decode().rstrip('=')}.{secrets.token_urlsafe(32)}"

    @classmethod
    def read(cls, token: str) -> "Refresh | None":
        head, _, secret = token.removeprefix(PREFIX).partition(".")
        if not token.startswith(PREFIX) or not secret or len(token) > MAX_CHARS or not token.isascii():
            return None
        try:
            said = json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))
        except (ValueError, RecursionError):
            return None
        is_sound = isinstance(said, list) and len(said) == 3 and all(isinstance(part, str) for part in said)
        return cls(*said) if is_sound else None


@dataclass(frozen=True, slots=True)
class Issued:
    """Tokens as they are answered, and whose they are."""

    session: Session
    answer: dict[str, Any]


class FamilyTokens:
    """Each sign-in is a session; its tokens are one family, which ends when one of them is used twice."""

    def __init__(
        self, *, keys: SigningKeys, claims: Claims, sessions: Sessions, rights: Rights, clock: Callable[[], float]
    ):
        self._keys = keys
        self._claims = claims
        self._sessions = sessions
        self._rights = rights
        self._clock = clock

    async def open(self, granted: Granted, base: str, *, address: str, agent: str) -> Issued:
        """A session and its first tokens. Raises InvalidGrant when the person is gone."""
        await self._check_present(granted.tenant, granted.subject)
        sign_in = SignIn(granted.client_id, granted.scopes, address, agent)
        session = await self._sessions.open(granted.tenant, granted.subject, sign_in, lifetime_s=FAMILY_S)
        refresh = Refresh(session.tenant, session.session_id, granted.resource)
        return Issued(session, await self._issue(session, refresh, base, presented=None))

    async def renew(self, token: str, app: App, base: str, *, scope: frozenset[str] | None, resource: str) -> Issued:
        """New tokens for a refresh token, which is used up. Raises InvalidGrant; the second use ends the family."""
        refresh = Refresh.read(token)
        session = await self._sessions.find(refresh.tenant, refresh.session_id) if refresh else None
        if refresh is None or session is None or session.client_id != app.client_id:
            raise InvalidGrant(SPENT, hint="Sign in again.")
        if resource and resource.rstrip("/") != refresh.resource.rstrip("/"):
            raise InvalidTarget("The sign-in was for another resource.", hint="Sign in to that one too.")
        if scope is not None and session.scopes != scope:
            raise InvalidScope("Scopes stay as they were agreed to.", hint="Leave scope out, or sign in again.")
        await self._check_present(session.tenant, session.subject)
        return Issued(session, await self._issue(session, refresh, base, presented=digest(token)))

    async def revoke(self, token: str, app: App) -> Session | None:
        """End the sign-in that a token belongs to, whichever of its tokens it is; strange ones end nothing."""
        refresh = Refresh.read(token)
        if refresh is not None:
            session = await self._sessions.holds(refresh.tenant, refresh.session_id, digest(token))
        else:
            session = await self._session_of(token)
        if session is None or session.client_id != app.client_id:
            return None
        await self._sessions.end(session.tenant, session.session_id)
        return session

    async def _session_of(self, token: str) -> Session | None:
        try:
            parsed = parse(token)
            key = await self._keys.find(parsed.kid or "")
            if key is None or "sid" not in parsed.claims:
                return None
            check_signature(parsed, key)
            audience = parsed.claims.get("aud")
            named = str(audience[0]) if isinstance(audience, list) and audience else str(audience)
            check_claims(parsed.claims, Expected(self._claims.expected.issuer, named), self._clock())
            session_id = text_claim(parsed.claims, "sid", max_chars=64)
            return await self._sessions.find(text_claim(parsed.claims, "tenant", max_chars=64), session_id)
        except TokenRefused:
            return None

    async def _issue(self, session: Session, refresh: Refresh, base: str, *, presented: str | None) -> dict[str, Any]:
        following = refresh.token()
        exchanged = await self._sessions.exchange(
            session.tenant, session.session_id, presented=presented, following=digest(following)
        )
        if exchanged is None:
            refused = InvalidGrant(SPENT, hint="It was used before, so the sign-in has ended. Sign in again.")
            refused.tenant, refused.subject = session.tenant, session.subject
            raise refused
        part = resource_of(refresh.resource, base)
        audience = [audience_of(self._claims.expected.audience, part), refresh.resource]
        claims = self._claims.make(session.tenant, session.subject, "user", ACCESS_S, session.session_id)
        access = await asyncio.to_thread(
            self._keys.sign_now, claims | {"aud": audience, "client_id": session.client_id}
        )
        answer = {"access_token": access, "token_type": "Bearer", "expires_in": ACCESS_S, "refresh_token": following}
        return answer | ({"scope": scope_text(session.scopes)} if session.scopes is not None else {})

    async def _check_present(self, tenant: str, subject: str) -> None:
        standing = await self._rights.standing(tenant, subject)
        if standing is None or standing.subject.kind != "user":
            raise InvalidGrant("Whoever signed in may not act any more.", hint="Ask an administrator.")
