"""`headwater serve`: every face of one process, started and stopped together."""

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path

from core.errors import InvalidArgument
from core.settings import ServerSettings, Settings
from engine.telemetry.logs import take_over
from headwater.build import Platform, build
from headwater.faces import grpc_server, grpc_web_face, mcp_face, metrics_page, rest_face
from headwater.listeners import Listeners, Ports, bind, http_server

log = logging.getLogger("headwater.serve")
STATE_FILE = "serve.json"


def check_exposure(settings: Settings) -> list[str]:
    """Warnings about who can reach the faces. Raises InvalidArgument where it would be an open door."""
    server = settings.server
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


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.asynccontextmanager
async def serving(settings: Settings, *, parent: int = 0) -> AsyncIterator[tuple[Platform, Ports]]:
    """All faces of one process, ready when the block is entered, drained when it is left.

    `parent` is the process that supervises several like this one, which then share the ports."""
    shared = parent > 0
    for warning in check_exposure(settings):
        log.warning(warning)
    listeners = bind(settings.server, shared=shared)
    platform = await build(settings)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(platform.close)
        ports = await _open_faces(stack, platform, listeners, shared=shared)
        take_over(settings.telemetry)  # again: the faces' frameworks have brought handlers of their own
        await platform.start_workers()
        gc.freeze()  # what is here now stays; collections need not walk it
        write_state(settings.home, ports, parent or os.getpid())
        stack.callback(remove_state, settings.home, os.getpid())
        yield platform, ports


async def _open_faces(
    stack: contextlib.AsyncExitStack, platform: Platform, listeners: Listeners, *, shared: bool
) -> Ports:
    server, sockets = platform.settings.server, listeners.sockets
    grpc = grpc_server(platform, shared=shared)
    grpc_port = await grpc.start()
    stack.push_async_callback(grpc.stop)
    await stack.enter_async_context(http_server(rest_face(platform), sockets["rest"], server, lifespan="off"))
    await stack.enter_async_context(http_server(grpc_web_face(platform), sockets["grpc_web"], server, lifespan="off"))
    await stack.enter_async_context(http_server(mcp_face(platform), sockets["mcp"], server, lifespan="on"))
    loopback = ServerSettings()
    await stack.enter_async_context(http_server(metrics_page(platform), sockets["admin"], loopback, lifespan="off"))
    return Ports(**{**asdict(listeners.ports), "grpc": grpc_port})


async def run_until_stopped(
    settings: Settings, announce: Callable[[Platform, Ports], None], *, parent: int = 0
) -> None:
    """Serve until SIGINT or SIGTERM; running calls get a grace period to finish."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with serving(settings, parent=parent) as (platform, ports):
        announce(platform, ports)
        await stopped.wait()
        log.info("stopping: waiting for running calls")


def write_state(home: Path, ports: Ports, pid: int) -> None:
    """Leave the process id and ports in the home, for the commands that talk to a running server."""
    target = home / STATE_FILE
    partial = target.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps({"pid": pid, **asdict(ports)}))
    partial.replace(target)


def remove_state(home: Path, pid: int) -> None:
    state = read_state(home)
    if state and state["pid"] == pid:
        (home / STATE_FILE).unlink(missing_ok=True)


def read_state(home: Path) -> dict[str, int] | None:
    """The running server's process id and ports, or None."""
    try:
        state: dict[str, int] = json.loads((home / STATE_FILE).read_text())
        os.kill(state["pid"], 0)
    except (FileNotFoundError, ValueError, KeyError, ProcessLookupError):
        return None
    return state
