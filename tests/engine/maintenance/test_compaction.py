"""Compaction keeps every row, whatever a table has gone through."""

import datetime as dt
import decimal
import random
import time
import uuid
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.manifest import ManifestContent
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import BucketTransform, MonthTransform
from pyiceberg.types import DecimalType, LongType, NestedField, StringType, UUIDType

from core.errors import Conflict
from engine.lake.history import read_history
from engine.lake.warehouse import TABLE_DEFAULTS
from engine.maintenance.compaction import make_plan, run_compaction
from engine.maintenance.evolution import alter_column, rename_column
from engine.maintenance.health import measure
from engine.maintenance.planning import CompactionOptions
from engine.maintenance.writing import WriterLimits
from tests.engine.maintenance.tables import (
    Tables,
    append_files,
    delete_equal,
    delete_positions,
    files_on_disk,
    live_files,
    orders,
    rows,
)

OPTIONS = CompactionOptions(min_input_files=2)
LIMITS = WriterLimits(threads=1)


def compact(table: Table, options: CompactionOptions = OPTIONS, run_id: str = "run") -> Table:
    run_compaction(table, options, run_id=run_id, limits=LIMITS)
    return table.refresh()


def test_many_small_files_become_one_with_the_same_rows(tables: Tables) -> None:
    table = tables.make(files=5)
    before = rows(table)
    assert make_plan(table, OPTIONS).expected_files == 1
    table = compact(table)
    assert rows(table) == before
    assert len(live_files(table)) == 1
    assert make_plan(table, OPTIONS).groups == ()


def test_columns_are_read_by_id_through_renames_additions_drops_and_widening(tables: Tables) -> None:
    table = tables.make(files=3)
    rename_column(table, "region", "area")
    with table.update_schema() as change:
        change.add_column("region", StringType(), doc="another one")
    table = table.refresh()
    table.append(pa.table({"id": [900], "area": ["x"], "amount": [1.0], "region": ["new"]}))
    with table.update_schema() as change:
        change.delete_column("amount")
    alter_column(table.refresh(), "area", comment="Where.")
    before = rows(table)
    assert rows(compact(table)) == before


def test_widened_numbers_keep_their_values(tables: Tables) -> None:
    kinds: dict[str, pa.DataType] = {"n": pa.int32(), "f": pa.float32(), "d": pa.decimal128(5, 2)}
    schema = pa.schema(kinds)
    table = make(tables, schema)
    table.append(pa.table([[1, None], [1.5, None], [decimal.Decimal("1.25"), None]], schema=schema))
    for name, kind in (("n", "bigint"), ("f", "double"), ("d", "decimal(12, 2)")):
        alter_column(table.refresh(), name, kind=kind)
    table = table.refresh()
    table.append(pa.table([[2**40], [2.5], [decimal.Decimal("123456.75")]], schema=table.schema().as_arrow()))
    before = rows(table)
    assert rows(compact(table)) == before


def test_nested_values_and_every_plain_type_survive(tables: Tables) -> None:
    now = dt.datetime(2026, 1, 2, 3, 4, 5, 678901)
    values = {
        "b": [True, None],
        "t": [dt.time(1, 2, 3, 4), None],
        "ts": [now, None],
        "tz": [now.replace(tzinfo=dt.UTC), None],
        "bin": [b"\x00\xff", None],
        "l": [[1, None, 3], []],
        "s": [{"x": 1, "y": None}, None],
        "m": [[("k", 1)], None],
    }
    kinds: dict[str, pa.DataType] = {
        "b": pa.bool_(),
        "t": pa.time64("us"),
        "ts": pa.timestamp("us"),
        "tz": pa.timestamp("us", "UTC"),
        "bin": pa.binary(),
        "l": pa.list_(pa.int32()),
        "s": pa.struct([pa.field("x", pa.int64()), pa.field("y", pa.string())]),
        "m": pa.map_(pa.string(), pa.int64()),
    }
    schema = pa.schema(kinds)
    table = make(tables, schema)
    for _ in range(3):
        table.append(pa.table(values, schema=schema))
    before = rows(table)
    assert rows(compact(table)) == before
    assert len(live_files(table)) == 1


def test_deleted_positions_are_gone_for_good_and_so_is_the_delete_file(tables: Tables) -> None:
    table = tables.make(files=3)
    delete_positions(table, sorted(live_files(table))[1], [0, 5, 19])
    table = table.refresh()
    before = rows(table)
    assert len(before) == 57
    table = compact(table)
    assert rows(table) == before
    snapshot = table.current_snapshot()
    assert snapshot is not None
    assert {manifest.content for manifest in snapshot.manifests(table.io)} == {ManifestContent.DATA}


