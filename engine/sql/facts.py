"""What is asked of SQL, and what is known of a query when it has ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.portable import Rows

if TYPE_CHECKING:
    import pyarrow as pa

    from engine.catalog.views import View


@dataclass(frozen=True, slots=True)
class Statement:
    """What is asked: SQL, values for its parameters, and bounds below those of the platform."""

    sql: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    max_rows: int | None = None
    may_reuse: bool = True  # an equal answer of a moment ago will do, where nothing can have changed


@dataclass(slots=True)
class Facts:
    """What is known of a query when it has ended; `columns` are pairs of name and type."""

    query_id: str = ""
    row_count: int = 0
    execution_time_ms: int = 0
    is_truncated: bool = False
    columns: list[tuple[str, str]] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    column_privacy: Mapping[str, str] = field(default_factory=dict)
    private_row_count: int = 0
    rows_scanned: int = 0
    bytes_scanned: int = 0
    from_cache: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows of a query in both forms, as Arrow as they came, and the view through which they were read."""

    rows: Rows
    facts: Facts
    schema: "pa.Schema"
    batches: "Sequence[pa.RecordBatch]"
    view: "View"
