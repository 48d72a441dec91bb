"""Mail by SMTP: plain text to a few people, never with a secret of the platform or a row's value in it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from core.errors import InvalidArgument, Unavailable
from core.settings import NoticeSettings
from engine.notices.webhook import Refused

ADDRESS = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,180}[A-Za-z0-9])?$"
TIMEOUT_S = 20.0
MAX_SUBJECT, MAX_TEXT = 200, 20_000
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_PORTS = {"smtp": 25, "smtps": 465, "smtp+insecure": 25}


@dataclass(frozen=True, slots=True)
class Mail:
    """One message. What could end a header or a line of it is taken out when it is sent."""

    to: tuple[str, ...]
    subject: str
    text: str

    def dump(self) -> bytes:
        return json.dumps([list(self.to), self.subject, self.text]).encode()

    @classmethod
    def load(cls, data: bytes) -> "Mail":
        to, subject, text = json.loads(data)
        return cls(tuple(to), subject, text)


@dataclass(frozen=True, slots=True)
class Server:
    """Where mail goes. `use_tls`: from the first byte; `start_tls` None: when the server offers it."""

    host: str
    port: int
    user: str | None
    password: str | None
    use_tls: bool
    start_tls: bool | None
    sender: str


class Mailer:
    """Sends mail to the server that the settings name."""

    def __init__(self, settings: NoticeSettings):
        url = settings.smtp_url.get_secret_value()
        self._server = read_server(url) if url else None

    @property
    def is_configured(self) -> bool:
        return self._server is not None

    async def send(self, mail: Mail) -> None:
        """Raises Refused, and Unavailable when it may work later."""
        if self._server is None:
            raise Refused("No mail server is configured.")
        import aiosmtplib  # a server that sends no mail does not need it

        server, message = self._server, compose(mail, self._server.sender)
        try:
            await aiosmtplib.send(
                message,
                hostname=server.host,
                port=server.port,
                username=server.user,
                password=server.password,
                use_tls=server.use_tls,
                start_tls=server.start_tls,
                timeout=TIMEOUT_S,
            )
        except aiosmtplib.SMTPRecipientsRefused:
            raise Refused("The mail server refuses the addresses.") from None
        except aiosmtplib.SMTPResponseException as error:
            said = f"The mail server answered {error.code}."
            raise (Refused(said) if 500 <= error.code < 600 else Unavailable(said)) from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise Unavailable(f"The mail server is not reached: {type(error).__name__}.") from None


def read_server(url: str) -> Server:
    """`smtp://user:password@host:587?from=a@b.org`, or `smtps://`. Raises InvalidArgument, which shows none of it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    sender = parse_qs(parts.query).get("from", [""])[-1]
    if parts.scheme not in _PORTS or not parts.hostname or not re.fullmatch(ADDRESS, sender):
        raise InvalidArgument(
            "HEADWATER_NOTICES__SMTP_URL is no address of a mail server.",
            hint="Write smtp://user:password@host:587?from=headwater@example.org (STARTTLS), or smtps://.",
        )
    user = unquote(parts.username) if parts.username else None
    # A password goes over TLS only, unless the operator says otherwise.
    start_tls = False if parts.scheme != "smtp" else True if user else None
    password = unquote(parts.password) if parts.password else None
    return Server(
        parts.hostname, port or _PORTS[parts.scheme], user, password, parts.scheme == "smtps", start_tls, sender
    )


def compose(mail: Mail, sender: str) -> EmailMessage:
    """The message with its headers. Raises Refused for addresses that are none."""
    if not mail.to or any(not re.fullmatch(ADDRESS, address) for address in mail.to):
        raise Refused("That is no mail address.")
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = ", ".join(mail.to)
    # An encoded word would be decoded, with what ends a line, when the header is written.
    message["Subject"] = one_line(mail.subject)[:MAX_SUBJECT].replace("=?", "= ?")
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    lines = [one_line(line) for line in mail.text[:MAX_TEXT].split("\n")]
    message.set_content("\n".join(lines) + "\n")
    return message


def one_line(text: str) -> str:
    """The text without what ends a line or turns writing round."""
    return _CONTROLS.sub(" ", text).strip()


def describe(notice: Mapping[str, Any]) -> Mail:
    """What a notice says, in words."""
    data = notice["data"]
    title, what = one_line(str(data.get("title", ""))), str(notice["event"]).rpartition(".")[2]
    told = {"opened": "Waits for a decision", "decided": "Decided", "expired": "Expired"}.get(what, what)
    status = str(data.get("status", ""))
    lines = [
        title,
        "",
        f"Status: {status}",
        f"Kind: {data.get('kind', '')}",
        f"Approval: {data.get('approval_id', '')}",
    ]
    lines.append(f"Requested by: {data.get('requested_by') or 'Headwater'} ({data.get('tenant_id', '')})")
    if data.get("expires_at"):
        lines.append(f"Expires: {datetime.fromtimestamp(data['expires_at'], UTC):%Y-%m-%d %H:%M} UTC")
    if what == "opened":
        lines += ["", f"Look at it: headwater call get_approval --approval-id {data.get('approval_id', '')}"]
    return Mail((), f"[Headwater] {told}: {title}", "\n".join(lines))
