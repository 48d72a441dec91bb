"""Secrets of clients and tokens: how they are made, hashed and compared.

Our own secrets have 256 random bits, so SHA-256 is a sound hash of them; what a person chose gets argon2id."""

import functools
import hashlib
import hmac
import re
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

CLIENT_PREFIX = "hws_"
PERSONAL_PREFIX = "hwt_"
_OURS = re.compile(r"hw[st]_[A-Za-z0-9_-]{43}")
_SHA256 = "sha256:"

# OWASP's second choice: 19 MiB and about 30 ms a check.
_argon2 = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)


def new_client_secret() -> str:
    return CLIENT_PREFIX + secrets.token_urlsafe(32)


def new_personal_token() -> str:
    return PERSONAL_PREFIX + secrets.token_urlsafe(32)


def is_personal_token(text: str) -> bool:
    return text.startswith(PERSONAL_PREFIX) and _OURS.fullmatch(text) is not None


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def hash_secret(secret: str) -> str:
    """The form in which a secret is stored."""
    if _OURS.fullmatch(secret):
        return fast_hash(secret)
    return _argon2.hash(secret)


def hash_password(password: str) -> str:
    """The form in which what a person chose is stored, whatever it looks like."""
    return _argon2.hash(password.encode("utf-8", "surrogatepass"))


def is_secret_hash(text: str) -> bool:
    """Whether a text is a hash that `matches` understands."""
    return text.startswith("$argon2id$") or re.fullmatch(r"sha256:[0-9a-f]{64}", text) is not None


def matches(secret: str, secret_hash: str | None) -> bool:
    """Whether a secret is the one that was hashed; None stands for an unknown client.

    Every check costs one argon2 round, so that time does not tell which clients exist and of which kind."""
    is_argon2 = secret_hash is not None and secret_hash.startswith("$argon2id$")
    is_slow_match = _verify(secret_hash if is_argon2 and secret_hash else _decoy(), secret)
    is_fast_match = hmac.compare_digest(fast_hash(secret), "" if is_argon2 else secret_hash or "")
    return is_slow_match if is_argon2 else is_fast_match


def _verify(secret_hash: str, secret: str) -> bool:
    try:
        return _argon2.verify(secret_hash, secret.encode("utf-8", "surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False


@functools.cache
def _decoy() -> str:
    return _argon2.hash(secrets.token_urlsafe(32))


def fast_hash(secret: str) -> str:
    """SHA-256 of a secret: for our random ones, or where the plain secret is in memory anyway."""
    return _SHA256 + digest(secret)
