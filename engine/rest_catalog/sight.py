"""What of the lakehouse a caller is handed out: namespaces, and tables that no policy changes for them."""

import asyncio
from dataclasses import dataclass

from core.context import Principal
from core.errors import NotFound, Unauthorized
from engine.catalog.catalog import Catalog
from engine.lake.names import join_name, split_name
from engine.lake.warehouse import Lake, LakeTable
from engine.rest_catalog.names import Parts
from engine.rest_catalog.refusals import NoSuchNamespace, NoSuchTable

LAKEHOUSE = "lakehouse"


@dataclass(frozen=True, slots=True)
class Sight:
    """Looks into the lakehouse as a caller."""

    lake: Lake
    catalog: Catalog

    async def namespaces(self, by: Principal) -> list[Parts]:
        """Every namespace that the caller may know of, with those above it."""
        seen = await self.catalog.tables(by, LAKEHOUSE)
        names = await asyncio.to_thread(self.lake.namespaces, by.tenant)
        shown = [split_name(name) for name in names if seen.shows_namespace(name)]
        return sorted({parts[:depth] for parts in shown for depth in range(1, len(parts) + 1)})

    async def namespace(self, by: Principal, parts: Parts) -> Parts:
        """The namespace as it is written. Raises NoSuchNamespace."""
        asked = tuple(part.lower() for part in parts)
        for found in await self.namespaces(by):
            if tuple(part.lower() for part in found) == asked:
                return found
        raise NoSuchNamespace(f"No namespace {join_name(parts)[:80]!r}.", hint="List the namespaces.")

    async def tables(self, by: Principal, namespace: Parts) -> list[str]:
        """The names of a namespace's tables that the caller could load."""
        seen = await self.catalog.tables(by, LAKEHOUSE)
        asked = tuple(part.lower() for part in namespace)
        found = []
        for key in seen.names:
            governed = seen.view.get(key)
            parts = split_name(key if governed is None else governed.relation.name)
            if governed is not None and governed.is_open and tuple(part.lower() for part in parts[:-1]) == asked:
                found.append(parts[-1])
        return sorted(found)

    async def table(self, by: Principal, parts: Parts) -> LakeTable:
        """The table as it is now. Raises NoSuchTable, and Unauthorized where policies bind the caller."""
        view = await self.catalog.view(by, LAKEHOUSE)
        governed = view.find(parts)
        found = () if governed is None else split_name(governed.relation.name)
        if governed is None or tuple(part.lower() for part in found) != tuple(part.lower() for part in parts):
            raise no_table(parts)
        if not governed.is_open:
            raise Unauthorized(
                "Policies bind you on this table, so it is not handed out as files.",
                hint="Query it with execute_query or read_records.",
            )
        try:
            return await self.lake.open(join_name(found), by=by)
        except NotFound:
            raise no_table(parts) from None

    def is_taken(self, tenant: str, parts: Parts) -> bool:
        """Whether any table has the name, however it is written."""
        taken = {name.lower() for name in self.lake.locations(tenant)}
        return join_name(parts).lower() in taken


def no_table(parts: Parts) -> NoSuchTable:
    return NoSuchTable(f"No table {join_name(parts)[:120]!r}.", hint="List the tables of the namespace.")
