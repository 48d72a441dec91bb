"""HTTP over connections that go to the very address that was checked. Loaded on the first call."""

import ssl
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpcore

from core.errors import Unavailable
from engine.egress.addresses import AddressRules, IPAddress, NotSent, Refused, Target
from engine.egress.resolver import Resolve

MAX_CONNECTIONS = 64
IDLE_S = 20.0
CONNECT_S = 5.0
GATHERED_BYTES = 64 * 1024
_NOT_SENT = (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout)
_FAILURES = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.ConnectionNotAvailable,
    OSError,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and headers of an answer; the body follows in `chunks`, still encoded."""

    status: int
    headers: dict[str, str]
    chunks: AsyncIterator[bytes]


class Gathered(httpcore.AsyncNetworkStream):
    """A connection that sends when an answer is waited for: head and body of a request leave together."""

    def __init__(self, stream: httpcore.AsyncNetworkStream):
        self._stream = stream
        self._pending = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        await self._flush(timeout)
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._pending += buffer
        if len(self._pending) > GATHERED_BYTES:
            await self._flush(timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return Gathered(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    async def _flush(self, timeout: float | None) -> None:
        pending, self._pending = self._pending, b""
        if pending:
            await self._stream.write(pending, timeout)


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """Resolves once, checks every address, connects to one that was checked: DNS can not change its mind between.

    TLS still verifies the name, because the name stays the origin's host."""

    def __init__(self, rules: AddressRules, resolve: Resolve):
        self._rules = rules
        self._resolve = resolve
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception | None = None
        for address in await self._addresses(host, port):
            try:
                stream = await self._sockets.connect_tcp(
                    str(address), port, timeout=CONNECT_S, socket_options=socket_options
                )
                return Gathered(stream)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError("no address")

    async def connect_unix_socket(self, path: str, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        raise Refused("sockets of this machine are not called")

    async def _addresses(self, host: str, port: int) -> list[IPAddress]:
        try:
            found = await self._resolve(host, port)
        except (OSError, UnicodeError):
            # The same answer as for a forbidden address: whether a name exists inside is not told.
            raise Refused(f"{host} does not resolve") from None
        return self._rules.check_addresses(host, port, found)


class Wire:
    """A pool of pinned connections."""

    def __init__(
        self, rules: AddressRules, resolve: Resolve, tls: ssl.SSLContext, *, max_connections: int = MAX_CONNECTIONS
    ):
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=max_connections,
            keepalive_expiry=IDLE_S,
            network_backend=PinnedBackend(rules, resolve),
        )

    async def send(
        self, stack: AsyncExitStack, method: str, target: Target, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        """Send a request; the connection is given back when `stack` closes."""
        url = httpcore.URL(
            scheme=target.scheme.encode(), host=target.host.encode(), port=target.port, target=target.path.encode()
        )
        sent = {"host": target.authority, "accept-encoding": "gzip", **headers}
        if method != "GET":
            sent["content-length"] = str(len(body))
        with _translated():
            answer = await stack.enter_async_context(
                self._pool.stream(
                    method, url, headers=[(name.encode(), value.encode()) for name, value in sent.items()], content=body
                )
            )
        received = {name.decode("ascii", "replace").lower(): value.decode("latin-1") for name, value in answer.headers}
        return Answer(answer.status, received, _chunks(answer))

    async def aclose(self) -> None:
        await self._pool.aclose()


async def _chunks(answer: httpcore.Response) -> AsyncIterator[bytes]:
    with _translated():
        async for chunk in answer.aiter_stream():
            yield chunk


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _NOT_SENT as error:
        raise NotSent("The other side does not answer.", hint="Retry later.") from error
    except _FAILURES as error:
        raise Unavailable("The other side does not answer.", hint="Retry later.") from error
