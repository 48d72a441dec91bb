"""Signed tokens, read strictly: PyJWT checks the signature, everything around it is checked here."""

import functools
import json
import math
import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.identity.roles import SUPER_ADMIN, canonical

if TYPE_CHECKING:
    from jwt.api_jws import PyJWS

MAX_TOKEN_CHARS = 8192
MAX_LIFETIME_S = 86_400
LEEWAY_S = 10
ASYMMETRIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
MIN_RSA_BITS = 2048

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_REFUSED_HEADERS = frozenset({"crit", "jku", "jwk", "x5u", "x5c", "b64", "zip", "enc", "cty"})
_CURVES = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}


class TokenRefused(Exception):
    """The token is not valid; the text is the cause, for the log alone."""


class TokenExpired(TokenRefused):
    """The token was valid once."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A token taken apart; nothing of it is proven yet."""

    token: str
    algorithm: str
    kid: str | None
    claims: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A key and the one algorithm that it verifies."""

    kid: str
    algorithm: str
    key: Any


@dataclass(frozen=True, slots=True)
class Expected:
    """What the claims of one issuer's tokens must say."""

    issuer: str
    audience: str
    max_lifetime_s: int = MAX_LIFETIME_S
    requires_nbf: bool = True


def parse(token: str) -> Parsed:
    """Take a compact JWS apart. Raises TokenRefused unless its form is exactly what we accept."""
    if len(token) > MAX_TOKEN_CHARS or not _COMPACT.fullmatch(token):
        raise TokenRefused("not a compact JWS of bearable size")
    first, second, _ = token.split(".")
    header, claims = _object(first), _object(second)
    found = _REFUSED_HEADERS & header.keys()
    if found:
        raise TokenRefused(f"refused headers: {sorted(found)}")
    algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or (kid is not None and not (isinstance(kid, str) and 0 < len(kid) <= 256)):
        raise TokenRefused("alg or kid is not a text of bearable size")
    if kind not in ("JWT", "at+jwt"):
        raise TokenRefused("typ is not JWT")
    return Parsed(token, algorithm, kid, claims)


def check_signature(parsed: Parsed, key: VerifyingKey) -> None:
    """Raises TokenRefused unless the token is signed by the key with the key's own algorithm."""
    from jwt.exceptions import InvalidKeyError, PyJWTError  # lazily: PyJWT costs 90 ms

    if parsed.algorithm != key.algorithm:
        raise TokenRefused("alg is not the key's")
    try:
        _jws().decode_complete(parsed.token, key.key, algorithms=[key.algorithm])
    except (PyJWTError, InvalidKeyError, ValueError, TypeError) as error:
        raise TokenRefused(f"signature: {type(error).__name__}") from None


def check_claims(claims: Mapping[str, Any], expected: Expected, now: float) -> None:
    """Raises TokenRefused or TokenExpired unless every claim is there, of its type, and right."""
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if claims.get("iss") != expected.issuer:
        raise TokenRefused("iss")
    if not all(isinstance(item, str) for item in audiences) or expected.audience not in audiences:
        raise TokenRefused("aud")
    exp, iat = _number(claims, "exp"), _number(claims, "iat")
    nbf = _number(claims, "nbf") if expected.requires_nbf or "nbf" in claims else iat
    if iat > now + LEEWAY_S or nbf > now + LEEWAY_S:
        raise TokenRefused("iat or nbf lies in the future")
    if not 0 < exp - iat <= expected.max_lifetime_s or nbf > exp:
        raise TokenRefused("the lifetime is out of bounds")
    if now >= exp + LEEWAY_S:
        raise TokenExpired("exp")


def text_claim(claims: Mapping[str, Any], name: str, *, max_chars: int = 255) -> str:
    """A claim that must be a text. Raises TokenRefused."""
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= max_chars or not value.isprintable():
        raise TokenRefused(f"{name} is not a text of bearable size")
    return value


def refuse_claims_of_power(claims: Mapping[str, Any], role_claim: str, tenant: str) -> None:
    """An external token that names another tenant or the highest role is refused, not just ignored."""
    if claims.get("tenant", tenant) != tenant:
        raise TokenRefused("an external token names another tenant")
    for name in {"roles", "role", role_claim}:
        if any(canonical(role) == SUPER_ADMIN for role in texts_in(claims.get(name))):
            raise TokenRefused("an external token claims super_admin")


def texts_in(value: object) -> list[str]:
    """A claim that is one text or a list of them, as a list."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]


def encode(claims: Mapping[str, Any], key: Any, algorithm: str, kid: str | None) -> str:
    """Sign claims."""
    headers = {"typ": "JWT"} | ({"kid": kid} if kid else {})
    return _jws().encode(json.dumps(claims, separators=(",", ":")).encode(), key, algorithm, headers)


def key_from_jwk(jwk: object, allowed: frozenset[str]) -> VerifyingKey | None:
    """A verifying key of a JWKS, or None when it is not one that we accept."""
    from jwt import PyJWK  # lazily: PyJWT costs 90 ms
    from jwt.exceptions import PyJWTError

    if not isinstance(jwk, dict) or jwk.get("use", "sig") != "sig" or not isinstance(jwk.get("kid"), str):
        return None
    algorithm = jwk.get("alg") or _algorithm_of(jwk)
    if algorithm not in allowed or algorithm not in ASYMMETRIC or "d" in jwk:
        return None
    try:
        key = PyJWK.from_dict(jwk, algorithm=algorithm).key
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    if getattr(key, "key_size", MIN_RSA_BITS) < MIN_RSA_BITS and jwk.get("kty") == "RSA":
        return None
    return VerifyingKey(jwk["kid"], algorithm, key)


def _algorithm_of(jwk: Mapping[str, Any]) -> str | None:
    if jwk.get("kty") == "EC":
        return _CURVES.get(str(jwk.get("crv")))
    return {"RSA": "RS256", "OKP": "EdDSA"}.get(str(jwk.get("kty")))


def _object(segment: str) -> dict[str, Any]:
    try:
        value = json.loads(
            urlsafe_b64decode(segment + "=" * (-len(segment) % 4)),
            object_pairs_hook=_without_duplicates,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError):
        raise TokenRefused("a part is not JSON") from None
    if not isinstance(value, dict):
        raise TokenRefused("a part is not a JSON object")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _number(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TokenRefused(f"{name} is not a number")
    if not (0 <= value < 1e11 and math.isfinite(value)):
        raise TokenRefused(f"{name} is out of range")
    return float(value)


@functools.cache
def _jws() -> "PyJWS":
    from jwt.api_jws import PyJWS  # lazily: PyJWT costs 90 ms

    return PyJWS()
