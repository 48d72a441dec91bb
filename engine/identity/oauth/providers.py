"""People who sign in at another OpenID provider: code flow with state, nonce and PKCE, and a checked ID token."""

import json
import logging
import secrets
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

from core.errors import NotFound, PlatformError, Unauthenticated, Unavailable
from engine.egress.client import EgressClient
from engine.identity.external import ExternalUsers
from engine.identity.issuers import Issuer, RemoteKeys
from engine.identity.jws import (
    Expected,
    TokenRefused,
    check_claims,
    check_signature,
    parse,
    refuse_claims_of_power,
    text_claim,
)
from engine.identity.oauth.browsers import Browsers
from engine.identity.rights import Rights
from engine.identity.roles import SUPER_ADMIN

log = logging.getLogger("headwater.identity")

AWAY_S = 600.0
KNOWN_S = 600.0
MAX_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class _Provider:
    issuer: Issuer
    authorize: str
    token: str
    keys: RemoteKeys
    read_at: float


@dataclass(frozen=True, slots=True)
class Arrived:
    """Somebody who came back from a provider."""

    tenant: str
    subject: str
    next_path: str


class Providers:
    """Sends people to their provider and takes them back. Each of them belongs to one tenant."""

    def __init__(
        self,
        *,
        issuers: Mapping[str, Issuer],
        egress: EgressClient,
        users: ExternalUsers,
        rights: Rights,
        browsers: Browsers,
        clock: Callable[[], float] = time.time,
    ):
        self._issuers = {name: issuer for name, issuer in issuers.items() if issuer.client_id}
        self._egress = egress
        self._users = users
        self._rights = rights
        self._browsers = browsers
        self._clock = clock
        self._known: dict[str, _Provider] = {}

    def names(self) -> list[str]:
        """The issuers that people can choose on the page."""
        return list(self._issuers)

    async def leave(self, name: str, base: str, next_path: str) -> tuple[str, str]:
        """Where to send somebody, and a sealed cookie for the way. Raises NotFound, Unavailable."""
        provider = await self._provider(name)
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "response_type": "code",
            "client_id": provider.issuer.client_id,
            "redirect_uri": f"{base}/auth/callback",
            "scope": provider.issuer.scope,
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        away = {"issuer": name, "state": state, "nonce": nonce, "verifier": verifier, "next": next_path}
        joint = "&" if "?" in provider.authorize else "?"
        return f"{provider.authorize}{joint}{urlencode(asked)}", self._browsers.seal("away", away, AWAY_S)

    async def come_back(self, sealed: str, said: Mapping[str, str], base: str) -> Arrived:
        """Who came back. Raises Unauthenticated with one text for every cause; the log has the cause."""
        away = self._browsers.unseal("away", sealed)
        try:
            if away is None or not secrets.compare_digest(said.get("state", "").encode(), away["state"].encode()):
                raise TokenRefused("state is none of this browser's")
            provider = await self._provider(away["issuer"])
            if said.get("iss", away["issuer"]) != away["issuer"]:
                raise TokenRefused("another issuer answers")
            if "code" not in said:
                raise TokenRefused("the provider gave no code")
            id_token = await self._redeem(provider, said["code"], away["verifier"], base)
            return await self._check(provider, id_token, away["nonce"], away["next"])
        except (TokenRefused, NotFound) as refused:
            log.info("a sign-in at a provider was refused: %s", refused)
            raise Unauthenticated("The sign-in did not work.", hint="Start again.") from None

    async def _check(self, provider: _Provider, id_token: str, nonce: str, next_path: str) -> Arrived:
        issuer = provider.issuer
        parsed = parse(id_token)
        key = await (provider.keys.find(parsed.kid) if parsed.kid else provider.keys.find_only())
        if key is None:
            raise TokenRefused("kid is not known")
        check_signature(parsed, key)
        claims = parsed.claims
        check_claims(claims, Expected(issuer.expected.issuer, issuer.client_id, requires_nbf=False), self._clock())
        if isinstance(claims.get("aud"), list) and len(claims["aud"]) > 1 and claims.get("azp") != issuer.client_id:
            raise TokenRefused("azp")
        if not secrets.compare_digest(text_claim(claims, "nonce").encode(), nonce.encode()):
            raise TokenRefused("nonce")
        refuse_claims_of_power(claims, issuer.role_claim, issuer.tenant)
        subject = text_claim(claims, issuer.subject_claim)
        user_id = await self._users.user_of(issuer, subject, issuer.roles_of(claims))
        self._rights.forget(issuer.tenant)
        standing = await self._rights.standing(issuer.tenant, user_id)
        if standing is None or SUPER_ADMIN in standing.subject.roles:
            raise TokenRefused("the user may not sign in here")
        return Arrived(issuer.tenant, user_id, next_path)

    async def _redeem(self, provider: _Provider, code: str, verifier: str, base: str) -> str:
        issuer = provider.issuer
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": f"{base}/auth/callback",
            "code_verifier": verifier,
            "client_id": issuer.client_id,
        }
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        if issuer.client_secret:
            both = f"{quote(issuer.client_id, safe='')}:{quote(issuer.client_secret, safe='')}"
            headers["authorization"] = "Basic " + b64encode(both.encode()).decode()
            del form["client_id"]
        answer = await self._egress.post(
            provider.token, body=urlencode(form).encode(), headers=headers, max_bytes=MAX_BYTES
        )
        said = answer.json() if answer.status == 200 else None
        token = said.get("id_token") if isinstance(said, dict) else None
        if not isinstance(token, str):
            raise TokenRefused(f"the provider answers {answer.status} without an ID token")
        return token

    async def _provider(self, name: str) -> _Provider:
        """The provider's addresses, as it publishes them. Raises NotFound, Unavailable."""
        issuer = self._issuers.get(name)
        if issuer is None:
            raise NotFound("No such provider.")
        known = self._known.get(name)
        if known is not None and 0 <= self._clock() - known.read_at < KNOWN_S:
            return known
        try:
            answer = await self._egress.get(
                name.rstrip("/") + "/.well-known/openid-configuration", max_bytes=MAX_BYTES, timeout_s=5.0
            )
            said: Any = json.loads(answer.body) if answer.status == 200 else {}
        except (PlatformError, ValueError, RecursionError):
            said = {}
        found = [
            said.get(field) if isinstance(said, dict) else None
            for field in ("authorization_endpoint", "token_endpoint")
        ]
        is_sound = all(isinstance(url, str) and url.startswith(("https://", "http://")) for url in found)
        if not isinstance(said, dict) or said.get("issuer") != name or not is_sound:
            if known is not None:
                return known
            raise Unavailable("The provider does not answer.", hint="Try again, or sign in with a password.")
        keys_at = issuer.jwks_uri or str(said.get("jwks_uri", ""))
        keys = known.keys if known else RemoteKeys(replace(issuer, jwks_uri=keys_at), self._egress, clock=self._clock)
        self._known[name] = _Provider(issuer, str(found[0]), str(found[1]), keys, self._clock())
        return self._known[name]
