"""Real `headwater` processes on homes of their own, and the command line in this process."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from click.testing import CliRunner

from headwater.commands import cli
from headwater.listeners import Ports
from headwater.running import running
from tests.fixtures_store import migrated

READY_S = 30.0
FREE_PORTS = ["--rest-port", "0", "--grpc-web-port", "0", "--mcp-port", "0", "--grpc-port", "0"]


@dataclass(frozen=True, slots=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out or self.err)


def headwater(*arguments: str, stdin: str | None = None, **environment: str) -> Said:
    """Run a command in this process."""
    runner = CliRunner(catch_exceptions=False)

    def run() -> Said:
        done = runner.invoke(cli, list(arguments), input=stdin, env=environment, prog_name="headwater")
        return Said(done.exit_code, done.stdout, done.stderr)

    if asyncio._get_running_loop() is None:
        return run()
    with ThreadPoolExecutor(1) as pool:  # a command brings its own event loop
        return pool.submit(run).result()


def environment_of(**changes: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")} | changes


def spawn(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """Start a command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "headwater", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment_of(**environment),
    )


@dataclass(frozen=True, slots=True)
class Server:
    """A serving process that is ready."""

    home: Path
    ports: Ports
    process: "subprocess.Popen[str]"
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.ports.rest}"

    def call(self, tool: str, **arguments: Any) -> Any:
        """A tool on this server as its administrator, through the command line."""
        token = self.token()
        said = headwater("call", tool, json.dumps(arguments), "--server", self.url, "--token", token, "--json")
        assert said.code == 0, said
        return said.json()

    def token(self, role: str = "admin") -> str:
        said = headwater("token", "--home", str(self.home), "--role", role)
        assert said.code == 0, said
        return said.out.strip()

    def client(self, role: str = "admin") -> httpx.Client:
        headers = {"authorization": f"Bearer {self.token(role)}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=20, trust_env=False)

    def stop(self) -> Said:
        """SIGTERM, and what the process said."""
        self.process.send_signal(signal.SIGTERM)
        return finished(self.process)


def finished(process: "subprocess.Popen[str]", *, within_s: float = READY_S) -> Said:
    out, err = process.communicate(timeout=within_s)
    return Said(process.returncode, out, err)


def serve(home: Path, *arguments: str, **environment: str) -> Server:
    """Start a server and wait until it is ready."""
    process = spawn(
        "serve", "--home", str(migrated(home)), *FREE_PORTS, *arguments, HEADWATER_SERVER__ADMIN_PORT="0", **environment
    )
    is_ready = until(lambda: process.poll() is not None or any(found.pid == process.pid for found in running(home)))
    if not is_ready or process.poll() is not None:
        process.kill()
        raise AssertionError(f"the server did not start: {finished(process)}")
    ports = next(found.ports for found in running(home) if found.pid == process.pid)
    return Server(home, ports, process, "https" if "HEADWATER_SERVER__TLS_CERT" in environment else "http")


@contextlib.contextmanager
def served(home: Path, *arguments: str, **environment: str) -> Iterator[Server]:
    """A server until the block ends."""
    server = serve(home, *arguments, **environment)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.terminate()
            try:
                finished(server.process)
            except subprocess.TimeoutExpired:
                server.process.kill()
                raise


def children_of(pid: int) -> list[int]:
    """The processes that one has started and that live."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            state, parent = entry.read_text().rpartition(")")[2].split()[:2]
            found += [int(entry.parent.name)] if int(parent) == pid and state != "Z" else []
    return found


def until(condition: Any, *, within_s: float = READY_S, every_s: float = 0.02) -> bool:
    """Wait until something holds; False when it does not in time."""
    ends_at = time.monotonic() + within_s
    while time.monotonic() < ends_at:
        if condition():
            return True
        time.sleep(every_s)
    return False
