"""One table through Headwater, pyiceberg, DuckDB and datafusion: each writes or reads, and all see equal rows."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.table import StaticTable

from engine.lake.storage import local_path
from engine.lake.warehouse import TABLE_DEFAULTS
from tests.api.iceberg.conftest import ask, tell
from tests.api.iceberg.test_duckdb import duck
from tests.api.iceberg.test_pyiceberg import opened
from tests.faces.served import Served

__all__ = ["duck"]

COLUMNS = {
    "id": "bigint",
    "name": "string",
    "price": "decimal(10,2)",
    "day": "date",
    "at": "timestamptz",
    "ok": "boolean",
}
KINDS: dict[str, pa.DataType] = {
    "id": pa.int64(),
    "name": pa.string(),
    "price": pa.decimal128(10, 2),
    "day": pa.date32(),
    "at": pa.timestamp("us", tz="UTC"),
    "ok": pa.bool_(),
}
SCHEMA = pa.schema(KINDS)
NOON = dt.datetime(2026, 3, 1, 12, 30, tzinfo=dt.UTC)
Row = tuple[Any, ...]


def row(number: int) -> Row:
    if number % 5 == 4:
        return number, None, None, None, None, None
    return number, f"n'ü{number}", Decimal(number) / 4, dt.date(2026, 1, 1 + number), NOON, number % 2 == 0


def arrow(numbers: range) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(SCHEMA.names, row(number), strict=True)) for number in numbers], SCHEMA)


def plain(found: pa.Table) -> list[Row]:
    ordered = found.select(SCHEMA.names).cast(SCHEMA).sort_by("id")
    return [tuple(each.values()) for each in ordered.to_pylist()]


def test_all_readers_agree_whoever_wrote(lab: Served, duck: Any) -> None:
    datafusion = pytest.importorskip("datafusion")
    tell(lab, "create_dataset", {"name": "trip", "dataset_id": "trip"})
    columns = [{"name": name, "type": kind} for name, kind in COLUMNS.items()]
    tell(lab, "create_managed_table", {"name": "t", "dataset_id": "trip", "schema": columns})
    table = opened(lab).load_table("trip.t")
    assert table.location().startswith("file:///")
    table.append(arrow(range(10)))
    duck.register("more", arrow(range(10, 20)))
    duck.execute("INSERT INTO hw.trip.t SELECT * FROM more")
    duck.execute("UPDATE hw.trip.t SET ok = false WHERE id IN (3, 13)")
    tell(lab, "compact_table", {"table": "trip.t", "min_input_files": 2})
    opened(lab).load_table("trip.t").append(arrow(range(20, 25)))
    wanted = [(*row(number)[:5], False) if number in (3, 13) else row(number) for number in range(25)]

    now = opened(lab).load_table("trip.t")
    assert plain(now.scan().to_arrow()) == wanted, "pyiceberg"
    assert plain(duck.execute("SELECT * FROM hw.trip.t").to_arrow_table()) == wanted, "DuckDB, attached"
    direct = duck.execute(f"SELECT * FROM iceberg_scan('{now.metadata_location}')").to_arrow_table()
    assert plain(direct) == wanted, "DuckDB, by its metadata"
    assert ask(lab, "SELECT id, name, price::VARCHAR, day::VARCHAR, ok FROM trip.t ORDER BY id") == [
        [number, name, None if price is None else f"{price:.2f}", None if day is None else str(day), ok]
        for number, name, price, day, _, ok in wanted
    ], "Headwater"
    context = datafusion.SessionContext()
    context.register_table("t", StaticTable.from_metadata(now.metadata_location))
    batches = context.sql("SELECT * FROM t").collect()
    assert plain(pa.Table.from_batches(batches)) == wanted, "datafusion"


@pytest.mark.slow
def test_tables_at_plain_paths_go_on_working(lab: Served, duck: Any) -> None:
    lake = lab.platform.engine.lake
    folder = lake.tenant_folder("default").resolve() / "plain" / "old"
    rows = arrow(range(6))

    def make(catalog: Any) -> None:
        catalog.create_namespace_if_not_exists("plain")
        made = catalog.create_table("plain.old", schema=SCHEMA, location=str(folder), properties=TABLE_DEFAULTS)
        for number in range(3):
            made.append(rows.slice(number * 2, 2))

    lake.commit_now("default", make)
    assert lake.locations("default")["plain.old"].startswith("/") and folder.is_dir()
    opened(lab).load_table("plain.old").append(arrow(range(6, 8)))
    tell(lab, "compact_table", {"table": "plain.old", "min_input_files": 2})
    duck.execute('INSERT INTO hw.plain.old SELECT id + 8, name, price, day, "at", ok FROM hw.plain.old WHERE id = 0')
    assert ask(lab, "SELECT count(*), sum(id) FROM plain.old") == [[9, 36]]
    assert opened(lab).load_table("plain.old").scan().to_arrow().num_rows == 9
    assert Path(local_path(lake.locations("default")["plain.old"])).is_file()
