"""The pages of sign-in: password, other providers, links, what an application asks, devices.

A form is taken only with the proof that one of our pages gave to this browser and this session."""

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Literal
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.auth import read_form, read_small
from api.errors import error_headers, status_of
from api.oauth_audit import Told
from api.oauth_html import facts, field, form, link, page, paragraph
from api.oauth_port import Caller, OAuthPort, Session, Shown
from core.errors import PlatformError, Unauthorized
from core.ports import Audit, AuditRecord

SESSION_S, BROWSER_S, AWAY_S = 12 * 3600, 30 * 86_400, 600
EVERYTHING = "Everything that you may do here, in your name"
_NEXT = re.compile(r"/oauth/(authorize|device)(\?[!-~]{0,12000})?")
TOLD = {  # what the audit calls it
    "/oauth/authorize": "answer_application",
    "/oauth/device/answer": "answer_device",
    "/auth/sign-in": "sign_in",
    "/auth/sign-out": "sign_out",
    "/auth/provider": "leave_for_provider",
    "/auth/callback": "sign_in_at_provider",
    "/auth/forgot": "ask_link",
    "/auth/invitation": "accept_invitation",
    "/auth/password": "reset_password",
}
Work = Callable[["Visit"], Awaitable[Response]]
Purpose = Literal["invitation", "password"]


class Visit:
    """One request of a browser: who sits there, and what it keeps."""

    def __init__(self, oauth: OAuthPort, request: Request, public_url: str, event: str):
        self.oauth = oauth
        self.told = Told(event, request)
        self.request = request
        self.caller = Caller.of(request, public_url)
        self.is_secure = self.caller.base.startswith("https://")
        self.browser = self.kept("browser")
        self.cookie = self.kept("session")
        self._new: dict[str, tuple[str, int]] = {}
        self._who: Session | None = None
        if not re.fullmatch(r"[A-Za-z0-9_-]{43}", self.browser):
            self.browser = secrets.token_urlsafe(32)
            self.keep("browser", self.browser, BROWSER_S)

    def kept(self, name: str) -> str:
        return self.request.cookies.get(self._name(name), "")

    def keep(self, name: str, value: str, seconds: int) -> None:
        self._new[name] = (value, seconds)

    def signed(self, response: Response) -> Response:
        """The response with the cookies that changed."""
        for name, (value, seconds) in self._new.items():
            response.set_cookie(
                self._name(name), value, seconds, path="/", secure=self.is_secure, httponly=True, samesite="lax"
            )
        return response

    async def session(self) -> Session | None:
        self._who = await self.oauth.browsers.find(self.cookie) if self.cookie else None
        return self._who

    async def record(self) -> AuditRecord:
        """What the audit keeps of it."""
        if self._who is None and self._new.get("session", ("", 0))[0]:
            self._who = await self.oauth.browsers.find(self._new["session"][0])
        self.told.sign(self._who)
        return self.told.record()

    def proof(self) -> dict[str, str]:
        return {"proof": self.oauth.browsers.proof(self.browser, self.cookie)}

    async def form(self) -> Mapping[str, str]:
        """The fields of one of our own forms. Raises Unauthorized for anybody else's."""
        said = read_form(await read_small(self.request))
        if not self.oauth.browsers.is_proven(self.browser, self.cookie, said.get("proof", "")):
            raise Unauthorized("This form is too old, or not one of ours.", hint="Go back, load the page, try again.")
        return said

    def query(self) -> Mapping[str, str]:
        return read_form(self.request.scope["query_string"])

    def url(self, path: str) -> str:
        return self.caller.base + path

    def _name(self, name: str) -> str:
        return f"__Host-hw-{name}" if self.is_secure else f"hw-{name}"


