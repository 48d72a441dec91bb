"""The embedded DuckDB: the only module that touches the library, so that it can move to another process.

Each connection has an in-memory instance of its own that can read that connection's folders and
nothing else: external access is off, the configuration locked, extensions come from installed wheels."""

import importlib.util
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import Conflict, Unavailable
from engine.connectors.connector import RunStats
from engine.connectors.duck_words import HARMLESS, refuse_reading
from engine.connectors.failures import failure
from engine.lake.buckets import Bucket, duck_secret

if TYPE_CHECKING:  # loaded when the first connection is opened
    import duckdb
    import pyarrow as pa

BATCH_ROWS = 32_768
TEMP_LIMIT = "4GB"
_UPWARDS = re.compile(r"://[^']*/\.\.?(/|')")
_TABLE_FUNCTIONS = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type LIKE '%table%'"


@dataclass(frozen=True, slots=True)
class DuckPlan:
    """How an instance is opened: what it may read, and how much it may use."""

    directories: Sequence[Path] = ()
    files: Sequence[Path] = ()
    extensions: Sequence[str] = ()
    attach: Path | None = None
    buckets: Sequence[Bucket] = ()
    memory_mb: int = 1024
    threads: int = 0
    temp_directory: Path | None = None


class Duck:
    """One DuckDB instance. Blocking: call it from a thread."""

    def __init__(self, plan: DuckPlan):
        import duckdb  # 25 MB and 0.1 s that a server without queries does not need

        # Replacement scans would turn a Python variable of ours into a table.
        config: dict[str, str | bool | int | float | list[str]] = {
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "allow_community_extensions": "false",
            "python_enable_replacements": "false",
            "memory_limit": f"{plan.memory_mb}MB",
            "max_temp_directory_size": TEMP_LIMIT if plan.temp_directory else "0GB",
            "temp_directory": str(plan.temp_directory or ""),
        }
        if plan.threads:
            config["threads"] = str(plan.threads)
        self._connection = duckdb.connect(":memory:", config=config)
        self._plan = plan
        self._table_functions: frozenset[str] = frozenset()
        try:
            self._prepare(plan)
        except duckdb.Error as error:
            self._connection.close()
            raise Unavailable("The data source could not be opened.", hint=_open_hint(error)) from error

    def _prepare(self, plan: DuckPlan) -> None:
        run = self._connection.execute
        for name in plan.extensions:
            run(f"LOAD {quote(str(extension_path(name)))}")
        if plan.attach is not None:
            run(f"ATTACH {quote(str(plan.attach))} AS source (READ_ONLY)")
        places = [str(path) for path in plan.directories]
        for number, bucket in enumerate(plan.buckets):
            run(duck_secret(bucket, f"place_{number}"))
            places.append(f"{bucket.root}/")
        run(f"SET allowed_directories=[{', '.join(quote(place) for place in places)}]")
        run(f"SET allowed_paths=[{', '.join(quote(str(path)) for path in plan.files)}]")
        run("SET TimeZone='UTC'")
        run("SET enable_external_access=false")
        if plan.attach is not None:
            self._table_functions = frozenset(name for (name,) in run(_TABLE_FUNCTIONS).fetchall()) - HARMLESS
        run("SET lock_configuration=true")

    def statement(self, sql: str, parameters: Mapping[str, str]) -> "DuckStatement":
        if self._plan.attach is not None:
            refuse_reading(sql, self._plan.attach.name, self._table_functions)
        if self._plan.buckets and _UPWARDS.search(sql):
            # DuckDB compares a URL with what is allowed letter by letter, and its HTTP client goes upwards.
            raise Conflict("The engine refused the query.", hint="Read tables of the connection only.")
        return DuckStatement(self._connection.cursor(), sql, parameters)

    def rows(self, sql: str, parameters: Mapping[str, str] | None = None) -> list[tuple[Any, ...]]:
        """All rows of a statement of our own."""
        with translated(), self._connection.cursor() as cursor:
            return cursor.execute(sql, dict(parameters) if parameters else None).fetchall()

    def explain(self, sql: str, parameters: Mapping[str, str]) -> str:
        return "\n".join(str(row[-1]) for row in self.rows(f"EXPLAIN {sql}", parameters))

    def version(self) -> str:
        return f"DuckDB {self.rows('SELECT version()')[0][0]}"

    def close(self) -> None:
        self._connection.close()


class DuckStatement:
    """One statement on a cursor of its own, which can be interrupted without touching others."""

    def __init__(self, cursor: "duckdb.DuckDBPyConnection", sql: str, parameters: Mapping[str, str]):
        self._cursor = cursor
        self._sql = sql
        self._parameters = dict(parameters)
        self._reader: pa.RecordBatchReader | None = None
        self._guard = threading.Lock()
        self._is_closed = False

    def start(self) -> "pa.Schema":
        with translated():
            _refuse_all_but_reading(self._cursor, self._sql)
            result = self._cursor.execute(self._sql, self._parameters or None)
            self._reader = result.to_arrow_reader(BATCH_ROWS)
            return self._reader.schema

    def next(self) -> "pa.RecordBatch | None":
        assert self._reader is not None, "start() comes first"
        with translated():
            return next(self._reader, None)

    def measure(self, stats: RunStats) -> None:
        return None

    def interrupt(self) -> None:
        with self._guard:
            if not self._is_closed:
                self._cursor.interrupt()

    def close(self) -> None:
        with self._guard:
            self._is_closed = True
        self._reader = None
        self._cursor.close()


def _refuse_all_but_reading(connection: "duckdb.DuckDBPyConnection", sql: str) -> None:
    """The engine's own parser looks once more: some statements that are no SELECT abort the process or write files."""
    import duckdb

    *before, last = connection.extract_statements(sql)
    # PIVOT is taken apart into a temporary type, which has no text of its own, and a SELECT.
    is_pivot = all(part.type == duckdb.StatementType.CREATE and not part.query for part in before)
    if not is_pivot or last.type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
        raise Conflict("Only one statement that reads is run.", hint="Write a single SELECT.")


def extension_path(name: str) -> Path:
    """The file of an extension inside its wheel. Raises Unavailable naming the package to install."""
    import duckdb

    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    folder = Path(found.origin).parent if found and found.origin else Path()
    path = folder / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if found is None or not path.is_file():
        package = f"duckdb-extension-{name.replace('_', '-')}=={duckdb.__version__}"
        raise Unavailable(
            f"DuckDB's extension {name} is not installed for version {duckdb.__version__}.",
            hint=f"Install it: pip install {package}",
        )
    return path


def quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def quote_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def translated() -> Iterator[None]:
    """Turns DuckDB's errors, as the driver or the Arrow reader raises them, into ours."""
    import duckdb
    import pyarrow as pa

    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise failure(str(error)) from None


def _open_hint(error: Exception) -> str:
    if "lock" in str(error):
        return "Another process has the database open for writing; close it there, or copy the file."
    return "Check that the file is a database of this DuckDB version or older, and that it can be read."
