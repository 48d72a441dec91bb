"""Definitions and record requests as SQL for one caller, checked as any SQL of theirs is."""

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.context import Principal
from core.errors import Conflict, NotFound, PlatformError, Unavailable
from engine.catalog.snapshots import Snapshot
from engine.catalog.views import View
from engine.connectors.connector import Connector
from engine.connectors.stream import in_thread
from engine.sql.plans import Plans
from engine.sql.run import Catalog

if TYPE_CHECKING:
    from engine.policy.rules import Governed
    from engine.sql.bind import Prepared
    from engine.sql.build import Built

MAX_ROWS = 1_000_000
KEPT_VERDICTS = 20_000
KEY_LIMIT = 2  # a second row shows that the columns are no key


@dataclass(frozen=True, slots=True)
class Page:
    """Which records of a table to read. `filters` and `order` are as in a definition."""

    table: str
    columns: Sequence[str] = ()
    filters: Sequence[Mapping[str, Any]] = ()
    order: Sequence[Mapping[str, Any]] = ()
    limit: int = 100
    offset: int = 0
    as_of: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """The values that name one record, in the order of the key's columns."""

    table: str
    values: Sequence[str]
    columns: Sequence[str] = field(default=())
    as_of: str = ""


class QueryBuilder:
    """Makes SQL from data. What it makes is run by `SqlService`, like any other."""

    def __init__(self, catalog: Catalog):
        self._catalog = catalog
        self._plans = Plans()
        self._verdicts: OrderedDict[Hashable, tuple[Snapshot, bool]] = OrderedDict()

    async def build(self, by: Principal, connection_id: str, definition: dict[str, Any], *, as_of: str = "") -> "Built":
        """The SQL of a definition, in the connection's dialect. Raises QueryUnauthorized, Conflict, NotFound."""
        view, connector = await self._open(by, connection_id, as_of)
        built = await in_thread(lambda: _build(definition, view, connector.dialect))
        await self._plans.prepare(view, connector.dialect, built.sql, max_rows=MAX_ROWS)
        return built

    async def check(self, by: Principal, connection_id: str, sql: str) -> "Prepared":
        """The statement as it would run for the caller, without asking the source.

        Raises QueryUnauthorized, NotFound, Unavailable."""
        view, connector = await self._open(by, connection_id)
        return await self._plans.prepare(view, connector.dialect, sql, max_rows=MAX_ROWS)

    async def can_read(self, by: Principal, connection_id: str, sql: str) -> bool:
        """Whether every name in a statement is one that the caller may use. When in doubt, no.

        Raises NotFound, Unavailable."""
        view, connector = await self._open(by, connection_id)
        key = (view.spec.tenant, view.spec.connection_id, view.key, hashlib.sha256(sql.encode()).digest())
        known = self._verdicts.get(key)
        if known is None or known[0] is not view.snapshot:
            known = self._verdicts[key] = (view.snapshot, await self._is_sound(view, connector, sql))
            while len(self._verdicts) > KEPT_VERDICTS:
                self._verdicts.popitem(last=False)
        return known[1]

    async def _is_sound(self, view: View, connector: Connector, sql: str) -> bool:
        try:
            await in_thread(lambda: _prepare(view, connector.dialect, sql))
        except Unavailable:
            raise
        except PlatformError:
            return False
        return True

    async def page(self, by: Principal, connection_id: str, page: Page) -> "Built":
        """The SQL of a page of records, with one row more than asked for, and sorted by the table's key at last.

        Raises QueryUnauthorized, Conflict, NotFound."""
        view, connector = await self._open(by, connection_id, page.as_of)
        return await in_thread(lambda: _page(page, view, connector.dialect))

    async def record(self, by: Principal, connection_id: str, key: Key) -> "Built":
        """The SQL of the record with that key. Raises QueryUnauthorized, Conflict, NotFound."""
        view, connector = await self._open(by, connection_id, key.as_of)
        return await in_thread(lambda: _record(key, view, connector.dialect))

    async def _open(self, by: Principal, connection_id: str, as_of: str = "") -> tuple[View, Connector]:
        view = await self._catalog.view(by, connection_id, as_of)
        return view, await self._catalog.connectors.get(view.spec)


def _prepare(view: View, dialect: str, sql: str) -> "Prepared":
    from engine.sql.bind import prepare

    return prepare(sql, view, dialect, max_rows=MAX_ROWS)


def _build(definition: dict[str, Any], view: View, dialect: str) -> "Built":
    from engine.sql.build import build  # brings sqlglot: 30 MB and 0.2 s that a start does not need
    from engine.sql.definitions import read_definition

    return build(read_definition(definition), view, dialect)


def _page(page: Page, view: View, dialect: str) -> "Built":
    governed = _table(page.table, view)
    named = {str(item.get("column", "")).lower() for item in page.order}
    ties = [{"column": name} for name in known_key(governed) if name.lower() not in named]
    definition = {
        "table": page.table,
        "select": list(page.columns) or _readable(governed),
        "filters": list(page.filters),
        "order": [*page.order, *ties],
        "limit": page.limit + 1,
        "offset": page.offset,
    }
    return _build(definition, view, dialect)


def _record(key: Key, view: View, dialect: str) -> "Built":
    governed = _table(key.table, view)
    columns = list(key.columns) or list(known_key(governed))
    if not columns:
        raise Conflict(
            "The table declares no key that can be used.", hint="Name the columns that hold it under key_columns."
        )
    if len(columns) != len(key.values):
        raise Conflict(
            f"The key has {len(columns)} columns, {len(key.values)} values were given.",
            hint="Give one value for each column of the key, in order."
            if key.columns
            else f"Repeat `key` for each of: {', '.join(columns)}.",
        )
    conditions = [
        {"column": column, "operator": "eq", "value": _typed(governed, column, value)}
        for column, value in zip(columns, key.values, strict=True)
    ]
    definition = {
        "table": key.table,
        "select": _readable(governed),
        "filters": conditions,
        "limit": KEY_LIMIT,
    }
    try:
        return _build(definition, view, dialect)
    except Conflict:  # a value that is none of the column's type names no record
        raise no_record(key.table) from None


def no_record(table: str) -> NotFound:
    return NotFound(f"No record with that key in {table[:80]}.", hint="get_records finds records by their columns.")


def known_key(governed: "Governed") -> tuple[str, ...]:
    """The declared key, where the caller sees all of it as it is."""
    key = governed.source.primary_key
    seen = {column.name for column in governed.relation.columns}
    is_open = all(name in seen and governed.privacy(name) == "public" for name in key)
    return key if is_open else ()


def _typed(governed: "Governed", name: str, value: str) -> str | bool:
    """A key's value from a URL: booleans are texts there."""
    from engine.sql.literals import family

    types = {column.name.lower(): column.data_type for column in governed.relation.columns}
    if family(types.get(name.lower(), "")) == "boolean" and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value


def _table(name: str, view: View) -> "Governed":
    from engine.sql.names import find_table

    return find_table(view, name)


def _readable(governed: "Governed") -> list[str]:
    from engine.sql.build import readable

    return [quote(name) for name in readable(governed)]


def quote(name: str) -> str:
    """The name as a definition's own text: in quotes, so that its dots are its own."""
    return '"' + name.replace('"', '""') + '"'
