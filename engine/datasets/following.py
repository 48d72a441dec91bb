"""What goes by a table's name follows it: policies and tags before it moves, schedules and words about it after."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import replace

from core.errors import NotFound
from engine.catalog.annotations import Annotations
from engine.catalog.catalog import Catalog
from engine.catalog.holding import Holding
from engine.connectors.lakehouse import relation_of
from engine.lake.names import TableName
from engine.lake.warehouse import Lake, LakeTable
from engine.maintenance.standing import care_keys, care_name, care_request
from engine.schedules.schedules import Schedule, Schedules
from engine.sql.budget import GroupingBudget
from engine.store.db import Store

LAKEHOUSE = "lakehouse"


class Following:
    """Every step may be done twice, also after a kill half way."""

    def __init__(self, store: Store, lake: Lake, catalog: Catalog):
        self._lake = lake
        self._annotations: Annotations = catalog.annotations
        self._holding = Holding(catalog.policies, catalog.annotations, LAKEHOUSE)
        self._schedules = Schedules(store)
        self._budget = GroupingBudget(store)

    async def hold(self, tenant: str, table: LakeTable, *, new_name: str = "") -> None:
        """Tie policies and tags of the table to what it is, before its name or its columns change. Raises Conflict."""
        await self._holding.hold(tenant, relation_of(table), new_name=new_name)

    async def before(self, tenant: str, parts: Iterable[str], then: Iterable[str] = ()) -> None:
        """As `hold`, by the table's parts and those that it is about to get; nothing when it is not there."""
        name, new_parts = _name(parts), tuple(then)
        try:
            table = await asyncio.to_thread(self._lake.open_now, tenant, name)
        except NotFound:
            return
        await self.hold(tenant, table, new_name=str(_name(new_parts)) if new_parts else "")

    async def renamed(self, tenant: str, parts: Iterable[str], then: Iterable[str]) -> None:
        """The table is called otherwise now: its maintenance, descriptions and used-up budgets go along."""
        old, new = str(_name(parts)), str(_name(then))
        if old == new:
            return
        fresh = care_keys(new)
        standing = await self._schedules.standing(tenant, care_keys(old).values())
        moved: dict[str, Schedule | None] = {
            key: _about(standing[key], part, fresh[part], new)
            for part, key in care_keys(old).items()
            if key in standing
        }
        await self._schedules.carry(tenant, moved)
        await self._annotations.move(tenant, LAKEHOUSE, old.lower(), new.lower())
        await self._budget.carry(tenant, LAKEHOUSE, old, new)

    async def dropped(self, tenant: str, parts: Iterable[str]) -> None:
        """The table is gone: nothing maintains by itself what others make under its name."""
        keys = care_keys(str(_name(parts))).values()
        standing = await self._schedules.standing(tenant, keys)
        await self._schedules.carry(tenant, dict.fromkeys(standing))


def _about(schedule: Schedule, part: str, key: str, table: str) -> Schedule:
    request = care_request(json.loads(schedule.request), table)
    return replace(schedule, schedule_id=key, name=care_name(part, table), request=request)


def _name(parts: Iterable[str]) -> TableName:
    *namespace, table = parts
    return TableName(tuple(namespace), table)
