"""What a tenant has written of its semantic layer: items by kind and name, with every version of each."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Connection, Select, and_, func, insert, select, update

from core.context import Principal
from core.errors import Conflict, NotFound
from engine.store.db import Store
from engine.store.tables import semantic_items, semantic_versions

Kind = Literal["model", "metric", "verified_query", "knowledge"]
Status = Literal["draft", "active"]
MAX_ITEMS = 10_000  # of one tenant
MAX_CHARS = 64 * 1024  # of one definition
T, V = semantic_items.c, semantic_versions.c


@dataclass(frozen=True, slots=True)
class Stored:
    """An item at one of its versions. `author` wrote that version."""

    tenant: str
    kind: Kind
    name: str
    connection_id: str
    status: Status
    subject_path: str
    definition: Mapping[str, Any]
    author: str
    version: int
    created_at: float
    updated_at: float
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """An item to write. version: the one that is replaced; 0: there must be none; None: whatever is there."""

    kind: Kind
    name: str
    definition: Mapping[str, JsonValue]
    connection_id: str = ""
    status: Status = "active"
    subject_path: str = ""
    version: int | None = None


class SemanticStore:
    """Every tenant's items. Who may see one is not decided here."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time, max_items: int = MAX_ITEMS):
        self._store = store
        self._clock = clock
        self._max_items = max_items

    async def revision(self, tenant: str) -> int:
        """Another number after each change."""
        total = select(func.coalesce(func.sum(T.version), 0)).where(T.tenant_id == tenant)
        return int(await self._store.read(lambda connection: connection.execute(total).scalar_one()))

    async def all(self, tenant: str, *kinds: Kind) -> list[Stored]:
        """The items of these kinds, by name."""
        query = select(semantic_items).where(T.tenant_id == tenant, T.kind.in_(kinds), T.deleted_at.is_(None))
        rows = await self._store.read(lambda connection: connection.execute(query.order_by(T.name)).all())
        return [_stored(row) for row in rows]

    async def get(self, tenant: str, kind: Kind, name: str) -> Stored:
        """Raises NotFound."""
        row = await self._store.read(lambda connection: connection.execute(_one(tenant, kind, name)).first())
        if row is None or row.deleted_at is not None:
            raise missing(kind, name)
        return _stored(row)

    async def put(self, by: Principal, changes: Sequence[Change]) -> list[Stored]:
        """Write all of them, or none. What is there already with the same text stays at its version.

        Raises Conflict when a name is taken or has changed meanwhile."""
        now = self._clock()

        def work(connection: Connection) -> list[Stored]:
            written = [_write(connection, by, change, now) for change in changes]
            count = select(func.count()).where(T.tenant_id == by.tenant, T.deleted_at.is_(None))
            if connection.execute(count).scalar_one() > self._max_items:
                raise Conflict(f"The tenant keeps {self._max_items:,} of these at most.", hint="Delete old ones.")
            return written

        return await self._store.write(work)

    async def delete(self, by: Principal, found: Stored) -> None:
        """Take an item away, unless it has changed since it was read; its versions stay. Raises Conflict."""
        now, version = self._clock(), found.version + 1
        change = (
            update(semantic_items)
            .where(_is(found.tenant, found.kind, found.name), T.version == found.version, T.deleted_at.is_(None))
            .values(deleted_at=now, updated_at=now, version=version, author=by.subject)
        )

        def work(connection: Connection) -> None:
            if connection.execute(change).rowcount != 1:
                raise stale(found.name)
            row = connection.execute(_one(found.tenant, found.kind, found.name)).one()
            connection.execute(insert(semantic_versions).values(**_kept(row), is_deleted=1))

        await self._store.write(work)

    async def versions(self, tenant: str, kind: Kind, name: str) -> list[Stored]:
        """All that an item has been, the newest first. Empty where there was never one."""
        query = select(semantic_versions).where(V.tenant_id == tenant, V.kind == kind, V.name == name)
        query = query.order_by(V.version.desc())
        rows = await self._store.read(lambda connection: connection.execute(query).all())
        return [_past(row) for row in rows]


def stale(name: str) -> Conflict:
    return Conflict(f"{name[:80]!r} was changed meanwhile.", hint="Read it again, and try again with its version.")


def taken(name: str) -> Conflict:
    return Conflict(f"The name {name[:80]!r} is taken.", hint="Choose another, or update what is there.")


def missing(kind: str, name: str) -> NotFound:
    word = kind.replace("_", " ")
    tools = {"model": "list_semantic_models", "metric": "list_metrics", "verified_query": "list_verified_queries"}
    return NotFound(f"No {word} {name[:64]!r}.", hint=f"{tools.get(kind, 'list_knowledge')} shows those you can see.")


def _write(connection: Connection, by: Principal, change: Change, now: float) -> Stored:
    row = connection.execute(_one(by.tenant, change.kind, change.name)).first()
    is_there = row is not None and row.deleted_at is None
    if change.version == 0 and is_there:
        raise taken(change.name)
    if change.version and (row is None or not is_there or row.version != change.version):
        raise stale(change.name)
    definition = json.dumps(change.definition, ensure_ascii=False, allow_nan=False)
    if len(definition) > MAX_CHARS:
        raise Conflict(f"{change.name[:80]!r} is longer than {MAX_CHARS:,} characters.", hint="Split it.")
    values: dict[str, Any] = {
        "connection_id": change.connection_id,
        "status": change.status,
        "subject_path": change.subject_path,
        "definition": definition,
    }
    if row is not None and is_there and all(getattr(row, name) == value for name, value in values.items()):
        return _stored(row)
    values |= {"author": by.subject, "updated_at": now, "deleted_at": None}
    version = 1 if row is None else row.version + 1
    if row is None:
        key = {"tenant_id": by.tenant, "kind": change.kind, "name": change.name, "created_at": now}
        connection.execute(insert(semantic_items).values(**key, **values, version=version))
    else:
        values |= {} if is_there else {"created_at": now}
        where = and_(_is(by.tenant, change.kind, change.name), T.version == row.version)
        if connection.execute(update(semantic_items).where(where).values(**values, version=version)).rowcount != 1:
            raise stale(change.name)
    made = connection.execute(_one(by.tenant, change.kind, change.name)).one()
    connection.execute(insert(semantic_versions).values(**_kept(made), is_deleted=0))
    return _stored(made)


def _is(tenant: str, kind: Kind, name: str) -> ColumnElement[bool]:
    return and_(T.tenant_id == tenant, T.kind == kind, T.name == name)


def _one(tenant: str, kind: Kind, name: str) -> Select[Any]:
    return select(semantic_items).where(_is(tenant, kind, name))


def _kept(row: Any) -> dict[str, Any]:
    names = ("tenant_id", "kind", "name", "version", "connection_id", "status", "subject_path", "definition", "author")
    return {name: getattr(row, name) for name in names} | {"changed_at": row.updated_at}


def _stored(row: Any) -> Stored:
    return Stored(
        row.tenant_id,
        row.kind,
        row.name,
        row.connection_id,
        row.status,
        row.subject_path,
        json.loads(row.definition),
        row.author,
        row.version,
        row.created_at,
        row.updated_at,
    )


def _past(row: Any) -> Stored:
    return Stored(
        row.tenant_id,
        row.kind,
        row.name,
        row.connection_id,
        row.status,
        row.subject_path,
        json.loads(row.definition),
        row.author,
        row.version,
        row.changed_at,
        row.changed_at,
        bool(row.is_deleted),
    )
