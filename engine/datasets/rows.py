"""Rows of datasets and managed tables: what they are called, where they stand, and what is still to be done."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from core.errors import Conflict, NotFound
from engine.store.db import Store
from engine.store.tables import datasets, managed_tables

State = Literal["creating", "live", "moving", "archiving", "archived", "restoring", "purging"]
SETTLED: tuple[State, ...] = ("live", "archived")


@dataclass(frozen=True, slots=True)
class Dataset:
    """A namespace of the lakehouse. `target` is the name that it is moving to."""

    tenant: str
    dataset_id: str
    name: str
    description: str
    project_id: str | None
    state: State
    target: str
    created_at: float
    updated_at: float
    archived_at: float | None

    @property
    def object_id(self) -> str:
        return self.dataset_id


@dataclass(frozen=True, slots=True)
class ManagedTable:
    """A table of the lakehouse. `target` says where it is moving to, or what is left to delete."""

    tenant: str
    table_id: str
    dataset_id: str
    name: str
    identity: str | None
    columns: Sequence[Mapping[str, Any]]
    state: State
    target: Mapping[str, str]
    archived_with: str
    created_at: float
    updated_at: float
    archived_at: float | None

    @property
    def object_id(self) -> str:
        return self.table_id


class Rows:
    """Statements over both tables; every one names its tenant."""

    def __init__(self, store: Store):
        self._store = store

    async def datasets(self, tenant: str, *, archived: bool = False) -> list[Dataset]:
        """Those that are there, or those that were deleted, the oldest first."""
        return [_dataset(row) for row in await self._all(datasets, tenant, archived=archived)]

    async def tables(self, tenant: str, *, archived: bool = False) -> list[ManagedTable]:
        """Those that are there, or those that were deleted, the oldest first."""
        return [_managed(row) for row in await self._all(managed_tables, tenant, archived=archived)]

    async def unsettled(self, tenant: str, before: float) -> list[Dataset | ManagedTable]:
        """What was begun and not ended; datasets first, since their tables follow them."""
        found: list[Dataset | ManagedTable] = []
        for table, make in ((datasets, _dataset), (managed_tables, _managed)):
            where = and_(table.c.tenant_id == tenant, table.c.state.not_in(SETTLED), table.c.updated_at < before)
            query = select(table).where(where).order_by(table.c.updated_at).limit(200)
            rows = await self._store.read(lambda connection, query=query: connection.execute(query).all())  # type: ignore[misc]
            found += [make(row) for row in rows]
        return found

    async def archived_before(self, time: float) -> list[ManagedTable]:
        """Deleted tables of every tenant whose files may go."""
        c = managed_tables.c
        query = select(managed_tables).where(c.state.in_(("archived", "purging")), c.archived_at < time).limit(500)
        rows = await self._store.read(lambda connection: connection.execute(query).all())
        return [_managed(row) for row in rows]

    async def forget_archived(self, time: float) -> None:
        """Take away the rows of datasets that were deleted before, once none of their tables is left."""
        c, t = datasets.c, managed_tables.c
        left = select(t.table_id).where(t.tenant_id == c.tenant_id, t.dataset_id == c.dataset_id).exists()
        query = delete(datasets).where(c.state == "archived", c.archived_at < time, ~left)
        await self._store.write(lambda connection: connection.execute(query))

    async def tenants(self) -> list[str]:
        """Every tenant with something unfinished."""
        found: set[str] = set()
        for table in (datasets, managed_tables):
            query = select(table.c.tenant_id).where(table.c.state.not_in(SETTLED)).distinct()
            found |= set(await self._store.read(lambda connection, query=query: connection.scalars(query).all()))  # type: ignore[misc]
        return sorted(found)

    async def dataset(self, tenant: str, dataset_id: str) -> Dataset:
        """Raises NotFound."""
        row = await self._one(datasets, tenant, dataset_id)
        if row is None:
            raise no_dataset(dataset_id)
        return _dataset(row)

    async def table(self, tenant: str, table_id: str) -> ManagedTable:
        """Raises NotFound."""
        row = await self._one(managed_tables, tenant, table_id)
        if row is None:
            raise no_table(table_id)
        return _managed(row)

    async def insert(self, table: Table, **values: Any) -> None:
        """Raises Conflict when the id or the name is taken."""
        try:
            await self._store.write(lambda connection: connection.execute(insert(table).values(**values)))
        except IntegrityError:
            raise Conflict(
                "That id or name is taken.", hint="Choose another; deleted ones keep their ids until they are purged."
            ) from None

    async def change(self, row: Dataset | ManagedTable, now: float, **values: Any) -> None:
        """Change a row that is as it was read. Raises Conflict when it is not, or the new name is taken."""
        table = datasets if isinstance(row, Dataset) else managed_tables
        query = update(table).where(_is(table, row.tenant, row.object_id), table.c.updated_at == row.updated_at)

        def work(connection: Connection) -> int:
            later = max(now, row.updated_at + 1e-3)  # so that two changes never look the same
            return connection.execute(query.values(**values, updated_at=later)).rowcount

        try:
            changed = await self._store.write(work)
        except IntegrityError:
            raise Conflict("That name is taken.", hint="Choose another.") from None
        if changed != 1:
            raise Conflict("It was changed meanwhile.", hint="Read it again, then retry.")

    async def forget(self, row: Dataset | ManagedTable) -> None:
        """Take a row away."""
        table = datasets if isinstance(row, Dataset) else managed_tables
        query = delete(table).where(_is(table, row.tenant, row.object_id))
        await self._store.write(lambda connection: connection.execute(query))

    async def _all(self, table: Table, tenant: str, *, archived: bool) -> Sequence[Any]:
        gone = ("archiving", "archived", "purging")
        state = table.c.state.in_(gone) if archived else table.c.state.not_in(gone)
        query = select(table).where(table.c.tenant_id == tenant, state).order_by(table.c.created_at, _key(table))
        return await self._store.read(lambda connection: connection.execute(query).all())

    async def _one(self, table: Table, tenant: str, object_id: str) -> Any:
        query = select(table).where(_is(table, tenant, object_id))
        return await self._store.read(lambda connection: connection.execute(query).first())


def no_dataset(dataset_id: str) -> NotFound:
    return NotFound(f"No dataset {dataset_id[:64]!r}.", hint="list_datasets shows those you can see.")


def no_table(table_id: str) -> NotFound:
    return NotFound(f"No managed table {table_id[:64]!r}.", hint="list_managed_tables shows those you can see.")


def _key(table: Table) -> Any:
    return table.c.dataset_id if table is datasets else table.c.table_id


def _is(table: Table, tenant: str, object_id: str) -> ColumnElement[bool]:
    return and_(table.c.tenant_id == tenant, _key(table) == object_id)


def _dataset(row: Any) -> Dataset:
    return Dataset(
        tenant=row.tenant_id,
        dataset_id=row.dataset_id,
        name=row.name,
        description=row.description,
        project_id=row.project_id,
        state=row.state,
        target=row.target,
        created_at=row.created_at,
        updated_at=row.updated_at,
        archived_at=row.archived_at,
    )


def _managed(row: Any) -> ManagedTable:
    return ManagedTable(
        tenant=row.tenant_id,
        table_id=row.table_id,
        dataset_id=row.dataset_id,
        name=row.name,
        identity=row.identity,
        columns=json.loads(row.columns),
        state=row.state,
        target=json.loads(row.target),
        archived_with=row.archived_with,
        created_at=row.created_at,
        updated_at=row.updated_at,
        archived_at=row.archived_at,
    )
