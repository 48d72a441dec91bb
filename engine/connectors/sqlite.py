"""A SQLite database file, opened read-only with the standard library: it can be interrupted, ADBC's driver cannot."""

import hashlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.context import Cancellation
from core.errors import Unavailable
from engine.connectors.connector import ArrowStream, ColumnInfo, QueryLimits, RelationInfo, RunStats
from engine.connectors.duck import quote_name
from engine.connectors.failures import failure
from engine.connectors.stream import BatchStream, in_thread
from engine.lake.names import join_name, split_name

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 8_192
MAX_VALUE_BYTES = 16 * 1024 * 1024
_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_RELATIONS = """
SELECT name, type FROM sqlite_schema WHERE type IN ('table', 'view') AND substr(name, 1, 7) <> 'sqlite_' ORDER BY 1"""


class SqliteConnector:
    kind = "sqlite"
    dialect = "sqlite"

    def __init__(self, path: Path):
        self.path = path

    async def schema(self) -> list[RelationInfo]:
        return await in_thread(lambda: list(_relations(self.path)))

    async def sources(self, names: Iterable[str]) -> Mapping[str, str]:
        return {name: f"main.{quote_name(split_name(name)[0])}" for name in names}

    async def execute(
        self, sql: str, parameters: Mapping[str, str], *, limits: QueryLimits, cancelled: Cancellation
    ) -> ArrowStream:
        return await BatchStream.open(SqliteStatement(self.path, sql, parameters), limits, cancelled)

    async def explain(self, sql: str, parameters: Mapping[str, str]) -> str:
        def plan() -> str:
            with translated(), closing(_open(self.path)) as connection:
                rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", dict(parameters))
                return "\n".join(row[3] for row in rows)

        return await in_thread(plan)

    async def check(self) -> str:
        def look() -> str:
            with translated(), closing(_open(self.path)) as connection:
                connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
                return f"SQLite {sqlite3.sqlite_version}"

        return await in_thread(look)

    async def close(self) -> None:
        return None


class SqliteStatement:
    """One statement on a connection of its own."""

    def __init__(self, path: Path, sql: str, parameters: Mapping[str, str]):
        self._path = path
        self._sql = sql
        self._parameters = dict(parameters)
        self._guard = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._cursor: sqlite3.Cursor | None = None
        self._first: list[tuple[Any, ...]] = []
        self._schema: pa.Schema | None = None

    def start(self) -> "pa.Schema":
        with translated():
            self._connection = _open(self._path, authorize=True)
            self._cursor = self._connection.execute(self._sql, self._parameters)
            self._first = self._cursor.fetchmany(BATCH_ROWS)
        names = [column[0] for column in self._cursor.description or ()]
        self._schema = _infer(names, self._first)
        return self._schema

    def next(self) -> "pa.RecordBatch | None":
        assert self._cursor is not None and self._schema is not None, "start() comes first"
        rows, self._first = self._first, []
        if not rows:
            with translated():
                rows = self._cursor.fetchmany(BATCH_ROWS)
        return _batch(self._schema, rows) if rows else None

    def measure(self, stats: RunStats) -> None:
        return None

    def interrupt(self) -> None:
        with self._guard:
            if self._connection is not None:
                self._connection.interrupt()

    def close(self) -> None:
        with self._guard:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _open(path: Path, *, authorize: bool = False) -> sqlite3.Connection:
    connection = _connect(path, "mode=ro")
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema")
    except sqlite3.OperationalError:
        if path.with_name(path.name + "-wal").exists() or not path.exists():
            raise
        # In WAL mode even a reader writes beside the file, where it may not; nobody writes it now, so take it as it is.
        connection.close()
        connection = _connect(path, "mode=ro&immutable=1")
    connection.execute("PRAGMA query_only=ON")
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.create_function("headwater_hash", 2, _hashed, deterministic=True)  # for masks; queries cannot name it
    if authorize:
        connection.set_authorizer(_authorize)
    return connection


def _hashed(key: str, value: str | float | bytes | None) -> str | int | None:
    """A keyed hash: an integer of an integer, else text. Equal values have equal hashes, in other sources too."""
    if value is None:
        return None
    written = value if isinstance(value, bytes) else str(value).encode()
    digest = hashlib.sha256(key.encode() + written).hexdigest()
    return int(digest[:15], 16) if isinstance(value, int) else digest


def _connect(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?{how}", uri=True, timeout=5, check_same_thread=False)


def _authorize(action: int, *details: str | None) -> int:
    return sqlite3.SQLITE_OK if action in _READING else sqlite3.SQLITE_DENY


@contextmanager
def translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if "unable to open" in str(error):
            raise Unavailable(
                "The database file cannot be opened.", hint="Check the path and its permissions."
            ) from None
        raise failure(str(error)) from None
    except sqlite3.Error as error:
        if "not a database" in str(error):
            raise Unavailable("The file is not a SQLite database.", hint="Check the path.") from None
        raise failure(str(error)) from None


def _relations(path: Path) -> Iterator[RelationInfo]:
    with translated(), closing(_open(path)) as connection:
        for name, kind in connection.execute(_RELATIONS).fetchall():
            rows = connection.execute('SELECT name, type, "notnull", cid, pk FROM pragma_table_info(?)', (name,))
            described = rows.fetchall()
            columns = tuple(
                ColumnInfo(column, (data_type or "any").lower(), not (not_null or pk), cid + 1)
                for column, data_type, not_null, cid, pk in described
            )
            key = tuple(row[0] for row in sorted(described, key=lambda row: row[4]) if row[4])
            references = connection.execute('SELECT "from", "table", "to" FROM pragma_foreign_key_list(?)', (name,))
            named = tuple((column, join_name((other,)), parent) for column, other, parent in references if parent)
            yield RelationInfo(join_name((name,)), columns, kind, primary_key=key, foreign_keys=named)


def _infer(names: list[str], rows: list[tuple[Any, ...]]) -> "pa.Schema":
    """SQLite types values, not columns: a column of one kind gets its type, a mixed one becomes text."""
    import pyarrow as pa

    widths: dict[type, pa.DataType] = {int: pa.int64(), float: pa.float64(), str: pa.string(), bytes: pa.binary()}
    fields: list[pa.Field[Any]] = []
    for position, name in enumerate(names):
        kinds: set[type] = {type(row[position]) for row in rows} - {type(None)}
        mixed: pa.DataType = pa.float64() if kinds == {int, float} else pa.string()
        fields.append(pa.field(name, widths[kinds.pop()] if len(kinds) == 1 else mixed))
    return pa.schema(fields)


def _batch(schema: "pa.Schema", rows: list[tuple[Any, ...]]) -> "pa.RecordBatch":
    import pyarrow as pa

    columns = list(zip(*rows, strict=True))
    arrays = [pa.array(_fitted(values, field.type), field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _fitted(values: tuple[Any, ...], wanted: "pa.DataType") -> list[Any]:
    """Values as the column's type, which the first batch has settled."""
    import pyarrow as pa

    if pa.types.is_string(wanted):
        return [None if v is None else v.hex() if isinstance(v, bytes) else str(v) for v in values]
    if pa.types.is_float64(wanted):
        return [float(v) if isinstance(v, (int, float)) else None for v in values]
    if pa.types.is_int64(wanted):
        if any(not isinstance(v, (int, type(None))) for v in values):
            raise failure("type mismatch")
        return list(values)
    return [
        v.encode() if isinstance(v, str) else v if isinstance(v, (bytes, type(None))) else str(v).encode()
        for v in values
    ]
