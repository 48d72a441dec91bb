"""Values as entries of an index: the few texts that a column takes, where everyone sees them alike.

They are read from their source when they are first asked for, in this process, and once a day from then on. A column
that any policy is about, or that comes from another tenant, is never read."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from core.context import Principal
from core.errors import PlatformError
from engine.catalog.annotations import NO_NOTES
from engine.catalog.catalog import Catalog
from engine.retrieval.source import Entry, Kind
from engine.retrieval.tables import TableSource, is_uncovered
from engine.sql.builder import QueryBuilder, quote
from engine.sql.facts import Statement
from engine.sql.run import SqlService
from engine.store.flights import Flights

MAX_COLUMNS = 100  # of one tenant; those of the smallest tables first
MAX_VALUES = 200  # beyond it a column is no list of names
MAX_CHARS = 64
MAX_ROWS = 5_000_000
READ_S = 2.0
DAY_S = 24 * 3600.0
MAX_TENANTS = 64
READER = "retrieval"
QUERY = "query.run"
_GAP = "\t"
_TEXTS = ("char", "text", "string", "enum")


@dataclass(frozen=True, slots=True)
class _Column:
    connection_id: str
    key: str
    table: str
    column: str
    row_count: int


class ValueSource:
    """Looks values up by what they are: a question names them more often than it names their column."""

    name = "values"
    kinds: frozenset[Kind] = frozenset(("value",))

    def __init__(
        self,
        catalog: Catalog,
        tables: TableSource,
        sql: SqlService,
        builder: QueryBuilder,
        *,
        clock: Callable[[], float] = time.time,
    ):
        self._catalog = catalog
        self._tables = tables
        self._sql = sql
        self._builder = builder
        self._clock = clock
        self._kept: OrderedDict[str, tuple[str, dict[str, Entry]]] = OrderedDict()
        self._flights: Flights[tuple[str, str], dict[str, Entry]] = Flights()

    async def version(self, tenant: str) -> str:
        return f"{await self._tables.version(tenant)} {int(self._clock() / DAY_S)}"

    async def entries(self, tenant: str) -> AsyncIterator[Entry]:
        for entry in (await self._values(tenant)).values():
            yield entry

    async def show(self, principal: Principal, refs: Sequence[str]) -> Mapping[str, Entry]:
        kept = self._kept.get(principal.tenant)
        if kept is None or not principal.may(QUERY):
            return {}
        known = {ref: kept[1][ref] for ref in refs if ref in kept[1]}
        seen = {place: await self._is_seen(principal, place) for place in {_place(ref) for ref in known}}
        return {ref: entry for ref, entry in known.items() if seen[_place(ref)]}

    def forget(self, tenant: str) -> None:
        self._kept.pop(tenant, None)

    async def _is_seen(self, by: Principal, place: tuple[str, str, str]) -> bool:
        """Whether the caller sees the column, and still nothing is ruled about its table."""
        connection_id, key, column = place
        try:
            view = await self._catalog.view(by, connection_id)
        except PlatformError:
            return False
        governed = view.get(key) if key in view.snapshot.relations else None
        if governed is None or not governed.is_open:
            return False
        notes = (await self._catalog.annotations.notes(by.tenant)).at(view.snapshot).get(key, NO_NOTES)
        rules = (await self._catalog.policies.all(by.tenant)).of(connection_id)
        return is_uncovered(rules, governed.source, notes) and any(
            item.name == column for item in governed.relation.columns
        )

    async def _values(self, tenant: str) -> dict[str, Entry]:
        version = await self.version(tenant)
        kept = self._kept.get(tenant)
        if kept is not None and kept[0] == version:
            return kept[1]
        return await self._flights.join((tenant, version), lambda: self._read_all(tenant, version))

    async def _read_all(self, tenant: str, version: str) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        for column in await self._columns(tenant):
            for value in await self._read(tenant, column):
                entry = _entry(column, value)
                found[entry.ref] = entry
        self._kept[tenant] = (version, found)
        while len(self._kept) > MAX_TENANTS:
            self._kept.popitem(last=False)
        return found

    async def _columns(self, tenant: str) -> list[_Column]:
        notes = await self._catalog.annotations.notes(tenant)
        policies = await self._catalog.policies.all(tenant)
        found: list[_Column] = []
        for snapshot in await self._tables.own(tenant):
            rules, noted = policies.of(snapshot.spec.connection_id), notes.at(snapshot)
            for key in snapshot.names:
                relation = snapshot.relations[key]
                if (relation.row_count or 0) > MAX_ROWS or not is_uncovered(rules, relation, noted.get(key, NO_NOTES)):
                    continue
                rows = MAX_ROWS if relation.row_count is None else relation.row_count
                place = (snapshot.spec.connection_id, key, relation.name)
                found += [_Column(*place, item.name, rows) for item in relation.columns if _is_text(item.data_type)]
            await asyncio.sleep(0)
        return sorted(found, key=lambda item: (item.row_count, item.connection_id, item.key))[:MAX_COLUMNS]

    async def _read(self, tenant: str, column: _Column) -> Iterator[str]:
        """The distinct values of a column; none where there are too many, or reading them fails or takes too long."""
        definition = {
            "table": column.table,
            "select": [{"column": quote(column.column), "alias": "value"}],
            "distinct": True,
            "filters": [{"column": quote(column.column), "operator": "not_null"}],
            "limit": MAX_VALUES + 1,
        }
        by = Principal(READER, tenant, permissions=frozenset((QUERY,)), via="local")
        try:
            built = await self._builder.build(by, column.connection_id, definition)
            statement = Statement(built.sql, timeout_s=READ_S, max_rows=MAX_VALUES + 1)
            answer = await self._sql.execute(by, column.connection_id, statement)
        except PlatformError:
            return iter(())
        values = [str(row["value"]).strip() for row in answer.rows.records()]
        is_list = len(values) <= MAX_VALUES and not answer.facts.is_truncated
        return (value for value in values if is_list and value and len(value) <= MAX_CHARS)


def _is_text(data_type: str) -> bool:
    return any(kind in data_type.lower() for kind in _TEXTS)


def _entry(column: _Column, value: str) -> Entry:
    digest = hashlib.blake2b(value.encode("utf-8", "replace"), digest_size=8).hexdigest()
    return Entry(
        "value",
        _GAP.join((column.connection_id, column.key, column.column, digest)),
        value,
        also=(column.column,),
        connection_id=column.connection_id,
        table=column.table,
        column=column.column,
    )


def _place(ref: str) -> tuple[str, str, str]:
    connection_id, key, column, _ = ref.split(_GAP)
    return connection_id, key, column
