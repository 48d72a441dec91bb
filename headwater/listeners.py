"""The sockets and servers of one serving process: four faces and the metrics page on one event loop."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.errors import Unavailable
from core.settings import ServerSettings

if TYPE_CHECKING:
    import uvicorn

log = logging.getLogger("headwater.serve")
GRACE_S = 10


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that the faces really listen on."""

    rest: int
    grpc_web: int
    mcp: int
    grpc: int
    admin: int


@dataclass(slots=True)
class Listeners:
    """Bound sockets of the HTTP faces, kept from the moment a port is chosen until they are served."""

    ports: Ports
    sockets: dict[str, socket.socket] = field(default_factory=dict)


def bind(settings: ServerSettings, *, shared: bool = False) -> Listeners:
    """Bind every HTTP port; `shared` sets SO_REUSEPORT so that several processes can.

    Raises Unavailable naming the port that is taken."""
    wanted = {
        "rest": (settings.host, settings.rest_port),
        "grpc_web": (settings.host, settings.grpc_web_port),
        "mcp": (settings.host, settings.mcp_port),
        "admin": ("127.0.0.1", settings.admin_port),
    }
    sockets: dict[str, socket.socket] = {}
    try:
        for name, (host, port) in wanted.items():
            sockets[name] = _listen(name, host, port, shared=shared and name != "admin")
    except OSError as error:
        for opened in sockets.values():
            opened.close()
        raise Unavailable(str(error), hint=f"Choose another with --{_flag(len(sockets))}, or stop what uses it.")
    ports = {name: opened.getsockname()[1] for name, opened in sockets.items()}
    return Listeners(Ports(grpc=settings.grpc_port, **ports), sockets)


def _flag(index: int) -> str:
    return ("rest-port", "grpc-web-port", "mcp-port", "admin-port")[index]


def _listen(name: str, host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's algorithm off, which would hold answers back for 40 ms.
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        opened.bind((host, port))
    except OSError:
        opened.close()
        if name == "admin" and port:  # a convenience, not a face: another free port will do
            return _listen(name, host, 0, shared=shared)
        raise OSError(f"Port {port} on {host} is taken.") from None
    opened.listen(1024)
    opened.setblocking(False)
    return opened


@contextlib.asynccontextmanager
async def http_server(
    app: Any, opened: socket.socket, settings: ServerSettings, *, lifespan: str
) -> AsyncIterator[None]:
    """Serve one ASGI app on a bound socket until the block ends, then let running requests finish."""
    import uvicorn  # lazily: the command line must not pay for a server

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # signals belong to the process, which stops all of its servers together

    server = Server(_config(app, settings, lifespan))
    task = asyncio.create_task(server.serve(sockets=[opened]))
    while not server.started:
        if task.done():
            task.result()
            raise Unavailable("A face did not start.")
        await asyncio.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        await task


def _config(app: Any, settings: ServerSettings, lifespan: str) -> "uvicorn.Config":
    import uvicorn

    return uvicorn.Config(
        app,
        lifespan="on" if lifespan == "on" else "off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=64 * 1024,
        ssl_certfile=str(settings.tls_cert) if settings.tls_cert else None,
        ssl_keyfile=str(settings.tls_key) if settings.tls_key else None,
        proxy_headers=settings.behind_tls_proxy,
    )
