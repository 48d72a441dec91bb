"""Copy on write under fire: what other writers do in between, and what is left when a writer dies."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from core.errors import Cancelled, Conflict, Unavailable
from engine.connectors.duck import DuckPlan
from engine.connectors.lakehouse import LakehouseConnector
from engine.lake.warehouse import TABLE_DEFAULTS, Lake
from engine.policy.rules import RowFilter, open_to_all
from engine.records.bench import Run, Workshop
from engine.records.commits import Mark
from engine.records.reach import Reach
from engine.records.tables import Stale, write_table
from engine.records.wishes import Change, Deletion, Insertion, Outcome, Wish
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

_numbers = count()
EU = [{"column": "region", "operator": "eq", "value": "eu"}]


def reach_of(tables: Tables, name: str = "orders") -> Reach:
    connector = LakehouseConnector(tables.lake, "default", DuckPlan())
    relations = asyncio.run(connector.schema())
    return Reach(open_to_all(next(item for item in relations if item.name == f"shop.{name}")), "duckdb")


def write(tables: Tables, wish: Wish, name: str = "orders", reach: Reach | None = None, **how: Any) -> Outcome:
    seen, run = reach or reach_of(tables, name), Run(f"r{next(_numbers)}", **how)
    return tables.lake.commit_now(
        "default", lambda catalog: write_table(catalog, ("shop", name), wish, seen, run, Workshop())
    )


def once(work: Callable[[], object]) -> Callable[[], None]:
    """Does it the first time only: a retry must not meet it again."""
    left = [work]

    def run() -> None:
        if left:
            left.pop()()

    return run


def by_id(column: str, *values: Any) -> list[dict[str, Any]]:
    return [{"column": column, "operator": "in", "value": list(values)}]


def last_summary(table: Table) -> dict[str, str]:
    snapshot = table.refresh().metadata.current_snapshot()
    assert snapshot is not None and snapshot.summary is not None
    return snapshot.summary.additional_properties


def amounts(table: Table) -> dict[int, float | None]:
    return {row["id"]: row["amount"] for row in rows(table)}


def test_only_files_with_matching_rows_are_written_anew(tables: Tables) -> None:
    table = tables.make(files=4, rows=10)
    before = live_files(table)
    done = write(tables, Change(by_id("id", 3, 4, 25), {"amount": 7}))
    assert (done.updated, done.snapshot_id) == (3, table.refresh().metadata.current_snapshot_id)
    assert len(before & live_files(table)) == 2
    assert {number for number, value in amounts(table).items() if value == 7} == {3, 4, 25, 28}
    gone = write(tables, Deletion(by_id("id", *range(30, 40), 0)))
    assert gone.deleted == 11 and sorted(amounts(table)) == list(range(1, 30))
    assert last_summary(table)["total-records"] == "29"


@pytest.mark.parametrize("between", ["append", "two appends", "add column", "rename"])
def test_what_others_write_elsewhere_stays(tables: Tables, between: str) -> None:
    table = tables.make(files=2, rows=10)

    def other() -> None:
        fresh = tables.open()
        if between == "add column":
            with fresh.update_schema() as schema:
                schema.add_column("note", StringType())
        elif between == "rename":
            with fresh.update_schema() as schema:
                schema.rename_column("amount", "price")
        else:
            for start in (100, 200)[: 2 if between == "two appends" else 1]:
                append_files(fresh, [orders(start, 10)])

    done = write(tables, Change(EU, {"amount": 9}), before_commit=once(other))
    found = rows(table)
    assert done.updated == 7 and len(found) == {"append": 30, "two appends": 40}.get(between, 20)
    new = [row.get("amount", row.get("price")) for row in found if row["id"] < 20]
    assert new.count(9) == 7


@pytest.mark.parametrize("between", ["delete", "delete, then append", "rewrite"])
def test_rows_that_others_delete_meanwhile_do_not_come_back(tables: Tables, between: str) -> None:
    """A concurrent position delete with a commit after it is what pyiceberg's own check misses."""
    table = tables.make(files=2, rows=10)
    path = next(file for file in sorted(live_files(table)) if rows_in(table, file)[0] == 0)

    def other() -> None:
        if between == "rewrite":
            write(tables, Deletion(by_id("id", 1)))
        else:
            delete_positions(tables.open(), path, [1])
        if between == "delete, then append":
            append_files(tables.open(), [orders(100, 1)])

    done = write(tables, Change(by_id("id", 1, 2), {"amount": 9}), before_commit=once(other))
    assert done.updated == 1  # it was done again on what was left
    assert 1 not in amounts(table) and amounts(table)[2] == 9
    assert len(files_on_disk(table)) - len(live_files(table)) <= 4  # of snapshots before, and deletes


