"""Tables and columns as entries of an index. Words are left to the catalog's own search, which sees as the caller."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from itertools import islice

from core.context import Principal
from core.errors import PlatformError
from engine.catalog.annotations import NO_NOTES, TableNotes
from engine.catalog.catalog import Catalog, TableView
from engine.catalog.snapshots import Snapshot
from engine.catalog.views import View
from engine.connectors.connector import ColumnInfo, RelationInfo
from engine.connectors.shared import SHARE
from engine.policy.index import ConnectionPolicies
from engine.retrieval.source import Entry, Kind

WAIT_S = 5.0  # for sources whose schema is not known yet
ABSENT_S = 30.0
MAX_COLUMNS = 20_000  # of all a tenant's tables; beyond it columns are found by words and by their tables
MAX_NAMES = 200  # of columns in a table's text
MAX_DIGESTS = 256
_GAP = "\t"


class TableSource:
    """Entries hold only what nobody is denied: a vector's nearness must not tell of columns that a policy hides."""

    name = "catalog"
    kinds: frozenset[Kind] = frozenset(("table", "column"))

    def __init__(self, catalog: Catalog, *, clock: Callable[[], float] = time.monotonic):
        self._catalog = catalog
        self._clock = clock
        self._digests: OrderedDict[tuple[str, str], tuple[Snapshot, str]] = OrderedDict()
        self._absent: dict[tuple[str, str], float] = {}  # until when a source that did not answer is not asked

    async def version(self, tenant: str) -> str:
        snapshots = await self._snapshots(tenant)
        parts = [await self._digest(tenant, snapshot) for snapshot in snapshots]
        notes = await self._catalog.annotations.notes(tenant)
        policies = await self._catalog.policies.all(tenant)
        return _hash([*parts, repr(notes.stamp), repr(policies.stamp)])

    async def entries(self, tenant: str) -> AsyncIterator[Entry]:
        snapshots = await self._snapshots(tenant)
        notes = await self._catalog.annotations.notes(tenant)
        policies = await self._catalog.policies.all(tenant)
        has_columns = sum(snapshot.column_count for snapshot in snapshots) <= MAX_COLUMNS
        for snapshot in snapshots:
            noted = notes.at(snapshot)
            rules = policies.of(snapshot.spec.connection_id)
            is_whole = snapshot.spec.kind != SHARE  # what of a share is seen, its owner decides
            for number, key in enumerate(snapshot.names):
                relation, said = snapshot.relations[key], noted.get(key, NO_NOTES)
                names = is_whole and is_uncovered(rules, relation, said)
                yield _table(snapshot.spec.connection_id, key, relation, said, with_names=names)
                for column in relation.columns if has_columns else ():
                    yield _column(snapshot.spec.connection_id, key, relation, column, said)
                if number % 200 == 0:
                    await asyncio.sleep(0)

    async def show(self, principal: Principal, refs: Sequence[str]) -> Mapping[str, Entry]:
        eyes = _Eyes(self._catalog, principal)
        found: dict[str, Entry] = {}
        for ref in refs:
            connection_id, key, column = _parts(ref)
            table = await eyes.look(connection_id, key)
            if table is None:
                continue
            if not column:
                found[ref] = _table(connection_id, key, table.relation, table.notes, with_names=True)
                continue
            info = next((item for item in table.relation.columns if item.name == column), None)
            if info is not None:
                found[ref] = _column(connection_id, key, table.relation, info, table.notes)
        return found

    async def find(
        self, principal: Principal, words: Sequence[str], kinds: frozenset[Kind], count: int
    ) -> tuple[Sequence[str], Sequence[str]]:
        found = await self._catalog.search(principal, " ".join(words), count)
        refs: dict[str, None] = {}
        for hit in found.items:
            if "table" in kinds:  # a column is found in its table too
                refs[_ref(hit.connection_id, hit.table)] = None
            if hit.column is not None and "column" in kinds:
                refs[_ref(hit.connection_id, hit.table, hit.column.name)] = None
        return list(refs), found.unavailable

    async def within(self, principal: Principal, refs: Sequence[str]) -> Sequence[str]:
        eyes = _Eyes(self._catalog, principal)
        found: list[str] = []
        for ref in refs:
            connection_id, key, _ = _parts(ref)
            table = await eyes.look(connection_id, key)
            columns: Iterable[ColumnInfo] = () if table is None else table.relation.columns
            found += [_ref(connection_id, key, column.name) for column in islice(columns, MAX_NAMES)]
        return found

    async def own(self, tenant: str) -> list[Snapshot]:
        """The schemas of the tenant's own connections, as far as they can be read now."""
        return [snapshot for snapshot in await self._snapshots(tenant) if snapshot.spec.kind != SHARE]

    async def _snapshots(self, tenant: str) -> list[Snapshot]:
        """The schemas that can be read now."""
        nobody = Principal("", tenant)
        connections = await self._catalog.connections.listing(tenant)
        found = await asyncio.gather(*(self._snapshot(nobody, item.connection_id) for item in connections))
        return [snapshot for snapshot in found if snapshot is not None]

    async def _snapshot(self, by: Principal, connection_id: str) -> Snapshot | None:
        key, now = (by.tenant, connection_id), self._clock()
        if self._absent.get(key, 0.0) > now:
            return None
        try:
            async with asyncio.timeout(WAIT_S):
                found = await self._catalog.snapshot(by, connection_id)
        except (PlatformError, TimeoutError):
            self._absent[key] = now + ABSENT_S
            return None
        self._absent.pop(key, None)
        return found

    async def _digest(self, tenant: str, snapshot: Snapshot) -> str:
        """Equal in all processes that see the same schema."""
        key = (tenant, snapshot.spec.connection_id)
        kept = self._digests.get(key)
        if kept is None or kept[0] is not snapshot:
            kept = self._digests[key] = (snapshot, await asyncio.to_thread(_describe, snapshot))
            while len(self._digests) > MAX_DIGESTS:
                self._digests.popitem(last=False)
        return kept[1]


