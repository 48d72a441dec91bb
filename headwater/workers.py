"""`headwater serve` with several processes, in the background, or reloading on changes."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from core.errors import Conflict, Unavailable
from core.settings import Settings
from headwater.listeners import Ports, port_of, reserve
from headwater.running import Running, registered, running
from headwater.settings import prepare_home

READY_S = 30.0
POLL_S = 0.05
RESTART_PAUSE_S = 0.5
ROOT = Path(__file__).parent.parent
PACKAGES = ("agents", "api", "core", "engine", "evals", "gateway", "headwater", "mcp_server", "prompts", "tools")
SOURCES = tuple(ROOT / name for name in PACKAGES if (ROOT / name).is_dir())


def serve_command(arguments: Sequence[str]) -> list[str]:
    # -P: a person's folder may hold an agents/ or tools.py of its own, which must not be taken for ours.
    return [sys.executable, "-P", "-m", "headwater", "serve", *arguments]


class Supervisor:
    """Serving processes on shared ports. One that dies is started again; all end with this process."""

    def __init__(self, settings: Settings, arguments: Sequence[str]):
        self._settings = settings
        self._arguments = arguments
        self._children: list[subprocess.Popen[bytes]] = []
        self._is_ready = False
        self._is_stopping = False

    def run(self) -> int:
        """Serve until SIGINT or SIGTERM. Returns the exit code: that of the first process when it cannot start."""
        sockets = reserve(self._settings.server)
        ports = Ports(admin=self._settings.server.admin_port, **{name: port_of(held) for name, held in sockets.items()})
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGUSR1, self._note_ready)
        first = self._start(ports)
        while not (self._is_ready or self._is_stopping):
            if first.poll() is not None:
                return first.returncode
            time.sleep(POLL_S)
        with ExitStack() as stack:
            stack.enter_context(registered(self._settings.home, ports))
            while not self._is_stopping:
                self._children = [child for child in self._children if child.poll() is None]
                while len(self._children) < self._settings.server.workers:
                    self._start(ports)
                time.sleep(RESTART_PAUSE_S)
            self._end()
        return 0

    def _start(self, ports: Ports) -> "subprocess.Popen[bytes]":
        faces = [
            item
            for face in ("rest", "grpc_web", "mcp", "grpc")
            for item in (f"--{face.replace('_', '-')}-port", str(getattr(ports, face)))
        ]
        command = [*serve_command(self._arguments), *faces, "--child-of", str(os.getpid())]
        child = subprocess.Popen(command, stdin=subprocess.PIPE)  # the pipe tells the child when this process is gone
        self._children.append(child)
        return child

    def _end(self) -> None:
        for child in self._children:
            child.send_signal(signal.SIGTERM)
        for child in self._children:
            child.wait()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._is_stopping = True

    def _note_ready(self, number: int, frame: FrameType | None) -> None:
        self._is_ready = True


def start_daemon(home: Path, arguments: Sequence[str]) -> Running:
    """Start a server in the background; answers when it is ready.

    Raises Conflict when one runs already, Unavailable with the end of its log when it does not become ready."""
    for server in running(home):
        raise Conflict(
            f"A server runs on this home already: {server}.", hint=f"`headwater stop --home {home}` ends it."
        )
    prepare_home(home)
    log_path = home / "serve.log"
    with log_path.open("ab") as log:
        child = subprocess.Popen(
            serve_command(arguments), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    ends_at = time.monotonic() + READY_S
    while time.monotonic() < ends_at and child.poll() is None:
        for server in running(home):
            return server
        time.sleep(POLL_S)
    raise Unavailable(f"The server did not become ready; its log is {log_path}.", hint=_tail(log_path))


def stop_servers(home: Path) -> list[Running]:
    """Stop every server of a home and say which they were. Raises Unavailable when one does not end."""
    found = running(home)
    for server in found:
        os.kill(server.pid, signal.SIGTERM)
    ends_at = time.monotonic() + READY_S
    while left := running(home):
        if time.monotonic() > ends_at:
            raise Unavailable(f"Still running: {left[0]}.", hint=f"`kill -9 {left[0].pid}` ends it at once.")
        time.sleep(POLL_S)
    return found


def reload_on_change(arguments: Sequence[str], folders: Sequence[Path] = SOURCES) -> int:
    """Serve, and start again whenever a source file in `folders` changes."""
    from watchfiles import PythonFilter, run_process

    def announce(changes: object) -> None:
        sys.stderr.write("source changed: starting again\n")

    return run_process(
        *folders,
        target=shlex.join(serve_command(arguments)),
        target_type="command",
        watch_filter=PythonFilter(),
        callback=announce,
    )


def _tail(path: Path, lines: int = 5) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
