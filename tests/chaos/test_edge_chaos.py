"""The data plane at its limits: out of memory, and by itself behind mutual TLS."""

import asyncio
import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from core.errors import Conflict, PlatformError, Unavailable
from engine.connectors.failures import failure
from headwater.edge import wire
from headwater.edge.plane import SLOTS, SLOTS_OF_ONE_TENANT
from tests.headwater.edge_world import ENDLESS, rows, world
from tests.headwater.processes import environment_of, until

TOKEN = "t" * 43
SLOW = pytest.mark.slow


@SLOW
async def test_out_of_memory_ends_at_most_the_data_plane(tmp_path: Path) -> None:
    async with world(tmp_path, edge={"memory_mb": 512}) as here:
        await here.rows("SELECT 1 AS one")
        for sql in (
            "SELECT count(DISTINCT repeat('x', 1000) || i) AS n FROM range(30000000) t(i)",
            "SELECT list(repeat('x', 100000) || i) AS l FROM range(100000) t(i)",
            "SELECT length(repeat('x', 2000000000) || repeat('y', 2000000000)) AS n",
        ):
            with contextlib.suppress(PlatformError):
                await here.rows(sql, timeout_s=20)
            started = time.monotonic()
            assert await here.rows("SELECT 1 AS one") == [{"one": 1}]
            assert time.monotonic() - started < 5
        assert _peak_mb(here.pid) < 512 + 1024 + 300


