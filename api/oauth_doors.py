"""The pages that people come in by: password, other providers, links."""

from typing import Literal

from starlette.responses import Response

from api.errors import status_of
from api.oauth_html import PASSKEY, SCRIPT, field, form, link, page, paragraph, passkey_form
from api.oauth_visit import AWAY_S, Visit, signed_in
from core.errors import PlatformError

MAX_SECRET = 128
Purpose = Literal["invitation", "password"]


async def sign_in_page(visit: Visit) -> Response:
    return _sign_in(visit, visit.query().get("next", ""))


async def sign_in(visit: Visit) -> Response:
    """Check name and password; nothing in the answer, nor its time, tells which of them was wrong."""
    said = await visit.form()
    tenant, login = said.get("tenant", "")[:64], said.get("login", "")[:255]
    try:
        cookie = await visit.oauth.sign_in(tenant, login, said.get("password", ""), visit.caller)
    except PlatformError as error:
        visit.told.code = error.code
        return _sign_in(visit, said.get("next", ""), error, tenant=tenant, login=login)
    return signed_in(visit, cookie, said.get("next", ""))


def _sign_in(
    visit: Visit, next_path: str, error: PlatformError | None = None, *, tenant: str = "default", login: str = ""
) -> Response:
    inside = (
        field("tenant", "Organisation", value=tenant, complete="organization")
        + field("login", "E-mail or name", value=login, complete="username")
        + field("password", "Password", kind="password", complete="current-password")
    )
    hidden = {"next": next_path, **visit.proof()}
    body = form(visit.url("/auth/sign-in"), hidden, inside, [("in", "Sign in")])
    for name in visit.oauth.providers.names():
        chosen = {"provider": name, **hidden}
        body += form(visit.url("/auth/provider"), chosen, "", [("go", f"Sign in with {name}")])
    passkey = visit.oauth.passkeys.ask(visit.caller.base, visit.browser)
    if passkey is not None:
        kept = {"sealed": passkey.sealed, **hidden}
        body += passkey_form(visit.url("/auth/passkey"), kept, passkey.options, "", "Sign in with a passkey")
    body += link(visit.url("/auth/forgot"), "Forgot the password?")
    wrong = paragraph(f"{error.message} {error.hint}", "wrong") if error else ""
    script = PASSKEY if passkey is not None else ""
    answer = page("Sign in", wrong + body, status=status_of(error) if error else 200, script=script)
    if error is not None and error.retry_after_s is not None:
        answer.headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    return answer


async def sign_in_by_passkey(visit: Visit) -> Response:
    """Let in whoever's device has answered."""
    said = await visit.form()
    next_path = said.get("next", "")
    try:
        sealed, answer = said.get("sealed", ""), said.get("answer", "")
        cookie = await visit.oauth.sign_in_by_passkey(sealed, answer, visit.browser, visit.caller)
    except PlatformError as error:
        visit.told.code = error.code
        return _sign_in(visit, next_path, error)
    return signed_in(visit, cookie, next_path)


async def sign_out(visit: Visit) -> Response:
    await visit.form()
    session = await visit.session()
    if session is not None:
        await visit.oauth.browsers.close(session)
    visit.keep("session", "", 0)
    return page("Signed out", link(visit.url("/auth/sign-in"), "Sign in"))


async def leave(visit: Visit) -> Response:
    """Go to another provider."""
    said = await visit.form()
    where, sealed = await visit.oauth.leave(said.get("provider", ""), said.get("next", ""), visit.caller)
    visit.keep("away", sealed, AWAY_S)
    return page("One moment", link(where, "Go on"), go_to=where)


async def come_back(visit: Visit) -> Response:
    """Take somebody back from another provider."""
    sealed = visit.kept("away")
    visit.keep("away", "", 0)
    cookie, next_path = await visit.oauth.come_back(sealed, visit.query(), visit.caller)
    return signed_in(visit, cookie, next_path)


async def forgot_page(visit: Visit) -> Response:
    inside = field("tenant", "Organisation", value="default") + field("login", "E-mail or name", complete="username")
    body = paragraph("A link to set a new password is mailed to you.") + form(
        visit.url("/auth/forgot"), visit.proof(), inside, [("ask", "Send the link")]
    )
    return page("Forgot the password", body)


async def forgot(visit: Visit) -> Response:
    said = await visit.form()
    await visit.oauth.ask_link(said.get("tenant", "")[:64], said.get("login", "")[:255], visit.caller)
    return page("Look at your mail", paragraph("If somebody goes by that name, a link is on its way. It works once."))


async def link_page(
    visit: Visit, purpose: Purpose, error: PlatformError | None = None, *, secret: str = ""
) -> Response:
    """A page for the owner of a one-time link."""
    inside = field("secret", "The code of your link", value=secret) + field(
        "password", "New password", kind="password", complete="new-password"
    )
    body = paragraph(f"{error.message} {error.hint}", "wrong") if error else ""
    body += form(visit.url(f"/auth/{purpose}"), visit.proof(), inside, [("set", "Set the password")])
    title = "Welcome to Headwater" if purpose == "invitation" else "A new password"
    return page(title, body, status=status_of(error) if error else 200, script=SCRIPT)


async def accept(visit: Visit, purpose: Purpose) -> Response:
    said = await visit.form()
    secret = said.get("secret", "").strip()
    try:
        cookie = await visit.oauth.accept_link(purpose, secret, said.get("password", ""), visit.caller)
    except PlatformError as error:
        visit.told.code = error.code
        return await link_page(visit, purpose, error, secret=secret[:MAX_SECRET])
    return signed_in(visit, cookie, "")
