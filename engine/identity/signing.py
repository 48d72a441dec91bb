"""Our own RS256 keys: in the store, sealed, shared by replicas, rotated by age."""

import base64
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from sqlalchemy import Connection, RowMapping, insert, select, update

from engine.identity.jws import LEEWAY_S, MAX_LIFETIME_S, VerifyingKey, encode
from engine.identity.vault import Vault
from engine.store.db import Store
from engine.store.tables import keys, tenants

ALGORITHM = "RS256"
DOCUMENT = "JOSE"  # what is signed is no token, whatever stands in it: readers of tokens refuse the type
PURPOSE = "signing keys"
DAY_S = 86_400
REREAD_S = 5.0
SETTLE_S = 10.0  # a new key signs only after every replica has had time to read it
MISS_S = 1.0  # unknown kids make us read the store no more often than this


@dataclass(frozen=True, slots=True)
class _Key:
    kid: str
    jwk: Mapping[str, Any]
    wrapped_private: bytes
    created_at: float
    retired_at: float | None
    verifying: VerifyingKey


@dataclass(frozen=True, slots=True)
class _Loaded:
    keys: Mapping[str, _Key]
    at: float


class SigningKeys:
    """Signs and finds keys. The cache is replaced whole, so threads need no lock."""

    def __init__(
        self,
        *,
        store: Store,
        vault: Vault,
        rotation_days: int = 30,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid4().hex,
    ):
        self._store = store
        self._vault = vault
        self._rotation_s = rotation_days * DAY_S
        self._clock = clock
        self._new_id = new_id
        self._loaded = _Loaded({}, 0.0)
        self._private: dict[str, rsa.RSAPrivateKey] = {}

    async def find(self, kid: str) -> VerifyingKey | None:
        """The verifying key of that id, unless its last token is dead."""
        loaded, now = self._loaded, self._clock()
        age = now - loaded.at
        if not 0 <= age < REREAD_S or (kid not in loaded.keys and age >= MISS_S):
            loaded = await self._store.read(self._load)
        key = loaded.keys.get(kid)
        return key.verifying if key else None

    def jwks(self) -> dict[str, Any]:
        """The JSON Web Key Set of every key that may still verify a token. Reads the store every 5 s at most."""
        loaded = self._loaded
        if not 0 <= self._clock() - loaded.at < REREAD_S:
            loaded = self._store.read_now(self._load)
        return {"keys": [dict(key.jwk) for key in loaded.keys.values()]}

    def sign_now(self, claims: Mapping[str, Any]) -> str:
        """Sign claims; for code that is in a thread of its own. Makes and rotates keys when it is time."""
        key = self._current_now()
        return encode(claims, self._private_now(key), ALGORITHM, key.kid)

    def sign_document_now(self, document: bytes, published_at: str) -> tuple[str, str]:
        """A detached JWS of a document: protected header and signature. Its type is none that a token may have."""
        key = self._current_now()
        header = {"alg": ALGORITHM, "kid": key.kid, "typ": DOCUMENT, "jku": published_at}
        protected = _b64(json.dumps(header).encode())
        signing = f"{protected}.{_b64(document)}".encode()
        signature = self._private_now(key).sign(signing, padding.PKCS1v15(), hashes.SHA256())
        return protected, _b64(signature)

    def _private_now(self, key: _Key) -> rsa.RSAPrivateKey:
        if key.kid not in self._private:
            sealed = self._vault.open_platform(PURPOSE, key.wrapped_private, key.kid.encode())
            self._private = {key.kid: _private_from(sealed)}
        return self._private[key.kid]

    def ensure_now(self) -> bool:
        """Make a key where there is none that is young enough. Returns whether one was made."""
        loaded = self._store.read_now(self._load)
        return self._is_due(loaded) and self._rotate_now()

    def renew_now(self) -> str:
        """Make a key that takes over, however young the present one is; what that one signed stays good."""
        self._rotate_now(is_forced=True)
        return max(self._loaded.keys.values(), key=lambda key: key.created_at).kid

    def _current_now(self) -> _Key:
        loaded, now = self._loaded, self._clock()
        if not 0 <= now - loaded.at < REREAD_S:
            loaded = self._store.read_now(self._load)
        if self._is_due(loaded):
            self._rotate_now()
            loaded = self._loaded
        usable = [key for key in loaded.keys.values() if key.retired_at is None or key.retired_at > now]
        settled = [key for key in usable if key.created_at <= now - SETTLE_S]
        return max(settled or usable, key=lambda key: key.created_at)

    def _is_due(self, loaded: _Loaded) -> bool:
        newest = max((key.created_at for key in loaded.keys.values() if not key.retired_at), default=None)
        return newest is None or newest <= self._clock() - self._rotation_s

    def _rotate_now(self, *, is_forced: bool = False) -> bool:
        row = self._new_row()  # before the transaction: making a key takes time that writers should not wait for

        def work(connection: Connection) -> bool:
            # One process at a time, on PostgreSQL too.
            connection.execute(select(tenants.c.tenant_id).order_by(tenants.c.tenant_id).limit(1).with_for_update())
            if not self._is_due(self._load(connection)) and not is_forced:
                return False
            retired_at = row["created_at"] + SETTLE_S
            removed_at = retired_at + MAX_LIFETIME_S + LEEWAY_S
            connection.execute(
                update(keys).where(keys.c.retired_at.is_(None)).values(retired_at=retired_at, removed_at=removed_at)
            )
            connection.execute(insert(keys).values(row))
            return True

        has_made = self._store.write_now(work)
        self._store.read_now(self._load)
        return has_made

    def _new_row(self) -> dict[str, Any]:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        kid = self._new_id()
        pem = private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "kid": kid,
            "algorithm": ALGORITHM,
            "public_jwk": json.dumps(public_jwk(private.public_key(), kid)),
            "wrapped_private": self._vault.seal_platform(PURPOSE, pem, kid.encode()),
            "created_at": self._clock(),
        }

    def _load(self, connection: Connection) -> _Loaded:
        now = self._clock()
        statement = select(keys).where((keys.c.removed_at.is_(None)) | (keys.c.removed_at > now))
        found = [_key(row) for row in connection.execute(statement.order_by(keys.c.created_at)).mappings()]
        self._loaded = _Loaded({key.kid: key for key in found}, now)
        return self._loaded


def public_jwk(key: rsa.RSAPublicKey, kid: str) -> dict[str, str]:
    """A public key as it stands in a JWKS."""
    from jwt.algorithms import RSAAlgorithm  # lazily: PyJWT costs 90 ms

    jwk = RSAAlgorithm.to_jwk(key, as_dict=True)
    return {"kty": "RSA", "use": "sig", "alg": ALGORITHM, "kid": kid, "n": str(jwk["n"]), "e": str(jwk["e"])}


def _key(row: RowMapping) -> _Key:
    jwk = json.loads(row["public_jwk"])
    return _Key(
        kid=row["kid"],
        jwk=jwk,
        wrapped_private=row["wrapped_private"],
        created_at=row["created_at"],
        retired_at=row["retired_at"],
        verifying=VerifyingKey(row["kid"], row["algorithm"], _public_from(jwk)),
    )


def _public_from(jwk: Mapping[str, Any]) -> rsa.RSAPublicKey:
    n, e = (int.from_bytes(_unb64(jwk[name])) for name in ("n", "e"))
    return rsa.RSAPublicNumbers(e, n).public_key()


def _private_from(der: bytes) -> rsa.RSAPrivateKey:
    key = serialization.load_der_private_key(der, password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("a signing key is an RSA key")
    return key


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
