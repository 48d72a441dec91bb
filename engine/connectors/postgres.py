"""PostgreSQL by ADBC: Arrow batches from the wire, read-only sessions, cancel on the server."""

import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as url_quote
from urllib.parse import urlencode

from core.context import Cancellation
from core.errors import Conflict, PlatformError, Unavailable
from engine.connectors.connector import ArrowStream, ColumnInfo, QueryLimits, RelationInfo, RunStats
from engine.connectors.duck import quote_name
from engine.connectors.failures import failure
from engine.connectors.kinds import PostgresqlOptions
from engine.connectors.stream import BatchStream, in_thread
from engine.lake.names import join_name, split_name

if TYPE_CHECKING:
    import pyarrow as pa

CONNECT_TIMEOUT_S = 5
KEPT_CONNECTIONS = 4
EXPLAIN = "EXPLAIN "
# In the middle of a stream the driver tells no SQLSTATE.
_GONE = "terminating connection|server closed the connection|connection (to server )?(was )?lost|no connection to the"
_RELATIONS = """
SELECT n.nspname::text, c.relname::text, CASE WHEN c.relkind IN ('v', 'm') THEN 'view' ELSE 'table' END,
       c.reltuples::float8, obj_description(c.oid, 'pg_class')::text, a.attname::text,
       format_type(a.atttypid, a.atttypmod)::text, NOT a.attnotnull, a.attnum::int,
       col_description(c.oid, a.attnum)::text, array_position(i.indkey::int2[], a.attnum)::int
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT c.relispartition AND has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
ORDER BY 1, 2, 9"""


class PostgresConnector:
    """Tables of the schema `public` go by their name alone, others as schema.table."""

    kind = "postgresql"
    dialect = "postgres"

    def __init__(self, options: PostgresqlOptions, address: str):
        self._uri = _uri(options, address)
        self._idle: list[Any] = []
        self._guard = threading.Lock()
        self._is_closed = False

    async def schema(self) -> list[RelationInfo]:
        return await in_thread(lambda: _relations(self._rows(_RELATIONS)))

    async def sources(self, names: Iterable[str]) -> Mapping[str, str]:
        return {name: _quoted(name) for name in names}

    async def execute(
        self, sql: str, parameters: Mapping[str, str], *, limits: QueryLimits, cancelled: Cancellation
    ) -> ArrowStream:
        return await BatchStream.open(PostgresStatement(self, sql, parameters, limits), limits, cancelled)

    async def explain(self, sql: str, parameters: Mapping[str, str]) -> str:
        limits = QueryLimits(max_rows=10_000, max_bytes=10**7, timeout_s=10.0)
        stream = await self.execute(f"{EXPLAIN}{sql}", parameters, limits=limits, cancelled=Cancellation())
        return "\n".join([str(line) for batch in [b async for b in stream] for line in batch.column(0).to_pylist()])

    async def check(self) -> str:
        rows = await in_thread(lambda: self._rows("SELECT current_setting('server_version')"))
        return f"PostgreSQL {rows[0][0]}"

    async def close(self) -> None:
        with self._guard:
            self._is_closed = True
            idle, self._idle = self._idle, []
        await in_thread(lambda: [connection.close() for connection in idle])

    def take(self) -> Any:
        """A connection from the pool, or a new one. Blocking."""
        import adbc_driver_postgresql.dbapi as adbc  # type: ignore[import-untyped]

        with self._guard:
            if self._idle:
                return self._idle.pop()
        with translated(connecting=True):
            return adbc.connect(self._uri, autocommit=True)

    def give(self, connection: Any, *, is_sound: bool) -> None:
        with self._guard:
            if is_sound and not self._is_closed and len(self._idle) < KEPT_CONNECTIONS:
                self._idle.append(connection)
                return
        connection.close()

    def _rows(self, sql: str) -> list[tuple[Any, ...]]:
        connection, is_sound = self.take(), False
        try:
            with translated(), connection.cursor() as cursor:
                cursor.execute(sql)
                rows: list[tuple[Any, ...]] = cursor.fetchall()
            is_sound = True
            return rows
        finally:
            self.give(connection, is_sound=is_sound)