def rows_in(table: Table, path: str) -> list[int]:
    tasks = [task for task in table.scan().plan_files() if task.file.file_path == path]
    import pyarrow.parquet as pq

    return [row["id"] for row in pq.read_table(tasks[0].file.file_path.removeprefix("file://")).to_pylist()]


def test_upserts_of_two_writers_make_one_record(tables: Tables) -> None:
    table = tables.make(files=1, rows=3)
    wish = Insertion([{"id": 50, "amount": 1}], "update", ["id"])
    other = Insertion([{"id": 50, "amount": 2}], "update", ["id"])
    done = write(tables, wish, before_commit=once(lambda: write(tables, other)))
    assert (done.inserted, done.updated) == (0, 1)
    assert amounts(table) == {0: 0.0, 1: 0.25, 2: 0.5, 50: 1.0}


@pytest.mark.slow
def test_a_writer_who_never_gets_through_is_told_and_leaves_nothing(tables: Tables) -> None:
    table = tables.make(files=1, rows=10)
    longer = iter(range(100))

    def other() -> None:
        tables.open().overwrite(orders(0, 10 + next(longer)))

    before = len(rows(table))
    with pytest.raises(Conflict, match="Other writers"):
        write(tables, Change(EU, {"amount": 9}), before_commit=other)
    assert before == 10 and 9 not in [
        value for number, value in amounts(table).items() if number % 3 == 0 and number < 10
    ]
    assert not [path for path in files_on_disk(table) if "records-" in path]


def test_position_deletes_are_applied_and_equality_deletes_refused(tables: Tables) -> None:
    table = tables.make(files=1, rows=10)
    delete_positions(tables.open(), next(iter(live_files(table))), [0, 3])
    assert write(tables, Change(EU, {"amount": 9})).updated == 2  # 6 and 9; 0 and 3 are gone
    assert sorted(amounts(table)) == [1, 2, 4, 5, 6, 7, 8, 9]
    delete_positions(tables.open(), next(iter(live_files(table))), [0])
    assert write(tables, Deletion([{"column": "id", "operator": "ge", "value": 0}])).deleted == 7
    assert rows(table) == []
    write(tables, Insertion([{"id": 1, "region": "eu"}]))
    delete_equal(tables.open(), 1, [5])
    with pytest.raises(Conflict, match="equality deletes"):
        write(tables, Change(EU, {"amount": 9}))
    assert write(tables, Insertion([{"id": 2}])).inserted == 1


def test_tables_of_format_3_are_refused(tables: Tables) -> None:
    tables.make(files=1)
    catalog_load = tables.lake.commit_now("default", lambda catalog: catalog.load_table(("shop", "orders")))
    assert catalog_load.format_version == 2

    class Third:
        """A catalog whose tables say that they are of version 3, which no writer at hand makes."""

        def load_table(self, parts: tuple[str, ...]) -> Any:
            table = tables.open()
            table.metadata = table.metadata.model_copy(update={"format_version": 3})
            return table

    third: Any = Third()
    with pytest.raises(Conflict, match="format version 3"):
        write_table(third, ("shop", "orders"), Deletion(EU), reach_of(tables), Run("r"), Workshop())


