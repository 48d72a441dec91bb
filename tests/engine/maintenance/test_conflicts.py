"""What happens to a rewrite when others commit between its plan and its commit."""

from collections.abc import Callable

import pytest
from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.table import Table

from core.errors import Conflict, Unavailable
from engine.lake.history import read_history
from engine.lake.storage import local_path
from engine.maintenance.compaction import _as_it_is_now, _data_files, _plan, commit_group, run_compaction
from engine.maintenance.entries import ManifestReader
from engine.maintenance.evolution import drop_column, rename_column
from engine.maintenance.expiry import expire, plan_expiry
from engine.maintenance.manifests import rewrite_manifests
from engine.maintenance.planning import CompactionOptions
from engine.maintenance.refs import create_ref, roll_back
from engine.maintenance.writing import WriterLimits, write_group
from tests.engine.maintenance.tables import Tables, delete_positions, files_on_disk, live_files, orders, rows

OPTIONS = CompactionOptions(min_input_files=2)
LIMITS = WriterLimits(threads=1)


def interrupted(tables: Tables, event: Callable[[Table], object], *, has_deletes: bool = False) -> tuple[Table, bool]:
    """A rewrite between whose writing and commit another writer commits `event`; and whether it was committed."""
    table = tables.make(files=4)
    if has_deletes:  # then pyiceberg writes the files
        delete_positions(table, min(live_files(table)), [0, 1, 2])
        table = table.refresh()
    with ManifestReader(table.location()) as reader:
        group, left = _as_it_is_now(table, _plan(table, OPTIONS, reader).groups[0], reader)
    sources = _data_files(table, group.files)
    added = write_group(table, group, OPTIONS, folder="compact-run-0", sources=sources, limits=LIMITS)
    event(tables.open())
    try:
        commit_group(table, group, left, sources=sources, added=added, name="run-0")
    except Conflict:
        return tables.open(), False
    return tables.open(), True


def no_orphans(table: Table) -> bool:
    live = {str(local_path(location)) for location in live_files(table)}
    return all(path in live or "compact-" not in path for path in files_on_disk(table))


def test_rows_appended_meanwhile_are_kept(tables: Tables) -> None:
    table, is_committed = interrupted(tables, lambda other: other.append(orders(1_000, 5)))
    assert is_committed
    assert len(rows(table)) == 85
    assert len(live_files(table)) == 2


def test_rows_appended_to_a_table_with_deletes_are_kept(tables: Tables) -> None:
    table, is_committed = interrupted(tables, lambda other: other.append(orders(1_000, 5)), has_deletes=True)
    assert is_committed
    assert len(rows(table)) == 82


def test_a_delete_by_overwrite_ends_the_rewrite_and_nothing_is_left(tables: Tables) -> None:
    table, is_committed = interrupted(tables, lambda other: other.delete("id < 10"))
    assert not is_committed
    assert len(rows(table)) == 70
    assert no_orphans(table)


@pytest.mark.parametrize("followed", [False, True])
def test_deleted_positions_never_come_back(tables: Tables, followed: bool) -> None:
    def event(other: Table) -> None:
        first = min(live_files(other))
        delete_positions(other, first, [0, 1, 2])
        if followed:  # pyiceberg's own check looks from the head on and would miss the delete before it
            other.refresh().append(orders(1_000, 5))

    table, is_committed = interrupted(tables, event)
    assert not is_committed
    assert len(rows(table)) == (82 if followed else 77)
    assert no_orphans(table)


def test_of_two_rewrites_of_the_same_files_one_stands(tables: Tables) -> None:
    table, is_committed = interrupted(
        tables, lambda other: run_compaction(other, OPTIONS, run_id="other", limits=LIMITS)
    )
    assert not is_committed
    assert len(rows(table)) == 80
    assert len(live_files(table)) == 1
    assert no_orphans(table)


def test_a_column_added_meanwhile_does_not_matter(tables: Tables) -> None:
    def event(other: Table) -> None:
        with other.update_schema() as change:
            change.add_column("note", change._schema.find_type("region"))

    table, is_committed = interrupted(tables, event)
    assert is_committed
    assert {row["note"] for row in rows(table)} == {None}
    assert len(rows(table)) == 80


