"""Writes the rows of a group of files into fewer, larger files."""

import itertools
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.expressions import AlwaysTrue
from pyiceberg.io.pyarrow import (
    ArrowScan,
    _dataframe_to_data_files,
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import FileScanTask, Table

from core.errors import Cancelled, Conflict, Unavailable
from engine.connectors.duck import quote, quote_name
from engine.lake.storage import Desk, storage_of
from engine.maintenance.layout import Layout, layout_of
from engine.maintenance.planning import CompactionOptions, FileGroup

WINDOW = 8  # files that pyiceberg reads at a time: it keeps all of a call's files in memory
CHUNK_BYTES = 256 * 1024 * 1024
ZORDER_BITS = 10
WATCHED_S = 0.05
_COPY = """
COPY (SELECT {columns} FROM read_parquet([{files}], schema={reading}){order}) TO {target}
(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3, FIELD_IDS {ids}, ROW_GROUP_SIZE 131072{rolling})"""


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """What one rewrite may use, and what tells it to stop."""

    memory_mb: int = 256
    threads: int = 2
    temp_directory: Path | None = None
    is_cancelled: Callable[[], bool] = lambda: False

    def check(self) -> None:
        """Raises Cancelled once that is asked for."""
        if self.is_cancelled():
            raise Cancelled("The rewrite was cancelled.")


def write_group(
    table: Table,
    group: FileGroup,
    options: CompactionOptions,
    *,
    folder: str,
    sources: Mapping[str, DataFile],
    limits: WriterLimits,
) -> list[DataFile]:
    """Write the group's rows as new data files of the table; `sources` are the old ones by path.

    DuckDB writes, into `data/<folder>`, where it can do so faithfully; pyiceberg where deletes have to be applied or
    rows partitioned anew. Raises Conflict when the rows are not all there, Cancelled soon after that is asked for."""
    layout = layout_of(table)
    is_current = group.spec_id == table.metadata.default_spec_id
    if layout is not None and is_current and not group.deletes:
        added = _by_duckdb(table, group, options, layout, folder=folder, sources=sources, limits=limits)
        _check_rows(group.row_count, added)
        return added
    added = list(_by_pyiceberg(table, group, options, folder=folder, limits=limits))
    deleted = sum(delete.row_count for delete in group.deletes)  # at most: some may be of other files
    _check_rows(group.row_count, added, at_least=group.row_count - deleted)
    return added


def _by_duckdb(
    table: Table,
    group: FileGroup,
    options: CompactionOptions,
    layout: Layout,
    *,
    folder: str,
    sources: Mapping[str, DataFile],
    limits: WriterLimits,
) -> list[DataFile]:
    target = f"{table.location()}/data/{folder}"
    with storage_of(table).desk(table.location()) as desk:
        written = _copied(desk, target, group, options, layout, limits)
        record = sources[group.files[0].path].partition
        added = [_describe(table, path, f"{target}/{path.name}", record) for path in written]
        desk.publish(target)
    return added


def _copied(
    desk: Desk, target: str, group: FileGroup, options: CompactionOptions, layout: Layout, limits: WriterLimits
) -> list[Path]:
    place = desk.draft(target)
    is_single = group.expected_files == 1
    rolling = f", FILE_SIZE_BYTES {options.target_bytes}, FILENAME_PATTERN '{{uuid}}'"
    statement = _COPY.format(
        columns=", ".join(map(quote_name, layout.columns)),
        files=", ".join(quote(str(path)) for path in desk.files([file.path for file in group.files])),
        reading=layout.reading,
        order=_order(options),
        target=quote(str(place / f"{uuid.uuid4()}.parquet" if is_single else place)),
        ids=layout.field_ids,
        rolling="" if is_single else rolling,
    )
    with _writer(desk.folder, limits) as connection:
        try:
            with _interrupted(connection, limits):
                connection.execute(statement)
        except duckdb.Error as error:
            limits.check()
            raise Unavailable(
                "The files could not be rewritten.", hint="See the server's log; nothing was changed."
            ) from error
    return sorted(path for path in place.iterdir() if path.suffix == ".parquet")


def _writer(location: Path, limits: WriterLimits) -> duckdb.DuckDBPyConnection:
    """A DuckDB of this rewrite's own that reads and writes below the table's folder only."""
    connection = duckdb.connect(
        config={
            "memory_limit": f"{limits.memory_mb}MB",
            "threads": str(limits.threads),
            "preserve_insertion_order": "false",
            "temp_directory": str(limits.temp_directory or ""),
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
        }
    )
    connection.execute("SET TimeZone='UTC'")
    connection.execute(f"SET allowed_directories=[{quote(str(location))}]")
    connection.execute("SET enable_external_access=false")
    return connection


@contextmanager
def _interrupted(connection: duckdb.DuckDBPyConnection, limits: WriterLimits) -> Iterator[None]:
    """Stops the statement that runs inside once the rewrite is cancelled: a group may take minutes."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(WATCHED_S):
            if limits.is_cancelled():
                connection.interrupt()  # again, should the statement not have begun yet

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _order(options: CompactionOptions) -> str:
    if options.strategy == "sort":
        return " ORDER BY " + ", ".join(f"{quote_name(name)} NULLS LAST" for name in options.order_by)
    if options.strategy == "zorder":
        return f" ORDER BY {_zorder(options.order_by)}"
    return ""


def _zorder(columns: Sequence[str]) -> str:
    """The bits of the columns' ranks, one of each in turn, as one number (Morton order)."""
    bits = min(ZORDER_BITS, 60 // len(columns))
    ranks = [f"(ntile({2**bits}) OVER (ORDER BY {quote_name(name)}) - 1)::BIGINT" for name in columns]
    return " + ".join(
        f"((({rank} >> {bit}) & 1) << {bit * len(columns) + place})"
        for bit in range(bits)
        for place, rank in enumerate(ranks)
    )


def _describe(table: Table, path: Path, location: str, partition: object) -> DataFile:
    """The manifest's entry of a file that DuckDB wrote."""
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
        partition=partition,
        file_size_in_bytes=path.stat().st_size,
        sort_order_id=None,
        equality_ids=None,
        key_metadata=None,
        **statistics.to_serialized_dict(),
    )
    file.spec_id = table.metadata.default_spec_id
    return file


def _check_rows(expected: int, added: Iterable[DataFile], *, at_least: int | None = None) -> None:
    found = sum(file.record_count for file in added)
    if not (expected if at_least is None else at_least) <= found <= expected:
        raise Conflict(
            f"The rewrite gave {found:,} rows where the files hold {expected:,}; it was given up.",
            hint="The table is unchanged. Please report this.",
        )


def _by_pyiceberg(
    table: Table, group: FileGroup, options: CompactionOptions, *, folder: str, limits: WriterLimits
) -> Iterator[DataFile]:
    """Reads with deletes applied and by field id, and writes under the table's present partition spec."""
    counter, write_uuid = itertools.count(), uuid.uuid4()
    for chunk in _chunks(_batches(table, _tasks(table, group), limits), is_whole=options.strategy != "binpack"):
        rows = _sorted(chunk, options)
        # pyiceberg counts bytes in memory, which are several times those in a file
        swelling = rows.nbytes / rows.num_rows * group.row_count / group.size_bytes
        changed = {
            "write.data.path": f"{table.location()}/data/{folder}",
            "write.target-file-size-bytes": str(max(1, int(options.target_bytes * swelling))),
        }
        target = table.metadata.model_copy(update={"properties": {**table.metadata.properties, **changed}})
        yield from _dataframe_to_data_files(target, rows, table.io, write_uuid=write_uuid, counter=counter)


def _tasks(table: Table, group: FileGroup) -> list[FileScanTask]:
    paths = {file.path for file in group.files}
    tasks = [task for task in table.scan().plan_files() if task.file.file_path in paths]
    if len(tasks) != len(paths):
        raise Conflict("The table changed while it was being rewritten.", hint="Plan it again.")
    return tasks


def _batches(table: Table, tasks: Sequence[FileScanTask], limits: WriterLimits) -> Iterator[pa.Table]:
    scan = ArrowScan(table.metadata, table.io, table.schema(), AlwaysTrue())
    target = table.schema().as_arrow()
    for start in range(0, len(tasks), WINDOW):
        for batch in scan.to_record_batches(tasks[start : start + WINDOW]):
            limits.check()
            # pyiceberg gives strings and lists of old files in other Arrow types than those of new ones
            yield pa.Table.from_batches([batch]).cast(target)


def _chunks(batches: Iterable[pa.Table], *, is_whole: bool) -> Iterator[pa.Table]:
    held: list[pa.Table] = []
    size_bytes = 0
    for batch in batches:
        if not batch.num_rows:
            continue
        held.append(batch)
        size_bytes += batch.nbytes
        if size_bytes > CHUNK_BYTES and not is_whole:
            yield pa.concat_tables(held)
            held, size_bytes = [], 0
    if held:
        yield pa.concat_tables(held)


def _sorted(rows: pa.Table, options: CompactionOptions) -> pa.Table:
    if options.strategy == "binpack":
        return rows
    order = _order(options).removeprefix(" ORDER BY ")
    with duckdb.connect() as connection:
        query: Callable[[str], duckdb.DuckDBPyRelation] = connection.from_arrow(rows).order
        return query(order).to_arrow_table().cast(rows.schema)
