"""Saved queries: SQL that a tenant keeps, shown only to those who may see every name in it.

A text may be wrong, or name what its author no longer sees: it is checked when it is read by others and when
it runs, never trusted for having been saved."""

import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, and_, func, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from core.context import Principal
from core.errors import Conflict, NotFound, Unavailable
from core.pages import Window
from engine.store.db import Store
from engine.store.tables import saved_queries

MAX_SAVED = 5_000  # of one tenant, archived ones left out
BATCH = 64


class Reader(Protocol):
    """Says what a principal may see of SQL."""

    async def can_read(self, by: Principal, connection_id: str, sql: str) -> bool:
        """Whether every table and column that a statement names is visible. Raises NotFound, Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class SavedQuery:
    """A query that was saved. `author` wrote its present text, `owner` made it."""

    tenant: str
    query_id: str
    project_id: str | None
    name: str
    description: str
    connection_id: str
    query_text: str
    parameters: Mapping[str, str]
    owner: str
    author: str
    version: int
    created_at: float
    updated_at: float
    archived_at: float | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """What is saved, or changed; None leaves a field as it is."""

    query_text: str | None = None
    project_id: str | None = None
    name: str | None = None
    description: str | None = None
    connection_id: str | None = None
    parameters: Mapping[str, str] | None = None

    def values(self) -> dict[str, Any]:
        """The columns to write."""
        given = {name: getattr(self, name) for name in self.__dataclass_fields__}
        made = {name: value for name, value in given.items() if value is not None}
        if self.parameters is not None:
            made["parameters"] = json.dumps(dict(self.parameters))
        return made


class SavedQueries:
    """Every tenant's saved queries, as each caller may see them."""

    def __init__(
        self,
        store: Store,
        *,
        reader: Reader,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
        max_saved: int = MAX_SAVED,
    ):
        self._store = store
        self._reader = reader
        self._clock = clock
        self._new_id = new_id
        self._max_saved = max_saved

    async def create(self, by: Principal, draft: Draft, *, query_id: str | None = None) -> SavedQuery:
        """Raises Conflict when the id is taken, or the tenant keeps too many."""
        now, query_id = self._clock(), query_id or self._new_id()
        blank: dict[str, Any] = {"name": "", "description": "", "connection_id": "lakehouse", "parameters": "{}"}
        row = {
            **blank,
            **draft.values(),
            "tenant_id": by.tenant,
            "query_id": query_id,
            "owner": by.subject,
            "author": by.subject,
            "version": 1,
            "created_at": now,
            "updated_at": now,
        }

        def work(connection: Connection) -> Any:
            count = select(func.count()).select_from(saved_queries).where(_active(by.tenant))
            if connection.execute(count).scalar_one() >= self._max_saved:
                raise Conflict(f"The tenant keeps {self._max_saved:,} queries.", hint="delete_query removes old ones.")
            connection.execute(insert(saved_queries).values(**row))
            return connection.execute(_one(by.tenant, query_id)).one()

        try:
            return _query(await self._store.write(work))
        except IntegrityError:
            raise Conflict(f"The query id {query_id!r} is taken.", hint="Choose another.") from None

    async def get(self, by: Principal, query_id: str) -> SavedQuery:
        """A query that the caller may see. Raises NotFound, the same for one that is hidden and for none."""
        row = await self._store.read(lambda connection: connection.execute(_one(by.tenant, query_id)).first())
        if row is None or not await self._is_seen(by, found := _query(row)):
            raise _missing(query_id)
        return found

    async def page(
        self, by: Principal, window: Window, *, project_id: str | None = None
    ) -> tuple[list[SavedQuery], int]:
        """A slice of the queries that the caller may see, the oldest first, and how many there are."""
        slice_: list[SavedQuery] = []
        total = 0
        async for found in self._walk(by.tenant, project_id):
            if await self._is_seen(by, found):
                if window.offset <= total < window.offset + window.size:
                    slice_.append(found)
                total += 1
        return slice_, total

    async def update(self, by: Principal, query_id: str, draft: Draft, *, version: int | None = None) -> SavedQuery:
        """Change what the draft gives. Raises NotFound, and Conflict when `version` is no longer the present one."""
        found = await self.get(by, query_id)
        values = draft.values()
        if "query_text" in values and values["query_text"] != found.query_text:
            values["author"] = by.subject
        return await self._change(found, values, version)

    async def archive(self, by: Principal, query_id: str, *, version: int | None = None) -> None:
        """Take a query out of sight; it stays in the store. Raises NotFound, Conflict."""
        found = await self.get(by, query_id)
        await self._change(found, {"archived_at": self._clock()}, version)

    async def _change(self, found: SavedQuery, values: dict[str, Any], version: int | None) -> SavedQuery:
        if version is not None and version != found.version:
            raise _stale(found.version)
        changed = (
            update(saved_queries)
            .where(_is(found.tenant, found.query_id), saved_queries.c.version == found.version)
            .values(**values, version=found.version + 1, updated_at=self._clock())
        )

        def work(connection: Connection) -> Any:
            if connection.execute(changed).rowcount != 1:
                return None
            return connection.execute(_one(found.tenant, found.query_id, archived=True)).one()

        row = await self._store.write(work)
        if row is None:  # somebody else was faster: what the caller was shown is no longer there
            raise _stale(None)
        return _query(row)

    async def _walk(self, tenant: str, project_id: str | None) -> AsyncIterator[SavedQuery]:
        """The tenant's queries in order, a few at a time: their texts may be long."""
        condition, key = _active(tenant), (saved_queries.c.created_at, saved_queries.c.query_id)
        if project_id is not None:
            condition = and_(condition, saved_queries.c.project_id == project_id)
        query = select(saved_queries).where(condition).order_by(*key).limit(BATCH)
        batch = query
        while True:
            rows = await self._store.read(lambda connection, batch=batch: connection.execute(batch).all())  # type: ignore[misc]
            for row in rows:
                yield _query(row)
            if len(rows) < BATCH:
                return
            batch = query.where(tuple_(*key) > tuple_(rows[-1].created_at, rows[-1].query_id))

    async def _is_seen(self, by: Principal, query: SavedQuery) -> bool:
        """Whoever wrote a text knows it; others, and agents for them, see it when they see all that it names."""
        if query.author == by.subject and by.via != "agent":
            return True
        try:
            return await self._reader.can_read(by, query.connection_id, query.query_text)
        except (NotFound, Unavailable):  # no connection, or nobody can say what it holds
            return False