class _Eyes:
    """What one caller sees, with each connection looked up once."""

    def __init__(self, catalog: Catalog, principal: Principal):
        self._catalog = catalog
        self._principal = principal
        self._seen: dict[str, tuple[View, Mapping[str, TableNotes]] | None] = {}

    async def look(self, connection_id: str, key: str) -> TableView | None:
        """The table as the caller sees it, or None."""
        if connection_id not in self._seen:
            self._seen[connection_id] = await self._open(connection_id)
        found = self._seen[connection_id]
        if found is None:
            return None
        view, notes = found
        governed = view.get(key) if key in view.snapshot.relations else None
        return None if governed is None else TableView(connection_id, key, governed, notes.get(key, NO_NOTES))

    async def _open(self, connection_id: str) -> tuple[View, Mapping[str, TableNotes]] | None:
        try:
            async with asyncio.timeout(WAIT_S):
                view = await self._catalog.view(self._principal, connection_id)
        except (PlatformError, TimeoutError):
            return None
        return view, (await self._catalog.annotations.notes(self._principal.tenant)).at(view.snapshot)


def is_uncovered(rules: ConnectionPolicies, relation: RelationInfo, notes: TableNotes) -> bool:
    """Whether no policy at all is about a relation: what it holds, all see alike."""
    return not rules.about(relation, notes.column_tags)


def _ref(connection_id: str, key: str, column: str = "") -> str:
    return _GAP.join((connection_id, key, column)) if column else _GAP.join((connection_id, key))


def _parts(ref: str) -> tuple[str, str, str]:
    connection_id, _, rest = ref.partition(_GAP)
    key, _, column = rest.partition(_GAP)
    return connection_id, key, column


def _table(connection_id: str, key: str, relation: RelationInfo, notes: TableNotes, *, with_names: bool) -> Entry:
    namespace, _, last = relation.name.rpartition(".")
    names = " ".join(column.name for column in relation.columns[:MAX_NAMES]) if with_names else ""
    text = " ".join(filter(None, (notes.description or relation.comment, namespace, names)))
    return Entry("table", _ref(connection_id, key), last, text, connection_id=connection_id, table=relation.name)


def _column(connection_id: str, key: str, relation: RelationInfo, column: ColumnInfo, notes: TableNotes) -> Entry:
    tags = notes.column_tags.get(column.name, ())
    return Entry(
        "column",
        _ref(connection_id, key, column.name),
        column.name,
        notes.column_descriptions.get(column.name) or column.comment or "",
        also=(relation.name.rpartition(".")[2], *tags),
        connection_id=connection_id,
        table=relation.name,
        column=column.name,
    )


def _describe(snapshot: Snapshot) -> str:
    found = hashlib.blake2b(snapshot.spec.connection_id.encode(), digest_size=16)
    for key in snapshot.names:
        relation = snapshot.relations[key]
        found.update(f"\n{relation.name}\t{relation.comment}".encode("utf-8", "replace"))
        for column in relation.columns:
            found.update(f"\t{column.name}\t{column.comment}".encode("utf-8", "replace"))
    return found.hexdigest()


def _hash(parts: Iterable[str]) -> str:
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
