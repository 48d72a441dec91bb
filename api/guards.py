"""Who may talk to an HTTP face at all: the Host that was meant, and the web pages that may call.

A page on the internet can make a browser send requests to a server on the user's own machine, by a
plain cross-origin call or by rebinding its own name to 127.0.0.1. Both are refused here, before
anything reads the request."""

import ipaddress
import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import WrongHost, request_id_of, send_body, send_error
from core.errors import Unauthorized
from core.settings import ServerSettings

EXPOSED = ("X-Request-Id", "Location", "Retry-After", "WWW-Authenticate", "Preference-Applied")
_TOKENS = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~, -]{0,2048}")


def allowed_hosts(settings: ServerSettings) -> frozenset[str]:
    """Host names a face answers to beside loopback; `*.example.com` covers names below, `*` any."""
    hosts = {host.lower() for host in settings.allowed_hosts}
    hosts.add(settings.host.lower())
    public = urlsplit(settings.public_url).hostname if settings.public_url else None
    return frozenset(hosts | ({public} if public else set()))


def allowed_origins(settings: ServerSettings) -> frozenset[str]:
    """Origins of web pages that may call: those configured, and the server's own public address."""
    origins = {origin.rstrip("/").lower() for origin in settings.cors_origins}
    if settings.public_url:
        parts = urlsplit(settings.public_url)
        origins.add(f"{parts.scheme}://{parts.netloc}".lower())
    return frozenset(origins)


class HostOriginGuard:
    """ASGI middleware: refuses foreign Hosts (421) and Origins (403), answers CORS for allowed ones."""

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str], origins: Collection[str], exposed: Sequence[str] = EXPOSED
    ):
        self._app = app
        self._hosts = hosts
        self._origins = origins
        self._exposed = ", ".join(exposed).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        origin = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"), None)
        if len(hosts) != 1 or not self._answers_to(hosts[0]):
            await _refuse(
                scope, send, WrongHost(hint="Add the name to server.allowed_hosts, or set server.public_url.")
            )
        elif origin is None:
            await self._app(scope, receive, send)
        elif self._may_call(origin, hosts[0]):
            await self._pass_origin(origin.encode("latin-1"), scope, receive, send)
        else:
            hint = "Add it to server.cors_origins."
            await _refuse(scope, send, Unauthorized("Web pages of this origin may not call.", hint=hint))

    def _answers_to(self, host: str) -> bool:
        name = host_name(host)
        return bool(name) and (is_loopback(name) or _is_listed(name, self._hosts))

    def _may_call(self, origin: str, host: str) -> bool:
        origin = origin.lower()
        scheme, _, address = origin.partition("://")
        return (
            (scheme in ("http", "https") and address == host.lower()) or origin in self._origins or "*" in self._origins
        )

    async def _pass_origin(self, origin: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]
        asked = {name: value for name, value in scope["headers"] if name.startswith(b"access-control-request-")}
        if scope.get("method") == "OPTIONS" and b"access-control-request-method" in asked:
            wanted = asked.get(b"access-control-request-headers", b"")
            headers += [
                (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
                (b"access-control-allow-headers", wanted if _TOKENS.fullmatch(wanted) else b""),
                (b"access-control-max-age", b"600"),
            ]
            await send_body(send, 204, b"", headers)
            return
        headers.append((b"access-control-expose-headers", self._exposed))

        async def send_shared(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *headers]
            await send(message)

        await self._app(scope, receive, send_shared)


async def _refuse(scope: Scope, send: Send, error: WrongHost | Unauthorized) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    await send_error(scope, send, error, [(b"x-request-id", request_id_of(scope).encode())])


@lru_cache(maxsize=256)
def host_name(host: str) -> str:
    """The name in a Host header, lower case, without port, brackets and trailing dot; empty when malformed."""
    try:
        parts = urlsplit(f"//{host}")
        name, _ = parts.hostname, parts.port
    except ValueError:
        return ""
    is_plain = parts.netloc == host and "@" not in host
    return (name or "").rstrip(".").lower() if is_plain else ""


@lru_cache(maxsize=256)
def is_loopback(name: str) -> bool:
    """Whether a host name can only mean this machine."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_listed(name: str, hosts: Collection[str]) -> bool:
    return name in hosts or "*" in hosts or any(host.startswith("*.") and name.endswith(host[1:]) for host in hosts)
