"""Applications that people sign in to: registered by themselves, described at their own URL, or our own."""

import json
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from sqlalchemy import Connection, delete, func, insert, select, update

from core.errors import PlatformError
from engine.egress.client import EgressClient
from engine.identity.oauth.redirects import check_redirect, is_same
from engine.identity.oauth.refusals import InvalidClient, InvalidRegistration, TooManyApps
from engine.identity.secrets import digest
from engine.store.db import Store
from engine.store.tables import oauth_apps

A = oauth_apps.c
COMMAND_LINE = "headwater-cli"
PREFIX, SECRET_PREFIX = "hwa_", "hwas_"
MAX_APPS = 5_000
MAX_REDIRECTS = 10
MAX_NAME = 100
UNUSED_S = 86_400.0  # an application that nobody signed in to is forgotten after this, where room is needed
STALE_S = 90 * 86_400.0
MAX_URL = 255
MAX_DOCUMENT_BYTES = 16_384
FRESH_S, FAILED_S = 300.0, 30.0
MAX_KNOWN = 500
AUTH_METHODS = ("none", "client_secret_post", "client_secret_basic")
GRANTS = frozenset({"authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"})
Kind = Literal["registered", "document", "own"]
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]+")


@dataclass(frozen=True, slots=True)
class App:
    """An application. `name` is what it calls itself, which proves nothing."""

    client_id: str
    name: str
    redirect_uris: tuple[str, ...]
    kind: Kind
    secret_hash: str = ""

    def owns(self, redirect_uri: str) -> bool:
        return any(is_same(redirect_uri, known) for known in self.redirect_uris)

    def prove(self, secret: str) -> None:
        """Raises InvalidClient unless the application has shown its secret, where it has one."""
        if self.secret_hash and not secrets.compare_digest(digest(secret), self.secret_hash):
            raise InvalidClient("The application's secret is not right.")
        if secret and not self.secret_hash:
            raise InvalidClient("The application has no secret.")


OWN = {COMMAND_LINE: App(COMMAND_LINE, "Headwater's command line", (), "own")}


@dataclass(frozen=True, slots=True)
class _Read:
    app: App | None
    until: float


class Apps:
    """Registers applications (RFC 7591) and finds them. `look_up` alone calls anybody: whom a client id names."""

    def __init__(self, *, store: Store, egress: EgressClient, clock: Callable[[], float] = time.time):
        self._store = store
        self._egress = egress
        self._clock = clock
        self._documents: dict[str, _Read] = {}

    async def register(self, said: Mapping[str, Any]) -> dict[str, Any]:
        """Take an application in. Raises InvalidRegistration, InvalidRedirect, TooManyApps."""
        name, redirects = _described(said)
        method = said.get("token_endpoint_auth_method", "client_secret_basic")
        if method not in AUTH_METHODS:
            raise InvalidRegistration("That token_endpoint_auth_method is not served.", hint="Use none.")
        grants = said.get("grant_types", ["authorization_code", "refresh_token"])
        if not isinstance(grants, list) or not set(map(str, grants)) <= GRANTS:
            raise InvalidRegistration("A grant_type is not served.", hint=", ".join(sorted(GRANTS)))
        if said.get("response_types", ["code"]) != ["code"]:
            raise InvalidRegistration("The only response type is code.")
        client_id, secret = PREFIX + secrets.token_hex(16), SECRET_PREFIX + secrets.token_urlsafe(32)
        is_public, now = method == "none", self._clock()
        row = {
            "client_id": client_id,
            "tenant_id": "",
            "name": name,
            "redirect_uris": json.dumps(redirects),
            "secret_hash": "" if is_public else digest(secret),
            "created_at": now,
            "used_at": None,
        }

        def work(connection: Connection) -> None:
            _make_room(connection, now)
            connection.execute(insert(oauth_apps).values(row))

        await self._store.write(work)
        answer = {
            "client_id": client_id,
            "client_id_issued_at": int(now),
            "client_name": name,
            "redirect_uris": redirects,
            "token_endpoint_auth_method": method,
            "grant_types": grants,
            "response_types": ["code"],
        }
        return answer if is_public else answer | {"client_secret": secret, "client_secret_expires_at": 0}

    async def find(self, client_id: str) -> App:
        """An application that is known without calling anybody. Raises InvalidClient."""
        own = OWN.get(client_id)
        if own is not None:
            return own
        if client_id.startswith("https://"):
            known = self._documents.get(client_id)
            if known is not None and known.app is not None:
                return known.app  # a document that is gone since ends nothing: consent named it
            return App(_checked_url(client_id), client_id, (), "document")
        return await self._store.read(lambda connection: _find(connection, client_id))

    async def look_up(self, client_id: str) -> App:
        """An application; for a client id that is a URL, as its document says now. Raises InvalidClient."""
        if not client_id.startswith("https://"):
            return await self.find(client_id)
        url, now = _checked_url(client_id), self._clock()
        known = self._documents.get(url)
        if known is None or now >= known.until:
            app = await self._fetch(url)
            if len(self._documents) >= MAX_KNOWN:
                self._documents.clear()
            known = self._documents[url] = _Read(app, now + (FRESH_S if app else FAILED_S))
        if known.app is None:
            raise InvalidClient("The client id's document can not be read, or does not fit.", hint=HINT)
        return known.app

    async def note_use(self, app: App) -> None:
        """Somebody signed in to it: it is kept."""
        if app.kind == "registered":
            statement = update(oauth_apps).where(A.client_id == app.client_id).values(used_at=self._clock())
            await self._store.write(lambda connection: connection.execute(statement))

    async def _fetch(self, url: str) -> App | None:
        try:
            answer = await self._egress.get(
                url, headers={"accept": "application/json"}, max_bytes=MAX_DOCUMENT_BYTES, timeout_s=5.0
            )
            said = answer.json()
            if answer.status != 200 or answer.url != url or not isinstance(said, dict) or said.get("client_id") != url:
                return None
            if said.get("token_endpoint_auth_method", "none") != "none":
                return None
            name, redirects = _described(said)
        except PlatformError:
            return None
        return App(url, name, tuple(redirects), "document")


