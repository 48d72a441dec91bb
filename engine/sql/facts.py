"""What is asked of SQL, and what is known of a query when it has ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from core.portable import Rows


@dataclass(frozen=True, slots=True)
class Statement:
    """What is asked: SQL, values for its parameters, and bounds below those of the platform."""

    sql: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    max_rows: int | None = None
    may_reuse: bool = True  # an equal answer of a moment ago will do, where nothing can have changed
    reader: str = ""  # the saved query that this is, for lineage
    as_of: str = ""  # the snapshot, time, branch or tag at which tables are read; empty: now
    allowed_s: float | None = None  # the time it may take, where that is not the platform's for a query
    keep_for: str = ""  # the tool whose permission opens the rows again, for an hour; empty: they are not kept


@dataclass(slots=True)
class Facts:
    """What is known of a query when it has ended; `columns` are pairs of name and type."""

    query_id: str = ""
    row_count: int = 0
    execution_time_ms: int = 0
    is_truncated: bool = False
    columns: list[tuple[str, str]] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    versions: Mapping[str, str] = field(default_factory=dict)  # the snapshots of tables that were read as they were
    column_privacy: Mapping[str, str] = field(default_factory=dict)
    private_row_count: int = 0
    rows_scanned: int = 0
    bytes_scanned: int = 0
    cpu_ms: int = 0
    from_cache: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query, and what is known of it."""

    rows: Rows
    facts: Facts
