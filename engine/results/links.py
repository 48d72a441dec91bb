"""Links that download a file without a token: for one caller and one file, for a while, not to be edited."""

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from core.context import Principal
from core.errors import NotFound

LIFETIME_S = 900.0


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a link speaks for; their rights are read again when it is used."""

    tenant: str
    subject: str
    via: str
    credential_id: str


class Links:
    """Makes and checks links below `base`, which is empty where the server does not know its own address."""

    def __init__(self, key: bytes, *, base: str = "", clock: Callable[[], float] = time.time):
        self._key = key
        self._base = base.rstrip("/")
        self._clock = clock

    def make(self, by: Principal, path: str, *, until: float) -> tuple[str, float]:
        """A URL for the path `/v1/...`, and when it ends: in a quarter of an hour, or at `until`."""
        bearer = _encode(by)
        expires = str(int(min(self._clock() + LIFETIME_S, until)))
        query = urlencode({"by": bearer, "expires": expires, "signature": self._mac(path, bearer, expires)})
        return f"{self._base}{path}?{query}", float(expires)

    def check(self, path: str, *, by: str, expires: str, signature: str) -> Bearer:
        """Whom the link was made for. Raises NotFound when any of it was changed, or its time is over."""
        gone = NotFound("This link does not work: it has expired, or was changed.", hint="Ask for a new one.")
        if not hmac.compare_digest(self._mac(path, by, expires).encode(), signature.encode("utf-8", "replace")):
            raise gone
        if self._clock() >= int(expires):
            raise gone
        return _decode(by)

    def _mac(self, path: str, by: str, expires: str) -> str:
        signed = json.dumps([path, by, expires]).encode()
        return hmac.digest(self._key, signed, hashlib.sha256).hex()


def _encode(by: Principal) -> str:
    parts = json.dumps([by.tenant, by.subject, by.via, by.credential_id]).encode()
    return base64.urlsafe_b64encode(parts).decode().rstrip("=")


def _decode(text: str) -> Bearer:
    try:
        return Bearer(*json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))
    except (binascii.Error, ValueError, TypeError):
        raise NotFound("This link does not work.", hint="Ask for a new one.") from None
