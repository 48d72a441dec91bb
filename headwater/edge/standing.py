"""`headwater edge`: a data plane that stands by itself, near the data, for servers that hold its credentials."""

import asyncio
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from core.errors import Unavailable
from core.settings import Settings
from headwater.edge.address import Credentials, bind, total_memory_mb
from headwater.edge.child import GRACE_S, STUCK_EXIT, is_stuck_before, walls_of
from headwater.edge.plane import Plane, PlaneSettings
from headwater.edge.sandbox import confine, prepare_warehouse
from headwater.settings import prepare_home

STOP_S = 5.0


def run_edge(settings: Settings, listen: str, *, has_network: bool) -> int:
    """Serve until SIGINT or SIGTERM. Raises InvalidArgument, Unavailable.

    Returns 70 when a statement would not stop: whoever supervises this process starts it again."""
    prepare_home(settings.home)
    prepare_warehouse(settings.home)
    credentials = open_credentials(settings)
    sockets = Path(listen.removeprefix("unix:")).parent if listen.startswith("unix:") else None
    temp = Path(tempfile.mkdtemp(prefix="edge-alone-"))
    try:
        plane = PlaneSettings(
            home=settings.home,
            roots=tuple(settings.query.allowed_roots),
            private_hosts=tuple(settings.egress.allowed_private_hosts),
            query=settings.query,
            memory_mb=total_memory_mb(settings),
            temp=temp,
        )
        needs_network = has_network or sockets is None
        facts = confine(walls_of(plane, sockets, needs_network=needs_network))
        return asyncio.run(_serve(plane, credentials, listen, facts))
    finally:
        shutil.rmtree(temp, ignore_errors=True)


def open_credentials(settings: Settings) -> Credentials:
    """The configured folder; without one `edge` in the home, whose token is made by the first start."""
    folder = settings.edge.credentials
    if folder is None:
        folder = settings.home / "edge"
        folder.mkdir(mode=0o700, exist_ok=True)
        if not (folder / "token").exists():
            with os.fdopen(os.open(folder / "token", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(32))
    return Credentials(folder)


async def _serve(settings: PlaneSettings, credentials: Credentials, listen: str, facts: Mapping[str, bool]) -> int:
    import grpc.aio  # here: the sandbox holds only for threads that are started inside it

    from headwater.edge.server import EdgeService
    from headwater.edge.wire import UNLIMITED

    server, plane = grpc.aio.server(options=UNLIMITED), Plane(settings)
    server.add_generic_rpc_handlers((EdgeService(plane, credentials.token, facts).methods(),))
    try:
        port = bind(server, listen, credentials)
    except RuntimeError:
        raise Unavailable(f"{listen} cannot be listened on.", hint="Choose another address with --listen.") from None
    plane.warm()
    await server.start()
    where = listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"
    missing = ", ".join(name for name, is_up in facts.items() if not is_up)
    sys.stderr.write(f"edge ready: {where}{f'; without: {missing}' if missing else ''}\n")
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    if await is_stuck_before(stopped, plane):
        sys.stderr.write("edge stops: a query does not stop\n")
        sys.stderr.flush()
        os._exit(STUCK_EXIT)
    await server.stop(max(STOP_S, GRACE_S))
    await plane.connectors.close()
    return 0
