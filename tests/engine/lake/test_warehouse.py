import sqlite3
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import DecimalType, ListType, LongType, NestedField, StringType, StructType, TimestamptzType
from sqlalchemy.exc import OperationalError

from core.context import Principal
from core.errors import InvalidArgument, NotFound, Unavailable
from engine.lake.storage import local_path
from engine.lake.warehouse import TABLE_DEFAULTS, Lake

ANN = Principal("ann", "default")
SCHEMA = Schema(
    NestedField(1, "id", LongType(), required=True, doc="The key."),
    NestedField(2, "price", DecimalType(10, 2)),
    NestedField(3, "at", TimestamptzType()),
    NestedField(4, "tags", ListType(5, StringType(), element_required=False)),
    NestedField(6, "place", StructType(NestedField(7, "city", StringType()))),
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "warehouse")
    lake.create_namespace("default", "shop")
    lake.commit_now("default", lambda catalog: catalog.create_table("shop.items", SCHEMA, properties=TABLE_DEFAULTS))
    return lake


def append(lake: Lake, ids: list[int]) -> None:
    rows = pa.table({"id": pa.array(ids, pa.int64())}, schema=pa.schema([pa.field("id", pa.int64(), nullable=False)]))
    lake.commit_now("default", lambda catalog: catalog.load_table("shop.items").append(rows))


async def test_a_table_tells_its_columns_rows_and_current_metadata(lake: Lake) -> None:
    append(lake, [1, 2, 3])
    table = await lake.open("headwater.Shop.ITEMS", by=ANN)
    assert str(table.name) == "shop.items"
    assert [(column.name, column.data_type) for column in table.metadata.columns] == [
        ("id", "bigint"),
        ("price", "decimal(10, 2)"),
        ("at", "timestamp with time zone"),
        ("tags", "varchar[]"),
        ("place", "struct(city varchar)"),
    ]
    assert table.metadata.row_count == 3
    assert table.metadata.columns[0].comment == "The key."
    assert local_path(table.metadata.metadata_location).is_file()


async def test_an_empty_table_has_no_rows_and_no_snapshot(lake: Lake) -> None:
    metadata = (await lake.open("shop.items", by=ANN)).metadata
    assert (metadata.row_count, metadata.snapshot_id, metadata.snapshot_count) == (0, None, 0)


async def test_a_commit_is_seen_at_once(lake: Lake) -> None:
    versions, counts = set(), []
    for number in range(4):
        append(lake, [number])
        versions.add(lake.version("default"))
        counts.append((await lake.open("shop.items", by=ANN)).metadata.row_count)
    assert counts == [1, 2, 3, 4]
    assert len(versions) == 4


async def test_unknown_and_foreign_tables_do_not_exist(lake: Lake) -> None:
    for name, principal in (("shop.nothing", ANN), ("shop.items", Principal("eve", "other"))):
        with pytest.raises(NotFound):
            await lake.open(name, by=principal)
    assert lake.tables("other") == [] and lake.namespaces("other") == []


def test_namespaces_are_listed_also_when_empty(lake: Lake) -> None:
    lake.create_namespace("default", "empty")
    assert lake.namespaces("default") == ["empty", "shop"]


def test_a_tenant_id_cannot_leave_the_folder(lake: Lake) -> None:
    with pytest.raises(InvalidArgument):
        lake.tables("../default")


def test_the_catalog_is_in_wal_mode_so_that_readers_do_not_stop_commits(lake: Lake, tmp_path: Path) -> None:
    reader = sqlite3.connect(tmp_path / "warehouse" / "default" / "catalog.db")
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM iceberg_tables").fetchone() == (1,)
    append(lake, [1])  # with a rollback journal this fails after five seconds, and wedges the catalog
    assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    reader.close()


def test_after_a_failed_commit_the_catalog_is_not_wedged(lake: Lake) -> None:
    def fail(catalog: SqlCatalog) -> None:
        with catalog.engine.connect() as connection:
            connection.exec_driver_sql("INSERT INTO iceberg_namespace_properties VALUES ('headwater', 'x', 'y', 'z')")
            raise OperationalError("COMMIT", {}, sqlite3.OperationalError("database is locked"))

    with pytest.raises(Unavailable):
        lake.commit_now("default", fail)
    append(lake, [1])
    assert lake.namespaces("default") == ["shop"]


def test_a_missing_metadata_file_is_said_plainly(lake: Lake) -> None:
    local_path(lake.locations("default")["shop.items"]).unlink()
    with pytest.raises(Unavailable):
        lake.tables("default")


def test_reading_the_lakehouse_does_not_import_pyiceberg(lake: Lake) -> None:
    code = (
        "import sys; from pathlib import Path; from engine.lake.warehouse import Lake\n"
        f"assert Lake(Path({str(lake.folder)!r})).tables('default')\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('pyiceberg', 'pyarrow', 'duckdb')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
