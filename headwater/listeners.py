"""The sockets and HTTP servers of one serving process: faces and the metrics page on one event loop."""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import Unavailable
from core.settings import ServerSettings

if TYPE_CHECKING:
    import uvicorn

GRACE_S = 10
LOOPBACK = "127.0.0.1"
FACES = ("rest", "grpc_web", "mcp", "grpc")
ADMIN_TRIES = 64
Sockets = dict[str, socket.socket]


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that the faces really listen on."""

    rest: int
    grpc_web: int
    mcp: int
    grpc: int
    admin: int


def bind(settings: ServerSettings, *, shared: bool = False) -> Sockets:
    """Bind the port of every HTTP face and of the metrics page; `shared` allows other processes to as well.

    gRPC binds its own later, and is only looked at, so that nothing is started in vain.
    Raises Unavailable naming the port that cannot be had, and its option."""
    with _closed_on_failure() as sockets:
        for face in FACES:
            sockets[face] = _bound(face, settings, shared=shared)
        sockets.pop("grpc").close()
        sockets["admin"] = _admin(settings.admin_port)
    return sockets


def reserve(settings: ServerSettings) -> Sockets:
    """Hold every face's port, without listening, for child processes. Raises Unavailable as `bind` does."""
    with _closed_on_failure() as sockets:
        for face in FACES:
            # First alone: sharing at once would also succeed beside another server that shares.
            with _bound(face, settings, shared=False) as alone:
                chosen = settings.model_copy(update={f"{face}_port": port_of(alone)})
            sockets[face] = _bound(face, chosen, shared=True, listening=False)
    return sockets


def port_of(opened: socket.socket) -> int:
    port: int = opened.getsockname()[1]
    return port


@contextlib.contextmanager
def _closed_on_failure() -> Iterator[Sockets]:
    sockets: Sockets = {}
    try:
        yield sockets
    except BaseException:
        for opened in sockets.values():
            opened.close()
        raise


def _bound(face: str, settings: ServerSettings, *, shared: bool, listening: bool = True) -> socket.socket:
    host, port = settings.host, getattr(settings, f"{face}_port")
    try:
        return _open(host, port, shared=shared, listening=listening)
    except OSError as error:
        option = f"--{face.replace('_', '-')}-port"
        if error.errno == errno.EADDRINUSE:
            hint = f"Choose another with {option}, or stop what uses it."
            raise Unavailable(f"Port {port} on {host} is taken.", hint=hint) from None
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        hint = f"Check --host and {option}."
        raise Unavailable(f"{host}:{port} cannot be listened on: {reason}.", hint=hint) from None


def _admin(port: int) -> socket.socket:
    """The metrics page is no face: where its port is taken, one of the next will do."""
    for candidate in range(port, min(port + ADMIN_TRIES, 65536)) if port else ():
        with contextlib.suppress(OSError):
            return _open(LOOPBACK, candidate)
    return _open(LOOPBACK, 0)


def _open(host: str, port: int, *, shared: bool = False, listening: bool = True) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's algorithm off, which would hold answers back for 40 ms.
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind((host, port))
        if listening:  # at once: until then another process could still take the port
            opened.listen(1024)
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise
    return opened


class HttpServer:
    """One ASGI app on one bound socket. `stop` lets running requests finish."""

    def __init__(self, app: Any, opened: socket.socket, settings: ServerSettings, *, lifespan: bool = False):
        self._socket = opened
        self._server = _server(_config(app, settings, lifespan=lifespan))
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve. Raises Unavailable when the app does not start."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise Unavailable("A face did not start.", hint="The log says why.")
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task


def _server(config: "uvicorn.Config") -> "uvicorn.Server":
    import uvicorn  # lazily: the command line must not pay for a server

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield  # signals belong to the process, which stops all of its servers together

    return Server(config)


def _config(app: Any, settings: ServerSettings, *, lifespan: bool) -> "uvicorn.Config":
    import uvicorn

    return uvicorn.Config(
        app,
        lifespan="on" if lifespan else "off",
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
