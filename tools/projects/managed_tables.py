"""Managed tables: tables of datasets, which people make, change, rename and delete."""

import warnings
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field, JsonValue

from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.context import Ctx
from engine.datasets.columns import read_columns
from engine.datasets.rows import ManagedTable as Row
from tools.projects.datasets import ID, Archived, DatasetId

NAME = r"^[A-Za-z0-9_][A-Za-z0-9_ -]{0,127}$"
TableId = Annotated[
    str,
    Refers("managed_table"),
    Field(min_length=1, max_length=64, description="Id of the table; list_managed_tables shows it."),
]


class ManagedColumn(Model):
    """A column."""

    name: str = Field(description="Name.")
    type: str = Field(description="SQL type.")
    nullable: bool = Field(description="Whether it may be null.")
    description: str | None = Field(description="What it holds.")


with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # pydantic has a method of this name that it wants to be rid of

    class WithSchema(Model):
        """Wanted columns."""

        schema: JsonValue = Field(  # type: ignore[assignment]
            None,
            description="Columns: a list of objects with `name`, `type` (SQL or Iceberg), `nullable`, `description`. "
            "Null: none yet, the first import brings them.",
        )

    class ShowsSchema(Model):
        """Columns as they are."""

        schema: list[ManagedColumn] | None = Field(  # type: ignore[assignment]
            description="The columns that you see; null for a deleted table."
        )


class CreateManagedTable(WithSchema):
    """What to make."""

    name: str = Field(pattern=NAME, description="Name, unique in its dataset.")
    dataset_id: DatasetId
    table_id: str | None = Field(None, pattern=ID, description="Id to give it; default a new one.")


class ListManagedTables(Paged):
    """Which tables."""

    archived: Archived = False


class ListTablesByDataset(ListManagedTables):
    """Which dataset's tables."""

    dataset_id: DatasetId


class ManagedTableRef(Model):
    """Which table."""

    table_id: TableId


class DeletedTableRef(Model):
    """Which deleted table."""

    table_id: str = Field(min_length=1, max_length=64, description="Id; list_managed_tables with `archived` shows it.")


class UpdateManagedTable(WithSchema):
    """What to change; what is left out stays."""

    table_id: TableId
    name: str | None = Field(None, pattern=NAME, description="New name.")
    dataset_id: Annotated[str, Refers("dataset")] | None = Field(
        None, max_length=64, description="Dataset to move it to."
    )


class ManagedTable(ShowsSchema):
    """One table."""

    id: str = Field(description="Id.")
    name: str = Field(description="Name.")
    table: str = Field(description="Namespace and name, as SQL names it.")
    tenant_id: str = Field(description="Tenant it belongs to.")
    dataset_id: str = Field(description="Dataset it belongs to.")
    created_at: datetime = Field(description="When it was made, or first seen.")
    archived_at: datetime | None = Field(description="When it was deleted.")


class ManagedTableList(Listing):
    """A page of tables."""

    tables: list[ManagedTable] = Field(description="The tables, the oldest first.")
    items: list[ManagedTable] = Field(description="The same list.")


@tool("POST /managed-tables", needs="datasets.manage", effect="write", status=201, location="/managed-tables/{id}")
async def create_managed_table(ctx: Ctx, request: CreateManagedTable) -> ManagedTable:
    """Make a table in a dataset: an Iceberg table that SQL can read at once.

    Without a schema it gets its columns from the first import."""
    made = await ctx.engine.datasets.create_table(
        ctx.principal, request.dataset_id, request.name, read_columns(request.schema), table_id=request.table_id
    )
    return await _show(ctx, made)


@tool("GET /managed-tables", needs="datasets.read", effect="read")
async def list_managed_tables(ctx: Ctx, request: ListManagedTables) -> ManagedTableList:
    """List the lakehouse tables that you can see, with their ids and datasets."""
    found = await ctx.engine.datasets.tables(ctx.principal, archived=request.archived)
    return await _page(ctx, "list_managed_tables", request, found)


@tool("GET /datasets/{dataset_id}/tables", needs="datasets.read", effect="read")
async def list_managed_tables_by_dataset(ctx: Ctx, request: ListTablesByDataset) -> ManagedTableList:
    """List the tables of one dataset that you can see."""
    found = await ctx.engine.datasets.tables(ctx.principal, archived=request.archived, dataset_id=request.dataset_id)
    return await _page(ctx, "list_managed_tables_by_dataset", request, found)


@tool("GET /managed-tables/{table_id}", needs="datasets.read", effect="read")
async def get_managed_table(ctx: Ctx, request: ManagedTableRef) -> ManagedTable:
    """Fetch one table: its columns, its dataset, its name in SQL."""
    return await _show(ctx, await ctx.engine.datasets.table(ctx.principal, request.table_id))


@tool("PATCH /managed-tables/{table_id}", "PUT /managed-tables/{table_id}", needs="datasets.manage", effect="write")
async def update_managed_table(ctx: Ctx, request: UpdateManagedTable) -> ManagedTable:
    """Rename a table, move it to another dataset, add columns or widen their types.

    A schema must name every column that is there; drop_column and rename_column do what it cannot say."""
    changed = await ctx.engine.datasets.reshape(ctx.principal, request.table_id, read_columns(request.schema))
    if request.name is not None or request.dataset_id is not None:
        changed = await ctx.engine.datasets.move_table(
            ctx.principal, request.table_id, name=request.name, dataset_id=request.dataset_id
        )
    return await _show(ctx, changed)


@tool("DELETE /managed-tables/{table_id}", needs="datasets.manage", effect="destroy", status=204)
async def delete_managed_table(ctx: Ctx, request: ManagedTableRef) -> Empty:
    """Delete a table; for seven days restore_managed_table brings it back, then its files go."""
    await ctx.engine.datasets.delete_table(ctx.principal, request.table_id)
    return Empty()


@tool("POST /managed-tables/{table_id}/restore", needs="datasets.manage", effect="write")
async def restore_managed_table(ctx: Ctx, request: DeletedTableRef) -> ManagedTable:
    """Bring a deleted table back to the dataset that it was in."""
    return await _show(ctx, await ctx.engine.datasets.restore_table(ctx.principal, request.table_id))


async def _page(ctx: Ctx, name: str, request: Paged, found: list[Row]) -> ManagedTableList:
    window = ctx.engine.pages.window(name, request, ctx.principal)
    shown = [await _show(ctx, row) for row in found[window.offset : window.offset + window.size]]
    return ManagedTableList(
        tables=shown,
        items=shown,
        total_count=len(found),
        next_page_token=ctx.engine.pages.next_token(name, request, ctx.principal, window, len(found)),
    )


async def _show(ctx: Ctx, row: Row) -> ManagedTable:
    name = await ctx.engine.datasets.full_name(row)
    seen = None if row.archived_at is not None else await ctx.engine.catalog.table(ctx.principal, "lakehouse", name)
    return ManagedTable(
        id=row.table_id,
        name=row.name,
        table=name,
        schema=None
        if seen is None
        else [
            ManagedColumn(
                name=column.name,
                type=column.data_type,
                nullable=column.nullable,
                description=seen.column_description(column),
            )
            for column in seen.relation.columns
        ],
        tenant_id=row.tenant,
        dataset_id=row.dataset_id,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
        archived_at=None if row.archived_at is None else datetime.fromtimestamp(row.archived_at, UTC),
    )