class PostgresStatement:
    """One statement; its connection goes back to the pool only when all went well."""

    def __init__(self, owner: PostgresConnector, sql: str, parameters: Mapping[str, str], limits: QueryLimits):
        self._owner = owner
        self._sql = sql
        self._parameters = parameters
        self._limits = limits
        self._guard = threading.Lock()
        self._connection: Any = None
        self._cursor: Any = None
        self._reader: pa.RecordBatchReader | None = None
        self._schema: pa.Schema | None = None
        self._is_done = False
        self._is_running = False

    def start(self) -> "pa.Schema":
        self._connection = self._owner.take()
        with translated():
            self._cursor = self._connection.cursor()
            # Ours interrupts first; the server's own limit is for the case that we are gone.
            self._cursor.execute(f"SET statement_timeout = {int(self._limits.timeout_s * 1000) + 2000}")
            if self._sql.startswith(EXPLAIN):  # the driver reads by COPY, which takes queries only
                self._cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
            self._is_running = True
            self._cursor.execute(self._sql, parameters=self._bound())
            self._reader = self._cursor.fetch_record_batch()
            self._schema = _plain_schema(self._reader.schema)
        return self._schema

    def next(self) -> "pa.RecordBatch | None":
        assert self._reader is not None and self._schema is not None, "start() comes first"
        with translated():
            batch = next(self._reader, None)
        if batch is None:
            self._is_done = True
            return None
        return _plain_batch(batch, self._schema)

    def measure(self, stats: RunStats) -> None:
        return None

    def interrupt(self) -> None:
        with self._guard:
            if self._cursor is not None and self._is_running and not self._is_done:
                self._cursor.adbc_cancel()

    def close(self) -> None:
        with self._guard:
            cursor, self._cursor = self._cursor, None
        self._reader = None
        if cursor is not None:
            cursor.close()
        if self._connection is not None:
            self._owner.give(self._connection, is_sound=self._is_done)
            self._connection = None

    def _bound(self) -> "pa.RecordBatch | None":
        """The values, in the order of their sorted names, as the types that the server found for `$1`, `$2`..."""
        values = [self._parameters[name] for name in sorted(self._parameters)]
        if not values:
            return None
        import pyarrow as pa

        wanted = self._cursor.adbc_prepare(self._sql)
        try:
            arrays = [_typed(value, field.type) for value, field in zip(values, wanted, strict=True)]
        except (pa.ArrowException, ArithmeticError, ValueError) as error:
            raise Conflict(
                "A parameter's value does not fit its type.", hint="Dates are written 2026-01-31, numbers plainly."
            ) from error
        return pa.RecordBatch.from_arrays(arrays, names=[str(number + 1) for number in range(len(values))])


def _typed(value: str, wanted: "pa.DataType") -> "pa.Array[Any]":
    import pyarrow as pa

    if isinstance(wanted, pa.OpaqueType) and wanted.type_name == "numeric":
        return pa.array([Decimal(value)])
    if isinstance(wanted, pa.TimestampType) and wanted.tz:
        moment = datetime.fromisoformat(value)
        return pa.array([moment if moment.tzinfo else moment.replace(tzinfo=UTC)], wanted)
    return pa.array([value]).cast(wanted)


@contextmanager
def translated(*, connecting: bool = False) -> Iterator[None]:
    import adbc_driver_manager as adbc
    import pyarrow as pa

    try:
        yield
    except (adbc.Error, pa.ArrowException, OSError) as error:
        # The driver's text holds the address, the statement and values: none of it goes further.
        raise _failure(error, connecting=connecting) from None


def _failure(error: Exception, *, connecting: bool) -> PlatformError:
    state = getattr(error, "sqlstate", None) or ""
    text = str(error)
    if connecting or state.startswith(("08", "57P", "53")) or re.search(_GONE, text):
        if "authentication failed" in text or state.startswith("28") or "no password" in text:
            return Unavailable("The database refused the user or password.", hint="Correct the connection.")
        return Unavailable("The database does not answer.", hint="Check host, port and whether it runs.")
    if state == "42501":
        return Unavailable("The connection's role may not read this.", hint="Grant SELECT to the connection's role.")
    if state.startswith("25"):
        return Conflict("The connection only reads.", hint="Write a SELECT.")
    if state == "57014":
        return failure("interrupted")
    return failure(text.partition("ERROR:")[2] or text)


