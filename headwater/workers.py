"""`headwater serve` with several processes, in the background, or reloading on changes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from core.errors import Unavailable
from headwater.serve import read_state

READY_S = 30.0
RESTART_PAUSE_S = 0.5


def serve_command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "headwater", "serve", *arguments]


def supervise(arguments: Sequence[str], count: int) -> int:
    """Run `count` serving processes on shared ports; one that dies is started again. Returns 0 when stopped."""
    children: list[subprocess.Popen[bytes]] = []
    is_stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal is_stopping
        is_stopping = True
        for child in children:
            child.send_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    command = [*serve_command(arguments), "--child-of", str(os.getpid())]
    while not is_stopping:
        while len(children) < count:
            children.append(subprocess.Popen(command))
        time.sleep(RESTART_PAUSE_S)
        children = [child for child in children if child.poll() is None]
    for child in children:
        child.wait()
    return 0


def start_daemon(home: Path, arguments: Sequence[str]) -> int:
    """Start a server in the background and return its process id when it is ready.

    Raises Unavailable with the end of its log when it does not become ready."""
    if read_state(home):
        raise Unavailable("A server is running on this home already.", hint="`headwater stop` ends it.")
    home.mkdir(parents=True, exist_ok=True)
    log_path = home / "serve.log"
    with log_path.open("ab") as log:
        child = subprocess.Popen(
            serve_command(arguments), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    ends_at = time.monotonic() + READY_S
    while time.monotonic() < ends_at:
        if read_state(home):
            return child.pid
        if child.poll() is not None:
            break
        time.sleep(0.05)
    raise Unavailable(f"The server did not become ready; see {log_path}.", hint=_tail(log_path))


def stop_daemon(home: Path) -> int | None:
    """Stop the server of a home, and say which process it was; None when none runs."""
    state = read_state(home)
    if state is None:
        return None
    with contextlib.suppress(ProcessLookupError):
        os.kill(state["pid"], signal.SIGTERM)
    ends_at = time.monotonic() + READY_S
    while read_state(home) and time.monotonic() < ends_at:
        time.sleep(0.05)
    return state["pid"]


def reload_on_change(arguments: Sequence[str], folders: Sequence[Path]) -> int:
    """Serve, and start again whenever a source file changes."""
    from watchfiles import PythonFilter, run_process

    def announce(changes: object) -> None:
        sys.stderr.write("source changed: restarting\n")

    command = " ".join(serve_command(arguments))
    return run_process(*folders, target=command, target_type="command", watch_filter=PythonFilter(), callback=announce)


def _tail(path: Path, lines: int = 5) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
