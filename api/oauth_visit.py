"""One request of a browser at the pages of sign-in, and how it goes on.

A form is taken only with the proof that one of our pages gave to this browser and this session."""

import re
import secrets
from collections.abc import Mapping
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from api.auth import read_form, read_small
from api.errors import error_headers, status_of
from api.oauth_audit import Told
from api.oauth_html import link, page, paragraph
from api.oauth_port import Caller, OAuthPort, Session
from core.errors import PlatformError, Unauthorized
from core.ports import AuditRecord

SESSION_S, BROWSER_S, AWAY_S = 12 * 3600, 30 * 86_400, 600
_NEXT = re.compile(r"(/oauth/(authorize|device)|/auth/(applications|passkeys))(\?[!-~]{0,12000})?")


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


def signed_in(visit: Visit, cookie: str, next_path: str) -> Response:
    """A page of its own, for a browser does not follow a form to where its policy does not name."""
    visit.keep("session", cookie, SESSION_S)
    visit.keep("browser", secrets.token_urlsafe(32), BROWSER_S)  # no form from before holds after
    if not _NEXT.fullmatch(next_path):
        more = link(visit.url("/auth/applications"), "Your applications")
        return page("Signed in", paragraph("You are signed in. You can close this page.") + more)
    where = visit.url(next_path)
    return page("Signed in", link(where, "Go on"), go_to=where)


def to_sign_in(visit: Visit, next_path: str) -> Response:
    where = visit.url(f"/auth/sign-in?next={quote(next_path, safe='')}")
    return Response(status_code=303, headers={"Location": where, "Cache-Control": "no-store"})


def told_wrong(error: PlatformError) -> Response:
    answer = page(
        "This did not work", paragraph(error.message) + paragraph(error.hint, "soft"), status=status_of(error)
    )
    for name, value in error_headers(error):
        if name == b"retry-after":
            answer.headers["Retry-After"] = value.decode()
    return answer
