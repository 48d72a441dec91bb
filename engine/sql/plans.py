"""Plans that are kept: a statement is not checked again for the same view when only its literals differ.

A statement that comes again word for word has its plan at once. One that comes again with other literals gets, the
second time, a plan with gaps for those that no check looks at (`slots`); from then on the gaps are only filled."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from core.errors import InvalidArgument
from engine.catalog.snapshots import Snapshot
from engine.catalog.views import View
from engine.connectors.stream import in_thread

if TYPE_CHECKING:
    from engine.sql.bind import Prepared
    from engine.sql.slots import Slotted

MAX_SQL_CHARS = 256 * 1024
MAX_SLOTTED_SQL = 20_000
MAX_LITERALS = 200
SLOW_PARSE = 4_000  # longer statements are parsed beside the event loop
MAX_VIEWS = 1000
MAX_KEPT_CHARS = 8_000_000  # in all: some 30 MB
ENTRY_CHARS = 2_000  # what an entry costs beside its texts

Key = tuple[object, ...]


@dataclass(slots=True)
class Kept:
    """What is kept for one view of one snapshot, the longest unused first: plans, plans with gaps, and which
    literals of a shape are free (nothing yet, when the shape was seen once)."""

    key: Hashable
    snapshot: Snapshot
    entries: "OrderedDict[Key, tuple[Prepared | Slotted | tuple[bool, ...], int]]" = field(default_factory=OrderedDict)


class Plans:
    """Prepared statements by view, within a bound for all; a new snapshot of the source starts anew."""

    def __init__(self, *, max_chars: int = MAX_KEPT_CHARS) -> None:
        self._views: OrderedDict[Hashable, Kept] = OrderedDict()
        self._max_chars = max_chars
        self._guard = threading.Lock()  # long statements are planned in threads
        self.size_chars = 0
        self.planned_count = 0

    async def prepare(self, view: View, dialect: str, sql: str, *, max_rows: int) -> "Prepared":
        """The checked statement. Raises QueryUnauthorized, InvalidArgument."""
        if len(sql) > MAX_SQL_CHARS:
            raise InvalidArgument(f"The SQL is longer than {MAX_SQL_CHARS} characters.", hint="Send a shorter one.")
        kept = self._kept_for(view)
        is_slow = len(sql) > SLOW_PARSE or view.recall is not None  # a look at the past reads files
        if is_slow and self._get(kept, (sql, dialect, max_rows)) is None:
            return await in_thread(lambda: self._planned(kept, view, dialect, sql, max_rows))
        return self._planned(kept, view, dialect, sql, max_rows)

    def _planned(self, kept: Kept, view: View, dialect: str, sql: str, max_rows: int) -> "Prepared":
        whole = (sql, dialect, max_rows)
        found = self._get(kept, whole)
        if found is not None:
            return cast("Prepared", found)
        from engine.sql import bind, slots  # brings sqlglot: 30 MB and 0.2 s that a start does not need

        def plan(text: str) -> "Prepared":
            self.planned_count += 1
            return bind.prepare(text, view, dialect, max_rows=max_rows)

        if len(sql) > MAX_SLOTTED_SQL:
            return plan(sql)
        read = slots.read_tokens(sql, dialect)
        shape: Key = (read.key, dialect, max_rows)
        free = cast("tuple[bool, ...] | None", self._get(kept, shape))
        slotted = self._get(kept, (*shape, read.fixed(free))) if free else None
        if slotted is not None:
            return cast("Slotted", slotted).filled(read)
        prepared = plan(sql)
        self._keep(kept, whole, prepared, len(sql) + len(prepared.template))
        if free is None:
            if 0 < len(read.candidates) <= MAX_LITERALS:
                self._keep(kept, shape, (), len(sql))
            return prepared
        is_open = all(not governed.columns for governed in prepared.markers.values())
        free = free or slots.find_free(read, dialect, is_open=is_open)
        self._keep(kept, shape, free, len(sql))
        made = slots.make_slots(read, free, plan, prepared) if any(free) else None
        if made is not None:
            self._keep(kept, (*shape, read.fixed(free)), made, len(prepared.template))
        return prepared

    # What is kept

    def _kept_for(self, view: View) -> Kept:
        key = (view.spec.tenant, view.spec.connection_id, view.key)
        with self._guard:
            known = self._views.get(key)
            if known is None or known.snapshot is not view.snapshot:
                if known is not None:
                    self._forget(known)
                known = self._views[key] = Kept(key, view.snapshot)
            self._views.move_to_end(key)
            return known

    def _get(self, kept: Kept, key: Key) -> "Prepared | Slotted | tuple[bool, ...] | None":
        with self._guard:
            found = kept.entries.get(key)
            if found is None:
                return None
            kept.entries.move_to_end(key)
            return found[0]

    def _keep(self, kept: Kept, key: Key, value: "Prepared | Slotted | tuple[bool, ...]", chars: int) -> None:
        cost = chars + ENTRY_CHARS
        with self._guard:
            if self._views.get(kept.key) is not kept:
                return  # the snapshot or the policies changed while this was planned
            replaced = kept.entries.pop(key, None)
            kept.entries[key] = (value, cost)
            self.size_chars += cost - (replaced[1] if replaced else 0)
            while self.size_chars > self._max_chars or len(self._views) > MAX_VIEWS:
                oldest = next(iter(self._views.values()))
                if len(self._views) > MAX_VIEWS or not oldest.entries:
                    self._forget(oldest)
                else:
                    _, (_, freed) = oldest.entries.popitem(last=False)
                    self.size_chars -= freed

    def _forget(self, kept: Kept) -> None:
        self.size_chars -= sum(cost for _, cost in kept.entries.values())
        del self._views[kept.key]
