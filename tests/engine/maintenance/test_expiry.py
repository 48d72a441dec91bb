"""Expiry takes what nobody needs, and nothing else."""

import time

import pytest
from pyiceberg.table import Table

from core.errors import Conflict
from engine.lake.history import read_history
from engine.lake.metadata import local_path
from engine.maintenance.compaction import run_compaction
from engine.maintenance.expiry import ExpiryPlan, expire, files_of_expired, plan_expiry
from engine.maintenance.planning import CompactionOptions
from engine.maintenance.refs import create_ref, delete_ref
from engine.maintenance.table_jobs import _would_go
from engine.maintenance.writing import WriterLimits
from tests.engine.maintenance.tables import Tables, append_files, files_on_disk, live_files, orders, rows


def plan(table: Table, retain_last: int = 1, older_than: float | None = None) -> ExpiryPlan:
    return plan_expiry(read_history(table.metadata_location), retain_last=retain_last, older_than=older_than)


def expired(tables: Tables, retain_last: int = 1) -> int:
    """Expire and delete; how many files went."""
    planned = plan(tables.open(), retain_last)
    foreseen, _ = _would_go(read_history(tables.open().metadata_location), planned)
    expire(tables.open(), planned)
    paths = files_of_expired(read_history(tables.open().metadata_location), planned.manifest_lists)
    assert len(paths) == foreseen
    for path in paths:
        local_path(path).unlink()
    return len(paths)


def grown(tables: Tables, appends: int) -> Table:
    table = tables.make(files=1, rows=5)
    for number in range(1, appends):
        append_files(table.refresh(), [orders(number * 5, 5)])
    return table.refresh()


def test_the_last_of_every_branch_and_what_tags_name_stay(tables: Tables) -> None:
    table = grown(tables, 6)
    first, second = [entry.snapshot_id for entry in table.snapshots()][:2]
    create_ref(table, "monday", "tag", first, max_age_days=None)
    create_ref(table.refresh(), "dev", "branch", second, max_age_days=None)
    table.refresh().append(orders(900, 3), branch="dev")
    expired(tables, 2)
    table = tables.open()
    assert len(table.snapshots()) == 5  # two of main, two of dev, the tag's
    counts = {name: len(table.scan(snapshot_id=ref.snapshot_id).to_arrow()) for name, ref in table.refs().items()}
    assert counts == {"main": 30, "monday": 5, "dev": 13}


def test_young_snapshots_and_the_current_one_stay(tables: Tables) -> None:
    table = grown(tables, 3)
    assert plan(table, 1, time.time() - 3600).snapshot_ids == ()
    assert len(plan(table, 1, time.time() + 1).snapshot_ids) == 2
    assert plan(table, 9).snapshot_ids == ()
    assert plan(tables.make("empty", files=0)).snapshot_ids == ()


def test_a_branchs_own_settings_keep_more(tables: Tables) -> None:
    table = grown(tables, 5)
    with table.manage_snapshots() as change:
        change.create_branch(table.metadata.current_snapshot_id or 0, "kept", min_snapshots_to_keep=4)
    assert len(plan(table.refresh()).snapshot_ids) == 1


def test_files_of_a_rewrite_go_and_rows_stay(tables: Tables) -> None:
    table = tables.make(files=5, rows=5)
    run_compaction(table, CompactionOptions(min_input_files=2), run_id="run", limits=WriterLimits(threads=1))
    assert expired(tables) == 7  # five data files, their manifest, the list
    assert len(files_on_disk(tables.open())) == 1
    assert len(rows(tables.open())) == 25


def test_files_that_another_snapshot_uses_stay(tables: Tables) -> None:
    grown(tables, 4)
    expired(tables)
    assert len(files_on_disk(tables.open())) == len(live_files(tables.open())) == 4
    assert len(rows(tables.open())) == 20


def test_a_tag_made_meanwhile_ends_the_expiry(tables: Tables) -> None:
    table = grown(tables, 3)
    planned = plan(table)
    create_ref(tables.open(), "late", "tag", planned.snapshot_ids[0], max_age_days=None)
    with pytest.raises(Conflict, match="meanwhile"):
        expire(table, planned)
    assert len(tables.open().snapshots()) == 3


def test_an_append_meanwhile_stays(tables: Tables) -> None:
    table = grown(tables, 3)
    planned = plan(table)
    tables.open().append(orders(100, 2))
    try:
        expire(table, planned)
    except Conflict:
        expire(tables.open(), plan(tables.open()))
    assert len(rows(tables.open())) == 17


def test_a_list_that_is_still_used_is_never_deleted(tables: Tables) -> None:
    table = grown(tables, 3)
    every = [entry.manifest_list for entry in read_history(table.metadata_location).snapshots.values()]
    assert files_of_expired(read_history(table.metadata_location), every) == []


def test_what_a_deleted_tag_named_goes_with_the_next_expiry(tables: Tables) -> None:
    table = grown(tables, 2)
    create_ref(table, "monday", "tag", table.snapshots()[0].snapshot_id, max_age_days=None)
    assert plan(tables.open()).snapshot_ids == ()
    delete_ref(tables.open(), "monday")
    assert len(plan(tables.open()).snapshot_ids) == 1
