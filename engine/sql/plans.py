"""Plans that are kept: a statement that was checked once for a view is not checked again for the same view."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import TYPE_CHECKING

from core.errors import InvalidArgument
from engine.catalog.snapshots import Snapshot
from engine.catalog.views import View
from engine.connectors.stream import in_thread

if TYPE_CHECKING:
    from engine.sql.bind import Prepared

MAX_SQL_CHARS = 256 * 1024
KEPT_STATEMENTS = 256  # per view
KEPT_VIEWS = 256
MAX_KEPT_SQL = 20_000
SLOW_PARSE = 4_000  # longer statements are parsed beside the event loop

Kept = OrderedDict[tuple[str, int], "Prepared"]


class Plans:
    """Prepared statements by view; a new snapshot of the source starts anew."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[Snapshot, Kept]] = OrderedDict()

    async def prepare(self, view: View, dialect: str, sql: str, *, max_rows: int) -> "Prepared":
        """The checked statement. Raises QueryUnauthorized, InvalidArgument."""
        if len(sql) > MAX_SQL_CHARS:
            raise InvalidArgument(f"The SQL is longer than {MAX_SQL_CHARS} characters.", hint="Send a shorter one.")
        kept = self._kept_for(view)
        key = (sql, max_rows)
        prepared = kept.get(key)
        if prepared is not None:
            kept.move_to_end(key)
            return prepared
        if len(sql) > SLOW_PARSE:
            prepared = await in_thread(lambda: _prepare(view, dialect, sql, max_rows))
        else:
            prepared = _prepare(view, dialect, sql, max_rows)
        if len(sql) <= MAX_KEPT_SQL:
            kept[key] = prepared
            while len(kept) > KEPT_STATEMENTS:
                kept.popitem(last=False)
        return prepared

    def _kept_for(self, view: View) -> Kept:
        key = (view.spec.tenant, view.spec.connection_id, view.key)
        known = self._kept.get(key)
        if known is None or known[0] is not view.snapshot:
            known = self._kept[key] = (view.snapshot, OrderedDict())
            while len(self._kept) > KEPT_VIEWS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return known[1]


def _prepare(view: View, dialect: str, sql: str, max_rows: int) -> "Prepared":
    from engine.sql.bind import prepare  # brings sqlglot: 30 MB and 0.2 s that a start does not need

    return prepare(sql, view, dialect, max_rows=max_rows)
