"""Descriptions of tables and columns, written by people for people and models."""

from typing import Annotated

from pydantic import Field

from core.portable import Model, Refers
from core.tool import tool
from engine.context import Ctx
from engine.lake.names import TABLE_NAME


class DescribeTable(Model):
    """What a table holds."""

    connection_id: Annotated[str, Refers("connection")] = Field(
        "lakehouse", max_length=64, description="Id of the connection; default the lakehouse."
    )
    table: str = Field(pattern=TABLE_NAME, max_length=512, description="Name as list_tables shows it.")
    description: str = Field(max_length=4000, description="What it holds; empty gives back the source's own comment.")


class DescribeColumn(DescribeTable):
    """What a column holds."""

    column: str = Field(min_length=1, max_length=255, description="Name of the column.")


class Description(Model):
    """What is written down now."""

    connection_id: str = Field(description="The connection.")
    table: str = Field(description="The table.")
    column: str | None = Field(description="The column; null for the table itself.")
    description: str | None = Field(description="What it holds.")


@tool("PUT /catalog/schemas/{connection_id}/tables/{table}/description", needs="catalog.manage", effect="write")
async def describe_table(ctx: Ctx, request: DescribeTable) -> Description:
    """Write down what a table holds. Searches find it, and models read it before they write SQL."""
    view = await ctx.engine.catalog.describe(
        ctx.principal, request.connection_id, request.table, request.description.strip()
    )
    ctx.note(f"table:{request.connection_id}/{view.key}")
    return Description(
        connection_id=request.connection_id, table=view.relation.name, column=None, description=view.description
    )


@tool(
    "PUT /catalog/schemas/{connection_id}/tables/{table}/columns/{column}/description",
    needs="catalog.manage",
    effect="write",
)
async def describe_column(ctx: Ctx, request: DescribeColumn) -> Description:
    """Write down what a column holds: its meaning, unit, and values that matter."""
    view = await ctx.engine.catalog.describe(
        ctx.principal, request.connection_id, request.table, request.description.strip(), column=request.column
    )
    ctx.note(f"table:{request.connection_id}/{view.key}")
    column = view.column(request.column)
    return Description(
        connection_id=request.connection_id,
        table=view.relation.name,
        column=column.name,
        description=view.column_description(column),
    )
