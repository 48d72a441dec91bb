"""Which servers run on a home: each keeps a file there, locked for as long as its process lives."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from core.errors import Conflict
from core.settings import Settings
from headwater.listeners import FACES, Ports

FIRST = "serve.json"


@dataclass(frozen=True, slots=True)
class Running:
    """A server: the process to signal, and its ports."""

    pid: int
    ports: Ports

    def __str__(self) -> str:
        return f"process {self.pid}, REST on port {self.ports.rest}"


def check_ports(settings: Settings) -> None:
    """Raises Conflict when a server of this very home has one of the ports: most often it was started twice."""
    chosen = {getattr(settings.server, f"{face}_port") for face in FACES}
    for server in running(settings.home):
        if chosen & set(asdict(server.ports).values()):
            raise Conflict(
                f"A server runs on this home already: {server}.",
                hint=f"`headwater stop --home {settings.home}` ends it. A second one beside it takes other ports: "
                "--port 0 --grpc-web-port 0 --mcp-port 0 --grpc-port 0.",
            )


def running(home: Path) -> list[Running]:
    """The servers that run on a home now. The lock decides, so that neither a crash nor a reused id deceives."""
    return [server for path in _files(home) if (server := _read(path))]


@contextlib.contextmanager
def registered(home: Path, ports: Ports) -> Iterator[None]:
    """Have this process found by `running` until the block ends, or the process does."""
    pid = os.getpid()
    draft = home / f".serve-{pid}"
    with draft.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps({"pid": pid, **asdict(ports)}))
        file.flush()
        target = _publish(draft, home, pid)
        draft.unlink()
        try:
            yield
        finally:
            target.unlink(missing_ok=True)


def _publish(draft: Path, home: Path, pid: int) -> Path:
    for path in _files(home):
        if _read(path) is None:
            path.unlink(missing_ok=True)
    for target in (home / FIRST, home / f"serve-{pid}.json"):
        with contextlib.suppress(FileExistsError):
            target.hardlink_to(draft)
            return target
    raise AssertionError("unreachable: a process registers once")


def _files(home: Path) -> list[Path]:
    return [path for path in (home / FIRST, *sorted(home.glob("serve-*.json"))) if path.exists()]


def _read(path: Path) -> Running | None:
    try:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                state = json.load(file)
                return Running(state.pop("pid"), Ports(**state))
    except FileNotFoundError:
        pass
    return None
