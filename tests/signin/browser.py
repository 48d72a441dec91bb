"""A browser without scripts: cookies, forms, redirects within the server, and where it is sent on to."""

import re
import socket
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from html import unescape
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx

NODE = Path(__file__).parent / "node"  # programs of ours for clients of others
PASSWORD = "four quiet wooden boats"
VERIFIER = "v" * 64
CALLBACK = "http://127.0.0.1:33418/callback"
WEB_CALLBACK = "https://app.example/callback"


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


def challenge(verifier: str = VERIFIER) -> str:
    return urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")


@dataclass
class Page:
    """Where a step ended: a page of ours, or an address elsewhere that we were sent on to."""

    url: str
    status: int = 0
    text: str = ""
    headers: Any = None

    @property
    def sent(self) -> dict[str, str]:
        """The parameters of the address."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.url).query).items()}

    def form(self, button: str) -> tuple[str, dict[str, str]]:
        """Address and hidden fields of the form with a button of that value."""
        for action, inside in re.findall(r'<form method="post" action="([^"]*)">(.*?)</form>', self.text, re.DOTALL):
            if f'name="decision" value="{button}"' in inside:
                hidden = re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', inside)
                return unescape(action), {name: unescape(value) for name, value in hidden} | {"decision": button}
        raise AssertionError(f"no form with {button!r} on {self.url}: {self.text[:2000]}")


class Browser:
    """Follows what a browser follows."""

    def __init__(self, origin: str):
        self.origin = origin
        self.http = httpx.Client(timeout=20, verify=False, follow_redirects=False)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def get(self, url: str) -> Page:
        return self._follow(self.http.get(urljoin(self.origin, url)))

    def submit(self, page: Page, button: str, **fields: str) -> Page:
        action, said = page.form(button)
        headers = {"origin": self.origin, "referer": page.url}
        return self._follow(self.http.post(action, data={**said, **fields}, headers=headers))

    def form_of(self, page: Page, client_id: str, **changes: str) -> Page:
        """Send the form of one application on the page of all of them."""
        proof = re.search(r'name="proof" value="([^"]*)"', page.text)
        assert proof and f'name="client_id" value="{client_id}"' in page.text, page.text
        said = {"client_id": client_id, "proof": proof[1], "decision": "forget"}
        headers = {"origin": self.origin, "referer": page.url}
        return self._follow(self.http.post(f"{self.origin}/auth/applications", data=said | changes, headers=headers))

    def sign_in(self, page: Page, login: str = "ann", password: str = PASSWORD) -> Page:
        return self.submit(page, "in", tenant="default", login=login, password=password)

    def arrive(self, url: str, login: str = "ann") -> Page:
        """Open an address, and sign in where that is asked."""
        page = self.get(url)
        return self.sign_in(page, login) if "/auth/sign-in" in page.url else page

    def walk(self, url: str, login: str = "ann") -> Page:
        """Sign in where asked, allow what is asked, and end where the application waits."""
        page = self.arrive(url, login)
        return self.submit(page, "allow") if page.text else page

    def _follow(self, answer: httpx.Response) -> Page:
        while True:
            here = str(answer.request.url)
            where = answer.headers.get("location", "")
            if not where:
                found = re.search(r'http-equiv="refresh" content="0;url=([^"]*)"', answer.text)
                where = unescape(found[1]) if found else ""
            if not where:
                return Page(here, answer.status_code, answer.text, answer.headers)
            where = urljoin(here, where)
            if not where.startswith(self.origin + "/"):
                return Page(where)
            answer = self.http.get(where)


class Application:
    """A program that signs people in, written by hand so that it can also do it wrong."""

    def __init__(self, origin: str, **said: Any):
        self.origin = origin
        document = {
            "redirect_uris": [CALLBACK, WEB_CALLBACK],
            "client_name": "Test app",
            "token_endpoint_auth_method": "none",
        }
        answer = httpx.post(f"{origin}/oauth/register", json=document | said, timeout=20, verify=False)
        assert answer.status_code == 201, answer.text
        self.client = answer.json()
        self.client_id: str = self.client["client_id"]

    def url(self, **changes: str) -> str:
        said = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "state": "xyz",
            "code_challenge": challenge(),
            "code_challenge_method": "S256",
            "resource": f"{self.origin}/mcp",
        }
        return f"{self.origin}/oauth/authorize?{urlencode({k: v for k, v in (said | changes).items() if v != ''})}"

    def post(self, path: str, **form: str) -> httpx.Response:
        return httpx.post(f"{self.origin}{path}", data={"client_id": self.client_id, **form}, timeout=20, verify=False)

    def redeem(self, code: str, **changes: str) -> httpx.Response:
        said = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
        return self.post("/oauth/token", **(said | changes))

    def renew(self, refresh_token: str, **more: str) -> httpx.Response:
        return self.post("/oauth/token", grant_type="refresh_token", refresh_token=refresh_token, **more)

    def tokens(self, browser: Browser, login: str = "ann", **changes: str) -> dict[str, Any]:
        code = browser.walk(self.url(**changes), login).sent["code"]
        answer = self.redeem(code)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found
