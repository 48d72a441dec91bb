"""The one client for outbound calls: resolved address pinned, private networks refused, all bounded."""

import asyncio
import json
import logging
import os
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from core.errors import InvalidArgument, Unavailable
from core.settings import EgressSettings
from engine.egress.addresses import AddressRules, Refused, Target, parse_target
from engine.egress.resolver import Resolve, resolve

if TYPE_CHECKING:
    from engine.egress.pinned import Answer, Wire

log = logging.getLogger("headwater.egress")

MAX_REDIRECTS = 3
OWN_CONNECTIONS, LANE_CONNECTIONS = 64, 1024
MAX_WIRES = 256  # one for each certificate in use
ANY_TYPE = "*"  # in `sinks`
REDIRECTS = frozenset({301, 302, 303, 307, 308})
KEPT_ACROSS_ORIGINS = frozenset({"accept", "content-type", "user-agent"})
OWN_HEADERS = frozenset({"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "te"})


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, read whole and decompressed; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    def json(self) -> Any:
        """The body as JSON. Raises Unavailable when it is not."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise Unavailable("The other side did not answer with JSON.") from None


@dataclass(frozen=True, slots=True)
class Incoming:
    """An answer whose body is read as it comes, decompressed and within its limit."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]

    @property
    def media_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.chunks])


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What proves us to a server that asks: a certificate and its key, in PEM."""

    certificate: str
    private_key: str


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    target: Target
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    sinks: Mapping[str, Callable[[bytes], object]] = field(default_factory=dict)
    lane: str = ""
    certificate: ClientCertificate | None = None


class EgressClient:
    """Calls other servers. Nothing of a caller's request travels along: only the headers given here.

    There are no cookies, no proxies from the environment and no stored credentials. Addresses that may
    not be called are refused with one text for every cause; the log has the cause."""

    def __init__(self, settings: EgressSettings, *, resolver: Resolve = resolve, max_wires: int = MAX_WIRES):
        self._settings = settings
        self._rules = AddressRules(settings.allowed_private_hosts)
        self._resolve = resolver
        self._tls: ssl.SSLContext | None = None
        self._wires: dict[tuple[str, ClientCertificate | None], Wire] = {}
        self._max_wires = max_wires
        self._closing: set[asyncio.Task[None]] = set()

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        max_bytes: int | None = None,
        timeout_s: float | None = None,
    ) -> Response:
        """GET a URL. Raises InvalidArgument when it may not be called, Unavailable when it fails."""
        return await self.request("GET", url, headers=headers, max_bytes=max_bytes, timeout_s=timeout_s)

    async def post(
        self,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        max_bytes: int | None = None,
        timeout_s: float | None = None,
    ) -> Response:
        """POST a body. Raises InvalidArgument when it may not be called, Unavailable when it fails."""
        return await self.request("POST", url, body=body, headers=headers, max_bytes=max_bytes, timeout_s=timeout_s)

    def check(self, url: str) -> None:
        """Refuse a URL whose text alone forbids calling it, for example when somebody stores it."""
        try:
            self._rules.check_target(parse_target(url))
        except Refused as refused:
            raise _refusal(refused) from None

    async def aclose(self) -> None:
        wires, self._wires = list(self._wires.values()), {}
        for wire in wires:
            await wire.aclose()
        await asyncio.gather(*self._closing)

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        max_bytes: int | None = None,
        timeout_s: float | None = None,
        sinks: Mapping[str, Callable[[bytes], object]] | None = None,
    ) -> Response:
        """Call a URL. Raises InvalidArgument when it may not be called, Unavailable when it fails.

        A good answer of a media type in `sinks` goes there as it comes, and leaves the body empty."""
        limit_bytes = max_bytes or self._settings.max_response_kb * 1024
        try:
            async with asyncio.timeout(timeout_s or self._settings.timeout_s):
                request = _Request(method, parse_target(url), _own_headers(headers or {}), body, sinks or {})
                return await self._follow(request, limit_bytes)
        except Refused as refused:
            raise _refusal(refused) from None
        except TimeoutError:
            raise Unavailable("The other side did not answer in time.") from None

    @asynccontextmanager
    async def open(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        max_bytes: int,
        lane: str = "",
        certificate: ClientCertificate | None = None,
    ) -> AsyncIterator[Incoming]:
        """Call a URL and read its answer as it comes. How long that may take is the caller's own deadline.

        Calls of one `lane` share connections, which no other lane can use up. Raises as `request` does, and
        NotSent where nothing was sent."""
        try:
            request = _Request(
                method, parse_target(url), _own_headers(headers or {}), body, lane=lane, certificate=certificate
            )
            async with AsyncExitStack() as stack:
                answer = await self._land(stack, request)
                plain = _plain(answer.chunks, answer.headers.get("content-encoding", ""), max_bytes)
                yield Incoming(answer.status, answer.headers, plain)
        except Refused as refused:
            raise _refusal(refused) from None

    async def check_address(self, url: str) -> None:
        """Refuse a URL whose host is, or now resolves to, an address that may not be called."""
        try:
            target = parse_target(url)
            self._rules.check_target(target)
            found = await self._resolve(target.host, target.port)
            self._rules.check_addresses(target.host, target.port, found)
        except (OSError, UnicodeError):
            raise _refusal(Refused("a host does not resolve")) from None
        except Refused as refused:
            raise _refusal(refused) from None

    async def _land(self, stack: AsyncExitStack, request: _Request) -> "Answer":
        """The answer at the end of redirects, each of which is checked; `stack` holds its connection."""
        for _ in range(MAX_REDIRECTS + 1):
            self._rules.check_target(request.target)
            hop = await stack.enter_async_context(AsyncExitStack())
            wire = self._open_wire(request)
            answer = await wire.send(
                hop, request.method, request.target, {"accept-encoding": "identity", **request.headers}, request.body
            )
            location = answer.headers.get("location")
            if answer.status not in REDIRECTS or not location:
                return answer
            await hop.aclose()
            request = _redirected(request, answer.status, location)
        raise Unavailable(f"The other side redirects more than {MAX_REDIRECTS} times.")

    async def _follow(self, request: _Request, limit_bytes: int) -> Response:
        for _ in range(MAX_REDIRECTS + 1):
            self._rules.check_target(request.target)
            response = await self._exchange(request, limit_bytes)
            location = response.headers.get("location")
            if response.status not in REDIRECTS or not location:
                return response
            request = _redirected(request, response.status, location)
        raise Unavailable(f"The other side redirects more than {MAX_REDIRECTS} times.")

    async def _exchange(self, request: _Request, limit_bytes: int) -> Response:
        wire = self._open_wire(request)
        async with AsyncExitStack() as stack:
            answer = await wire.send(stack, request.method, request.target, request.headers, request.body)
            if answer.status in REDIRECTS and "location" in answer.headers:
                return Response(answer.status, answer.headers, b"", request.target.url)
            plain = _plain(answer.chunks, answer.headers.get("content-encoding", ""), limit_bytes)
            kind = answer.headers.get("content-type", "").partition(";")[0]
            sink = request.sinks.get(kind) or request.sinks.get(ANY_TYPE)
            if sink is not None and answer.status < 300:
                async for chunk in plain:
                    sink(chunk)
            body = b"".join([chunk async for chunk in plain])
        return Response(answer.status, answer.headers, body, request.target.url)

    def _open_wire(self, request: _Request) -> "Wire":
        key = (request.lane, request.certificate)
        wire = self._wires.pop(key, None)
        if wire is None:
            from engine.egress.pinned import Wire  # lazily: httpcore costs 60 ms

            if self._tls is None:
                self._tls = _tls(self._settings)  # one for all: making it costs more than a call
            tls = self._tls if request.certificate is None else _tls(self._settings, request.certificate)
            size = LANE_CONNECTIONS if request.lane else OWN_CONNECTIONS
            wire = Wire(self._rules, self._resolve, tls, max_connections=size)
        self._wires[key] = wire  # behind all others: the first is the one that was used longest ago
        if len(self._wires) > self._max_wires:
            self._close_later(self._wires.pop(next(iter(self._wires))))
        return wire

    def _close_later(self, wire: "Wire") -> None:
        """Certificates are replaced; what was open with old ones is not kept for ever."""
        closing = asyncio.create_task(wire.aclose(), name="close unused connections")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


def _refusal(refused: Refused) -> InvalidArgument:
    log.warning("an outbound call was refused: %s", refused)
    return InvalidArgument(
        "This address may not be called.",
        hint="Use https and a public host, or let the operator add it to egress.allowed_private_hosts.",
    )


def _tls(settings: EgressSettings, certificate: ClientCertificate | None = None) -> ssl.SSLContext:
    import certifi  # lazily, with the rest of the wire

    context = ssl.create_default_context(cafile=certifi.where())
    if settings.ca_file is not None:
        context.load_verify_locations(settings.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        _load_certificate(context, certificate)
    return context


def _load_certificate(context: ssl.SSLContext, certificate: ClientCertificate) -> None:
    """OpenSSL reads certificates from files alone: one in memory, gone when it is read."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, f"{certificate.private_key}\n{certificate.certificate}\n".encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    except (ssl.SSLError, OSError):
        raise Unavailable("The client certificate can not be used.", hint="Set it again, in PEM.") from None
    finally:
        os.close(descriptor)


