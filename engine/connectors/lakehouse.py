"""The tenant's Iceberg tables, read through DuckDB's `iceberg_scan`."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from engine.connectors.connector import ColumnInfo, RelationInfo
from engine.connectors.duck import DuckPlan, quote
from engine.connectors.duck_backed import DuckBacked
from engine.lake.metadata import TableColumn
from engine.lake.warehouse import Lake, LakeTable


class LakehouseConnector(DuckBacked):
    """Reads each table at the metadata file that its catalog names when the query starts."""

    kind = "lakehouse"

    def __init__(self, lake: Lake, tenant: str, plan: DuckPlan):
        self._lake = lake
        self._tenant = tenant
        super().__init__(plan)

    async def schema(self) -> list[RelationInfo]:
        tables = await asyncio.to_thread(self._lake.tables, self._tenant)
        return [relation_of(table) for table in tables]

    async def version(self) -> str:
        """Changes with every commit to any table."""
        if self._lake.is_far(self._tenant):
            return await asyncio.to_thread(self._lake.version, self._tenant)
        return self._lake.version(self._tenant)

    async def sources(self, names: Iterable[str]) -> Mapping[str, str]:
        # A look at the catalog's change counter unless a table changed: shorter than a hop to a thread.
        look = self._lake.locations
        is_far = self._lake.is_far(self._tenant)
        locations = await asyncio.to_thread(look, self._tenant) if is_far else look(self._tenant)
        return {name: f"iceberg_scan({quote(locations[name])})" for name in names if name in locations}

    def past(self, name: str, as_of: str) -> RelationInfo:
        table, then = self._lake.past(self._tenant, name, as_of)
        location = quote(table.metadata.metadata_location)
        return RelationInfo(
            str(table.name),
            _columns(then.columns),
            row_count=then.row_count,
            comment=table.metadata.comment,
            primary_key=then.identifier,
            identity=table.metadata.table_uuid,
            size_bytes=then.size_bytes,
            snapshot_id=then.snapshot_id,
            read_from=f"iceberg_scan({location}, snapshot_from_id = {then.snapshot_id:d})",
        )


def _columns(columns: Sequence[TableColumn]) -> tuple[ColumnInfo, ...]:
    return tuple(
        ColumnInfo(column.name, column.data_type, not column.is_required, ordinal, column.comment, column.field_id)
        for ordinal, column in enumerate(columns, start=1)
    )


def relation_of(table: LakeTable) -> RelationInfo:
    """The table as the catalog knows it."""
    metadata = table.metadata
    return RelationInfo(
        str(table.name),
        _columns(metadata.columns),
        row_count=metadata.row_count,
        comment=metadata.comment,
        primary_key=metadata.identifier,
        identity=metadata.table_uuid,
        size_bytes=metadata.size_bytes,
    )
