"""Secrets at rest: a root key outside the store, one wrapped key per tenant, one derived key per purpose."""

import logging
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from core.errors import Unavailable

log = logging.getLogger("headwater.identity")

KEY_BYTES = 32
NONCE_BYTES = 12
MAX_CACHED = 4096
WRAPPED_BYTES = NONCE_BYTES + KEY_BYTES + 16
ROOT_SIZES = (KEY_BYTES, KEY_BYTES + WRAPPED_BYTES)
"""Of a root key as it was made, and of one that took another's place: then it wraps the platform's key."""


class SealBroken(ValueError):
    """The data was not sealed with this key, purpose and context, or it was changed since."""


def load_root_key(home: Path) -> bytes:
    """The key of a home, from `keys/root.key`, made on the first start. Safe with several processes."""
    path = home / "keys" / "root.key"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        _create(path)
    key = path.read_bytes()
    if len(key) not in ROOT_SIZES:
        raise Unavailable(f"{path} is not a root key.", hint="Restore keys/root.key from the backup of this home.")
    if path.stat().st_mode & 0o077:
        log.warning("%s can be read by other users of this machine; run chmod 600", path)
    return key


def _create(path: Path) -> None:
    descriptor, draft = tempfile.mkstemp(dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)  # fails where another process was first, whose key then counts
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()


class Vault:
    """Seals with AES-256-GCM. A tenant's data can be shredded by forgetting its wrapped key.

    What is stored as a tenant's wrapped key holds its present data key and, behind it, those of before: data is sealed
    with the present one and opened with whichever opens it. Keys for purposes are made of the first, for ever."""

    def __init__(self, root_key: bytes):
        if len(root_key) not in ROOT_SIZES:
            raise ValueError(f"a root key has {KEY_BYTES} bytes")
        root, platform = root_key[:KEY_BYTES], root_key[KEY_BYTES:]
        self._wrapping = AESGCM(_derive(root, "platform:tenant keys"))
        self._platform_key = _decrypt(self._wrapping, platform, b"platform") if platform else root
        self._ciphers: dict[tuple[bytes, str], AESGCM] = {}

    def purpose_key(self, purpose: str) -> bytes:
        """A key for one purpose, equal in every process of this home."""
        return _derive(self._platform_key, f"platform:{purpose}")

    def tenant_purpose_key(self, wrapped_key: bytes, purpose: str) -> bytes:
        """A key for one purpose of one tenant, for example for keyed digests."""
        return _derive(self._unwrap(_split(wrapped_key)[-1]), f"tenant:{purpose}")

    def new_root(self) -> bytes:
        """A fresh root key, which wraps the platform's key: what goes into `keys/root.key` in the place of this one."""
        root = secrets.token_bytes(KEY_BYTES)
        wrapping = AESGCM(_derive(root, "platform:tenant keys"))
        return root + _encrypt(wrapping, self._platform_key, b"platform")

    def rewrap(self, wrapped_key: bytes, other: "Vault") -> bytes:
        """A tenant's keys as the vault of another root key wraps them; nothing of a tenant whose key is gone."""
        keys = [self._unwrap(part) for part in _split(wrapped_key)] if wrapped_key else []
        return b"".join(_encrypt(other._wrapping, key, b"") for key in keys)

    def renew_tenant_key(self, wrapped_key: bytes) -> bytes:
        """A fresh data key before those that a tenant has, wrapped for storing."""
        return self.new_tenant_key() + wrapped_key

    def new_tenant_key(self) -> bytes:
        """A fresh data key, wrapped for storing."""
        return _encrypt(self._wrapping, secrets.token_bytes(KEY_BYTES), b"")

    def seal(self, wrapped_key: bytes, purpose: str, data: bytes, aad: bytes = b"") -> bytes:
        """Seal a tenant's data; `aad` is where it belongs, and opening elsewhere fails."""
        return _encrypt(self._cipher(_split(wrapped_key)[0], purpose), data, aad)

    def open(self, wrapped_key: bytes, purpose: str, sealed: bytes, aad: bytes = b"") -> bytes:
        """The data of a seal. Raises SealBroken."""
        *newer, first = _split(wrapped_key)
        for key in newer:
            with suppress(SealBroken):
                return _decrypt(self._cipher(key, purpose), sealed, aad)
        return _decrypt(self._cipher(first, purpose), sealed, aad)

    def seal_platform(self, purpose: str, data: bytes, aad: bytes = b"") -> bytes:
        """Seal data that belongs to no tenant."""
        return _encrypt(AESGCM(self.purpose_key(purpose)), data, aad)

    def open_platform(self, purpose: str, sealed: bytes, aad: bytes = b"") -> bytes:
        """The data of a platform seal. Raises SealBroken."""
        return _decrypt(AESGCM(self.purpose_key(purpose)), sealed, aad)

    def forget(self) -> None:
        """Drop what was made of tenants' keys; it is made again when it is needed."""
        self._ciphers.clear()

    def _cipher(self, wrapped_key: bytes, purpose: str) -> AESGCM:
        cipher = self._ciphers.get((wrapped_key, purpose))
        if cipher is None:
            cipher = AESGCM(self.tenant_purpose_key(wrapped_key, f"seal:{purpose}"))
            if len(self._ciphers) >= MAX_CACHED:
                self._ciphers.clear()
            self._ciphers[wrapped_key, purpose] = cipher
        return cipher

    def _unwrap(self, wrapped_key: bytes) -> bytes:
        try:
            return _decrypt(self._wrapping, wrapped_key, b"")
        except SealBroken:
            raise Unavailable(
                "The root key of this home does not open its store.",
                hint="Put the keys/root.key that belongs to this store back into the home folder, from its backup; "
                "if a rotation was interrupted, `headwater keys rotate` ends it.",
            ) from None


def _split(wrapped_key: bytes) -> list[bytes]:
    """The newest key first."""
    parts = [wrapped_key[at : at + WRAPPED_BYTES] for at in range(0, len(wrapped_key), WRAPPED_BYTES)]
    return parts or [wrapped_key]


def _encrypt(cipher: AESGCM, data: bytes, aad: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, data, aad)


def _decrypt(cipher: AESGCM, sealed: bytes, aad: bytes) -> bytes:
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad)
    except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
        raise SealBroken("the seal is broken") from None


def _derive(key: bytes, info: str) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=f"headwater:{info}".encode()).derive(key)
