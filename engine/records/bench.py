"""A DuckDB of one write's own: it reads and writes below the table's folder, and nothing else."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from pyiceberg.manifest import DataFile, DataFileContent
from pyiceberg.table import Table

from core.errors import Cancelled, Conflict, PlatformError, Unavailable
from engine.connectors.duck import extension_path, quote, quote_name
from engine.connectors.failures import failure
from engine.lake.buckets import EXTENSIONS, Bucket, duck_secret
from engine.lake.storage import is_remote, local_path, storage_of
from engine.records.commits import Mark
from engine.sql.filters import SOURCE

VIRTUAL = frozenset({"filename"})  # DuckDB's own name for a column that tells where a row lies


@dataclass(frozen=True, slots=True)
class Workshop:
    """What one write may use."""

    memory_mb: int = 256
    threads: int = 2
    temp_directory: Path | None = None
    bucket: Bucket | None = None  # in which the tables lie


@dataclass(frozen=True, slots=True)
class Run:
    """One call on its way: how it is known again, and how it is stopped."""

    run_id: str
    mark: Mark = field(default_factory=Mark)
    dry_run: bool = False
    is_cancelled: Callable[[], bool] = lambda: False
    on_start: Callable[[Callable[[], None]], None] = lambda interrupt: None
    before_commit: Callable[[], None] = lambda: None  # a place for tests to stop it

    def check(self) -> None:
        """Raises Cancelled."""
        if self.is_cancelled():
            raise Cancelled("The call was cancelled; nothing was written.")


class Bench:
    """Statements over one state of one table."""

    def __init__(self, connection: "duckdb.DuckDBPyConnection", table: Table):
        self.connection = connection
        self.table = table
        self.storage = storage_of(table)
        self.columns = tuple(column.name for column in table.schema().fields)
        self.tells_files = not any(name.lower() in VIRTUAL for name in self.columns)

    @property
    def is_empty(self) -> bool:
        return self.table.metadata.current_snapshot_id is None

    @property
    def source(self) -> str:
        """The FROM item of all live rows; its metadata file never changes, so neither do they."""
        location = self.table.metadata_location
        location = location if is_remote(location) else str(local_path(location))
        return f"iceberg_scan({quote(location)}) AS {quote_name(SOURCE)}"

    @property
    def place(self) -> str:
        """What tells the file of a row. A column of that name hides it: then all rows are of one place."""
        return f"{quote_name(SOURCE)}.filename" if self.tells_files else "''"

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()

    def data_files(self, places: Iterable[str]) -> dict[str, DataFile]:
        """The entries of the files at those places, by plain path. Raises Conflict for tables with equality deletes."""
        plain = self.storage.spelled
        wanted = {plain(place) for place in places}
        found: dict[str, DataFile] = {}
        snapshot = self.table.metadata.current_snapshot()
        for manifest in [] if snapshot is None else snapshot.manifests(self.table.io):
            for entry in manifest.fetch_manifest_entry(self.table.io, discard_deleted=True):
                file, path = entry.data_file, plain(entry.data_file.file_path)
                if file.content == DataFileContent.EQUALITY_DELETES:
                    raise _equality_deletes()
                if file.content == DataFileContent.DATA and (path in wanted or not self.tells_files):
                    found[path] = file
        if self.tells_files and len(found) != len(wanted):
            raise Conflict("The table's files are not what its metadata says.", hint="get_table_health says more.")
        return found


@contextmanager
def open_bench(table: Table, shop: Workshop, run: Run, folder: Path, *, reads: bool) -> Iterator[Bench]:
    """A bench for one try, which writes below `folder`; what DuckDB says of a failure goes no further.

    `reads`: the table's rows are looked at."""
    config: dict[str, Any] = {
        "memory_limit": f"{shop.memory_mb}MB",
        "threads": str(shop.threads),
        "preserve_insertion_order": "false",
        "temp_directory": str(shop.temp_directory or ""),
        "autoload_known_extensions": "false",
        "autoinstall_known_extensions": "false",
        "python_enable_replacements": "false",
    }
    connection = duckdb.connect(config=config)
    try:
        places = [str(folder)]
        if reads:
            places += _load(connection, shop.bucket)
        connection.execute("SET TimeZone='UTC'")
        connection.execute("SET arrow_lossless_conversion=true")  # or UUIDs would become texts
        connection.execute(f"SET allowed_directories=[{', '.join(map(quote, places))}]")
        connection.execute("SET enable_external_access=false")
        connection.execute("SET lock_configuration=true")
        run.on_start(lambda: _interrupt(connection))
        yield Bench(connection, table)
    except duckdb.Error as error:
        run.check()
        raise _told(error) from error
    finally:
        connection.close()


def _load(connection: "duckdb.DuckDBPyConnection", bucket: Bucket | None) -> list[str]:
    """Have it read Iceberg tables; where else it may read then."""
    more = () if bucket is None else EXTENSIONS[bucket.scheme]
    for name in (*more, "avro", "iceberg"):
        connection.execute(f"LOAD {quote(str(extension_path(name)))}")
    if bucket is None:
        return []
    connection.execute(duck_secret(bucket))
    return [f"{bucket.root}/"]


def remove_folder(table: Table, folder: str) -> None:
    """Remove what a try has written."""
    with suppress(OSError, Unavailable):  # then it is an orphan, which remove_orphan_files takes
        storage_of(table).remove_tree(f"{table.location()}/data/{folder}")


def _interrupt(connection: "duckdb.DuckDBPyConnection") -> None:
    with suppress(duckdb.Error):  # it may have ended already
        connection.interrupt()


def _told(error: Exception) -> PlatformError:
    text = str(error)
    return _equality_deletes() if "quality delete" in text else failure(text)


def _equality_deletes() -> Conflict:
    return Conflict(
        "The table has equality deletes, which Headwater does not apply.",
        hint="Compact it with the engine that wrote them, for example Spark or Flink; inserting is possible.",
    )
