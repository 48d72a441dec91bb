"""A data plane that a serving process started: `python -m headwater.edge.child`, told what to be on standard input."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from core.settings import QuerySettings
from headwater.edge.plane import Plane, PlaneSettings, watch_stuck
from headwater.edge.sandbox import Walls, confine, die_with_parent

STUCK_S = 1.0
GRACE_S = 3.0
STUCK_EXIT = 70


def main() -> None:
    """Serve until standard input, which is the parent's pipe, ends."""
    told = json.loads(sys.stdin.readline())
    settings = PlaneSettings(
        home=Path(told["home"]),
        roots=tuple(map(Path, told["roots"])),
        private_hosts=tuple(told["private_hosts"]),
        query=QuerySettings(**told["query"]),
        memory_mb=told["memory_mb"],
        temp=Path(told["temp"]),
    )
    facts: dict[str, Any] = {"pid": os.getpid()}
    parent = os.getppid()
    facts |= confine(walls_of(settings, Path(told["socket"]).parent, needs_network=told["needs_network"]))
    die_with_parent()
    if os.getppid() == parent:  # else it went before anybody could tell
        asyncio.run(_serve(settings, told, facts))


def walls_of(
    settings: PlaneSettings, sockets: Path | None, *, needs_network: bool, readable: tuple[Path, ...] = ()
) -> Walls:
    home = settings.home.resolve()
    return Walls(
        roots=settings.roots,
        readable=(home / "warehouse", *readable),
        hidden=(home,),
        temp=settings.temp,
        sockets=sockets,
        needs_network=needs_network,
        memory_mb=settings.memory_mb,
    )


async def _serve(settings: PlaneSettings, told: dict[str, Any], facts: dict[str, Any]) -> None:
    import grpc.aio  # here: the sandbox holds only for threads that are started inside it

    from headwater.edge.server import EdgeService
    from headwater.edge.wire import UNLIMITED

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends this process
    server = grpc.aio.server(options=UNLIMITED)
    plane = Plane(settings)
    plane.warm()
    server.add_generic_rpc_handlers((EdgeService(plane, told["token"], facts).methods(),))
    server.add_insecure_port(f"unix:{told['socket']}")
    await server.start()
    _tell("ready", facts)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), stopped.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    if await is_stuck_before(stopped, plane):
        os._exit(STUCK_EXIT)
    await server.stop(1.0)
    await plane.connectors.close()


async def is_stuck_before(stopped: asyncio.Event, plane: Plane) -> bool:
    """Wait for either; whether it is a stuck statement that ends this process."""
    waits = {asyncio.create_task(stopped.wait()), asyncio.create_task(_watch(plane))}
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    return not stopped.is_set()


async def _watch(plane: Plane) -> None:
    await watch_stuck(plane, most_s=STUCK_S, grace_s=GRACE_S, told=lambda: _tell("retiring", {}))


def _tell(word: str, facts: dict[str, Any]) -> None:
    sys.stdout.write(f"{word} {json.dumps(facts)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