def _missing(query_id: str) -> NotFound:
    return NotFound(f"No saved query {query_id[:64]!r}.", hint="list_queries shows those you can see.")


def _stale(version: int | None) -> Conflict:
    now = f"; it is at version {version}" if version is not None else ""
    return Conflict(f"The query was changed meanwhile{now}.", hint="Read it with get_query and try again.")


def _is(tenant: str, query_id: str) -> ColumnElement[bool]:
    return and_(saved_queries.c.tenant_id == tenant, saved_queries.c.query_id == query_id)


def _active(tenant: str) -> ColumnElement[bool]:
    return and_(saved_queries.c.tenant_id == tenant, saved_queries.c.archived_at.is_(None))


def _one(tenant: str, query_id: str, *, archived: bool = False) -> Any:
    query = select(saved_queries).where(_is(tenant, query_id))
    return query if archived else query.where(saved_queries.c.archived_at.is_(None))


def _query(row: Any) -> SavedQuery:
    return SavedQuery(
        tenant=row.tenant_id,
        query_id=row.query_id,
        project_id=row.project_id,
        name=row.name,
        description=row.description,
        connection_id=row.connection_id,
        query_text=row.query_text,
        parameters=json.loads(row.parameters),
        owner=row.owner,
        author=row.author,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        archived_at=row.archived_at,
    )
