"""Datasets and managed tables: a namespace or table of the lakehouse and its row in the store, changed as one.

A change is first written into the row, then done in the catalog, then ended in the row. What a kill leaves between
is done again by whoever comes next: each step in the catalog may be repeated."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.context import Principal
from core.errors import Conflict
from engine.catalog.catalog import Catalog, Tables
from engine.connectors.duck import quote_name
from engine.datasets.columns import Column
from engine.datasets.following import LAKEHOUSE, Following
from engine.datasets.rows import Dataset, ManagedTable, Rows, no_dataset, no_table
from engine.datasets.settling import Settler, checked_name, taken_name
from engine.lake.names import TableName, split_name
from engine.lake.warehouse import Lake
from engine.store.db import Store

if TYPE_CHECKING:  # pyiceberg comes with the first change
    from pyiceberg.catalog.sql import SqlCatalog


@dataclass(frozen=True, slots=True)
class Draft:
    """What of a dataset is to be written; None leaves a field as it is."""

    name: str | None = None
    description: str | None = None
    project_id: str | None = None


class Datasets:
    """Every tenant's datasets and managed tables, as each caller may see them."""

    def __init__(
        self,
        store: Store,
        *,
        lake: Lake,
        catalog: Catalog,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ):
        self.rows = Rows(store)
        self.following = Following(store, lake, catalog)
        self.settler = Settler(self.rows, lake, self.following, clock=clock, new_id=new_id)
        self._catalog = catalog
        self._clock = clock
        self._new_id = new_id

    async def all(self, by: Principal, *, archived: bool = False, project_id: str | None = None) -> list[Dataset]:
        """The datasets whose namespace the caller may know of."""
        await self.settler.sync(by.tenant)
        seen = await self._catalog.tables(by, LAKEHOUSE)
        return [
            row
            for row in await self.rows.datasets(by.tenant, archived=archived)
            if seen.shows_namespace(row.name) and (project_id is None or row.project_id == project_id)
        ]

    async def get(self, by: Principal, dataset_id: str, *, archived: bool = False) -> Dataset:
        """Raises NotFound."""
        for row in await self.all(by, archived=archived):
            if row.dataset_id == dataset_id:
                return row
        raise no_dataset(dataset_id)

    async def tables(
        self, by: Principal, *, archived: bool = False, dataset_id: str | None = None
    ) -> list[ManagedTable]:
        """The tables that the caller sees. Deleted ones are shown to those who could restore them."""
        await self.settler.sync(by.tenant)
        seen = await self._catalog.tables(by, LAKEHOUSE)
        names = {row.dataset_id: row.name for row in await self.rows.datasets(by.tenant)}
        found = await self.rows.tables(by.tenant, archived=archived)
        if dataset_id is not None:
            found = [row for row in found if row.dataset_id == dataset_id]
        if archived:
            return found if by.may("datasets.manage") else []
        return [row for row in found if self._is_seen(row, names, seen)]

    async def table(self, by: Principal, table_id: str, *, archived: bool = False) -> ManagedTable:
        """Raises NotFound."""
        for row in await self.tables(by, archived=archived):
            if row.table_id == table_id:
                return row
        raise no_table(table_id)

    async def full_name(self, row: ManagedTable) -> str:
        """Namespace and table, as SQL names it. Raises NotFound."""
        return str(TableName(split_name((await self.rows.dataset(row.tenant, row.dataset_id)).name), row.name))

    def _is_seen(self, row: ManagedTable, names: Mapping[str, str], seen: Tables) -> bool:
        if row.dataset_id not in names:
            return False
        return seen.view.find((*split_name(names[row.dataset_id]), row.name)) is not None

    async def create(self, by: Principal, draft: Draft, *, dataset_id: str | None = None) -> Dataset:
        """Raises Conflict when the id or the name is taken."""
        await self.settler.sync(by.tenant)
        name = draft.name or ""
        checked_name(name)
        row = await self.settler.insert_dataset(
            by.tenant,
            dataset_id or self._new_id(),
            name,
            state="creating",
            description=draft.description or "",
            project_id=draft.project_id,
        )
        return await self.settler.dataset(row)

    async def update(self, by: Principal, dataset_id: str, draft: Draft) -> Dataset:
        """Change what the draft gives; a new name moves every table. Raises NotFound, Conflict."""
        row = await self.get(by, dataset_id)
        values: dict[str, Any] = {}
        if draft.description is not None:
            values["description"] = draft.description
        if draft.project_id is not None:
            values["project_id"] = draft.project_id
        if draft.name is not None and draft.name != row.name:
            checked_name(draft.name)
            values |= {"state": "moving", "target": draft.name, "taken_name": draft.name.lower()}
        if values:
            await self.rows.change(row, self._clock(), **values)
        return await self.settler.dataset(await self.rows.dataset(by.tenant, dataset_id))

    async def delete(self, by: Principal, dataset_id: str) -> None:
        """Hide a dataset and its tables; they can be restored for some days. Raises NotFound, Conflict."""
        row = await self.get(by, dataset_id)
        hidden = await self._hidden_tables(by, row)
        if hidden:
            raise Conflict("The dataset cannot be deleted by you.", hint="Ask someone who sees all of its tables.")
        await self.rows.change(row, self._clock(), state="archiving")
        await self.settler.dataset(await self.rows.dataset(by.tenant, dataset_id))

    async def restore(self, by: Principal, dataset_id: str) -> Dataset:
        """Bring a deleted dataset back, with the tables that were deleted with it. Raises NotFound, Conflict."""
        row = await self.get(by, dataset_id, archived=True)
        if row.state != "archived":
            row = await self.settler.dataset(row)
        await self.rows.change(row, self._clock(), state="restoring", taken_name=row.name.lower())
        return await self.settler.dataset(await self.rows.dataset(by.tenant, dataset_id))

    async def create_table(
        self,
        by: Principal,
        dataset_id: str,
        name: str,
        columns: Sequence[Mapping[str, Any]],
        *,
        table_id: str | None = None,
    ) -> ManagedTable:
        """Raises NotFound, and Conflict when the id or name is taken or a type does not exist."""
        from engine.datasets.places import make_schema

        dataset = await self.get(by, dataset_id)
        checked_name(name, is_table=True)
        await asyncio.to_thread(make_schema, columns)
        table_id, now = table_id or self._new_id(), self._clock()
        await self.settler.insert_table(
            dataset, table_id, name, now, state="creating", columns=json.dumps(list(columns))
        )
        return await self.settler.table(await self.rows.table(by.tenant, table_id))

    async def move_table(
        self, by: Principal, table_id: str, *, name: str | None = None, dataset_id: str | None = None
    ) -> ManagedTable:
        """Rename a table, or take it to another dataset. Raises NotFound, Conflict."""
        row = await self.table(by, table_id)
        target = {"dataset_id": dataset_id or row.dataset_id, "name": name or row.name}
        if target == {"dataset_id": row.dataset_id, "name": row.name}:
            return row
        checked_name(target["name"], is_table=True)
        await self.get(by, target["dataset_id"])
        taken = taken_name(target["dataset_id"], target["name"])
        await self.rows.change(row, self._clock(), state="moving", target=json.dumps(target), taken_name=taken)
        return await self.settler.table(await self.rows.table(by.tenant, table_id))

    async def delete_table(self, by: Principal, table_id: str) -> None:
        """Hide a table; it can be restored for some days. Raises NotFound, Conflict."""
        row = await self.table(by, table_id)
        await self.rows.change(row, self._clock(), state="archiving", archived_with="")
        await self.settler.table(await self.rows.table(by.tenant, table_id))

    async def restore_table(self, by: Principal, table_id: str) -> ManagedTable:
        """Bring a deleted table back. Raises NotFound, Conflict."""
        row = await self.table(by, table_id, archived=True)
        if row.state == "archiving":
            await self.settler.table(row)
            row = await self.rows.table(by.tenant, table_id)
        await self._check_restorable(by, row)
        taken = taken_name(row.dataset_id, row.name)
        await self.rows.change(row, self._clock(), state="restoring", taken_name=taken)
        return await self.settler.table(await self.rows.table(by.tenant, table_id))

    async def _check_restorable(self, by: Principal, row: ManagedTable) -> None:
        if row.state != "archived":
            raise Conflict("The table's files are being deleted.", hint="It cannot be restored any more.")
        if (await self.rows.dataset(by.tenant, row.dataset_id)).state in ("archiving", "archived"):
            raise Conflict("The table's dataset is deleted.", hint="restore_dataset brings both back.")

    async def _hidden_tables(self, by: Principal, row: Dataset) -> list[ManagedTable]:
        seen = {table.table_id for table in await self.tables(by, dataset_id=row.dataset_id)}
        return [
            table for table in await self.settler.tables_of(row) if table.table_id not in seen and table.state == "live"
        ]

    async def reshape(self, by: Principal, table_id: str, columns: Sequence[Column]) -> ManagedTable:
        """Give a table the columns that it lacks, and wider types; no columns change nothing. Raises Conflict."""
        row = await self.table(by, table_id)
        if not columns:
            return row
        name = await self.full_name(row)
        view = (await self._catalog.table(by, LAKEHOUSE, name)).governed
        if not view.is_open:
            raise Conflict(
                "Policies bind you on this table, so you cannot change its columns.",
                hint="Ask someone who sees all of it.",
            )
        parts = (*split_name(name),)

        def work(catalog: "SqlCatalog") -> None:
            from engine.datasets.reshaping import reshape

            reshape(catalog.load_table(parts), columns)

        await self.settler.commit(by.tenant, work)
        return await self.table(by, table_id)

    async def select_all(self, by: Principal, table_id: str) -> str:
        """A query for every row and column of a table that the caller may read. Raises NotFound, Conflict."""
        name = await self.full_name(await self.table(by, table_id))
        seen = (await self._catalog.table(by, LAKEHOUSE, name)).governed
        columns = [
            quote_name(column.name)
            for column in seen.relation.columns
            if seen.privacy(column.name) in ("public", "masked")
        ]
        if not columns:
            raise Conflict("The table has no column that you may read.", hint="list_columns shows its columns.")
        return f"SELECT {', '.join(columns)} FROM {'.'.join(map(quote_name, split_name(name)))}"  # noqa: S608