HINT = "It is JSON at just that URL, names it as client_id, and token_endpoint_auth_method is none."


def _described(said: Mapping[str, Any]) -> tuple[str, list[str]]:
    name, redirects = said.get("client_name", ""), said.get("redirect_uris")
    if not isinstance(name, str) or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidRegistration(f"client_name is a text of up to {MAX_NAME} characters.")
    if not isinstance(redirects, list) or not 0 < len(redirects) <= MAX_REDIRECTS:
        raise InvalidRegistration(f"redirect_uris are 1 to {MAX_REDIRECTS} URLs.")
    return name.strip() or "An application without a name", [check_redirect(uri) for uri in redirects]


def _checked_url(client_id: str) -> str:
    """A client id that is a URL: https, a path, nothing else. Raises InvalidClient."""
    try:
        parts = urlsplit(client_id)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise InvalidClient("The client id is not a URL.") from None
    is_plain = client_id == f"https://{parts.netloc}{parts.path}" and "@" not in parts.netloc
    has_dots = any(piece in (".", "..") for piece in parts.path.split("/"))
    if len(client_id) > MAX_URL or not is_plain or not host or has_dots or not _PATH.fullmatch(parts.path):
        raise InvalidClient("A client id that is a URL has https, a host and a path, and nothing else.", hint=HINT)
    return client_id


def _find(connection: Connection, client_id: str) -> App:
    row = connection.execute(select(oauth_apps).where(A.client_id == client_id[:64])).first()
    if row is None or row.client_id != client_id:
        raise InvalidClient("The application is not registered.", hint="Register it: POST /oauth/register.")
    redirects: Sequence[str] = json.loads(row.redirect_uris)
    return App(row.client_id, row.name, tuple(redirects), "registered", row.secret_hash)


def _make_room(connection: Connection, now: float) -> None:
    """What nobody uses gives way, and what people use never does. Raises TooManyApps."""
    connection.execute(delete(oauth_apps).where(A.used_at < now - STALE_S))
    if (connection.scalar(select(func.count()).select_from(oauth_apps)) or 0) < MAX_APPS:
        return
    unused = (A.used_at.is_(None), A.created_at < now - UNUSED_S)
    oldest = select(A.client_id).where(*unused).order_by(A.created_at).limit(MAX_APPS // 10)
    if not connection.execute(delete(oauth_apps).where(A.client_id.in_(oldest))).rowcount:
        raise TooManyApps("Too many applications were registered today.", hint="Try later.", retry_after_s=3600)
