"""Answers kept in memory, for whoever asks the same of the same data through the same view.

Only for statements over snapshots that never change, whose functions give the same each time. The key holds the
statement as it runs, and with it the governed projections, masks, filters and the metadata file of each table."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

TTL_S = 300.0
MAX_ANSWER_BYTES = 1024 * 1024
SNAPSHOT_KINDS = frozenset({"lakehouse"})  # sources whose FROM items name a state that never changes

# Functions of DuckDB's allow-list that do not give the same each time, with the words that SQL has for some of them.
VOLATILE = frozenset(
    [
        "age",
        "current_date",
        "current_localtime",
        "current_localtimestamp",
        "current_time",
        "current_timestamp",
        "gen_random_uuid",
        "get_current_time",
        "get_current_timestamp",
        "localtime",
        "localtimestamp",
        "now",
        "random",
        "reservoir_quantile",
        "sample",
        "setseed",
        "tablesample",
        "today",
        "transaction_timestamp",
        "uuid",
        "uuidv4",
        "uuidv7",
    ]
)
_WORD = re.compile(rf"\b(?:{'|'.join(sorted(VOLATILE))})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer without anything that belongs to one run or one caller."""

    schema: "pa.Schema"
    batches: "Sequence[pa.RecordBatch]"
    is_truncated: bool
    column_privacy: Mapping[str, str]
    private_row_count: int


@dataclass(frozen=True, slots=True)
class _Entry:
    answer: KeptAnswer
    size: int
    until: float


class Answers:
    """Answers of one process, within a bound; when it is full, the tenant that holds the most gives way."""

    def __init__(self, max_bytes: int, *, ttl_s: float = TTL_S, clock: Callable[[], float] = time.monotonic):
        self._max_bytes = max_bytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._kept: dict[str, OrderedDict[Hashable, _Entry]] = {}
        self._held: dict[str, int] = {}

    @property
    def size_bytes(self) -> int:
        return sum(self._held.values())

    def get(self, tenant: str, key: Hashable) -> KeptAnswer | None:
        """The answer that is kept under a key, if it is recent."""
        kept = self._kept.get(tenant)
        entry = kept.get(key) if kept else None
        if kept is None or entry is None:
            return None
        if entry.until <= self._clock():
            self._drop(tenant, key)
            return None
        kept.move_to_end(key)
        return entry.answer

    def put(self, tenant: str, key: Hashable, answer: KeptAnswer) -> None:
        """Keep an answer unless it is too large."""
        size = sum(batch.get_total_buffer_size() for batch in answer.batches) + 2_000
        if size > min(MAX_ANSWER_BYTES, self._max_bytes // 8):
            return
        self._drop(tenant, key)
        self._kept.setdefault(tenant, OrderedDict())[key] = _Entry(answer, size, self._clock() + self._ttl_s)
        self._held[tenant] = self._held.get(tenant, 0) + size
        while self.size_bytes > self._max_bytes:
            largest = max(self._held, key=self._held.__getitem__)
            self._drop(largest, next(iter(self._kept[largest])))

    def forget(self, tenant: str) -> None:
        """Drop all that a tenant has here."""
        self._kept.pop(tenant, None)
        self._held.pop(tenant, None)

    def _drop(self, tenant: str, key: Hashable) -> None:
        kept = self._kept.get(tenant)
        entry = kept.pop(key, None) if kept else None
        if kept is None or entry is None:
            return
        self._held[tenant] -= entry.size
        if not kept:
            del self._kept[tenant], self._held[tenant]


def is_steady(sql: str) -> bool:
    """Whether a statement gives the same each time over the same data; when in doubt, no."""
    return _WORD.search(sql) is None