def test_columns_are_known_by_their_ids(tables: Tables) -> None:
    table = tables.make(files=2, rows=6)
    with tables.open().update_schema() as schema:
        schema.rename_column("amount", "price")
        schema.add_column("note", StringType())
    with tables.open().update_schema() as schema:
        schema.add_column("amount", IntegerType())
    done = write(tables, Change(by_id("id", 1, 7), {"note": "x", "amount": 5}))
    found = {row["id"]: row for row in rows(table)}
    assert done.updated == 2
    assert found[1] == {"id": 1, "region": "us", "price": 0.25, "note": "x", "amount": 5}
    assert found[2] == {"id": 2, "region": None, "price": 0.5, "note": None, "amount": None}


def test_a_view_of_other_columns_is_made_again(tables: Tables) -> None:
    tables.make(files=1)
    old = reach_of(tables)
    with tables.open().update_schema() as schema:
        schema.rename_column("amount", "price")
        schema.rename_column("region", "amount")
    with pytest.raises(Stale):
        write(tables, Change(EU, {"amount": 1}), reach=old)


def test_partitions_of_nulls_and_of_two_specs(tables: Tables) -> None:
    schema = Schema(
        NestedField(1, "id", LongType()), NestedField(2, "day", DoubleType()), NestedField(3, "s", StringType())
    )
    spec = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "day"))
    table = tables.lake.commit_now(
        "default",
        lambda catalog: catalog.create_table(("shop", "days"), schema, partition_spec=spec, properties=TABLE_DEFAULTS),
    )
    days = [None, -0.5, 1.5, None, -0.5]
    with pytest.raises(Conflict, match="NaN"):
        write(tables, Insertion([{"id": 9, "day": "NaN"}]), "days")
    write(tables, Insertion([{"id": number, "day": day, "s": "a"} for number, day in enumerate(days)]), "days")
    assert len(live_files(table)) == 3
    with tables.open("days").update_spec() as change:
        change.add_identity("s")
    assert write(tables, Change(by_id("id", 0, 1), {"s": "b"}), "days").updated == 2
    assert write(tables, Deletion([{"column": "day", "operator": "is_null"}]), "days").deleted == 2
    assert write(tables, Change(by_id("id", 4), {"day": 2}), "days").updated == 1
    found = {row["id"]: (str(row["day"]), row["s"]) for row in rows(table)}
    assert found == {1: ("-0.5", "b"), 2: ("1.5", "a"), 4: ("2.0", "a")}


def test_a_column_called_filename_is_no_obstacle(tables: Tables) -> None:
    table = tables.make(files=3, rows=4)
    with tables.open().update_schema() as schema:
        schema.rename_column("region", "filename")
    assert write(tables, Change([{**EU[0], "column": "filename"}], {"amount": 9})).updated == 4
    assert write(tables, Deletion(by_id("id", 0, 11))).deleted == 2
    assert sorted(amounts(table)) == list(range(1, 11)) and amounts(table)[3] == 9