def _own_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers of our own code, checked so that no value can start a second header or request."""
    checked = {}
    for name, value in headers.items():
        lowered = name.lower()
        is_clean = name.isascii() and name.replace("-", "").replace("_", "").isalnum() and value.isprintable()
        if not is_clean or not value.isascii() or lowered in OWN_HEADERS:
            raise InvalidArgument(f"The header {lowered[:64]!r} can not be sent.")
        checked[lowered] = value
    checked.setdefault("user-agent", "headwater")
    checked.setdefault("accept", "*/*")
    return checked


def _redirected(request: _Request, status: int, location: str) -> _Request:
    target = parse_target(urljoin(request.target.url, location).partition("#")[0])
    if request.target.scheme == "https" and target.scheme != "https":
        raise Refused("a redirect leaves https")
    method, body, headers = request.method, request.body, request.headers
    if method != "GET" and status in (301, 302, 303):
        method, body = "GET", b""
    if target.origin != request.target.origin:
        if method != "GET":
            raise Refused("a redirect would send the body to another host")
        headers = {name: value for name, value in headers.items() if name in KEPT_ACROSS_ORIGINS}
        request = replace(request, certificate=None)
    return replace(request, method=method, target=target, headers=headers, body=body)


async def _plain(chunks: AsyncIterator[bytes], encoding: str, limit_bytes: int) -> AsyncIterator[bytes]:
    """The body within `limit_bytes`, counted after decompression, which never runs ahead of the limit."""
    inflate = _inflater(encoding)
    count = 0
    async for chunk in chunks:
        plain = chunk if inflate is None else _inflate(inflate, chunk, limit_bytes + 1 - count)
        count += len(plain)
        if count > limit_bytes:
            raise Unavailable(f"The other side's answer is larger than {limit_bytes} bytes.")
        yield plain
    if inflate is not None and count and not inflate.eof:
        raise Unavailable("The other side's answer breaks off.")


def _inflater(encoding: str) -> "zlib._Decompress | None":
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return None
    if name in ("gzip", "x-gzip"):
        return zlib.decompressobj(16 + zlib.MAX_WBITS)
    raise Unavailable("The other side answers in an encoding that was not asked for.")


def _inflate(inflate: "zlib._Decompress", chunk: bytes, limit_bytes: int) -> bytes:
    try:
        plain = inflate.decompress(chunk, limit_bytes)
    except zlib.error:
        raise Unavailable("The other side's answer does not decompress.") from None
    if inflate.unused_data:
        raise Unavailable("The other side's answer goes on after its end.")
    return plain
