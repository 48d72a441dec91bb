"""What a data source looks like from inside: its relations, and one read-only statement as a stream of Arrow."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from core.context import Cancellation

if TYPE_CHECKING:  # pyarrow is loaded by the first query, not by the server's start
    import pyarrow as pa

Kind = Literal["lakehouse", "duckdb", "files", "sqlite", "postgresql"]


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """One column; `data_type` is the source's own word for it, in lower case."""

    name: str
    data_type: str
    nullable: bool
    ordinal: int
    comment: str | None = None
    field_id: int | None = None  # identity that survives renames, where the source has one


@dataclass(frozen=True, slots=True)
class RelationInfo:
    """A table or view. `name` is its parts joined by dots; parts that hold a dot are double-quoted."""

    name: str
    columns: tuple[ColumnInfo, ...]
    kind: Literal["table", "view"] = "table"
    row_count: int | None = None
    comment: str | None = None
    primary_key: tuple[str, ...] = ()  # its columns in order, where the source declares one
    foreign_keys: tuple[tuple[str, str, str], ...] = ()  # column, relation and its column, where they are declared
    size_bytes: int | None = None  # of its files, where the source knows
    identity: str = ""  # survives renames, where the source has one
    snapshot_id: int | None = None  # of a table as it was
    read_from: str = ""  # the FROM item that reads it, of a table as it was: that never changes


@dataclass(frozen=True, slots=True)
class ConnectionSpec:
    """A stored connection as the engine opens it. `version` rises with every change of it."""

    tenant: str
    connection_id: str
    name: str
    kind: str
    options: Mapping[str, str] = field(default_factory=dict)
    secret: Mapping[str, str] = field(default_factory=dict, repr=False)
    version: int = 1


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """Bounds of one statement. One row beyond `max_rows` is read to know that there are more."""

    max_rows: int
    max_bytes: int
    timeout_s: float
    memory_mb: int = 1024
    threads: int = 0


@dataclass(slots=True)
class RunStats:
    """What a statement used. None where the engine does not say; final when its stream has ended."""

    row_count: int = 0
    """Rows given out so far."""
    size_bytes: int = 0
    """Their size as Arrow in memory, uncompressed."""
    rows_scanned: int | None = None
    bytes_scanned: int | None = None
    cpu_ms: int | None = None
    memory_peak_bytes: int | None = None


class ArrowStream(Protocol):
    """The rows of one running statement. Close it, also after the last of them.

    Read it once, in one of two ways. `async for batch in stream` gives record batches to look into.
    `async for data in stream.chunks()` gives bytes to pass on unread: each is a self-contained Arrow IPC stream
    (schema, then 1-2.6 MB of rows, LZ4) whose columns have unique names; there is at least one, so that the
    columns of an empty result are told too. `is_truncated` and `stats` hold for both."""

    @property
    def schema(self) -> "pa.Schema": ...

    @property
    def is_truncated(self) -> bool:
        """Whether rows were left out for `max_rows` or `max_bytes`; final when iteration has ended."""
        ...

    @property
    def stats(self) -> RunStats:
        """Rows so far; the rest is final when iteration has ended."""
        ...

    def chunks(self) -> AsyncIterator[bytes]: ...

    def __aiter__(self) -> "AsyncIterator[pa.RecordBatch]": ...

    async def close(self) -> None:
        """Stop the statement if it still runs, and give its resources back."""
        ...


class Connector(Protocol):
    """One open data source of one tenant. Safe for concurrent statements."""

    @property
    def kind(self) -> str: ...

    @property
    def dialect(self) -> str:
        """sqlglot's name of the SQL that `execute` takes."""
        ...

    async def schema(self) -> list[RelationInfo]:
        """Every relation that the source's credentials can see."""
        ...

    async def sources(self, names: Iterable[str]) -> Mapping[str, str]:
        """For relations named as in `schema`, the FROM item, in `dialect`, that reads each of them now.

        A name that the source no longer has is left out."""
        ...

    async def execute(
        self, sql: str, parameters: Mapping[str, str], *, limits: QueryLimits, cancelled: Cancellation
    ) -> ArrowStream:
        """Start one statement that was already checked; `parameters` are bound by name, never printed into it."""
        ...

    async def explain(self, sql: str, parameters: Mapping[str, str]) -> str:
        """The engine's plan for a checked statement, as text without paths."""
        ...

    async def check(self) -> str:
        """Connect and return the server's version. Raises Unavailable saying what is wrong."""
        ...

    async def close(self) -> None: ...


@runtime_checkable
class Versioned(Protocol):
    """A source that keeps what its relations were."""

    def past(self, name: str, as_of: str) -> RelationInfo:
        """The relation named as in `schema`, as of a snapshot, a time, a branch or a tag. Blocking.

        Raises NotFound, Conflict, Unavailable."""
        ...
