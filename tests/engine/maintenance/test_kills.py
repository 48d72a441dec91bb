"""A compaction that is killed loses no row and doubles none, and the same run ends what it began."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.table import Table

from engine.lake.history import History, read_history
from engine.lake.metadata import local_path
from engine.lake.warehouse import Lake
from engine.maintenance.compaction import run_compaction
from engine.maintenance.orphans import Orphan, find_orphans
from engine.maintenance.planning import CompactionOptions
from engine.maintenance.writing import WriterLimits
from tests.engine.maintenance.killed import POINTS
from tests.engine.maintenance.tables import Tables, files_on_disk, live_files, rows


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tables]:
    """One table for each point, whose compaction was killed there."""
    folder = tmp_path_factory.mktemp("killed") / "warehouse"
    tables = Tables(Lake(folder))
    tables.lake.create_namespace("default", "shop")
    for point in POINTS:
        tables.make(point, files=4, rows=5)
    command = [sys.executable, "-W", "ignore", "-m", "tests.engine.maintenance.killed", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    yield tables
    tables.lake.close()


def orphans_of(tables: Tables, name: str) -> list[Orphan]:
    def read() -> tuple[str, History]:
        location = tables.open(name).metadata_location
        return location, read_history(location)

    return find_orphans(tables.open(name).location(), read, older_than_s=-1, now=time.time())


def resumed(table: Table) -> int:
    options = CompactionOptions(min_input_files=2)
    return run_compaction(table, options, run_id="job", limits=WriterLimits(threads=1)).rewritten_files


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_run_killed_at_any_point_is_taken_up_again(killed: Tables, point: str) -> None:
    table = killed.open(point)
    assert [row["id"] for row in sorted(rows(table), key=lambda row: int(row["id"]))] == list(range(20))
    assert resumed(table) == (0 if point == "committed" else 4)
    table = killed.open(point)
    assert len(rows(table)) == 20
    assert len(live_files(table)) == 1
    written = {path for path in files_on_disk(table) if "compact-" in path}
    assert {f"file://{path}" for path in written} | written >= live_files(table)
    assert len(written) == 1
    left = orphans_of(killed, point)
    assert {Path(orphan.path).suffix for orphan in left} <= {".avro", ".json"}
    for orphan in left:
        Path(orphan.path).unlink()
    assert len(rows(killed.open(point))) == 20
    assert local_path(killed.open(point).metadata_location).exists()
