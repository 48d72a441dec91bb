"""Ends what was begun: each state of a row says what is to be done in the catalog, and may be done twice."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from core.errors import Conflict, NotFound
from engine.datasets.following import Following
from engine.datasets.rows import Dataset, ManagedTable, Rows
from engine.lake.names import FAR_TRASH, TRASH, TableName, join_name, split_name
from engine.lake.warehouse import Lake, LakeTable
from engine.store.tables import datasets as dataset_rows
from engine.store.tables import managed_tables as table_rows

if TYPE_CHECKING:  # pyiceberg comes with the first change
    from pyiceberg.catalog.sql import SqlCatalog

T = TypeVar("T")
UNFINISHED_S = 20.0  # after which a change that has not ended was given up
KEEP_S = 7 * 24 * 3600.0  # for which a deleted table can be restored


class Settler:
    """Carries out the changes that rows announce."""

    def __init__(
        self, rows: Rows, lake: Lake, following: Following, *, clock: Callable[[], float], new_id: Callable[[], str]
    ):
        self.rows = rows
        self.lake = lake
        self.following = following
        self.clock = clock
        self.new_id = new_id
        self._synced: dict[str, str] = {}

    async def sync(self, tenant: str) -> None:
        """End what was left unfinished, and give a row to whatever the lakehouse holds without one."""
        from engine.datasets.adoption import adopt

        for row in await self.rows.unsettled(tenant, self.clock() - UNFINISHED_S):
            with suppress(Conflict, NotFound):  # said already to whoever asked for it
                await self._settle(row)
        version = await asyncio.to_thread(self.lake.version, tenant)
        if version and self._synced.get(tenant) != version:
            await adopt(self, tenant)
            self._synced[tenant] = version

    async def upkeep(self) -> int:
        """End what was left unfinished anywhere, and purge what was deleted long ago; says how many tables."""
        for tenant in await self.rows.tenants():
            await self.sync(tenant)
        count = 0
        for row in await self.rows.archived_before(self.clock() - KEEP_S):
            await self._purge(row)
            count += 1
        await self.rows.forget_archived(self.clock() - KEEP_S)
        return count

    async def _settle(self, row: Dataset | ManagedTable) -> None:
        if isinstance(row, Dataset):
            await self.dataset(row)
        else:
            await self.table(row)

    async def dataset(self, row: Dataset) -> Dataset:
        from engine.datasets.places import drop_namespace, make_namespace

        parts = split_name(row.name)
        now = self.clock()
        if row.state == "creating":
            await self.commit(row.tenant, lambda catalog: make_namespace(catalog, parts))
            await self.rows.change(row, now, state="live")
        elif row.state == "moving":
            try:
                await self._hold_all(row)
            except Conflict:
                await self.rows.change(row, now, state="live", target="", taken_name=row.name.lower())
                raise
            await self._move_all(row)
            await self.rows.change(row, now, state="live", name=row.target, target="")
        elif row.state == "archiving":
            for table in await self.tables_of(row):
                if table.state in ("live", "archiving", "moving"):
                    await self.rows.change(table, now, state="archiving", archived_with=row.dataset_id)
                    await self.table(await self.rows.table(row.tenant, table.table_id))
            await self.commit(row.tenant, lambda catalog: drop_namespace(catalog, parts))
            await self.rows.change(row, now, state="archived", taken_name=None, archived_at=now)
        elif row.state == "restoring":
            await self.commit(row.tenant, lambda catalog: make_namespace(catalog, parts))
            for table in await self.rows.tables(row.tenant, archived=True):
                if table.archived_with == row.dataset_id and table.state == "archived":
                    taken = taken_name(table.dataset_id, table.name)
                    await self.rows.change(table, now, state="restoring", taken_name=taken)
                    await self.table(await self.rows.table(row.tenant, table.table_id))
            await self.rows.change(row, now, state="live", archived_at=None)
        return await self.rows.dataset(row.tenant, row.dataset_id)

    async def _hold_all(self, row: Dataset) -> None:
        new = split_name(row.target)
        for table in await self._tables_in(row.tenant, split_name(row.name)):
            await self.following.hold(row.tenant, table, new_name=str(TableName(new, table.name.table)))

    async def _tables_in(self, tenant: str, namespace: tuple[str, ...]) -> list[LakeTable]:
        return [
            table for table in await asyncio.to_thread(self.lake.tables, tenant) if table.name.namespace == namespace
        ]

    async def _move_all(self, row: Dataset) -> None:
        from engine.datasets.places import drop_namespace, make_namespace, tables_of

        old, new = split_name(row.name), split_name(row.target)

        def work(catalog: "SqlCatalog") -> None:
            make_namespace(catalog, new)
            for parts in tables_of(catalog, old):
                catalog.rename_table(parts, (*new, parts[-1]))
            drop_namespace(catalog, old)

        await self.commit(row.tenant, work)
        for table in await self._tables_in(row.tenant, new):
            await self.following.renamed(row.tenant, (*old, table.name.table), table.name.parts)

    async def table(self, row: ManagedTable) -> ManagedTable:
        if row.state not in ("creating", "moving", "archiving", "restoring"):
            return row
        try:
            await self._change_place(row)
        except NotFound:
            await self.rows.forget(row)
            raise
        except Conflict:
            if row.state == "creating":
                await self.rows.forget(row)
            elif row.state == "archiving":
                await self.rows.change(row, self.clock(), state="live", archived_with="")
            elif row.state == "moving":
                back = taken_name(row.dataset_id, row.name)
                await self.rows.change(row, self.clock(), state="live", target="{}", taken_name=back)
            elif row.state == "restoring":
                await self.rows.change(row, self.clock(), state="archived", taken_name=None)
            raise
        return await self.rows.table(row.tenant, row.table_id)

    async def _change_place(self, row: ManagedTable) -> None:
        from engine.datasets.places import make_table, move_table, trash

        namespace = split_name((await self.rows.dataset(row.tenant, row.dataset_id)).name)
        here, now, identity = (*namespace, row.name), self.clock(), row.identity or ""
        if row.state == "creating":
            made = await self.commit(row.tenant, lambda catalog: make_table(catalog, here, row.table_id, row.columns))
            with suppress(Conflict):  # a policy that cannot be read binds its name all the same
                await self.following.before(row.tenant, here)
            await self.rows.change(row, now, state="live", identity=made)
        elif row.state == "moving":
            target = await self.rows.dataset(row.tenant, row.target["dataset_id"])
            there = (*split_name(target.name), row.target["name"])
            await self.following.before(row.tenant, here, there)
            await self.commit(row.tenant, lambda catalog: move_table(catalog, identity, here, there))
            await self.following.renamed(row.tenant, here, there)
            await self.rows.change(row, now, state="live", target="{}", **row.target)
        elif row.state == "archiving":
            there = trash(row.table_id)
            await self.following.before(row.tenant, here)
            await self.commit(row.tenant, lambda catalog: move_table(catalog, identity, here, there))
            await self.following.dropped(row.tenant, here)
            await self.rows.change(row, now, state="archived", taken_name=None, archived_at=now)
        else:
            there = trash(row.table_id)
            await self.commit(row.tenant, lambda catalog: move_table(catalog, identity, there, here))
            await self.rows.change(row, now, state="live", archived_at=None, archived_with="")

    async def _purge(self, row: ManagedTable) -> None:
        from engine.datasets.places import delete_folder, drop_table, trash

        location = row.target.get("location", "")
        if row.state == "archived":
            await self.rows.change(row, self.clock(), state="purging", target=json.dumps({"location": ""}))
            row = await self.rows.table(row.tenant, row.table_id)
        found = await self.commit(row.tenant, lambda catalog: _location(catalog, trash(row.table_id)))
        if found and found != location:
            await self.rows.change(row, self.clock(), target=json.dumps({"location": found}))
            row, location = await self.rows.table(row.tenant, row.table_id), found
        await self.commit(row.tenant, lambda catalog: drop_table(catalog, trash(row.table_id)))
        if location:
            root, storage = self.lake.site(row.tenant).root, await asyncio.to_thread(self.lake.storage, row.tenant)
            others = [table.metadata.location for table in await asyncio.to_thread(self.lake.tables, row.tenant)]
            await asyncio.to_thread(delete_folder, location, root, others, storage)
        await self.rows.forget(row)

    async def commit(self, tenant: str, work: "Callable[[SqlCatalog], T]") -> T:
        """Run `work` on the tenant's writable catalog."""
        return await self.lake.commit(tenant, work)

    async def tables_of(self, row: Dataset) -> list[ManagedTable]:
        from engine.datasets.adoption import adopt

        await adopt(self, row.tenant)
        return [table for table in await self.rows.tables(row.tenant) if table.dataset_id == row.dataset_id]

    async def rename_row(self, row: ManagedTable, dataset: Dataset, name: str) -> None:
        """Follow a table that somebody renamed in the catalog. Raises Conflict."""
        taken = taken_name(dataset.dataset_id, name)
        await self.rows.change(row, self.clock(), dataset_id=dataset.dataset_id, name=name, taken_name=taken)

    async def insert_dataset(self, tenant: str, dataset_id: str, name: str, *, state: str, **values: Any) -> Dataset:
        now = self.clock()
        given = {"description": "", "project_id": None, **values}
        await self.rows.insert(
            dataset_rows,
            tenant_id=tenant,
            dataset_id=dataset_id,
            name=name,
            taken_name=name.lower(),
            state=state,
            target="",
            created_at=now,
            updated_at=now,
            **given,
        )
        return await self.rows.dataset(tenant, dataset_id)

    async def insert_table(self, dataset: Dataset, table_id: str, name: str, now: float, **values: Any) -> None:
        given = {"identity": None, "columns": "[]", "target": "{}", "archived_with": "", **values}
        await self.rows.insert(
            table_rows,
            tenant_id=dataset.tenant,
            dataset_id=dataset.dataset_id,
            table_id=table_id,
            name=name,
            taken_name=taken_name(dataset.dataset_id, name),
            created_at=now,
            updated_at=now,
            **given,
        )


def _location(catalog: "SqlCatalog", parts: tuple[str, ...]) -> str:
    from pyiceberg.exceptions import NoSuchTableError

    from engine.datasets.places import placed

    try:
        return catalog.load_table(placed(catalog, parts)).location()
    except NoSuchTableError:
        return ""


def taken_name(dataset_id: str, name: str) -> str:
    """What no two tables may share."""
    return f"{dataset_id}.{name.lower()}"


def checked_name(name: str, *, is_table: bool = False) -> tuple[str, ...]:
    """The parts of a name that somebody gave us. Raises Conflict for one that cannot be had."""
    parts = (name,) if is_table else split_name(name)
    if join_name(parts).lower() in (TRASH, FAR_TRASH, "headwater", "main", "information_schema"):
        raise Conflict(f"The name {name[:80]!r} is the platform's own.", hint="Choose another.")
    return parts
