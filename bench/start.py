"""How long `headwater serve` takes to be ready, and what it holds while idle (all faces, one process)."""

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BUDGET_S, BUDGET_MB = 3.0, 250
PORTS = ["--rest-port", "0", "--grpc-web-port", "0", "--mcp-port", "0", "--grpc-port", "0"]


def resident_mb(pid: int) -> float:
    match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match.group(1)) / 1024 if match else 0.0


def once(home: Path) -> tuple[float, float]:
    """Seconds until ready, and MB two seconds later."""
    state = home / "serve.json"
    state.unlink(missing_ok=True)
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "headwater", "serve", "--home", str(home), *PORTS],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not (state.exists() and json.loads(state.read_text())["pid"] == process.pid):
            if process.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(0.01)
        ready_s = time.monotonic() - started
        time.sleep(2)
        return ready_s, resident_mb(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for label in ("first start (makes keys)", "second start", "third start"):
            seconds, megabytes = once(Path(folder))
            print(f"{label:26} ready {seconds:5.2f} s (budget {BUDGET_S})   idle {megabytes:5.0f} MB ({BUDGET_MB})")
