"""Changing a table's columns, partitions and sort order; no file is rewritten."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from core.portable import Model
from core.tool import tool
from engine.context import Ctx
from engine.lake.names import TABLE_NAME

if TYPE_CHECKING:  # pyiceberg comes with the first change of a table
    from pyiceberg.table import Table

COLUMN = r"^[^\x00-\x1f\x7f.]+$"
TYPE = "Type, for example `string`, `bigint`, `decimal(10, 2)`, `timestamptz`, `array<int>`."


class AddColumn(Model):
    """The new column."""

    table: str = Field(pattern=TABLE_NAME, max_length=512, description="Namespace and table, as `sales.orders`.")
    name: str = Field(pattern=COLUMN, max_length=255, description="Name of the new column.")
    type: str = Field(min_length=1, max_length=2000, description=TYPE)
    after: str | None = Field(None, max_length=255, description="Column to put it after; null: at the end.")
    comment: str | None = Field(None, max_length=4000, description="What it holds.")


class RenameColumn(Model):
    """Old name and new."""

    table: str = Field(pattern=TABLE_NAME, max_length=512, description="Namespace and table, as `sales.orders`.")
    old_name: str = Field(min_length=1, max_length=255, description="Name now.")
    new_name: str = Field(pattern=COLUMN, max_length=255, description="Name from now on.")


class DropColumn(Model):
    """Which column."""

    table: str = Field(pattern=TABLE_NAME, max_length=512, description="Namespace and table, as `sales.orders`.")
    name: str = Field(min_length=1, max_length=255, description="Name of the column.")


class AlterColumn(Model):
    """What changes; fields that are null stay as they are."""

    table: str = Field(pattern=TABLE_NAME, max_length=512, description="Namespace and table, as `sales.orders`.")
    name: str = Field(min_length=1, max_length=255, description="Name of the column.")
    type: str | None = Field(None, min_length=1, max_length=2000, description=f"{TYPE} It can only get wider.")
    comment: str | None = Field(None, max_length=4000, description="What it holds.")
    nullable: bool = Field(False, description="True lets it be null from now on.")
    after: str | None = Field(None, max_length=255, description="Column to move it after; empty: to the front.")


class PartitionField(Model):
    """A column and what partitions are made of it."""

    column: str = Field(min_length=1, max_length=255, description="Name of the column.")
    transform: Literal["identity", "year", "month", "day", "hour", "bucket", "truncate"] = Field(
        "identity", description="What of its value makes a partition."
    )
    width: int = Field(0, ge=0, le=1_000_000, description="Buckets of `bucket`, or what `truncate` keeps.")


class EvolvePartitioning(Model):
    """How new files are partitioned."""

    table: str = Field(pattern=TABLE_NAME, max_length=512, description="Namespace and table, as `sales.orders`.")
    fields: list[PartitionField] = Field(max_length=16, description="All of them, in order; none: no partitions.")


class SortField(Model):
    """A column to sort by."""

    column: str = Field(min_length=1, max_length=255, description="Name of the column.")
    descending: bool = Field(False, description="Largest first.")
    nulls_first: bool = Field(False, description="Nulls before values.")


class SetSortOrder(Model):
    """The order of rows in files."""

    table: str = Field(pattern=TABLE_NAME, max_length=512, description="Namespace and table, as `sales.orders`.")
    fields: list[SortField] = Field(max_length=16, description="All of them, most significant first; none: no order.")


class EvolvedColumn(Model):
    """A column as it is now."""

    name: str = Field(description="Name.")
    type: str = Field(description="SQL type.")
    nullable: bool = Field(description="Whether it may be null.")
    comment: str | None = Field(description="What it holds.")


class EvolvedTable(Model):
    """The table after the change."""

    success: bool = Field(True, description="Always true; a failure is an error.")
    table: str = Field(description="Name of the table.")
    columns: list[EvolvedColumn] = Field(description="Columns that the caller sees, in order.")


@tool("POST /evolve/add-column", needs="tables.evolve", effect="write")
async def add_column(ctx: Ctx, request: AddColumn) -> EvolvedTable:
    """Add an optional column to a lakehouse table.

    Rows that are there have null in it; no file is rewritten."""
    from engine.maintenance.evolution import add_column as change

    after, comment = request.after or "", request.comment or ""
    return await _changed(
        ctx,
        request.table,
        lambda table: change(table, request.name, request.type, after=after, comment=comment),
        columns=[after] if after else [],
    )


@tool("POST /evolve/rename-column", needs="tables.evolve", effect="write")
async def rename_column(ctx: Ctx, request: RenameColumn) -> EvolvedTable:
    """Rename a column of a lakehouse table.

    Values, policies and tags stay with it; queries must use the new name."""
    from engine.maintenance.evolution import rename_column as change

    columns = [request.old_name]
    return await _changed(
        ctx, request.table, lambda table: change(table, request.old_name, request.new_name), columns=columns
    )


@tool("POST /evolve/drop-column", needs="tables.evolve", effect="destroy")
async def drop_column(ctx: Ctx, request: DropColumn) -> EvolvedTable:
    """Drop a column of a lakehouse table.

    Earlier versions still have it until they expire; a new column of that name starts empty."""
    from engine.maintenance.evolution import drop_column as change

    name = request.name
    return await _changed(ctx, request.table, lambda table: change(table, name), columns=[name], dropped=name)


@tool("POST /evolve/alter-column", needs="tables.evolve", effect="write")
async def alter_column(ctx: Ctx, request: AlterColumn) -> EvolvedTable:
    """Widen a column's type, describe it, let it be null, or move it.

    Types only get wider: int to bigint, float to double, decimal to more digits."""
    from engine.maintenance.evolution import alter_column as change

    return await _changed(
        ctx,
        request.table,
        lambda table: change(
            table,
            request.name,
            kind=request.type or "",
            comment=request.comment,
            is_optional=request.nullable,
            after=request.after,
        ),
        columns=[request.name, *([request.after] if request.after else [])],
    )


@tool("POST /evolve/partitioning", needs="tables.evolve", effect="write")
async def evolve_partitioning(ctx: Ctx, request: EvolvePartitioning) -> EvolvedTable:
    """Set how new files of a lakehouse table are partitioned.

    Old files stay as they are until compact_table rewrites them; queries read both."""
    from engine.maintenance.evolution import PartitionField as Part
    from engine.maintenance.evolution import set_partitioning

    fields = [Part(field.column, field.transform, field.width) for field in request.fields]
    columns = [field.column for field in request.fields]
    return await _changed(ctx, request.table, lambda table: set_partitioning(table, fields), plain=columns)


@tool("POST /evolve/sort-order", needs="tables.evolve", effect="write")
async def set_sort_order(ctx: Ctx, request: SetSortOrder) -> EvolvedTable:
    """Set the order that rows of a lakehouse table should have in its files.

    It is a note for writers; compact_table with `sort` puts old files in order."""
    from engine.maintenance.evolution import SortField as Part
    from engine.maintenance.evolution import set_sort_order as change

    fields = [Part(field.column, field.descending, field.nulls_first) for field in request.fields]
    columns = [field.column for field in request.fields]
    return await _changed(ctx, request.table, lambda table: change(table, fields), plain=columns)


async def _changed(
    ctx: Ctx,
    table: str,
    change: "Callable[[Table], None]",
    *,
    columns: Iterable[str] = (),
    plain: Iterable[str] = (),
    dropped: str = "",
) -> EvolvedTable:
    """What is made of a column's values may tell them, so such columns must be `plain` to the caller."""
    ctx.note(f"table:lakehouse/{table}")
    await ctx.engine.care.change(ctx.principal, table, change, columns=columns, plain=plain, dropped=dropped)
    view = await ctx.engine.catalog.table(ctx.principal, "lakehouse", table)
    shown = [
        EvolvedColumn(
            name=column.name,
            type=column.data_type,
            nullable=column.nullable,
            comment=view.column_description(column),
        )
        for column in view.relation.columns
    ]
    return EvolvedTable(table=view.relation.name, columns=shown)