def page_routes(oauth: OAuthPort, audit: Audit, *, public_url: str) -> list[BaseRoute]:
    """The routes of the pages. What people do there is audited, as calls of tools are."""

    def route(path: str, work: Work, method: str) -> Route:
        async def answer(request: Request) -> Response:
            visit = Visit(oauth, request, public_url, TOLD.get(path, ""))
            try:
                response = await work(visit)
            except PlatformError as error:
                visit.told.code, response = error.code, _wrong(error)
            if method == "POST" or path == "/auth/callback" or visit.told.about:
                await audit.record(await visit.record(), wait=True)
            return visit.signed(response)

        return Route(path, answer, methods=[method])

    return [
        route("/oauth/authorize", authorize, "GET"),
        route("/oauth/authorize", decide, "POST"),
        route("/oauth/device", device, "GET"),
        route("/oauth/device/answer", answer_device, "POST"),
        route("/auth/sign-in", sign_in_page, "GET"),
        route("/auth/sign-in", sign_in, "POST"),
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
        return _to_sign_in(visit, f"/oauth/authorize?{asked}")
    shown = await visit.oauth.show(session, said, visit.caller)
    if shown.is_agreed and said.get("prompt", "") not in ("consent", "login"):
        visit.told.name(application=said["client_id"])
        return await _answered(visit, session, said, is_allowed=True, is_new=False)
    return _consent(visit, session, shown, asked)


async def decide(visit: Visit) -> Response:
    """What the person says to an application."""
    said, session = await visit.form(), await visit.session()
    asked = said.get("request", "")
    if session is None:
        return _to_sign_in(visit, f"/oauth/authorize?{asked}")
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


def _consent(visit: Visit, session: Session, shown: Shown, asked: str) -> Response:
    rows = [
        ("Application", shown.client),
        ("Described at", shown.client_host),
        ("Sends you back to", shown.redirect_host),
        ("May use", shown.resource),
        ("May do", ", ".join(shown.scopes) or EVERYTHING),
        ("You are", f"{session.subject} in {session.tenant}"),
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
        + form(visit.url("/auth/sign-out"), visit.proof(), "", [("out", "Sign in as somebody else")])
    )
    return page("Allow access?", body, form_target=shown.form_target)


async def device(visit: Visit) -> Response:
    """Ask for the code of a device, and what to say to it."""
    code, session = visit.query().get("user_code", "")[:32], await visit.session()
    if session is None:
        return _to_sign_in(visit, f"/oauth/device?{urlencode({'user_code': code})}" if code else "/oauth/device")
    if not code:
        body = paragraph("Type in the code that your device shows.") + (
            f'<form method="get" action="{visit.url("/oauth/device")}">'
            f"{field('user_code', 'Code')}<button>Go on</button></form>"
        )
        return page("Sign a device in", body)
    shown, waiting = await visit.oauth.find_device(code, visit.caller)
    rows = [
        ("Application", shown.client),
        ("Asked from", waiting.address),
        ("May do", ", ".join(shown.scopes) or EVERYTHING),
        ("You are", f"{session.subject} in {session.tenant}"),
    ]
    body = (
        paragraph("Allow this only if you started it yourself just now, and your device shows this same code:")
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
        return _to_sign_in(visit, "/oauth/device")
    is_allowed = said.get("decision") == "allow"
    user_code = said.get("user_code", "")
    application = await visit.oauth.answer_device(session, user_code, visit.caller, is_allowed=is_allowed)
    visit.told.name(application=application)
    visit.told.code = "OK" if is_allowed else "UNAUTHORIZED"
    return page("Done", paragraph("The device is signed in. You can close this page." if is_allowed else "Refused."))


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
    return _signed_in(visit, cookie, said.get("next", ""))


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
    body += link(visit.url("/auth/forgot"), "Forgot the password?")
    wrong = paragraph(f"{error.message} {error.hint}", "wrong") if error else ""
    answer = page("Sign in", wrong + body, status=status_of(error) if error else 200)
    if error is not None and error.retry_after_s is not None:
        answer.headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    return answer


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
    return _signed_in(visit, cookie, next_path)


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


async def link_page(visit: Visit, purpose: Purpose, error: PlatformError | None = None) -> Response:
    """A page for the owner of a one-time link."""
    inside = field("secret", "The code of your link") + field(
        "password", "New password", kind="password", complete="new-password"
    )
    body = paragraph(f"{error.message} {error.hint}", "wrong") if error else ""
    body += form(visit.url(f"/auth/{purpose}"), visit.proof(), inside, [("set", "Set the password")])
    title = "Welcome to Headwater" if purpose == "invitation" else "A new password"
    return page(title, body, status=status_of(error) if error else 200, with_script=True)


async def accept(visit: Visit, purpose: Purpose) -> Response:
    said = await visit.form()
    try:
        cookie = await visit.oauth.accept_link(
            purpose, said.get("secret", "").strip(), said.get("password", ""), visit.caller
        )
    except PlatformError as error:
        visit.told.code = error.code
        return await link_page(visit, purpose, error)
    return _signed_in(visit, cookie, "")


def _signed_in(visit: Visit, cookie: str, next_path: str) -> Response:
    """A page of its own, for a browser does not follow a form to where its policy does not name."""
    visit.keep("session", cookie, SESSION_S)
    visit.keep("browser", secrets.token_urlsafe(32), BROWSER_S)  # no form from before holds after
    if not _NEXT.fullmatch(next_path):
        return page("Signed in", paragraph("You are signed in. You can close this page."))
    where = visit.url(next_path)
    return page("Signed in", link(where, "Go on"), go_to=where)


def _to_sign_in(visit: Visit, next_path: str) -> Response:
    where = visit.url(f"/auth/sign-in?next={quote(next_path, safe='')}")
    return Response(status_code=303, headers={"Location": where, "Cache-Control": "no-store"})


def _wrong(error: PlatformError) -> Response:
    answer = page(
        "This did not work", paragraph(error.message) + paragraph(error.hint, "soft"), status=status_of(error)
    )
    for name, value in error_headers(error):
        if name == b"retry-after":
            answer.headers["Retry-After"] = value.decode()
    return answer