async def test_without_temporary_disk_a_query_fails_and_says_so_and_the_next_one_runs(tmp_path: Path) -> None:
    sorted_on_disk = "SELECT max(h) AS h FROM (SELECT md5(i::VARCHAR) AS h FROM range({}) t(i) ORDER BY h LIMIT 900000)"
    async with world(tmp_path, query={"memory_mb": 64}) as here:
        await here.rows("SELECT 1 AS one")
        limit = resource.prlimit(here.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(here.pid, resource.RLIMIT_FSIZE, (2**20, limit[1]))
        with pytest.raises(Conflict, match="more temporary disk"):
            await here.rows(sorted_on_disk.format(1_000_000))
        assert await here.rows("SELECT 1 AS one") == [{"one": 1}]
        left = [path.stat().st_size for path in (here.settings.home / "tmp").rglob("*.tmp")]
        assert sum(left) <= 2**20
        first = here.pid
        os.kill(first, signal.SIGKILL)
        while here.pid == first:
            await asyncio.sleep(0.02)
        assert [path for path in (here.settings.home / "tmp").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("said", "code", "message"),
    [
        ('IO Error: Could not write file "/x": No space left on device', "UNAVAILABLE", "disk space"),
        ('IO Error: Could not write file "/x": File too large', "CONFLICT", "temporary disk"),
        (
            "Out of Memory Error: failed to offload data block of size 256.0 KiB (3.9 GiB/4.0 GiB used).",
            "CONFLICT",
            "temporary disk",
        ),
    ],
)
def test_a_full_disk_is_told_from_too_little_memory(said: str, code: str, message: str) -> None:
    error = failure(said)
    assert error.code == code
    assert message in error.message


async def test_a_tenant_that_floods_a_data_plane_does_not_keep_another_out(tmp_path: Path) -> None:
    async with world(tmp_path, query={"threads": 1}) as here:
        flooding, calm = await here.connect(tenant="flood"), await here.connect(tenant="calm")
        flood = [asyncio.create_task(rows(flooding, ENDLESS, timeout_s=20)) for _ in range(SLOTS + 4)]
        link = await here.edges.link("files")
        while (state := wire.unpack(await link.ask(wire.PING, {})))["waiting"] == 0:
            await asyncio.sleep(0.02)
        assert state["running"] == SLOTS_OF_ONE_TENANT
        for number in range(3):
            assert await rows(calm, f"SELECT {number} AS n", timeout_s=10) == [{"n": number}]
        assert not any(task.done() for task in flood)
        for task in flood:
            task.cancel()
        await asyncio.wait(flood)


def _peak_mb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


@SLOW
async def test_it_comes_back_each_time_it_is_aborted(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        for _ in range(3):
            await here.rows("SELECT 1 AS one")
            pid, running = here.pid, asyncio.create_task(here.rows(ENDLESS))
            await asyncio.sleep(0.3)
            os.kill(pid, signal.SIGABRT)
            with pytest.raises(Unavailable):
                await running
            started = time.monotonic()
            assert await here.rows("SELECT 1 AS one") == [{"one": 1}]
            assert time.monotonic() - started < 4


async def test_a_sqlite_file_in_wal_mode_is_read_where_nothing_may_be_written(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        path = here.data / "shop.sqlite"
        with contextlib.closing(sqlite3.connect(path)) as writer:
            writer.execute("PRAGMA journal_mode=WAL")
            writer.execute("UPDATE t SET answer = 44")
            writer.commit()
            assert await here.rows("SELECT answer FROM t", "sqlite") == [{"answer": 44}]
        assert not path.with_name("shop.sqlite-wal").exists()
        assert await here.rows("SELECT answer FROM t", "sqlite") == [{"answer": 44}]


def _issue(folder: Path, name: str, signer: tuple[x509.Name, Any] | None) -> tuple[x509.Name, Any]:
    """A certificate for 127.0.0.1, signed by `signer` or by itself, and its key, in `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    issuer, signing = signer or (subject, key)
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
    builder = builder.not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    names = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    built = builder.add_extension(names, critical=False).sign(signing, hashes.SHA256())
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file = "ca.pem" if signer is None else "cert.pem"
    (folder / file).write_bytes(built.public_bytes(encoding))
    if signer is not None:
        (folder / "key.pem").write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    return subject, key


def _credentials(folder: Path) -> Path:
    folder.mkdir()
    (folder / "token").write_text(TOKEN)
    _issue(folder, "edge", _issue(folder, "authority", None))
    return folder


@contextlib.contextmanager
def _standing(home: Path, data: Path, credentials: Path) -> Iterator[str]:
    """A data plane by itself; yields its address."""
    environment = environment_of(HEADWATER_EDGE__CREDENTIALS=str(credentials), HEADWATER_QUERY__ALLOWED_ROOTS=str(data))
    command = [sys.executable, "-m", "headwater", "edge", "--home", str(home), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert line.startswith("edge ready: 127.0.0.1:"), line
        yield line.split()[2].rstrip(";")
    finally:
        process.terminate()
        assert until(lambda: process.poll() is not None)
        process.stderr.close()  # type: ignore[union-attr]


@SLOW
async def test_by_itself_it_answers_only_clients_of_its_authority(tmp_path: Path) -> None:
    mine, other = _credentials(tmp_path / "mine"), _credentials(tmp_path / "other")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    data = tmp_path / "a" / "data"
    data.mkdir()  # what is not there when it starts, it does not see
    with _standing(tmp_path / "far", data, mine) as address:
        async with world(tmp_path / "a", edge={"url": address, "credentials": str(mine)}) as here:
            assert await rows(await here.connect("duckdb"), "SELECT answer FROM source.main.t") == [{"answer": 42}]
        async with world(tmp_path / "b", edge={"url": address, "credentials": str(other)}) as stranger:
            with pytest.raises(Unavailable):
                await rows(await stranger.connect("duckdb"), "SELECT 1")


async def test_over_a_network_it_is_never_reached_in_plain_text(tmp_path: Path) -> None:
    folder = tmp_path / "token alone"
    folder.mkdir()
    (folder / "token").write_text(TOKEN)
    async with world(tmp_path, edge={"url": "192.0.2.1:7777", "credentials": str(folder)}) as here:
        with pytest.raises(Unavailable, match="plain text"):
            await here.rows("SELECT 1")
