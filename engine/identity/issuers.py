"""External token issuers: each bound to one tenant, its claims mapped to local roles.

issuers:
  - issuer: https://login.example.com/
    jwks_uri: https://login.example.com/keys
    audience: headwater
    tenant: acme
    subject_claim: sub
    role_claim: groups
    roles: {analysts: viewer, platform-team: [lead_data_engineer, auditor]}
    algorithms: [RS256]
    client_id: headwater-web       # with one, people can choose this provider on the sign-in page
    client_secret: "..."           # empty for a public client
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import InvalidArgument, PlatformError
from engine.egress.client import EgressClient
from engine.identity.auth_file import describe, read_yaml
from engine.identity.jws import ASYMMETRIC, MAX_LIFETIME_S, Expected, VerifyingKey, key_from_jwk, texts_in
from engine.identity.roles import SUPER_ADMIN, canonical

log = logging.getLogger("headwater.identity")

REFRESH_S = 600.0  # a key that its issuer withdrew is gone after this
UNKNOWN_KID_S = 30.0  # unknown kids make us ask the issuer no more often than this
MAX_JWKS_BYTES = 262_144
MAX_KEYS = 100


@dataclass(frozen=True, slots=True)
class Issuer:
    """One external issuer."""

    expected: Expected
    jwks_uri: str
    tenant: str
    subject_claim: str
    role_claim: str
    roles: Mapping[str, frozenset[str]]
    algorithms: frozenset[str]
    client_id: str = ""  # with one, people can sign in there on our page
    client_secret: str = field(default="", repr=False)
    scope: str = "openid profile email"

    def roles_of(self, claims: Mapping[str, object]) -> frozenset[str]:
        """The local roles of a token's claims; what is not mapped gives nothing."""
        found: frozenset[str] = frozenset()
        for name in texts_in(claims.get(self.role_claim)):
            found |= self.roles.get(name, frozenset())
        return found


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class _Issuer(_Strict):
    issuer: str = Field(min_length=1, max_length=255)
    jwks_uri: str = ""  # empty: as the issuer publishes it, for sign-in on our page alone
    audience: str = ""
    tenant: str
    subject_claim: str = "sub"
    role_claim: str = "roles"
    roles: dict[str, str | list[str]] = {}
    algorithms: list[str] = ["RS256"]
    requires_nbf: bool = True  # some issuers send no nbf
    max_lifetime_s: int = Field(MAX_LIFETIME_S, ge=60, le=MAX_LIFETIME_S)
    client_id: str = ""
    client_secret: str = ""
    scope: str = "openid profile email"


class _File(_Strict):
    issuers: list[_Issuer] = []


def read_issuers(path: Path, *, audience: str, own_issuer: str) -> dict[str, Issuer]:
    """Read issuers.yml, if it is there. Raises InvalidArgument, saying what is wrong."""
    document = read_yaml(path)
    if document is None:
        return {}
    try:
        said = _File.model_validate(document).issuers
    except ValidationError as error:
        raise InvalidArgument(f"{path}: {describe(error)}") from None
    names = [entry.issuer for entry in said]
    if own_issuer in names or len(set(names)) != len(names):
        raise InvalidArgument(f"{path}: each issuer stands once, and none is Headwater's own.")
    return {entry.issuer: _issuer(path, entry, audience) for entry in said}


def _issuer(path: Path, said: _Issuer, audience: str) -> Issuer:
    roles = {name: _names(given) for name, given in said.roles.items()}
    if any(SUPER_ADMIN in given for given in roles.values()):
        raise InvalidArgument(f"{path}: an external issuer can not give super_admin.")
    if not (said.jwks_uri or said.client_id):
        raise InvalidArgument(f"{path}: {said.issuer} has no jwks_uri, and no client_id to sign in there with.")
    strange = set(said.algorithms) - set(ASYMMETRIC)
    if strange or not said.algorithms:
        raise InvalidArgument(f"{path}: algorithms {sorted(strange)} are not accepted; use {', '.join(ASYMMETRIC)}.")
    expected = Expected(said.issuer, said.audience or audience, said.max_lifetime_s, said.requires_nbf)
    return Issuer(
        expected,
        said.jwks_uri,
        said.tenant,
        said.subject_claim,
        said.role_claim,
        roles,
        frozenset(said.algorithms),
        said.client_id,
        said.client_secret,
        said.scope,
    )


def _names(given: str | list[str]) -> frozenset[str]:
    return frozenset(canonical(name) for name in ([given] if isinstance(given, str) else given))


class RemoteKeys:
    """The key set of one issuer: fetched when needed, kept while the issuer is down."""

    def __init__(self, issuer: Issuer, egress: EgressClient, *, clock: Callable[[], float] = time.time):
        self._issuer = issuer
        self._egress = egress
        self._clock = clock
        self._keys: dict[str, VerifyingKey] = {}
        self._asked_at = -REFRESH_S
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str) -> VerifyingKey | None:
        """The issuer's key of that id."""
        age = self._clock() - self._asked_at
        if self._fetching is not None and not self._fetching.done():
            if kid not in self._keys:
                await asyncio.shield(self._fetching)
        elif not 0 <= age < (REFRESH_S if kid in self._keys else UNKNOWN_KID_S):
            self._asked_at = self._clock()
            self._fetching = asyncio.create_task(self._fetch())
            await asyncio.shield(self._fetching)
        return self._keys.get(kid)

    async def find_only(self) -> VerifyingKey | None:
        """The issuer's key where it has just one, for tokens that name none (OpenID Connect Core, 10.1)."""
        await self.find("")
        return next(iter(self._keys.values())) if len(self._keys) == 1 else None

    async def _fetch(self) -> None:
        name = self._issuer.expected.issuer
        try:
            response = await self._egress.get(
                self._issuer.jwks_uri, headers={"accept": "application/json"}, max_bytes=MAX_JWKS_BYTES, timeout_s=5.0
            )
            document = response.json()
        except PlatformError as error:
            log.warning("the keys of the issuer %s can not be fetched: %s", name, error.message)
            return
        said = document.get("keys") if isinstance(document, dict) else None
        if response.status != 200 or not isinstance(said, list):
            log.warning("the issuer %s answers %d without a key set", name, response.status)
            return
        found = [key_from_jwk(jwk, self._issuer.algorithms) for jwk in said[:MAX_KEYS]]
        self._keys = {key.kid: key for key in found if key is not None}
