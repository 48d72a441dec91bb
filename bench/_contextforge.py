"""IBM's ContextForge with the sample MCP server behind it, for `bench.gateway`: installed on demand, never imported."""

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench._measure import cpu_s

VERSION = "1.0.7.post20260921"
START_S = 120.0


class Missing(Exception):
    """It cannot be measured here; the text says why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A gateway that runs: where its MCP endpoint is, who may call, and the process whose family works for it."""

    url: str
    token: str
    tool: str
    pid: int

    def cpu_s(self) -> float:
        return sum(cpu_s(pid) for pid in family(self.pid))


def rss_mb(pid: int) -> float:
    """Resident memory of one process. ContextForge with one worker is one, and so is a gateway."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def family(root: int) -> list[int]:
    """A process and its descendants."""
    parents = {}
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit():
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def installed() -> Path:
    """The programs of an environment of its own, made on the first run. Raises Missing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "headwater-bench" / f"contextforge-{VERSION}"
    if not (folder / "bin" / "mcpgateway").exists():
        wanted = f"mcp-contextforge-gateway=={VERSION}"
        pip = shutil.which("uv")
        commands = [[sys.executable, "-m", "venv", str(folder)]]
        commands += [[pip, "pip", "install", "-q", "-p", str(folder / "bin" / "python"), wanted]] if pip else []
        commands += [] if pip else [[str(folder / "bin" / "python"), "-m", "pip", "install", "-q", wanted]]
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                shutil.rmtree(folder, ignore_errors=True)
                raise Missing(f"{wanted} can not be installed: {done.stderr.strip().splitlines()[-1:]}")
    return folder / "bin"


@contextlib.contextmanager
def running(upstream: str, *, keeps_sessions: bool) -> Iterator[Peer]:
    """One worker with authentication on, and its own limits off: they stop at 100 calls a minute."""
    programs = installed()
    with tempfile.TemporaryDirectory() as home:
        environment = _environment(home, keeps_sessions=keeps_sessions)
        port = _free_port()
        command = [str(programs / "mcpgateway"), "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        with (Path(home) / "log").open("w") as log:
            process = subprocess.Popen(
                command,
                env=environment,
                cwd=home,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        try:
            base = f"http://127.0.0.1:{port}"
            _await_health(process, base, Path(home) / "log")
            token = _token(programs, environment, home)
            url, tool = _register(base, token, upstream)
            yield Peer(url, token, tool, process.pid)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _environment(home: str, *, keeps_sessions: bool) -> dict[str, str]:
    secret = secrets.token_hex(32)
    return {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")},
        "JWT_SECRET_KEY": secret,
        "AUTH_ENCRYPTION_SECRET": secrets.token_hex(32),
        "BASIC_AUTH_PASSWORD": secrets.token_hex(32),
        "PLATFORM_ADMIN_EMAIL": "admin@example.com",
        "PLATFORM_ADMIN_PASSWORD": f"Aq7#{secret[:16]}",
        "DATABASE_URL": f"sqlite:///{home}/mcp.db",
        "SSRF_ALLOW_LOCALHOST": "true",
        "RATE_LIMITING_ENABLED": "false",
        **({"USE_STATEFUL_SESSIONS": "true"} if keeps_sessions else {}),
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return int(opened.getsockname()[1])


def _await_health(process: "subprocess.Popen[Any]", base: str, log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{base}/health", timeout=5).status_code == 200:
                return
        time.sleep(0.2)
    raise Missing(f"ContextForge does not start: {log.read_text()[-500:]}")


def _token(programs: Path, environment: dict[str, str], home: str) -> str:
    command = [str(programs / "python"), "-m", "mcpgateway.utils.create_jwt_token", "--username", "admin@example.com"]
    command += ["--exp", "600", "--secret", environment["JWT_SECRET_KEY"]]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


def _register(base: str, token: str, upstream: str) -> tuple[str, str]:
    """The MCP endpoint of a virtual server that has the upstream's tools, and the name of its `echo`."""
    with httpx.Client(base_url=base, headers={"authorization": f"Bearer {token}"}, timeout=60) as client:
        made = client.post("/gateways", json={"name": "up", "url": upstream, "transport": "STREAMABLEHTTP"})
        if made.status_code not in (200, 201):
            raise Missing(f"ContextForge registers no server: {made.status_code} {made.text[:200]}")
        for _ in range(40):
            tools = [tool for tool in client.get("/tools?limit=0").json() if tool["name"].startswith("up-")]
            if tools:
                break
            time.sleep(0.5)
        server = {"name": "bench", "description": "bench", "associated_tools": [tool["id"] for tool in tools]}
        found = client.post("/servers", json={"server": server}).json()
    return f"{base}/servers/{found['id']}/mcp", next(t["name"] for t in tools if re.search(r"\becho$", t["name"]))
