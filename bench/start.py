"""How long `headwater serve` takes to be ready, and what the serving process holds while idle: every face in one."""

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench._measure import cpu_s, show

BUDGET_S, BUDGET_MB = 3.0, 250
STARTS = 4  # the first of them makes the store and the keys
SETTLE_S = 2.0
PORTS = ("--rest-port", "0", "--grpc-web-port", "0", "--mcp-port", "0", "--grpc-port", "0")


def resident_mb(pid: int) -> float:
    match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match.group(1)) / 1024 if match else 0.0


def is_ready(home: Path, pid: int) -> bool:
    state = home / "serve.json"
    return state.exists() and bool(text := state.read_text()) and json.loads(text)["pid"] == pid


def once(home: Path) -> tuple[float, float, float]:
    """Seconds until ready, CPU seconds until then, and MB two seconds later."""
    command = [sys.executable, "-m", "headwater", "serve", "--home", str(home), *PORTS]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not is_ready(home, process.pid):
            if process.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(0.01)
        ready_s, used_s = time.monotonic() - started, cpu_s(process.pid)
        time.sleep(SETTLE_S)
        return ready_s, used_s, resident_mb(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        starts = [once(Path(folder)) for _ in range(STARTS)]
    show("first start (makes store and keys): ready", "s", [starts[0][0]], BUDGET_S)
    show("later starts: ready", "s", [ready for ready, _, _ in starts[1:]], BUDGET_S)
    show("later starts: CPU until ready", "s", [used for _, used, _ in starts[1:]])
    show("idle serving process: resident memory", "MB", [megabytes for _, _, megabytes in starts], BUDGET_MB)


if __name__ == "__main__":
    main()
