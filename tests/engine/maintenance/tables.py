"""Makes tables of many small files, and deletes rows as engines with position deletes do."""

import uuid
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import _dataframe_to_data_files
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestEntry, ManifestEntryStatus, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _FastAppendFiles
from pyiceberg.table.update.validate import _validate_data_files_exist
from pyiceberg.typedef import Record

from engine.lake.metadata import local_path
from engine.lake.warehouse import TABLE_DEFAULTS, Lake
from engine.maintenance.replace import _DeletesWriter

KINDS: dict[str, pa.DataType] = {"id": pa.int64(), "region": pa.string(), "amount": pa.float64()}
SCHEMA = pa.schema(KINDS)


class Tables:
    def __init__(self, lake: Lake):
        self.lake = lake

    def make(
        self,
        name: str = "orders",
        *,
        files: int = 12,
        rows: int = 20,
        properties: dict[str, str] | None = None,
        location: str | None = None,
    ) -> Table:
        table: Table = self.lake.commit_now(
            "default",
            lambda catalog: catalog.create_table(
                ("shop", name), schema=SCHEMA, location=location, properties={**TABLE_DEFAULTS, **(properties or {})}
            ),
        )
        if files:
            append_files(table, [orders(number * rows, rows) for number in range(files)])
        return table.refresh()

    def open(self, name: str = "orders") -> Table:
        """The table as another process would open it: through a catalog of its own, so nothing is shared."""
        table: Table = self.lake.commit_now("default", lambda catalog: catalog.load_table(("shop", name)))
        return table


def orders(start: int, count: int) -> pa.Table:
    ids = list(range(start, start + count))
    regions = [("eu", "us", None)[number % 3] for number in ids]
    return pa.table([ids, regions, [number / 4 for number in ids]], schema=SCHEMA)


def rows(table: Table) -> list[dict[str, Any]]:
    """All rows, in an order of their own."""
    return sorted(table.refresh().scan().to_arrow().to_pylist(), key=str)


def files_on_disk(table: Table) -> set[str]:
    return {str(path) for path in local_path(f"{table.location()}/data").rglob("*.parquet")}


def live_files(table: Table) -> set[str]:
    return {task.file.file_path for task in table.refresh().scan().plan_files()}


def append_files(table: Table, chunks: Iterable[pa.Table]) -> None:
    """Append each chunk as a file of its own, all in one commit."""
    with table.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
        for chunk in chunks:
            for file in _dataframe_to_data_files(transaction.table_metadata, chunk, table.io):
                append.append_data_file(file)


class _AppendDeletes(_FastAppendFiles):
    """A writer that knows its trade: it gives up where a file that it deletes from is gone."""

    def __init__(self, table: Table, deletes: Iterable[DataFile], about: Iterable[DataFile] = ()):
        self._held = table.transaction()
        super().__init__(Operation.DELETE, self._held, table.io)
        self._deletes = list(deletes)
        self._about = set(about)

    def _validate_concurrency(self) -> None:
        window = self._commit_window
        if self._about and window is not None and not window.is_empty() and window.head is not None:
            _validate_data_files_exist(self._transaction._table, window.head, self._about, window.base)

    def _manifests(self) -> list[ManifestFile]:
        spec = self._transaction.table_metadata.spec()
        output = self.new_manifest_output()
        with _DeletesWriter(spec, self.schema(), output, self._snapshot_id, self._compression) as writer:
            for file in self._deletes:
                writer.add_entry(
                    ManifestEntry.from_args(
                        status=ManifestEntryStatus.ADDED, snapshot_id=self._snapshot_id, data_file=file
                    )
                )
        return [writer.to_manifest_file(), *self._existing_manifests()]

    def run(self) -> None:
        self.commit()
        self._held.commit_transaction()


def delete_positions(
    table: Table,
    path: str,
    positions: list[int],
    *,
    partition: Record | None = None,
    about: Iterable[DataFile] = (),
) -> str:
    """Commit a position-delete file for one data file, as Spark and DuckDB do; returns where it is."""
    location = f"{table.location()}/data/deletes-{uuid.uuid4()}.parquet"
    fields: list[pa.Field[Any]] = [
        pa.field("file_path", pa.string(), nullable=False, metadata={"PARQUET:field_id": "2147483546"}),
        pa.field("pos", pa.int64(), nullable=False, metadata={"PARQUET:field_id": "2147483545"}),
    ]
    found = pa.table([[path] * len(positions), positions], schema=pa.schema(fields))
    pq.write_table(found, local_path(location))
    bounds = {2147483546: path.encode()}
    file = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=partition or Record(),
        record_count=len(positions),
        file_size_in_bytes=local_path(location).stat().st_size,
        lower_bounds=bounds,
        upper_bounds=bounds,
    )
    file.spec_id = table.metadata.default_spec_id
    _AppendDeletes(table, [file], about).run()
    return location


def delete_equal(table: Table, column_id: int, values: list[int]) -> None:
    """Commit an equality-delete file, as Flink does; neither pyiceberg nor Headwater applies those."""
    location = f"{table.location()}/data/equals-{uuid.uuid4()}.parquet"
    field = pa.field("id", pa.int64(), metadata={"PARQUET:field_id": str(column_id)})
    pq.write_table(pa.table([values], schema=pa.schema([field])), local_path(location))
    file = DataFile.from_args(
        content=DataFileContent.EQUALITY_DELETES,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=len(values),
        file_size_in_bytes=local_path(location).stat().st_size,
        equality_ids=[column_id],
    )
    file.spec_id = table.metadata.default_spec_id
    _AppendDeletes(table, [file]).run()
