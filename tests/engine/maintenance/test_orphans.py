"""Orphans are what nothing refers to, however paths are spelled."""

import json
import os
import time
from pathlib import Path

import pytest
from pyiceberg.table import Table

from core.errors import Conflict
from engine.lake.history import History, read_history
from engine.lake.metadata import local_path
from engine.maintenance.orphans import DAY_S, find_orphans
from tests.engine.maintenance.tables import Tables, append_files, orders


def orphans(table: Table, older_than_s: float = -1, **options: object) -> list[str]:
    def read() -> tuple[str, History]:
        return table.metadata_location, read_history(table.metadata_location)

    found = find_orphans(table.location(), read, older_than_s=older_than_s, now=time.time(), **options)  # type: ignore[arg-type]
    return sorted(Path(orphan.path).name for orphan in found)


def put(table: Table, name: str, *, age_s: float = 0) -> Path:
    path = local_path(f"{table.location()}/{name}")
    path.write_bytes(b"x")
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_files_of_a_killed_writer_are_orphans_and_nothing_else_is(tables: Tables) -> None:
    table = tables.make(files=2)
    append_files(table, [orders(100, 2)])
    table = tables.open()
    assert orphans(table) == []
    put(table, "data/half.parquet")
    put(table, "metadata/lost.metadata.json")
    assert orphans(table) == ["half.parquet", "lost.metadata.json"]


def test_an_uncommitted_writers_file_is_safe_for_three_days(tables: Tables) -> None:
    table = tables.make(files=1)
    put(table, "data/under-way.parquet", age_s=2.9 * DAY_S)
    put(table, "data/forgotten.parquet", age_s=3.1 * DAY_S)
    assert orphans(table, 3 * DAY_S) == ["forgotten.parquet"]


@pytest.mark.parametrize("spelling", ["file://{}", "file:{}", "{}"])
def test_a_path_is_the_same_however_it_is_spelled(tables: Tables, spelling: str) -> None:
    table = tables.make(files=2)
    raw = json.loads(local_path(table.metadata_location).read_text())
    for snapshot in raw["snapshots"]:
        snapshot["manifest-list"] = spelling.format(local_path(snapshot["manifest-list"]))
    raw["location"] = spelling.format(local_path(raw["location"]))
    local_path(table.metadata_location).write_text(json.dumps(raw))
    assert orphans(table) == []


def test_statistics_files_are_no_orphans(tables: Tables) -> None:
    table = tables.make(files=1)
    path = put(table, "metadata/stats.puffin")
    assert orphans(table) == ["stats.puffin"]
    raw = json.loads(local_path(table.metadata_location).read_text())
    raw["statistics"] = [{"snapshot-id": 1, "statistics-path": f"file:{path}"}]
    local_path(table.metadata_location).write_text(json.dumps(raw))
    assert orphans(table) == []


def test_a_commit_that_comes_while_files_are_listed_makes_none_an_orphan(tables: Tables) -> None:
    table = tables.make(files=1)

    def read() -> tuple[str, History]:
        append_files(tables.open(), [orders(100, 2)])
        location = tables.open().metadata_location
        return location, read_history(location)

    assert find_orphans(table.location(), read, older_than_s=-1, now=time.time()) == []


def test_where_another_table_lies_in_the_folder_none_can_be_told(tables: Tables) -> None:
    table = tables.make(files=1)
    put(table, "data/half.parquet")
    for neighbour in (table.location(), f"{table.location()}/data/inner", str(local_path(table.location()).parent)):
        with pytest.raises(Conflict, match="same folder"):
            orphans(table, neighbours=[neighbour])
    assert orphans(table, neighbours=[f"{table.location()}_2"]) == ["half.parquet"]


def test_files_outside_the_folder_make_it_unsafe(tables: Tables) -> None:
    table, other = tables.make(files=1), tables.make("other", files=1)
    table.add_files([next(iter(other.scan().plan_files())).file.file_path])
    table = tables.open()
    put(table, "data/half.parquet")
    with pytest.raises(Conflict, match="outside its own folder"):
        orphans(table)
