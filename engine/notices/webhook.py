"""Webhooks: a notice as a signed POST, in the form of the Standard Webhooks specification.

The signature covers the id, the time and the body, so that a receiver can refuse what was changed, what is old, and
what it had before."""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable

from core.errors import InvalidArgument, Unavailable
from engine.egress.client import EgressClient

SECRET_PREFIX = "whsec_"  # noqa: S105 - what secrets of this kind begin with
FOR_GOOD = frozenset({400, 401, 403, 404, 405, 410, 413, 415, 422})


class Refused(Exception):
    """Trying again would not help."""


class Webhooks:
    """Posts through the one client for outbound calls."""

    def __init__(self, egress: EgressClient, *, clock: Callable[[], float] = time.time):
        self._egress = egress
        self._clock = clock

    def check(self, url: str) -> None:
        """Refuse a URL that may not be called. Raises InvalidArgument."""
        self._egress.check(url)

    async def post(self, url: str, notice_id: str, body: bytes, secret: bytes) -> None:
        """Raises Refused, and Unavailable when it may work later."""
        timestamp = str(int(self._clock()))
        headers = {
            "content-type": "application/json",
            "user-agent": "Headwater",
            "webhook-id": notice_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": sign(secret, notice_id, timestamp, body),
        }
        try:
            answer = await self._egress.post(url, body=body, headers=headers)
        except InvalidArgument as error:
            raise Refused(error.message) from None
        if answer.status in FOR_GOOD:
            raise Refused(f"The receiver answered {answer.status}.")
        if not 200 <= answer.status < 300:
            raise Unavailable(f"The receiver answered {answer.status}.")


def sign(secret: bytes, notice_id: str, timestamp: str, body: bytes) -> str:
    """The `webhook-signature` of a body."""
    signed = b".".join((notice_id.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def show_secret(secret: bytes) -> str:
    """A secret as people are given it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()
