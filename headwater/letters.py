"""Invitations and password links by e-mail, where the server can send mail and knows its own address."""

import logging
from datetime import UTC, datetime

from core.errors import PlatformError
from engine.context import Engine
from engine.identity.links import Deliver, OneTimeLink
from engine.notices.mail import Mail
from engine.notices.outbox import Outbox

log = logging.getLogger("headwater.identity")

SUBJECTS = {"invitation": "You are invited to Headwater", "password": "Set a new password"}
TEXTS = {
    "invitation": "You are invited. Choose a password here, and you are in:",
    "password": "Choose a new password here. If you did not ask for this, do nothing:",
}


def mail_links(engine: Engine) -> None:
    """Have links mailed from now on, beside being shown to whoever made them."""
    base, outbox = engine.settings.server.public_url, engine.desk.outbox
    if base and outbox.can_mail:
        engine.identity.admin.links.deliver = postman(outbox, base)


def postman(outbox: Outbox, base: str) -> Deliver:
    async def deliver(link: OneTimeLink) -> None:
        if not link.email:
            return
        until = datetime.fromtimestamp(link.expires_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        text = f"{TEXTS[link.purpose]}\n\n{link.url(base)}\n\nThe link works once, until {until}.\n"
        try:
            await outbox.mail(link.tenant, Mail((link.email,), SUBJECTS[link.purpose], text), event=link.purpose)
        except PlatformError as error:  # whoever made the link has it all the same
            log.warning("a link was not mailed: %s", error.message)

    return deliver