def _uri(options: PostgresqlOptions, address: str) -> str:
    session = "-c default_transaction_read_only=on -c TimeZone=UTC -c idle_session_timeout=600000"
    query = {"sslmode": options.sslmode, "connect_timeout": str(CONNECT_TIMEOUT_S), "application_name": "headwater"}
    if address.startswith("/"):
        query |= {"host": address, "port": options.port}
    else:
        query |= {"host": options.host, "hostaddr": address, "port": options.port}
    login = f"{url_quote(options.user, safe='')}:{url_quote(options.password.get_secret_value(), safe='')}"
    fixed = urlencode({**query, "options": session}, quote_via=url_quote)
    return f"postgresql://{login}@/{url_quote(options.database, safe='')}?{fixed}"


def _relations(rows: list[tuple[Any, ...]]) -> list[RelationInfo]:
    found: dict[tuple[str, str], tuple[Any, list[ColumnInfo]]] = {}
    keys: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for row in rows:
        schema, table, kind, size, comment, name, data_type, is_nullable, ordinal, remark, place = row
        entry = found.setdefault((schema, table), ((kind, size, comment), []))
        if name is not None:
            entry[1].append(ColumnInfo(name, data_type, is_nullable, ordinal, remark))
        if place is not None:
            keys.setdefault((schema, table), []).append((place, name))
    return [
        RelationInfo(
            join_name((table,) if schema == "public" else (schema, table)),
            tuple(columns),
            kind,
            int(size) if size is not None and size >= 0 and kind == "table" else None,
            comment,
            tuple(name for _, name in sorted(keys.get((schema, table), ()))),
        )
        for (schema, table), ((kind, size, comment), columns) in found.items()
    ]


def _quoted(name: str) -> str:
    parts = split_name(name)
    return ".".join(map(quote_name, ("public", *parts) if len(parts) == 1 else parts))


def _plain_schema(schema: "pa.Schema") -> "pa.Schema":
    """The schema without the driver's extension types and notes."""
    import pyarrow as pa

    return pa.schema([pa.field(field.name, _plain_type(field)) for field in schema])


def _plain_type(field: "pa.Field[Any]") -> "pa.DataType":
    import pyarrow as pa

    if isinstance(field.type, pa.OpaqueType) and field.type.type_name == "numeric":
        return _decimal(int((field.metadata or {}).get(b"POSTGRESQL:typmod", b"-1")))
    kind: pa.DataType = field.type
    return pa.string() if isinstance(kind, pa.BaseExtensionType) else kind


def _decimal(modifier: int) -> "pa.DataType":
    """numeric(p, s) as a decimal; numeric without bounds as double, since Arrow has no unbounded decimal."""
    import pyarrow as pa

    if modifier < 4:
        return pa.float64()
    precision, scale = ((modifier - 4) >> 16) & 0xFFFF, (modifier - 4) & 0x7FF
    scale = (scale ^ 1024) - 1024
    if precision > 38:
        return pa.decimal256(precision, scale) if precision <= 76 else pa.float64()
    return pa.decimal128(precision, scale)


def _plain_batch(batch: "pa.RecordBatch", schema: "pa.Schema") -> "pa.RecordBatch":
    import pyarrow as pa

    arrays = [_plain_array(array, field.type) for array, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _plain_array(array: Any, wanted: "pa.DataType") -> Any:
    import pyarrow as pa

    if isinstance(array.type, pa.UuidType):
        return pa.array([None if value is None else str(value) for value in array.to_pylist()], pa.string())
    storage = array.storage if isinstance(array, pa.ExtensionArray) else array
    if pa.types.is_decimal(wanted):
        # A numeric column may hold NaN and infinities, which no decimal can.
        return pa.array([None if v is None or v[-1].isalpha() else v for v in storage.to_pylist()]).cast(wanted)
    return storage if storage.type == wanted else storage.cast(wanted)
