"""What people say about tables and columns: tags and descriptions, kept beside the source's own schema."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from core.errors import Conflict
from engine.catalog.snapshots import Snapshot
from engine.connectors.connector import RelationInfo
from engine.store.db import Store
from engine.store.flights import DEFAULT_TTL_S, TenantCache
from engine.store.tables import column_tags, descriptions

Stamp = tuple[int, float, int, float]
_MIN_STEP_S = 0.001


@dataclass(frozen=True, slots=True)
class TableNotes:
    """Tags and descriptions of one table; columns are keyed by their exact name."""

    description: str | None = None
    column_descriptions: Mapping[str, str] = field(default_factory=dict)
    column_tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


NO_NOTES = TableNotes()
Identity = tuple[str, int]
"""A table's and a column's identity, where the source has them: what a tag stays on when they are renamed."""
NO_TABLES: Mapping[str, TableNotes] = {}


@dataclass(frozen=True, slots=True)
class Place:
    """A column, by the key of its table and its exact name, and by its identity."""

    connection_id: str
    table: str
    column: str
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class Notes:
    """All of a tenant's notes. `stamp` changes with every change of them."""

    stamp: Stamp
    by_connection: Mapping[str, Mapping[str, TableNotes]]
    by_identity: Mapping[str, Mapping[Identity, tuple[str, ...]]] = field(default_factory=dict)
    _kept: dict[str, tuple[Snapshot, Mapping[str, TableNotes]]] = field(default_factory=dict, compare=False)

    def of(self, connection_id: str) -> Mapping[str, TableNotes]:
        """The notes by the names that tables and columns had."""
        return self.by_connection.get(connection_id, NO_TABLES)

    def at(self, snapshot: Snapshot) -> Mapping[str, TableNotes]:
        """The notes by table as it is called now: tags follow what they are on, and stay on its name too."""
        connection_id = snapshot.spec.connection_id
        named = self.of(connection_id)
        identified = self.by_identity.get(connection_id)
        if not identified:
            return named
        kept = self._kept.get(connection_id)
        if kept is None or kept[0] is not snapshot:
            kept = self._kept[connection_id] = (snapshot, _follow(named, identified, snapshot))
        return kept[1]

    def then(self, connection_id: str, key: str, relation: RelationInfo) -> TableNotes:
        """The notes of a relation as it was: tags that its columns have by their names, or by what they are."""
        notes = self.of(connection_id).get(key, NO_NOTES)
        return _joined(notes, self.by_identity.get(connection_id, {}), relation)


class Annotations:
    """Reads and changes tags and descriptions. Tables are named by their key in the snapshot."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time, ttl_s: float = DEFAULT_TTL_S):
        self._store = store
        self._clock = clock
        self._cache: TenantCache[Notes] = TenantCache(self._load, ttl_s=ttl_s)

    async def notes(self, tenant: str) -> Notes:
        return await self._cache.get(tenant)

    async def tag(self, tenant: str, place: Place, tag: str) -> None:
        """Tagging twice is tagging once."""
        key = {**_key(tenant, place.connection_id, place.table, place.column), "tag": tag}
        identity = {"table_identity": place.identity[0], "field_id": place.identity[1]} if place.identity else {}

        def work(connection: Connection) -> None:
            at = _next_time(connection, tenant, column_tags, "created_at", self._clock())
            if connection.execute(_at(select(column_tags.c.tag), column_tags, key)).first() is None:
                connection.execute(insert(column_tags).values(**key, **identity, created_at=at))
            elif identity:  # the name may be another column's by now
                connection.execute(_at(update(column_tags), column_tags, key).values(**identity, created_at=at))

        await self._write(tenant, work)

    async def untag(self, tenant: str, place: Place, tag: str) -> None:
        """Taking off a tag that is not there changes nothing."""
        key = {**_key(tenant, place.connection_id, place.table, place.column), "tag": tag}

        def work(connection: Connection) -> None:
            connection.execute(_at(delete(column_tags), column_tags, key))
            if place.identity:
                named = {"tenant_id": tenant, "connection_id": place.connection_id, "tag": tag}
                same = {**named, "table_identity": place.identity[0], "field_id": place.identity[1]}
                connection.execute(_at(delete(column_tags), column_tags, same))

        await self._write(tenant, work)

    async def describe(self, tenant: str, connection_id: str, table: str, column: str, text: str) -> None:
        """Set the description of a column, or of the table with an empty `column`; an empty text removes it."""
        key = _key(tenant, connection_id, table, column)

        def work(connection: Connection) -> None:
            if not text:
                connection.execute(_at(delete(descriptions), descriptions, key))
                return
            at = _next_time(connection, tenant, descriptions, "updated_at", self._clock())
            changed = connection.execute(_at(update(descriptions), descriptions, key).values(text=text, updated_at=at))
            if changed.rowcount == 0:
                connection.execute(insert(descriptions).values(**key, text=text, updated_at=at))

        await self._write(tenant, work)

    async def move(self, tenant: str, connection_id: str, table: str, then: str) -> None:
        """What is said of a table is said of it under its new key, unless something is there already."""
        of = {"tenant_id": tenant, "connection_id": connection_id}

        def work(connection: Connection) -> None:
            at = _next_time(connection, tenant, descriptions, "updated_at", self._clock())
            for row in connection.execute(_at(select(descriptions), descriptions, {**of, "table_name": table})).all():
                key = {**of, "table_name": then[:512], "column_name": row.column_name}
                if connection.execute(_at(select(descriptions.c.text), descriptions, key)).first() is None:
                    connection.execute(insert(descriptions).values(**key, text=row.text, updated_at=at))
            connection.execute(_at(delete(descriptions), descriptions, {**of, "table_name": table}))

        await self._write(tenant, work)

    def forget(self, tenant: str) -> None:
        self._cache.forget(tenant)

    async def _write(self, tenant: str, work: Callable[[Connection], object]) -> None:
        try:
            await self._store.write(work)
        except IntegrityError:  # another writer was first: now the row is there to be changed
            await self._store.write(work)
        finally:
            self._cache.forget(tenant)

    async def _load(self, tenant: str, previous: Notes | None) -> Notes:
        def work(connection: Connection) -> Notes:
            stamp = _stamp(connection, tenant)
            if previous is not None and previous.stamp == stamp:
                return previous
            return Notes(stamp, _collect(connection, tenant), _identified(connection, tenant))

        return await self._store.read(work)


def _key(tenant: str, connection_id: str, table: str, column: str) -> dict[str, str]:
    if len(table) > 512 or len(column) > 255:
        raise Conflict("This name is too long to be annotated.", hint="Tables: 512 characters, columns: 255.")
    return {"tenant_id": tenant, "connection_id": connection_id, "table_name": table, "column_name": column}


def _at(statement: Any, table: Table, key: Mapping[str, object]) -> Any:
    return statement.where(*(table.c[name] == value for name, value in key.items()))


def _next_time(connection: Connection, tenant: str, table: Table, column: str, now: float) -> float:
    """Later than every time of the tenant's rows, so that the stamp notices each change."""
    latest = connection.execute(select(func.max(table.c[column])).where(table.c.tenant_id == tenant)).scalar()
    return now if latest is None else max(now, float(latest) + _MIN_STEP_S)