def test_a_table_all_of_whose_rows_were_deleted_becomes_empty(tables: Tables) -> None:
    table = tables.make(files=2, rows=3)
    for path in sorted(live_files(table)):
        delete_positions(table.refresh(), path, [0, 1, 2])
    table = compact(table.refresh())
    assert (rows(table), live_files(table)) == ([], set())


def test_deletes_of_one_partition_leave_the_others_alone(tables: Tables) -> None:
    table = tables.make(files=0)
    with table.update_spec() as change:
        change.add_identity("region")
    table.append(orders(0, 30))
    task = next(iter(table.scan(row_filter="region = 'eu'").plan_files()))
    delete_positions(table.refresh(), task.file.file_path, [0, 1], partition=task.file.partition)
    before = rows(table.refresh())
    assert len(before) == 28
    plan = make_plan(table.refresh(), OPTIONS)
    assert [(len(group.files), len(group.deletes)) for group in plan.groups] == [(1, 1)]
    table = compact(table.refresh())
    assert rows(table) == before
    assert table.scan().to_arrow().num_rows == 28


def test_tables_with_equality_deletes_are_refused(tables: Tables) -> None:
    table = tables.make(files=3)
    delete_equal(table, 1, [5])
    with pytest.raises(Conflict, match="equality deletes"):
        run_compaction(table.refresh(), OPTIONS, run_id="run", limits=LIMITS)
    assert measure(read_history(table.refresh().metadata_location), small_file_mb=1).equality_delete_file_count == 1


def test_columns_inside_structs_are_read_by_id_too(tables: Tables) -> None:
    inner: list[pa.Field[Any]] = [pa.field("x", pa.int32()), pa.field("y", pa.string())]
    schema = pa.schema(
        [pa.field("id", pa.int64()), pa.field("s", pa.struct(inner)), pa.field("l", pa.list_(pa.int32()))]
    )
    table = make(tables, schema)
    table.append(pa.table({"id": [1, 2], "s": [{"x": 1, "y": "a"}, None], "l": [[1], []]}, schema=schema))
    with table.update_schema() as change:
        change.rename_column(("s", "y"), "name")
        change.add_column(("s", "z"), StringType())
        change.update_column(("s", "x"), LongType())
    table = table.refresh()
    rest: dict[str, Any] = {"id": [3], "s": [{"x": 2**40, "name": "b", "z": "c"}], "l": [[7]]}
    table.append(pa.table(rest, schema=table.schema().as_arrow()))
    before = rows(table)
    table = compact(table)
    assert rows(table) == before
    assert len(live_files(table)) == 1


@pytest.mark.slow
def test_uuids_and_large_decimals_survive(tables: Tables) -> None:
    schema = Schema(NestedField(1, "u", UUIDType()), NestedField(2, "d", DecimalType(38, 10)))
    table = make(tables, schema)
    kinds = {"u": pa.uuid(), "d": pa.decimal128(38, 10)}
    values = pa.table({"u": [uuid.UUID(int=7).bytes, None], "d": [decimal.Decimal("1234567890123456789.5"), None]})
    for _ in range(2):
        table.append(values.cast(pa.schema(kinds)))
    before = rows(table)
    assert rows(compact(table)) == before


def test_partitions_stay_apart(tables: Tables) -> None:
    table = tables.make(files=0)
    with table.update_spec() as change:
        change.add_identity("region")
    for number in range(4):
        table.append(orders(number * 30, 30))
    before = rows(table)
    table = compact(table)
    assert rows(table) == before
    assert len(live_files(table)) == 3
    assert len(table.scan(row_filter="region = 'eu'").to_arrow()) == 40


def test_files_of_an_old_spec_are_partitioned_anew(tables: Tables) -> None:
    table = tables.make(files=4)
    with table.update_spec() as change:
        change.add_identity("region")
    table.append(orders(500, 30))
    before = rows(table)
    table = compact(table)
    assert rows(table) == before
    assert {task.file.spec_id for task in table.scan().plan_files()} == {table.spec().spec_id}


@pytest.mark.slow
def test_transformed_partitions_are_kept(tables: Tables) -> None:
    kinds: dict[str, pa.DataType] = {"day": pa.date32(), "key": pa.string()}
    schema = pa.schema(kinds)
    table = make(tables, schema)
    with table.update_spec() as change:
        change.add_field("day", MonthTransform())
        change.add_field("key", BucketTransform(2))
    days = [dt.date(2026, 1 + number % 2, 5) for number in range(12)]
    for _ in range(3):
        table.append(pa.table([days, [str(uuid.UUID(int=n)) for n in range(12)]], schema=schema))
    before, parts = rows(table), {str(task.file.partition) for task in table.scan().plan_files()}
    table = compact(table)
    assert rows(table) == before
    assert {str(task.file.partition) for task in table.scan().plan_files()} == parts


