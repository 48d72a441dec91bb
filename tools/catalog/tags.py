"""Tags of columns."""

from typing import Annotated

from pydantic import Field

from core.portable import Model, Refers
from core.tool import tool
from engine.context import Ctx
from engine.lake.names import TABLE_NAME


class TagColumn(Model):
    """Which tag of which column."""

    connection_id: Annotated[str, Refers("connection")] = Field(
        "lakehouse", max_length=64, description="Id of the connection; default the lakehouse."
    )
    table: str = Field(pattern=TABLE_NAME, max_length=512, description="Name as list_tables shows it.")
    column: str = Field(min_length=1, max_length=255, description="Name of the column.")
    tag: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$",
        description="The tag, for example `pii`: letters, digits, _ . : -",
    )


class ColumnTags(Model):
    """A column's tags after the change."""

    connection_id: str = Field(description="The connection.")
    table: str = Field(description="The table.")
    column: str = Field(description="The column.")
    tags: list[str] = Field(description="All its tags.")


@tool(
    "PUT /catalog/schemas/{connection_id}/tables/{table}/columns/{column}/tags/{tag}",
    needs="catalog.manage",
    effect="write",
)
async def tag_column(ctx: Ctx, request: TagColumn) -> ColumnTags:
    """Put a tag on a column, for example `pii`. Tagging twice changes nothing."""
    return await change(ctx, request, is_set=True)


@tool(
    "DELETE /catalog/schemas/{connection_id}/tables/{table}/columns/{column}/tags/{tag}",
    needs="catalog.manage",
    effect="write",
)
async def untag_column(ctx: Ctx, request: TagColumn) -> ColumnTags:
    """Take a tag off a column. A tag that is not there changes nothing."""
    return await change(ctx, request, is_set=False)


async def change(ctx: Ctx, request: TagColumn, *, is_set: bool) -> ColumnTags:
    view = await ctx.engine.catalog.tag(
        ctx.principal, request.connection_id, request.table, request.column, request.tag, is_set=is_set
    )
    ctx.note(f"table:{request.connection_id}/{view.key}")
    column = view.column(request.column)
    return ColumnTags(
        connection_id=request.connection_id,
        table=view.relation.name,
        column=column.name,
        tags=view.column_tags(column),
    )
