"""The tenant's Iceberg tables, read through DuckDB's `iceberg_scan`."""

import asyncio
from collections.abc import Iterable, Mapping

from core.context import Cancellation
from engine.connectors.connector import ArrowStream, ColumnInfo, QueryLimits, RelationInfo
from engine.connectors.duck import Duck, DuckPlan, quote
from engine.connectors.opened import Opened
from engine.connectors.stream import BatchStream, in_thread
from engine.lake.warehouse import Lake, LakeTable


class LakehouseConnector:
    """Reads each table at the metadata file that its catalog names when the query starts."""

    kind = "lakehouse"
    dialect = "duckdb"

    def __init__(self, lake: Lake, tenant: str, plan: DuckPlan):
        self._lake = lake
        self._tenant = tenant
        self._duck = Opened(lambda: Duck(plan), Duck.close)

    async def schema(self) -> list[RelationInfo]:
        tables = await asyncio.to_thread(self._lake.tables, self._tenant)
        return [_relation(table) for table in tables]

    async def version(self) -> str:
        """Changes with every commit to any table."""
        return self._lake.version(self._tenant)

    async def sources(self, names: Iterable[str]) -> Mapping[str, str]:
        # Two stat calls unless a table changed: shorter than a hop to a thread.
        locations = self._lake.locations(self._tenant)
        return {name: f"iceberg_scan({quote(locations[name])})" for name in names if name in locations}

    async def execute(
        self, sql: str, parameters: Mapping[str, str], *, limits: QueryLimits, cancelled: Cancellation
    ) -> ArrowStream:
        duck = await self._duck.get()
        return await BatchStream.open(duck.statement(sql, parameters), limits, cancelled)

    async def explain(self, sql: str, parameters: Mapping[str, str]) -> str:
        duck = await self._duck.get()
        return await in_thread(lambda: duck.explain(sql, parameters))

    async def check(self) -> str:
        duck = await self._duck.get()
        return await in_thread(duck.version)

    async def close(self) -> None:
        await self._duck.close()


def _relation(table: LakeTable) -> RelationInfo:
    columns = tuple(
        ColumnInfo(column.name, column.data_type, not column.is_required, ordinal, column.comment, column.field_id)
        for ordinal, column in enumerate(table.metadata.columns, start=1)
    )
    return RelationInfo(str(table.name), columns, row_count=table.metadata.row_count, comment=table.metadata.comment)
