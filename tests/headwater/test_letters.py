"""Links go to the people whom they let in."""

import json
from pathlib import Path
from typing import Any

from sqlalchemy import select

from core.dispatch import Call
from engine.identity.seals import TenantSeals
from engine.notices.mail import Mail
from engine.store.tables import notices
from headwater.build import build
from headwater.settings import read_settings

PUBLIC = {"public_url": "https://data.example.com", "rest_port": 0}


async def test_an_invitation_waits_in_the_outbox_sealed(tmp_path: Path) -> None:
    smtp = {"smtp_url": "smtp+insecure://127.0.0.1:9?from=headwater@example.com"}
    platform = await build(read_settings(tmp_path / "home", server=PUBLIC, notices=smtp))
    engine = platform.engine
    by = await engine.identity.local_owner()
    asked = {"email": "ann@x.org", "name": "Ann"}
    made: Any = await platform.dispatcher.call(Call("invite_user", asked, "test", "r1", principal=by))
    waiting = select(notices.c.payload, notices.c.event).where(notices.c.tenant_id == "default")
    row = await engine.store.read(lambda connection: connection.execute(waiting).one())
    assert row.event == "invitation" and made.invitation_token.encode() not in bytes(row.payload)
    seals = TenantSeals(engine.store, engine.vault)
    mail = Mail.load(seals.open("notices", "default", row.payload))
    assert mail.to == ("ann@x.org",) and made.invitation_url in mail.text
    assert made.invitation_url.startswith("https://data.example.com/auth/invitation#hwl_")
    assert json.loads(mail.dump())
    await platform.close()
