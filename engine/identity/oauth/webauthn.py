"""What a browser says when a device proves to hold a passkey (W3C WebAuthn 3, 7.1 and 7.2), and whether it is true.

No attestation is asked for, so the browser hands out the public key as it is. What is left to check is small."""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

ALGORITHMS = (-7, -8, -257)  # ES256, EdDSA, RS256
PRESENT, VERIFIED, HAS_KEY = 0x01, 0x04, 0x40
MAX_CHARS = 8192


class PasskeyRefused(Exception):
    """Why, for the log alone."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a passkey is asked for. `site` is the host that it is made for, and works at."""

    origin: str
    site: str

    @classmethod
    def of(cls, base: str) -> "Place | None":
        """The place of an address; None where browsers have no passkeys: at bare IP addresses, and without TLS."""
        parts = urlsplit(base)
        host = parts.hostname or ""
        is_safe = parts.scheme == "https" or host == "localhost"
        is_named = any(letter.isalpha() for letter in host.rpartition(".")[2]) and ":" not in host
        return cls(f"{parts.scheme}://{parts.netloc}", host) if is_safe and is_named else None


@dataclass(frozen=True, slots=True)
class Made:
    """A new passkey."""

    passkey_id: str
    public_key: str
    uses: int


def read_made(answer: Mapping[str, Any], challenge: str, place: Place) -> Made:
    """The passkey that a device has made. Raises PasskeyRefused."""
    _check_client(answer, "webauthn.create", challenge, place)
    data = _bytes(answer, "authenticatorData")
    uses = _check_device(data, place, HAS_KEY)
    size = int.from_bytes(data[53:55], "big")
    passkey_id = encode(data[55 : 55 + size])
    if not 16 <= size <= 1023 or len(data) <= 55 + size or passkey_id != answer.get("id"):
        raise PasskeyRefused("id")
    public_key = _bytes(answer, "publicKey")
    _load(public_key)
    return Made(passkey_id, encode(public_key), uses)


def check_used(answer: Mapping[str, Any], challenge: str, place: Place, public_key: str) -> int:
    """That a device holds the passkey; how often it says it was used. Raises PasskeyRefused."""
    client = _check_client(answer, "webauthn.get", challenge, place)
    data = _bytes(answer, "authenticatorData")
    uses = _check_device(data, place, 0)
    _check_signature(decode(public_key), _bytes(answer, "signature"), data + sha256(client).digest())
    return uses


def encode(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _check_client(answer: Mapping[str, Any], kind: str, challenge: str, place: Place) -> bytes:
    data = _bytes(answer, "clientDataJSON")
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or said.get("type") != kind:
        raise PasskeyRefused("type")
    if not hmac.compare_digest(str(said.get("challenge")).encode(), encode(challenge.encode()).encode()):
        raise PasskeyRefused("challenge")
    if said.get("origin") != place.origin or said.get("crossOrigin", False) is not False or "topOrigin" in said:
        raise PasskeyRefused("origin")
    return data


def _check_device(data: bytes, place: Place, more: int) -> int:
    needed = PRESENT | VERIFIED | more
    if len(data) < 37 or data[:32] != sha256(place.site.encode()).digest():
        raise PasskeyRefused("another site's")
    if data[32] & needed != needed:
        raise PasskeyRefused("nobody has proven to be there")
    return int.from_bytes(data[33:37], "big")


def _check_signature(public_key: bytes, signature: bytes, signed: bytes) -> None:
    key = _load(public_key)
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        else:
            key.verify(signature, signed)
    except InvalidSignature:
        raise PasskeyRefused("signature") from None


def _load(public_key: bytes) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey:
    try:
        key = serialization.load_der_public_key(public_key)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise PasskeyRefused("public key") from None
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    if isinstance(key, ed25519.Ed25519PublicKey) or (
        isinstance(key, rsa.RSAPublicKey) and 2048 <= key.key_size <= 4096
    ):
        return key
    raise PasskeyRefused("public key")


def _bytes(answer: Mapping[str, Any], name: str) -> bytes:
    text = answer.get(name)
    if not isinstance(text, str) or len(text) > MAX_CHARS or not text.isascii():
        raise PasskeyRefused(name)
    try:
        return decode(text)
    except ValueError:
        raise PasskeyRefused(name) from None