KINDS: dict[str, tuple[Any, Any, Any]] = {
    "boolean": (BooleanType(), True, True),
    "int": (IntegerType(), -(2**31), -(2**31)),
    "long": (LongType(), "9223372036854775807", 2**63 - 1),
    "float": (FloatType(), 0.5, 0.5),
    "endless": (DoubleType(), "-Infinity", float("-inf")),
    "exact": (
        DecimalType(38, 10),
        "1234567890123456789012345678.0123456789",
        "1234567890123456789012345678.0123456789",
    ),
    "day": (DateType(), "2026-02-28", "2026-02-28"),
    "clock": (TimeType(), "23:59:59.999999", "23:59:59.999999"),
    "moment": (TimestampType(), "2026-01-31T12:00:00.000001", "2026-01-31 12:00:00.000001"),
    "zoned": (TimestamptzType(), "2026-01-31T12:00:00+02:00", "2026-01-31 10:00:00+00:00"),
    "text": (StringType(), "ö'\"", "ö'\""),
    "uuid": (UUIDType(), "f47ac10b-58cc-4372-a567-0e02b2c3d479", "f47ac10b-58cc-4372-a567-0e02b2c3d479"),
    "bytes": (BinaryType(), "AAH/", b"\x00\x01\xff"),
    "fixed": (FixedType(2), "AAE=", b"\x00\x01"),
    "list": (
        ListType(101, DecimalType(5, 2), element_required=False),
        ["1.50", None, 2],
        "[Decimal('1.50'), None, Decimal('2.00')]",
    ),
    "map": (
        MapType(102, StringType(), 103, LongType(), value_required=False),
        {"a": 1, "b": None},
        [("a", 1), ("b", None)],
    ),
    "object": (
        StructType(NestedField(104, "x", IntegerType()), NestedField(105, "y", ListType(106, StringType()))),
        {"x": 1, "y": ["a"]},
        {"x": 1, "y": ["a"]},
    ),
}


def typed(tables: Tables) -> Table:
    fields = [NestedField(number, name, kind) for number, (name, (kind, _, _)) in enumerate(KINDS.items(), start=1)]
    schema = Schema(*fields, NestedField(90, "need", IntegerType(), required=True))
    made: Table = tables.lake.commit_now(
        "default", lambda catalog: catalog.create_table(("shop", "typed"), schema, properties=TABLE_DEFAULTS)
    )
    return made


def test_values_of_every_type_come_back_as_they_were_sent(tables: Tables) -> None:
    table = typed(tables)
    given = {name: value for name, (_, value, _) in KINDS.items()}
    write(tables, Insertion([{**given, "need": 1}, {"need": 2}]), "typed")
    assert write(tables, Change(by_id("need", 2), given), "typed").updated == 1  # read, and written anew, by DuckDB
    for row in rows(table):
        for name, (_, _, wanted) in KINDS.items():
            assert str(row[name]) == str(wanted), name


MISFITS: list[tuple[str, Any]] = [
    *[("boolean", 1), ("boolean", "true"), ("int", 2**31), ("int", "1e3"), ("long", "٣"), ("float", 1e300)],
    *[("endless", "inf"), ("endless", True), ("exact", "1e28"), ("exact", "0.00000000001"), ("exact", "NaN")],
    *[("day", "2026-02-30"), ("day", "2026-01-31T00:00"), ("clock", "24:00:00"), ("clock", "12:00:00.0000001")],
    *[("moment", "2026-01-31T12:00:00Z"), ("moment", "now"), ("zoned", "9999-12-31T23:00:00-05:00")],
    *[("text", 5), ("text", {}), ("uuid", "f47"), ("bytes", "a"), ("fixed", "AAH/"), ("list", {}), ("list", ["x"])],
    *[("map", {"a": "x"}), ("object", {"z": 1}), ("object", []), ("need", None)],
]


def test_values_that_do_not_fit_are_refused(tables: Tables) -> None:
    table, seen = typed(tables), reach_of(tables, "typed")
    for column, value in MISFITS:
        with pytest.raises(Conflict, match=rf"records\[1\].{column} must be"):
            write(tables, Insertion([{"need": 1}, {"need": 2, column: value}]), "typed", seen)
    with pytest.raises(Conflict, match=r"values\.need must be a value"):
        write(tables, Change(by_id("need", 2), {"need": None}), "typed", seen)
    with pytest.raises(Conflict, match="may not be null and are missing"):
        write(tables, Insertion([{"int": 1}]), "typed", seen)
    assert table.refresh().metadata.current_snapshot_id is None


