"""The same import in the hands of two processes: its rows come once, and every file of the table is there."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.schema import Schema

from engine.lake.metadata import local_path
from engine.lake.warehouse import TABLE_DEFAULTS, Lake

ROWS = 2000


class Workers:
    """Processes on one home."""

    def __init__(self, home: Path):
        self._home = home
        (home / "file.csv").write_bytes(b"id,name\n" + b"".join(b"%d,x\n" % number for number in range(ROWS)))
        self.lake = Lake(home / "lake")
        self.lake.create_namespace("acme", "t")
        self.lake.commit_now(
            "acme", lambda catalog: catalog.create_table(("t", "t"), Schema(), properties=TABLE_DEFAULTS)
        )

    async def start(self, attempt: str, ending: str = "ends") -> asyncio.subprocess.Process:
        """A worker that stands before its commit."""
        arguments = ["-m", "tests.engine.transfer.importer", str(self._home), attempt, ending]
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
        async with asyncio.timeout(30):
            while not (self._home / f"{attempt}.ready").exists():
                await asyncio.sleep(0.01)
        return process

    async def end(self, attempt: str, process: asyncio.subprocess.Process) -> tuple[int | None, bytes]:
        (self._home / f"{attempt}.go").touch()
        out, _ = await asyncio.wait_for(process.communicate(), 30)
        return process.returncode, out

    def check(self) -> None:
        table: Any = self.lake.commit_now("acme", lambda catalog: catalog.load_table(("t", "t")))
        assert table.scan().to_arrow().num_rows == ROWS and len(table.metadata.snapshots) == 1
        live = {local_path(task.file.file_path) for task in table.scan().plan_files()}
        assert set(local_path(f"{table.location()}/data").rglob("*.parquet")) == live
        self.lake.close()


@pytest.fixture
def workers(tmp_path: Path) -> Workers:
    return Workers(tmp_path)


async def test_two_workers_that_commit_at_once_import_once(workers: Workers) -> None:
    first, second = await asyncio.gather(workers.start("a"), workers.start("b"))
    ends = await asyncio.gather(workers.end("a", first), workers.end("b", second))
    assert [code for code, _ in ends] == [0, 0] and sorted(out for _, out in ends) == [b"", b"UNAVAILABLE"]
    workers.check()


@pytest.mark.slow
async def test_a_worker_that_lost_its_job_and_lives_on_loses_no_rows(workers: Workers) -> None:
    old = await workers.start("old")
    new = await workers.start("new")  # it began while the old one's files lay there
    assert await workers.end("old", old) == (0, b"")
    assert await workers.end("new", new) == (0, b"UNAVAILABLE")
    workers.check()


@pytest.mark.slow
async def test_a_worker_killed_after_its_commit_is_not_repeated(workers: Workers) -> None:
    left = await workers.start("left")
    dead = await workers.start("dead", "dies")
    assert (await workers.end("dead", dead))[0] == -9
    assert await workers.end("left", left) == (0, b"UNAVAILABLE")
    workers.check()
