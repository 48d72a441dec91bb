"""The claims of our own tokens."""

import re
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from engine.identity.jws import MAX_LIFETIME_S, Expected
from engine.identity.rights import Kind

API, MCP = "api", "mcp"  # what a token may be asked for alone
RESOURCE = re.compile(r"api|mcp(/(agents|projects)/[A-Za-z0-9_-]{1,64})?|a2a/[A-Za-z0-9_-]{1,64}")


def resources_at(at: str) -> tuple[str, ...]:
    """What a token may have been asked for to be let in at a face, or at one of its addresses.

    Every address of MCP is a resource of its own. An agent's A2A address is one too, and part of the API."""
    if at == MCP or at.startswith("mcp/"):
        return (at,)
    return (API, at) if at.startswith("a2a/") else (API,)


def audience_of(audience: str, resource: str) -> str:
    """The `aud` that opens one resource; without one, all of them."""
    return f"{audience}/{resource}" if resource else audience


class Claims:
    """Makes claims that `expected` accepts. A token says who calls and for how long, never what it may do."""

    def __init__(
        self,
        *,
        issuer: str,
        audience: str,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid4().hex,
    ):
        self.expected = Expected(issuer, audience)
        self._clock = clock
        self._new_id = new_id

    def make(self, tenant: str, subject: str, kind: Kind, lifetime_s: int, session_id: str = "") -> dict[str, Any]:
        now = int(self._clock())
        in_session = {"sid": session_id} if session_id else {}
        return in_session | {
            "iss": self.expected.issuer,
            "aud": self.expected.audience,
            "sub": subject,
            "tenant": tenant,
            "kind": kind,
            "iat": now,
            "nbf": now,
            "exp": now + max(1, min(lifetime_s, MAX_LIFETIME_S)),
            "jti": self._new_id(),
        }