@pytest.mark.parametrize("strategy", ["sort", pytest.param("zorder", marks=pytest.mark.slow)])
def test_sorting_keeps_the_rows_and_orders_them(tables: Tables, strategy: str) -> None:
    table = tables.make(files=5)
    before = rows(table)
    options = CompactionOptions(strategy=strategy, order_by=("region", "id"))  # type: ignore[arg-type]
    table = compact(table, options)
    assert rows(table) == before
    if strategy == "sort":
        regions = table.scan().to_arrow()["region"].to_pylist()
        assert regions == sorted(regions, key=lambda region: (region is None, region))


def test_only_files_that_the_condition_may_touch_are_rewritten(tables: Tables) -> None:
    table = tables.make(files=5)
    plan = make_plan(table, CompactionOptions(min_input_files=2, where="id < 60"))
    assert plan.rewritten_files == 3


def test_a_condition_that_is_none_is_refused(tables: Tables) -> None:
    table = tables.make(files=2)
    for where in ("nonsense", "nope = 3", "(" * 500):
        with pytest.raises(Conflict, match="`where`"):
            make_plan(table, CompactionOptions(where=where))


@pytest.mark.slow
def test_large_files_are_split(tables: Tables) -> None:
    table = tables.make(files=0)
    draw = random.Random(1)
    noise = [draw.random() for _ in range(500_000)]
    table.append(orders(0, 500_000).set_column(2, "amount", pa.array(noise)))
    options = CompactionOptions(target_mb=1, min_input_files=2)
    before = table.scan().count()
    table = compact(table, options)
    assert table.scan().count() == before
    assert len(live_files(table)) > 1


def test_a_killed_run_leaves_nothing_once_it_is_taken_up_again(tables: Tables) -> None:
    table = tables.make(files=5)
    folder = f"{table.location()}/data/compact-run-0"
    table.io.new_output(f"{folder}/left-over.parquet").create().write(b"half a file")
    table = compact(table)
    assert not [path for path in files_on_disk(table) if path.endswith("left-over.parquet")]


@pytest.mark.parametrize("has_deletes", [False, True])
def test_a_run_cancelled_in_the_middle_of_a_group_leaves_nothing(tables: Tables, has_deletes: bool) -> None:
    table = tables.make(files=4)
    if has_deletes:  # then pyiceberg writes
        delete_positions(table, min(live_files(table)), [0])
        table = table.refresh()
    before, location = files_on_disk(table), table.metadata_location
    asked: list[bool] = []

    def is_cancelled() -> bool:
        asked.append(len(asked) > 0)  # no before the group, yes ever after
        return asked[-1]

    done = run_compaction(table, OPTIONS, run_id="run", limits=LIMITS, is_cancelled=is_cancelled)
    assert (done.groups, done.conflicts) == (0, 0)
    assert files_on_disk(tables.open()) == before
    assert tables.open().metadata_location == location


@pytest.mark.slow
def test_a_long_rewrite_stops_soon_after_it_is_cancelled(tables: Tables) -> None:
    table = tables.make(files=0)
    append_files(table, [orders(number * 400_000, 400_000) for number in range(2)])
    started: list[float] = []

    def is_cancelled() -> bool:
        started.append(time.monotonic())
        return started[-1] - started[0] > 0.3

    options = CompactionOptions(strategy="zorder", order_by=("id", "region", "amount"))
    run_compaction(table.refresh(), options, run_id="run", limits=LIMITS, is_cancelled=is_cancelled)
    assert time.monotonic() - started[0] < 3
    assert len(live_files(tables.open())) == 2 == len(files_on_disk(tables.open()))


def test_tables_of_version_three_are_refused(tables: Tables) -> None:
    table = tables.make(files=1)
    table.metadata = table.metadata.model_copy(update={"format_version": 3})
    with pytest.raises(Conflict, match="format version 3"):
        make_plan(table, OPTIONS)


def make(tables: Tables, schema: pa.Schema | Schema) -> Table:
    table: Table = tables.lake.commit_now(
        "default",
        lambda catalog: catalog.create_table(("shop", "things"), schema=schema, properties=TABLE_DEFAULTS),
    )
    return table
