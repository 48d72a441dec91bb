"""What the lakehouse holds without a row gets one; what others renamed or dropped is noticed."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from core.errors import Conflict
from engine.datasets.rows import Dataset, ManagedTable
from engine.lake.names import join_name, split_name
from engine.lake.warehouse import LakeTable

if TYPE_CHECKING:
    from engine.datasets.settling import Settler

SETTLING_S = 60.0  # for which a row without its table may belong to a change that goes on


async def adopt(settler: "Settler", tenant: str) -> None:
    """Make the tenant's rows those of its lakehouse."""
    tables = await asyncio.to_thread(settler.lake.tables, tenant)
    namespaces = await asyncio.to_thread(settler.lake.namespaces, tenant)
    known = {row.name.lower(): row for row in await settler.rows.datasets(tenant)}
    targets = {row.target.lower() for row in known.values() if row.target}
    for name in namespaces:
        if name.lower() not in known and name.lower() not in targets:
            with suppress(Conflict):  # another process was faster
                row = await settler.insert_dataset(tenant, settler.new_id(), name, state="live")
                known[name.lower()] = row
    for row in known.values():
        await _forget_dropped(settler, row, namespaces)
    await _adopt_tables(settler, tenant, tables, known)


async def _adopt_tables(settler: "Settler", tenant: str, tables: list[LakeTable], datasets: dict[str, Dataset]) -> None:
    rows = await settler.rows.tables(tenant)
    by_identity = {row.identity: row for row in rows}
    archived = {row.identity for row in await settler.rows.tables(tenant, archived=True)}
    for table in tables:
        dataset = datasets.get(join_name(table.name.namespace).lower())
        identity = table.metadata.table_uuid
        if dataset is None or not identity or identity in archived:
            continue
        row = by_identity.get(identity)
        with suppress(Conflict):
            if row is None:
                new_id, now = settler.new_id(), settler.clock()
                await settler.insert_table(dataset, new_id, table.name.table, now, state="live", identity=identity)
                await settler.following.hold(tenant, table)
            elif row.state == "live" and (row.dataset_id, row.name) != (dataset.dataset_id, table.name.table):
                await settler.following.renamed(tenant, _parts(row, datasets), table.name.parts)
                await settler.rename_row(row, dataset, table.name.table)
    present = {table.metadata.table_uuid for table in tables}
    for row in rows:
        if row.state == "live" and row.identity not in present and _is_old(settler, row):
            await settler.following.dropped(tenant, _parts(row, datasets))
            await settler.rows.forget(row)


def _parts(row: ManagedTable, datasets: dict[str, Dataset]) -> tuple[str, ...]:
    """The table's name as its row still has it."""
    names = {item.dataset_id: item.name for item in datasets.values()}
    return (*split_name(names.get(row.dataset_id, row.dataset_id)), row.name)


async def _forget_dropped(settler: "Settler", row: Dataset, namespaces: list[str]) -> None:
    """A namespace that another engine dropped takes its row along."""
    is_there = row.name.lower() in {name.lower() for name in namespaces}
    if row.state == "live" and not is_there and _is_old(settler, row):
        await settler.rows.forget(row)


def _is_old(settler: "Settler", row: Dataset | ManagedTable) -> bool:
    return row.updated_at < settler.clock() - SETTLING_S