def part(other: Table) -> None:
    with other.update_spec() as change:
        change.add_identity("region")


def append_and_part(other: Table) -> None:
    other.append(orders(1_000, 5))
    part(other.refresh())


def join_manifests(other: Table) -> None:
    other.append(orders(1_000, 5))
    rewrite_manifests(other.refresh())


def expire_older(other: Table) -> None:
    other.append(orders(1_000, 5))
    history = read_history(other.refresh().metadata_location)
    expire(other, plan_expiry(history, retain_last=2, older_than=None))


def go_back(other: Table) -> None:
    other.append(orders(1_000, 5))
    history = read_history(other.refresh().metadata_location)
    roll_back(other, history, history.lineage(history.current_id)[-1].snapshot_id)


HARMLESS: dict[str, tuple[Callable[[Table], object], int]] = {
    "column renamed": (lambda other: rename_column(other, "region", "area"), 80),
    "column dropped": (lambda other: drop_column(other, "region"), 80),
    "partitioned anew": (part, 80),
    "appended and partitioned anew": (append_and_part, 85),
    "manifests joined": (join_manifests, 85),
    "older versions expired": (expire_older, 85),
    "gone back to the base": (go_back, 80),
    "tag made": (lambda other: create_ref(other, "monday", "tag", snapshot_of(other), max_age_days=None), 80),
}


QUICK = ("column renamed", "appended and partitioned anew", "gone back to the base")
EVENTS = [event if event in QUICK else pytest.param(event, marks=pytest.mark.slow) for event in HARMLESS]


@pytest.mark.parametrize("event", EVENTS)
def test_what_leaves_the_files_alone_ends_no_rewrite_and_costs_no_row(tables: Tables, event: str) -> None:
    change, count = HARMLESS[event]
    table, is_committed = interrupted(tables, change)
    assert len(rows(table)) == count
    assert sorted(row["id"] for row in rows(table))[:80] == list(range(80))
    assert is_committed or no_orphans(table)
    run_compaction(tables.open(), OPTIONS, run_id="again", limits=LIMITS)
    assert len(rows(tables.open())) == count
    if event != "column dropped":
        column = "area" if event == "column renamed" else "region"
        found = tables.open().scan(row_filter=f"{column} = 'eu'").to_arrow()
        assert found["id"].to_pylist() and all(int(str(number)) % 3 == 0 for number in found["id"])


def snapshot_of(table: Table) -> int:
    return table.metadata.current_snapshot_id or 0


@pytest.mark.parametrize("then", [pytest.param("dropped", marks=pytest.mark.slow), "renamed"])
def test_a_table_that_is_gone_takes_no_commit(tables: Tables, then: str) -> None:
    def event(other: Table) -> None:
        if then == "dropped":
            other.catalog.drop_table("shop.orders")
        else:
            other.catalog.rename_table("shop.orders", "shop.moved")

    with pytest.raises((NoSuchTableError, Unavailable)):
        interrupted(tables, event)
    if then == "renamed":
        assert len(rows(tables.open("moved"))) == 80


def test_expiry_of_the_base_ends_the_rewrite(tables: Tables) -> None:
    def event(other: Table) -> None:
        other.append(orders(1_000, 5))
        other = other.refresh()
        expire(other, plan_expiry(read_history(other.metadata_location), retain_last=1, older_than=None))

    table, is_committed = interrupted(tables, event)
    assert not is_committed
    assert len(rows(table)) == 85
    assert no_orphans(table)


def test_a_run_on_a_stale_table_gives_up_and_says_so(tables: Tables) -> None:
    table = tables.make(files=4)
    tables.open().delete("id < 10")
    with pytest.raises(Conflict, match="Other writers changed"):
        run_compaction(table, OPTIONS, run_id="run", limits=LIMITS)
    assert len(rows(tables.open())) == 70
    assert no_orphans(tables.open())
