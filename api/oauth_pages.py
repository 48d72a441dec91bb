"""The pages on which people answer applications and devices, and the routes of all pages of sign-in."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.auth import read_form
from api.oauth_doors import (
    accept,
    come_back,
    forgot,
    forgot_page,
    leave,
    link_page,
    sign_in,
    sign_in_by_passkey,
    sign_in_page,
    sign_out,
)
from api.oauth_html import facts, field, form, link, page, paragraph
from api.oauth_passkeys import change_passkeys, passkeys_page
from api.oauth_port import OAuthPort, Session, Shown
from api.oauth_visit import Visit, to_sign_in, told_wrong
from core.errors import PlatformError
from core.ports import Audit

EVERYTHING = "Everything that you may do here, in your name"
TOLD = {  # what the audit calls it
    "/oauth/authorize": "answer_application",
    "/oauth/device/answer": "answer_device",
    "/auth/applications": "end_sign_in",
    "/auth/sign-in": "sign_in",
    "/auth/passkey": "sign_in_by_passkey",
    "/auth/passkeys": "change_passkeys",
    "/auth/sign-out": "sign_out",
    "/auth/provider": "leave_for_provider",
    "/auth/callback": "sign_in_at_provider",
    "/auth/forgot": "ask_link",
    "/auth/invitation": "accept_invitation",
    "/auth/password": "reset_password",
}
Work = Callable[["Visit"], Awaitable[Response]]


def page_routes(oauth: OAuthPort, audit: Audit, *, public_url: str) -> list[BaseRoute]:
    """The routes of the pages. What people do there is audited, as calls of tools are."""

    def route(path: str, work: Work, method: str) -> Route:
        async def answer(request: Request) -> Response:
            visit = Visit(oauth, request, public_url, TOLD.get(path, ""))
            try:
                response = await work(visit)
            except PlatformError as error:
                visit.told.code, response = error.code, told_wrong(error)
            if method == "POST" or path == "/auth/callback" or visit.told.about:
                await audit.record(await visit.record(), wait=True)
            return visit.signed(response)

        return Route(path, answer, methods=[method])

    return [
        route("/oauth/authorize", authorize, "GET"),
        route("/oauth/authorize", decide, "POST"),
        route("/oauth/device", device, "GET"),
        route("/oauth/device/answer", answer_device, "POST"),
        route("/auth/applications", applications, "GET"),
        route("/auth/applications", forget, "POST"),
        route("/auth/sign-in", sign_in_page, "GET"),
        route("/auth/sign-in", sign_in, "POST"),
        route("/auth/passkey", sign_in_by_passkey, "POST"),
        route("/auth/passkeys", passkeys_page, "GET"),
        route("/auth/passkeys", change_passkeys, "POST"),
        route("/auth/sign-out", sign_out, "POST"),
        route("/auth/provider", leave, "POST"),
        route("/auth/callback", come_back, "GET"),
        route("/auth/forgot", forgot_page, "GET"),
        route("/auth/forgot", forgot, "POST"),
        route("/auth/invitation", lambda visit: link_page(visit, "invitation"), "GET"),
        route("/auth/invitation", lambda visit: accept(visit, "invitation"), "POST"),
        route("/auth/password", lambda visit: link_page(visit, "password"), "GET"),
        route("/auth/password", lambda visit: accept(visit, "password"), "POST"),
    ]


async def authorize(visit: Visit) -> Response:
    """Show what an application asks; what was agreed to before goes on by itself.

    What is wrong with a request is said here: nobody is sent on to an address by an error."""
    said, session = visit.query(), await visit.session()
    asked = visit.request.scope["query_string"].decode("latin-1")
    if session is None:
        return to_sign_in(visit, f"/oauth/authorize?{asked}")
    shown = await visit.oauth.show(session, said, visit.caller)
    if shown.is_agreed and said.get("prompt", "") not in ("consent", "login"):
        visit.told.name(application=said["client_id"])
        return await _answered(visit, session, said, is_allowed=True, is_new=False)
    return _consent(visit, session, shown, asked, who=await visit.oauth.who(session))


async def decide(visit: Visit) -> Response:
    """What the person says to an application."""
    said, session = await visit.form(), await visit.session()
    asked = said.get("request", "")
    if session is None:
        return to_sign_in(visit, f"/oauth/authorize?{asked}")
    is_allowed, wanted = said.get("decision") == "allow", read_form(asked.encode())
    visit.told.name(application=wanted.get("client_id", ""))
    visit.told.code = "OK" if is_allowed else "UNAUTHORIZED"
    return await _answered(visit, session, wanted, is_allowed=is_allowed, is_new=True)


async def _answered(
    visit: Visit, session: Session, said: Mapping[str, str], *, is_allowed: bool, is_new: bool
) -> Response:
    where, back = await visit.oauth.answer(session, said, visit.caller, is_allowed=is_allowed, is_new=is_new)
    joint = "&" if "?" in where else "?"
    headers = {"Location": f"{where}{joint}{urlencode(back)}", "Cache-Control": "no-store"}
    return Response(status_code=303 if is_new else 302, headers=headers | {"Referrer-Policy": "no-referrer"})


def _consent(visit: Visit, session: Session, shown: Shown, asked: str, *, who: str) -> Response:
    rows = [
        _named(shown),
        ("Described at", shown.client_host),
        ("Sends you back to", shown.redirect_host),
        ("May use", shown.resource),
        ("May do", ", ".join(shown.scopes) or EVERYTHING),
        ("You are", who),
    ]
    body = (
        paragraph("An application asks to act for you. Its name is its own word: look at where it sends you back to.")
        + facts(rows)
        + form(
            visit.url("/oauth/authorize"),
            {"request": asked, **visit.proof()},
            "",
            [("allow", "Allow"), ("deny", "Deny")],
        )
        + form(visit.url("/auth/sign-out"), visit.proof(), "", [("out", "Sign in as somebody else")], is_quiet=True)
    )
    return page("Allow access?", body, form_target=shown.form_target)


async def device(visit: Visit) -> Response:
    """Ask for the code of a device, and what to say to it."""
    code, session = visit.query().get("user_code", "")[:32], await visit.session()
    if session is None:
        return to_sign_in(visit, f"/oauth/device?{urlencode({'user_code': code})}" if code else "/oauth/device")
    if not code:
        body = paragraph("Type in the code that your device shows.") + (
            f'<form method="get" action="{visit.url("/oauth/device")}">'
            f"{field('user_code', 'Code')}<button>Go on</button></form>"
        )
        return page("Sign a device in", body)
    shown, waiting = await visit.oauth.find_device(code, visit.caller)
    who = await visit.oauth.who(session)
    rows = [
        _named(shown),
        ("Asked from", waiting.address),
        ("May do", ", ".join(shown.scopes) or EVERYTHING),
        ("You are", who),
    ]
    warning = paragraph("Whoever sent you a code would act as you.", "wrong")
    body = (
        paragraph("Allow this only if you started it yourself just now, and your device shows this same code:")
        + warning
        + paragraph(code)
        + facts(rows)
        + form(
            visit.url("/oauth/device/answer"),
            {"user_code": code, **visit.proof()},
            "",
            [("allow", "Allow"), ("deny", "Deny")],
        )
    )
    return page("Sign a device in", body)


async def answer_device(visit: Visit) -> Response:
    said, session = await visit.form(), await visit.session()
    if session is None:
        return to_sign_in(visit, "/oauth/device")
    is_allowed = said.get("decision") == "allow"
    user_code = said.get("user_code", "")
    application = await visit.oauth.answer_device(session, user_code, visit.caller, is_allowed=is_allowed)
    visit.told.name(application=application)
    visit.told.code = "OK" if is_allowed else "UNAUTHORIZED"
    return page("Done", paragraph("The device is signed in. You can close this page." if is_allowed else "Refused."))


def _named(shown: Shown) -> tuple[str, str]:
    """An application that is not ours may call itself anything, also something like ours."""
    return ("Application", shown.client) if shown.is_own else ("It calls itself", f"\u201c{shown.client}\u201d")


async def applications(visit: Visit) -> Response:
    """The applications that act for a person, each with a way to end that."""
    session = await visit.session()
    if session is None:
        return to_sign_in(visit, "/auth/applications")
    body = paragraph("These act for you, or may come back without asking.")
    found = await visit.oauth.applications(session)
    for app, used in found:
        rows = [
            ("It calls itself", f"\u201c{app.name}\u201d"),
            ("Known as", app.client_id),
            ("Signed in", f"{used.sign_ins} times" if used.sign_ins != 1 else "once"),
            ("Last used", f"{datetime.fromtimestamp(used.last_used_at, UTC):%Y-%m-%d %H:%M} UTC"),
        ]
        hidden = {"client_id": app.client_id, **visit.proof()}
        body += facts(rows) + form(
            visit.url("/auth/applications"), hidden, "", [("forget", f"Sign {app.name} out")], is_quiet=True
        )
    if not found:
        body = paragraph("No application acts for you.")
    if visit.oauth.passkeys.ask(visit.caller.base, visit.browser) is not None:
        body += link(visit.url("/auth/passkeys"), "Your passkeys")
    return page("Applications", body)


async def forget(visit: Visit) -> Response:
    """Sign an application out; it must ask again."""
    said, session = await visit.form(), await visit.session()
    if session is None:
        return to_sign_in(visit, "/auth/applications")
    client_id = said.get("client_id", "")[:255]
    visit.told.name(application=client_id)
    await visit.oauth.forget(session, client_id)
    return page(
        "Signed out", paragraph("It acts for you no more.") + link(visit.url("/auth/applications"), "Applications")
    )
