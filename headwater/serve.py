"""`headwater serve`: every face of one process, started and stopped together."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_address
from pathlib import Path

from core.errors import InvalidArgument
from core.registry import Registry
from core.settings import ServerSettings, Settings
from engine.telemetry.logs import take_over
from headwater.build import Platform, build
from headwater.data_option import point_at_data
from headwater.faces import grpc_server, grpc_web_face, mcp_face, metrics_page, rest_face
from headwater.listeners import LOOPBACK, HttpServer, Ports, Sockets, bind, port_of
from headwater.running import registered, running

log = logging.getLogger("headwater.serve")


def check_exposure(settings: Settings) -> list[str]:
    """Warnings about who can reach the faces. Raises InvalidArgument where it would be an open door."""
    server = settings.server
    _check_tls(server)
    if is_loopback(server.host):
        return []
    if not settings.auth.enabled:
        raise InvalidArgument(
            f"Authentication is off and {server.host} is not a loopback address.",
            hint="Turn HEADWATER_AUTH__ENABLED on, or listen on 127.0.0.1.",
        )
    if server.tls_cert or server.behind_tls_proxy:
        return []
    return [
        f"Listening on {server.host} without TLS: tokens travel in plain text. "
        "Set HEADWATER_SERVER__TLS_CERT and _KEY, or HEADWATER_SERVER__BEHIND_TLS_PROXY=true."
    ]


def _check_tls(server: ServerSettings) -> None:
    """Refuse half a pair, which would leave a face in plain text, and files that are not there."""
    if (server.tls_cert is None) != (server.tls_key is None):
        raise InvalidArgument("tls_cert and tls_key belong together.", hint="Set both of them, or neither.")
    for path in (server.tls_cert, server.tls_key):
        if path is not None and not os.access(path, os.R_OK):
            raise InvalidArgument(f"{path} cannot be read.", hint="Check HEADWATER_SERVER__TLS_CERT and _KEY.")


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def base_url(server: ServerSettings, port: int) -> str:
    """A face's address as this machine names it."""
    scheme = "https" if server.tls_cert else "http"
    host = server.host if is_loopback(server.host) else LOOPBACK
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


@contextlib.asynccontextmanager
async def serving(
    settings: Settings, *, shared: bool = False, registry: Registry | None = None
) -> AsyncIterator[tuple[Platform, Ports]]:
    """All faces of one process, ready when the block is entered, drained when it is left.

    With `shared`, other processes may listen on the same ports."""
    for warning in check_exposure(settings):
        log.warning(warning)
    async with contextlib.AsyncExitStack() as stack:
        sockets = bind(settings.server, shared=shared)
        for bound in sockets.values():
            stack.callback(bound.close)  # also where the platform is not built
        platform = await build(settings, registry=registry, isolated=True)
        stack.push_async_callback(platform.close)
        ports = await stack.enter_async_context(_faces(platform, sockets, shared=shared))
        take_over(settings.telemetry)  # again: the faces' frameworks have brought handlers of their own
        await platform.start_workers()
        gc.freeze()  # what is here now stays; collections need not walk it
        gc.enable()
        if platform.edges is not None:
            platform.edges.start()  # last, for it would slow the faces' own start; the first query waits for it
        yield platform, ports


@contextlib.asynccontextmanager
async def _faces(platform: Platform, sockets: Sockets, *, shared: bool) -> AsyncIterator[Ports]:
    server = platform.settings.server
    grpc = grpc_server(platform, shared=shared)
    started: list[HttpServer] = []
    try:
        ports = Ports(grpc=await grpc.start(), **{name: port_of(opened) for name, opened in sockets.items()})
        if platform.own_agents is not None:
            platform.own_agents.listen(base_url(server, ports.rest), ports.grpc)
        for face in (
            HttpServer(rest_face(platform), sockets["rest"], server),
            HttpServer(grpc_web_face(platform), sockets["grpc_web"], server),
            HttpServer(mcp_face(platform), sockets["mcp"], server, lifespan=True),
            HttpServer(metrics_page(platform), sockets["admin"], ServerSettings()),
        ):
            await face.start()
            started.append(face)
        yield ports
    finally:  # together, so that they share one period of grace
        await asyncio.gather(grpc.stop(), *(face.stop() for face in started))


async def run_until_stopped(
    settings: Settings, announce: Callable[[Platform, Ports], None], *, data: Path | None = None, parent: int = 0
) -> None:
    """Serve until SIGINT or SIGTERM; running calls get a grace period to finish.

    `parent` is the process that supervises several like this one. It tells of them once the first is ready."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    with contextlib.ExitStack() as told:  # outside: a server counts as running until its last call is done
        async with serving(settings, shared=parent > 0) as (platform, ports):
            others = running(settings.home)
            if parent not in [other.pid for other in others]:
                if data is not None:
                    platform.first_start.append(await point_at_data(platform, data))
                announce(platform, ports)
            if parent:
                os.kill(parent, signal.SIGUSR1)
                _stop_with_parent(stopped)
            else:
                for other in others:
                    log.warning(
                        "another server runs on this home: %s. Both serve it; `headwater stop --home %s` ends both",
                        other,
                        settings.home,
                    )
                told.enter_context(registered(settings.home, ports))
            await stopped.wait()
            log.info("stopping: running calls may finish")


def _stop_with_parent(stopped: asyncio.Event) -> None:
    """Standard input is the parent's pipe: it ends when the parent was killed, and nobody else knows this process."""
    loop, pipe = asyncio.get_running_loop(), sys.stdin.fileno()

    def stop() -> None:
        loop.remove_reader(pipe)
        stopped.set()

    loop.add_reader(pipe, stop)
