"""Serving with several processes, in the background, and reloading."""

import os
import signal
import sys
from pathlib import Path
from subprocess import Popen
from threading import Event

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from headwater.running import running
from tests.fixtures_store import migrated
from tests.headwater.processes import FREE_PORTS, Server, finished, headwater, served, spawn, until

OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
SERVE = [sys.executable, "-m", "headwater", "serve", *FREE_PORTS]
RELOAD = """
import sys
from pathlib import Path
from headwater.workers import reload_on_change
reload_on_change(sys.argv[2:], [Path(sys.argv[1])])
"""


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_alive(pid: int) -> bool:
    """Neither gone nor a corpse that nobody has collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _listener_count(port: int) -> int:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)


def _answers(server: Server) -> bool:
    """Whether fresh connections to REST and gRPC are answered, as often as it takes to meet every process."""
    for _ in range(8):
        assert httpx.get(f"{server.url}/health", trust_env=False, timeout=20).status_code == 200
        with grpc.insecure_channel(
            f"127.0.0.1:{server.ports.grpc}", [("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            found = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)
            assert found.status == health_pb2.HealthCheckResponse.SERVING
    return True


def test_workers_share_the_ports_and_one_that_dies_is_replaced(tmp_path: Path, shop: Path) -> None:
    with served(tmp_path, "--workers", "2", "--data", str(shop)) as server:
        parent = server.process.pid
        assert [found.pid for found in running(tmp_path)] == [parent]
        assert until(lambda: _listener_count(server.ports.rest) == 2)
        assert _answers(server)
        before = _children(parent)
        os.kill(before[0], signal.SIGKILL)
        assert until(lambda: len(_children(parent)) == 2 and before[0] not in _children(parent))
        assert _answers(server)
        assert server.call("get_connection", connection_id="data")["version"] > 0
        children = _children(parent)
        said = server.stop()
    assert said.code == 0
    assert said.err.count("Headwater is ready") == 1
    assert not any(_is_alive(child) for child in children)


def test_a_worker_ends_with_the_pipe_of_its_parent(tmp_path: Path) -> None:
    ready = Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: ready.set())
    try:
        child = ["--child-of", str(os.getpid()), *FREE_PORTS]
        worker = spawn("serve", "--home", str(migrated(tmp_path)), *child, HEADWATER_SERVER__ADMIN_PORT="0")
        assert until(ready.is_set)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert worker.poll() is None
    assert finished(worker).code == 0  # which closes the pipe, as the system does for a parent that was killed


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    with served(tmp_path, "--workers", "2") as server:
        children = _children(server.process.pid)
        server.process.kill()
        finished(server.process)  # when its output ends, its children are gone too
        assert until(lambda: not any(_is_alive(child) for child in children))
        assert running(tmp_path) == []


def test_a_worker_that_cannot_start_ends_the_server(tmp_path: Path) -> None:
    headwater("token", "--home", str(tmp_path))
    (tmp_path / "keys" / "root.key").write_bytes(b"x" * 32)
    process = Popen([*SERVE, "--home", str(tmp_path), "--workers", "2"])
    assert process.wait(30) == 8


def test_a_daemon_runs_until_it_is_stopped(tmp_path: Path) -> None:
    serve = [*SERVE, "--home", str(tmp_path), "--daemon"]
    started = finished(_said(serve))
    assert started.code == 0
    found = running(tmp_path)[0]
    assert f"process {found.pid}, REST on port {found.ports.rest}" in started.out
    try:
        assert httpx.get(f"http://127.0.0.1:{found.ports.rest}/health", trust_env=False).status_code == 200
        again = finished(_said(serve))
        assert again.code == 6
        assert "A server runs on this home already" in again.err
    finally:
        stopped = headwater("stop", "--home", str(tmp_path))
    assert f"Stopped: process {found.pid}" in stopped.out
    assert until(lambda: not _is_alive(found.pid))


def test_a_daemon_that_does_not_start_says_why(tmp_path: Path) -> None:
    headwater("token", "--home", str(tmp_path))
    (tmp_path / "keys" / "root.key").write_bytes(b"x" * 32)
    said = finished(_said([*SERVE, "--home", str(tmp_path), "--daemon"]))
    assert said.code == 8
    assert "The root key of this home does not open its store." in said.err


def test_a_changed_source_starts_the_command_again(tmp_path: Path) -> None:
    process = _said([sys.executable, "-c", RELOAD, str(tmp_path), "--help"])
    assert process.stdout is not None and process.stderr is not None
    try:
        assert any("Usage: headwater serve" in line for line in process.stdout)
        (tmp_path / "changed.py").write_text("")
        assert process.stderr.readline() == "source changed: starting again\n"
        assert any("Usage: headwater serve" in line for line in process.stdout)
    finally:
        process.send_signal(signal.SIGTERM)
        finished(process)


@pytest.mark.slow
def test_a_changed_source_starts_the_server_again(tmp_path: Path) -> None:
    sources, home = tmp_path / "sources", tmp_path / "a home"
    sources.mkdir()
    process = _said([sys.executable, "-c", RELOAD, str(sources), "--home", str(home), *FREE_PORTS])
    try:
        assert until(lambda: running(home))
        first = running(home)[0].pid
        (sources / "changed.py").write_text("")
        assert until(lambda: running(home) and running(home)[0].pid != first)
    finally:
        process.send_signal(signal.SIGTERM)
        said = finished(process)
    assert "source changed: starting again" in said.err
    assert until(lambda: not running(home))


def test_reload_and_daemon_exclude_one_another(tmp_path: Path) -> None:
    assert headwater("serve", "--home", str(tmp_path), "--reload", "--daemon").code == 2


def _said(command: list[str]) -> "Popen[str]":
    return Popen(command, stdout=-1, stderr=-1, text=True, env={**os.environ, "HEADWATER_SERVER__ADMIN_PORT": "0"})