def _stamp(connection: Connection, tenant: str) -> Stamp:
    tags = select(func.count(), func.max(column_tags.c.created_at)).where(column_tags.c.tenant_id == tenant)
    texts = select(func.count(), func.max(descriptions.c.updated_at)).where(descriptions.c.tenant_id == tenant)
    tag_count, tagged_at = connection.execute(tags).one()
    text_count, described_at = connection.execute(texts).one()
    return tag_count, tagged_at or 0.0, text_count, described_at or 0.0


def _identified(connection: Connection, tenant: str) -> dict[str, dict[Identity, tuple[str, ...]]]:
    found: dict[str, dict[Identity, tuple[str, ...]]] = {}
    has_identity = (column_tags.c.table_identity != "", column_tags.c.field_id.is_not(None))
    for row in connection.execute(select(column_tags).where(column_tags.c.tenant_id == tenant, *has_identity)):
        of = found.setdefault(row.connection_id, {})
        identity = (row.table_identity, row.field_id)
        of[identity] = tuple(sorted({*of.get(identity, ()), row.tag}))
    return found


def _follow(
    named: Mapping[str, TableNotes], identified: Mapping[Identity, tuple[str, ...]], snapshot: Snapshot
) -> Mapping[str, TableNotes]:
    """Notes by name, with the tags added that belong to columns of another name now."""
    tables = {table for table, _ in identified}
    found = dict(named)
    for key, relation in snapshot.relations.items():
        if relation.identity not in tables:
            continue
        found[key] = _joined(found.get(key, NO_NOTES), identified, relation)
    return found


def _joined(notes: TableNotes, identified: Mapping[Identity, tuple[str, ...]], relation: RelationInfo) -> TableNotes:
    """Notes by name, with the tags added that belong to what the columns are."""
    tags = {name: set(held) for name, held in notes.column_tags.items()}
    for column in relation.columns:
        if column.field_id is not None:
            tags.setdefault(column.name, set()).update(identified.get((relation.identity, column.field_id), ()))
    sorted_tags = {name: tuple(sorted(held)) for name, held in tags.items() if held}
    return TableNotes(notes.description, notes.column_descriptions, sorted_tags)


def _collect(connection: Connection, tenant: str) -> dict[str, dict[str, TableNotes]]:
    tables: dict[tuple[str, str], tuple[dict[str, str], dict[str, list[str]]]] = {}
    texts = select(descriptions).where(descriptions.c.tenant_id == tenant)
    for row in connection.execute(texts):
        tables.setdefault((row.connection_id, row.table_name), ({}, {}))[0][row.column_name] = row.text
    tags = select(column_tags).where(column_tags.c.tenant_id == tenant).order_by(column_tags.c.tag)
    for row in connection.execute(tags):
        entry = tables.setdefault((row.connection_id, row.table_name), ({}, {}))
        entry[1].setdefault(row.column_name, []).append(row.tag)
    collected: dict[str, dict[str, TableNotes]] = {}
    for (connection_id, table), (described, tagged) in tables.items():
        own = described.pop("", None)
        lists = {column: tuple(names) for column, names in tagged.items()}
        collected.setdefault(connection_id, {})[table] = TableNotes(own, described, lists)
    return collected