def test_a_key_makes_a_call_count_once(tables: Tables) -> None:
    table = tables.make(files=1, rows=3)
    mark = Mark("key", "digest")
    first = write(tables, Insertion([{"id": 9}]), mark=mark)
    assert write(tables, Insertion([{"id": 9}]), mark=mark) == first
    with pytest.raises(Conflict, match="other arguments"):
        write(tables, Insertion([{"id": 8}]), mark=replace(mark, digest="other"))
    same = Change(by_id("id", 9), {"amount": 1})
    again = Mark("key2", "d")
    second = write(tables, same, mark=again, before_commit=once(lambda: write(tables, same, mark=again)))
    assert second.updated == 1 and sorted(amounts(table)) == [0, 1, 2, 9]
    assert last_summary(table)["headwater.records.key"] == "key2"
    assert len(table.metadata.snapshots) == 3


@pytest.mark.parametrize("lands", [True, False])
def test_an_unknown_end_is_found_out(tables: Tables, lands: bool) -> None:
    table = tables.make(files=1, rows=3)

    class Silent:
        """A catalog whose answer to the commit gets lost, before or after it took effect."""

        def __init__(self, catalog: Any):
            self._catalog = catalog
            self.engine = catalog.engine

        def load_table(self, parts: Any) -> Table:
            opened: Table = self._catalog.load_table(parts)
            opened.catalog = self  # type: ignore[assignment]
            return opened

        def commit_table(self, *given: Any) -> Any:
            if lands:
                self._catalog.commit_table(*given)
            raise OSError("gone")

    wish = Change(by_id("id", 1), {"amount": 5})

    def work(catalog: Any) -> Outcome:
        return write_table(Silent(catalog), ("shop", "orders"), wish, reach_of(tables), Run("r"), Workshop())  # type: ignore[arg-type]

    if lands:
        assert tables.lake.commit_now("default", work).updated == 1
    else:
        with pytest.raises(Unavailable, match="did not take the commit"):
            tables.lake.commit_now("default", work)
    assert amounts(table)[1] == (5 if lands else 0.25)


def test_a_cancelled_call_changes_nothing(tables: Tables) -> None:
    table = tables.make(files=1, rows=3)
    stopped = [False]

    def stop() -> None:
        stopped[0] = True

    with pytest.raises(Cancelled):
        write(tables, Change(EU, {"amount": 5}), before_commit=stop, is_cancelled=lambda: stopped[0])
    assert 5 not in amounts(table).values()
    assert not [path for path in files_on_disk(table) if "records-" in path]


def _die(folder: Path, reach: Reach) -> None:
    tables = Tables(Lake(folder))
    write(
        tables,
        Change(EU, {"amount": 5}),
        reach=reach,
        mark=Mark("k", "d"),
        before_commit=lambda: os.kill(os.getpid(), signal.SIGKILL),
    )


@pytest.mark.slow
def test_a_killed_writer_leaves_the_table_as_it_was(tables: Tables) -> None:
    table = tables.make(files=1, rows=3)
    reach = reach_of(tables)
    child = multiprocessing.get_context("spawn").Process(target=_die, args=(tables.lake.folder, reach))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert 5 not in amounts(table).values()
    assert write(tables, Change(EU, {"amount": 5}), mark=Mark("k", "d")).updated == 1
    assert list(amounts(table).values()).count(5) == 1


def test_row_filters_are_part_of_what_is_matched(tables: Tables) -> None:
    table = tables.make(files=2, rows=10)
    seen = reach_of(tables)
    governed = replace(seen.governed, filters=(RowFilter("p", "region = 'eu'"),))
    done = write(tables, Deletion([{"column": "id", "operator": "ge", "value": 0}]), reach=Reach(governed, "duckdb"))
    assert done.deleted == 7 and {row["region"] for row in rows(table)} == {"us", None}


@pytest.fixture(autouse=True)
def no_leftovers() -> Iterator[None]:
    yield
    assert pa.total_allocated_bytes() < 500_000_000
