"""What the audit keeps of sign-in: who, which application, which grant, and what was decided. Never a secret."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from starlette.requests import Request

from api.errors import request_id_of
from api.oauth_port import Session, SignedIn
from core.errors import PlatformError
from core.ports import AuditRecord

FACE = "sign-in"
_PLAIN = re.compile(r"[!-~]{1,255}")


@dataclass
class Told:
    """One event as it becomes known. Who never came in is nobody's, and stands in the platform's own chain."""

    event: str
    request: Request
    code: str = "OK"
    tenant: str = ""
    subject: str = ""
    session_id: str = ""
    about: dict[str, str] = field(default_factory=dict)
    is_worth_it: bool = True
    _started: float = field(default_factory=time.perf_counter)

    def name(self, **about: str) -> None:
        """What it was about, in texts that strangers may have made up."""
        self.about |= {kind: text for kind, text in about.items() if _PLAIN.fullmatch(text)}

    def sign(self, session: Session | None) -> None:
        if session is not None:
            self.tenant, self.subject = session.tenant, session.subject

    def sign_in(self, session: SignedIn | None) -> None:
        if session is not None:
            self.sign(session)
            self.session_id = session.session_id
            self.name(application=session.client_id)

    def refuse(self, error: PlatformError) -> None:
        """A refusal of somebody who is known to be concerned stands in their tenant's chain.

        Whoever only waits is no event, and whoever was told to stop shall not fill the log."""
        self.code = error.code
        self.tenant = self.tenant or getattr(error, "tenant", "")
        self.subject = self.subject or getattr(error, "subject", "")
        oauth = getattr(error, "oauth", "")
        self.is_worth_it = error.code != "RATE_LIMITED" and oauth not in ("authorization_pending", "slow_down")

    def record(self) -> AuditRecord:
        return AuditRecord(
            request_id=request_id_of(self.request.scope),
            at=datetime.now(UTC),
            tenant=self.tenant,
            subject=self.subject,
            via="user",
            credential_id=f"session:{self.session_id}" if self.session_id else "",
            face=FACE,
            tool=self.event,
            effect="write",
            argument_digest="",
            decision="allowed" if self.code == "OK" else "refused",
            code=self.code,
            resources=tuple(f"{kind}:{text}" for kind, text in self.about.items()),
            duration_ms=(time.perf_counter() - self._started) * 1000,
        )


def about_of(form: Mapping[str, str], basic: tuple[str, str] | None) -> dict[str, str]:
    """What a request to a token endpoint says about itself."""
    said = {"application": basic[0] if basic else form.get("client_id", ""), "grant": form.get("grant_type", "")}
    return {kind: text for kind, text in said.items() if text}
