"""The verifier: from a bearer token to a principal, or a refusal that tells nothing but that it is one."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from core.context import Principal
from core.errors import NotFound, PlatformError, Unauthenticated
from engine.identity.auth_file import AuthFile
from engine.identity.claims import RESOURCE, Claims, audience_of, resources_at
from engine.identity.external import ExternalUsers
from engine.identity.issuers import Issuer, RemoteKeys
from engine.identity.jws import (
    LEEWAY_S,
    MAX_TOKEN_CHARS,
    Expected,
    Parsed,
    TokenExpired,
    TokenRefused,
    VerifyingKey,
    check_claims,
    check_signature,
    parse,
    refuse_claims_of_power,
    text_claim,
    texts_in,
)
from engine.identity.personal import PersonalTokens
from engine.identity.rights import Rights, Standing
from engine.identity.roles import SUPER_ADMIN
from engine.identity.secrets import is_personal_token
from engine.identity.sessions import Sessions
from engine.identity.signing import SigningKeys

log = logging.getLogger("headwater.identity")

MAX_SEEN = 20_000
IN_SESSION = "session:"  # before the session's id, where a credential is one
RENEW = "Get a new one: POST /auth/token, or `headwater token`."


@dataclass(frozen=True, slots=True)
class ExternalIssuer:
    """An issuer and its keys."""

    issuer: Issuer
    keys: RemoteKeys


@dataclass(frozen=True, slots=True)
class _Seen:
    principal: Principal
    since: float
    until: float
    resource: str  # the one that the token opens; empty: all


class Verifier:
    """Verifies tokens. What was verified is remembered for less than 2 s, then all of it is checked again."""

    def __init__(
        self,
        *,
        keys: SigningKeys,
        claims: Claims,
        auth_file: AuthFile,
        issuers: Mapping[str, ExternalIssuer],
        external_users: ExternalUsers,
        personal: PersonalTokens,
        sessions: Sessions,
        rights: Rights,
        clock: Callable[[], float] = time.time,
    ):
        self._keys = keys
        self._expected = claims.expected
        self._auth_file = auth_file
        self._issuers = issuers
        self._external_users = external_users
        self._personal = personal
        self._sessions = sessions
        self._rights = rights
        self._clock = clock
        self._seen: dict[bytes, _Seen] = {}

    async def verify(self, token: str, at: str = "") -> Principal:
        """The principal of a bearer token, at a face or address. Raises Unauthenticated: one text for every cause."""
        try:
            seen = await self._seen_or_checked(token)
            if seen.resource and seen.resource not in resources_at(at):
                raise TokenRefused("the token was asked for another resource")
        except TokenExpired:
            raise Unauthenticated("The token has expired.", hint=RENEW) from None
        except TokenRefused as refused:
            log.info("a token was refused: %s", refused)
            raise Unauthenticated("The token is not valid.", hint=RENEW) from None
        return seen.principal

    def forget(self) -> None:
        """Check every token again, at once in this process."""
        self._seen.clear()

    async def _seen_or_checked(self, token: str) -> _Seen:
        if len(token) > MAX_TOKEN_CHARS or not token.isascii():
            raise TokenRefused("too long, or not ASCII")
        digest, now = sha256(token.encode()).digest(), self._clock()
        seen = self._seen.get(digest)
        if seen is not None and seen.since <= now < seen.until:
            return seen
        principal, until, resource = await self._verify(token)
        if len(self._seen) >= MAX_SEEN:
            self._seen.clear()
        self._seen[digest] = _Seen(principal, now, until, resource)
        return self._seen[digest]

    async def _verify(self, token: str) -> tuple[Principal, float, str]:
        if is_personal_token(token):
            return *await self._verify_personal(token), ""
        parsed = parse(token)
        external = self._issuers.get(text_claim(parsed.claims, "iss"))
        if external is not None:
            return *await self._verify_external(parsed, external), ""
        resource = self._resource_of(parsed.claims)
        expected = replace(self._expected, audience=audience_of(self._expected.audience, resource))
        return *await self._verify_own(parsed, expected), resource

    def _resource_of(self, claims: Mapping[str, object]) -> str:
        """The one resource that a token of ours opens; empty: all of them."""
        said = texts_in(claims.get("aud")) if "sid" in claims else []
        own = self._expected.audience + "/"
        named = (each.removeprefix(own) for each in said if each.startswith(own))
        return next((each for each in named if RESOURCE.fullmatch(each)), "")

    async def _verify_own(self, parsed: Parsed, expected: Expected) -> tuple[Principal, float]:
        shared = self._auth_file.shared
        is_shared = shared is not None and parsed.kid is None
        if shared is not None and is_shared:
            check_signature(parsed, VerifyingKey("", shared.algorithm, shared.key))
        else:
            check_signature(parsed, _found(await self._keys.find(_kid(parsed))))
        claims = parsed.claims
        check_claims(claims, expected, self._clock())
        subject, kind = text_claim(claims, "sub", max_chars=64), text_claim(claims, "kind")
        if is_shared and subject not in self._auth_file.clients:
            raise TokenRefused("the shared secret speaks for the clients of its file alone")
        standing = await self._standing(text_claim(claims, "tenant", max_chars=64), subject)
        if standing.subject.kind != kind or claims["iat"] < standing.subject.created_at - LEEWAY_S:
            raise TokenRefused("the token belongs to an earlier owner of that id")
        _check_not_ended(standing, claims)
        until = min(standing.fresh_until, claims["exp"] + LEEWAY_S)
        if "sid" in claims:
            return await self._in_session(standing, text_claim(claims, "sid", max_chars=64)), until
        credential_id = subject if kind == "client" else text_claim(claims, "jti", max_chars=64)
        return principal_from(standing, via=kind, credential_id=credential_id), until

    async def _in_session(self, standing: Standing, session_id: str) -> Principal:
        session = await self._sessions.find(standing.subject.tenant, session_id)
        if session is None or session.subject != standing.subject.subject:
            raise TokenRefused("the session is over")
        return principal_from(standing, via="user", credential_id=IN_SESSION + session_id, permissions=session.scopes)

    async def _verify_external(self, parsed: Parsed, external: ExternalIssuer) -> tuple[Principal, float]:
        issuer, claims = external.issuer, parsed.claims
        check_signature(parsed, _found(await external.keys.find(_kid(parsed))))
        check_claims(claims, issuer.expected, self._clock())
        if "nonce" in claims:
            raise TokenRefused("an ID token tells who signed in, and opens nothing")
        refuse_claims_of_power(claims, issuer.role_claim, issuer.tenant)
        external_subject = text_claim(claims, issuer.subject_claim)
        try:
            user_id = await self._external_users.user_of(issuer, external_subject, issuer.roles_of(claims))
        except NotFound:
            raise TokenRefused("the issuer's tenant is not there") from None
        standing = await self._standing(issuer.tenant, user_id)
        if SUPER_ADMIN in standing.subject.roles:
            raise TokenRefused("an external issuer can not speak for a super_admin")
        _check_not_ended(standing, claims)
        principal = principal_from(standing, via="external", credential_id=issuer.expected.issuer[:64])
        return principal, min(standing.fresh_until, claims["exp"] + LEEWAY_S)

    async def _verify_personal(self, token: str) -> tuple[Principal, float]:
        found = await self._personal.find(token)
        if found is None:
            raise TokenRefused("no such personal token, or it is over")
        standing = await self._standing(found.tenant, found.subject)
        if found.created_at < standing.subject.created_at - LEEWAY_S:
            raise TokenRefused("the personal token belongs to an earlier owner of that id")
        try:
            await self._personal.note_use(found)
        except PlatformError as error:  # a store that can not be written still lets people read
            log.warning("the use of a personal token was not noted: %s", error.message)
        principal = principal_from(standing, via="token", credential_id=found.token_id, permissions=found.permissions)
        return principal, min(standing.fresh_until, found.expires_at)

    async def _standing(self, tenant: str, subject: str) -> Standing:
        standing = await self._rights.standing(tenant, subject)
        if standing is None:
            raise TokenRefused("the subject or its tenant is gone")
        return standing


def principal_from(
    standing: Standing, *, via: str, credential_id: str = "", permissions: frozenset[str] | None = None
) -> Principal:
    """A principal with the rights of now, or with those among `permissions`."""
    subject = standing.subject
    held = subject.permissions
    return Principal(
        subject=subject.subject,
        tenant=subject.tenant,
        roles=subject.roles,
        permissions=held if permissions is None else held & permissions,
        via=via,
        credential_id=credential_id,
        attributes=subject.attributes,
    )


def _check_not_ended(standing: Standing, claims: Mapping[str, Any]) -> None:
    """Whoever was let go and taken in again gets nothing back that was issued before."""
    if claims["iat"] < standing.subject.ended_at:
        raise TokenRefused("the token is from before its owner was let go")


def _kid(parsed: Parsed) -> str:
    if parsed.kid is None:
        raise TokenRefused("kid is missing")
    return parsed.kid


def _found(key: VerifyingKey | None) -> VerifyingKey:
    if key is None:
        raise TokenRefused("kid is not known")
    return key
