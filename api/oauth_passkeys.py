"""The page of one's passkeys."""

from datetime import UTC, datetime

from starlette.responses import Response

from api.errors import status_of
from api.oauth_html import PASSKEY, facts, field, form, link, page, paragraph, passkey_form
from api.oauth_port import Session
from api.oauth_visit import Visit, to_sign_in
from core.errors import PlatformError

HERE = "/auth/passkeys"


async def passkeys_page(visit: Visit) -> Response:
    session = await visit.session()
    if session is None or not visit.oauth.passkeys.is_fresh(session):
        return to_sign_in(visit, HERE)
    return await _passkeys(visit, session)


async def change_passkeys(visit: Visit) -> Response:
    """Add the passkey that a device has made, or remove one."""
    said, session = await visit.form(), await visit.session()
    if session is None:
        return to_sign_in(visit, HERE)
    keys = visit.oauth.passkeys
    try:
        if said.get("decision") == "remove":
            await keys.remove(session, said.get("passkey_id", ""))
        else:
            sealed, answer, name = (said.get(field, "") for field in ("sealed", "answer", "name"))
            await keys.add(session, sealed, answer, visit.caller.base, visit.browser, name=name)
    except PlatformError as error:
        visit.told.code = error.code
        return await _passkeys(visit, session, error)
    return await _passkeys(visit, session)


async def _passkeys(visit: Visit, session: Session, error: PlatformError | None = None) -> Response:
    keys = visit.oauth.passkeys
    body = paragraph(f"{error.message} {error.hint}", "wrong") if error else ""
    body += paragraph(
        "A passkey is kept by your device, which asks for your finger, face or PIN instead of a password."
    )
    for kept in await keys.listing(session):
        rows = [(kept.name, f"made {_day(kept.created_at)}, last used {_day(kept.used_at)}")]
        hidden = {"passkey_id": kept.passkey_id, **visit.proof()}
        body += facts(rows) + form(visit.url(HERE), hidden, "", [("remove", f"Remove {kept.name}")], is_quiet=True)
    asked = await keys.ask_new(session, visit.caller.base, visit.browser, name=await visit.oauth.who(session))
    if asked is None:
        body += paragraph("This address can have none: they need https and the name of a host.")
    else:
        inside = field("name", "What shall it be called?", value="My device")
        hidden = {"sealed": asked.sealed, **visit.proof()}
        body += passkey_form(visit.url(HERE), hidden, asked.options, inside, "Add a passkey")
    body += link(visit.url("/auth/applications"), "Your applications")
    return page("Passkeys", body, status=status_of(error) if error else 200, script=PASSKEY if asked else "")


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"
