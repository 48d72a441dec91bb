"""Rows of a query of ours written as data files of a table."""

import itertools
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.io.pyarrow import (
    _dataframe_to_data_files,
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
    schema_to_pyarrow,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import Table
from pyiceberg.typedef import Record

from engine.connectors.duck import quote, quote_name
from engine.lake.storage import Desk, local_path
from engine.maintenance.layout import layout_of

TARGET_BYTES = 128 * 2**20
CHUNK_BYTES = 64 * 2**20
_COPY = """
COPY (SELECT {columns} FROM {rows} AS r) TO {target} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3,
FIELD_IDS {ids}, ROW_GROUP_SIZE 122880, FILE_SIZE_BYTES {size}, FILENAME_PATTERN '{{uuid}}')"""


def write_rows(
    connection: "duckdb.DuckDBPyConnection",
    table: Table,
    rows: str,
    *,
    columns: Iterable[str],
    folder: str,
    desk: Desk | None = None,
) -> list[DataFile]:
    """Write the FROM item `rows`, which has `columns`; the table's other columns are null.

    With a desk the files are drafts until they are published.

    DuckDB writes where it can do so faithfully, pyiceberg where rows are partitioned or types are foreign to it.
    Raises what DuckDB raises."""
    given = set(columns)
    names = [field.name for field in table.schema().fields]
    listed = ", ".join(quote_name(name) if name in given else f"NULL AS {quote_name(name)}" for name in names)
    layout = layout_of(table)
    if layout is None or not table.spec().is_unpartitioned():
        found = connection.execute(f"SELECT {listed} FROM {rows} AS r").to_arrow_reader(32_768)  # noqa: S608
        return list(_by_pyiceberg(table, found))
    target = f"{table.location()}/data/{folder}"
    place = local_path(target) if desk is None else desk.draft(target)
    place.mkdir(parents=True, exist_ok=True)
    typed = _typed(table, listed, given)
    connection.execute(
        _COPY.format(columns=typed, rows=rows, target=quote(str(place)), ids=layout.field_ids, size=TARGET_BYTES)
    )
    written = sorted(path for path in place.iterdir() if path.suffix == ".parquet")
    files = {path: describe_file(table, path, f"{target}/{path.name}") for path in written}
    for path in [path for path, file in files.items() if not file.record_count]:
        path.unlink()
        del files[path]
    return list(files.values())


def _typed(table: Table, listed: str, given: set[str]) -> str:
    """Columns that the rows do not have need a type, or DuckDB would write integers."""
    from engine.transfer.types import duck_type

    parts = []
    for field in table.schema().fields:
        name = quote_name(field.name)
        parts.append(name if field.name in given else f"CAST(NULL AS {duck_type(field.field_type)}) AS {name}")
    return ", ".join(parts)


def describe_file(table: Table, path: Path, location: str) -> DataFile:
    """The manifest's entry of a file of the table's present, unpartitioned spec."""
    schema = table.schema()
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=pq.read_metadata(path),
        stats_columns=compute_statistics_plan(schema, table.properties),
        parquet_column_mapping=parquet_path_to_id_mapping(schema),
    )
    file = DataFile.from_args(
        content=DataFileContent.DATA,
        file_path=location,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        file_size_in_bytes=path.stat().st_size,
        sort_order_id=None,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )
    file.spec_id = table.metadata.default_spec_id
    return file


def _by_pyiceberg(table: Table, reader: pa.RecordBatchReader) -> Iterator[DataFile]:
    counter, write_uuid = itertools.count(), uuid.uuid4()
    schema = schema_to_pyarrow(table.schema(), include_field_ids=False)
    for chunk in _chunks(reader):
        fitted = pa.Table.from_batches(chunk).cast(schema)
        yield from _dataframe_to_data_files(table.metadata, fitted, table.io, write_uuid=write_uuid, counter=counter)


def _chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(item.nbytes for item in held) > CHUNK_BYTES:
            yield held
            held = []
    if any(batch.num_rows for batch in held):
        yield held
