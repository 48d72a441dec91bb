"""Who sits at a browser: a cookie for a session, and proofs that a form came from a page of ours."""

import hmac
import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from engine.identity.rights import Rights
from engine.identity.secrets import digest
from engine.identity.sessions import Session, Sessions, SignIn

WEB = "headwater-web"  # the application that the pages themselves are
LIFETIME_S = 12 * 3600.0
MAX_CHARS = 512


class Browsers:
    """Opens, finds and ends sessions of browsers. A cookie is never a token: its hash opens pages alone."""

    def __init__(self, *, sessions: Sessions, rights: Rights, key: bytes, clock: Callable[[], float] = time.time):
        self._sessions = sessions
        self._rights = rights
        self._key = key
        self._clock = clock

    async def open(self, tenant: str, subject: str, *, address: str, agent: str) -> str:
        """A cookie for somebody who has just signed in: a fresh one, whatever the browser had before."""
        sign_in = SignIn(WEB, None, address, agent)
        session = await self._sessions.open(tenant, subject, sign_in, lifetime_s=LIFETIME_S)
        said = json.dumps([tenant, session.session_id]).encode()
        cookie = f"{urlsafe_b64encode(said).decode().rstrip('=')}.{secrets.token_urlsafe(32)}"
        await self._sessions.exchange(tenant, session.session_id, presented=None, following=digest(cookie))
        return cookie

    async def find(self, cookie: str) -> Session | None:
        """The living session of a cookie, of somebody who may still act."""
        head, _, secret = cookie.partition(".")
        if not secret or len(cookie) > MAX_CHARS or not cookie.isascii():
            return None
        try:
            said = json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))
        except (ValueError, RecursionError):
            return None
        if not isinstance(said, list) or len(said) != 2 or not all(isinstance(part, str) for part in said):
            return None
        session = await self._sessions.holds(said[0], said[1], digest(cookie))
        if session is None or session.client_id != WEB:
            return None
        standing = await self._rights.standing(session.tenant, session.subject)
        return session if standing is not None else None

    async def close(self, session: Session) -> None:
        await self._sessions.end(session.tenant, session.session_id)

    def proof(self, browser: str, cookie: str) -> str:
        """What a form carries: it holds for one browser and one session."""
        return self._mac(f"form\0{browser}\0{cookie}")

    def is_proven(self, browser: str, cookie: str, proof: str) -> bool:
        return bool(browser) and hmac.compare_digest(self.proof(browser, cookie).encode(), proof.encode())

    def seal(self, purpose: str, said: Mapping[str, Any], lifetime_s: float) -> str:
        """A text that comes back unchanged, for the same purpose, or not at all, for a while."""
        body = json.dumps({**said, "until": self._clock() + lifetime_s}).encode()
        packed = urlsafe_b64encode(body).decode().rstrip("=")
        return f"{packed}.{self._seal_mac(purpose, packed)}"

    def unseal(self, purpose: str, text: str) -> dict[str, Any] | None:
        packed, _, mac = text.partition(".")
        if not hmac.compare_digest(self._seal_mac(purpose, packed).encode(), mac.encode()):
            return None
        said: dict[str, Any] = json.loads(urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
        return said if said["until"] > self._clock() else None

    def _seal_mac(self, purpose: str, packed: str) -> str:
        return self._mac(f"seal\0{purpose}\0{packed}")

    def _mac(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), sha256).hexdigest()
