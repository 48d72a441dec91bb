"""The lakehouse's tables, in the short form."""

import asyncio
from typing import Annotated

from pydantic import Field

from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.context import Ctx
from engine.lake.names import TABLE_NAME
from engine.lake.past import AS_OF, AS_OF_TEXT, MAX_AS_OF


class LakehouseTables(Model):
    """Names of what the lakehouse holds."""

    namespaces: list[str] = Field(description="Namespaces, also empty ones.")
    tables: list[str] = Field(description="Tables as namespace.table.")


class GetTableSchema(Model):
    """Which table."""

    table: str = Field(pattern=TABLE_NAME, max_length=512, description="Name, for example `db.events`.")
    connection_id: Annotated[str, Refers("connection")] = Field(
        "lakehouse", max_length=64, description="Id of the connection; default the lakehouse."
    )
    as_of: str = Field("", max_length=MAX_AS_OF, pattern=AS_OF, description=AS_OF_TEXT)


class TableSchemaColumn(Model):
    """A column."""

    name: str = Field(description="Name.")
    type: str = Field(description="Type, in the source's words.")
    nullable: bool = Field(description="Whether it may be null.")
    comment: str | None = Field(description="What it holds, where someone wrote it down.")


class TableSchemaResult(Model):
    """A table's columns."""

    success: bool = Field(True, description="Always true; a failure is an error.")
    table: str = Field(description="Name of the table.")
    columns: list[TableSchemaColumn] = Field(description="Columns in order.")


@tool("GET /tables", needs="catalog.read", effect="read")
async def list_lakehouse_tables(ctx: Ctx, request: Empty) -> LakehouseTables:
    """List the names of all lakehouse tables and their namespaces.

    `list_tables` pages and says more of each table."""
    found = await ctx.engine.catalog.tables(ctx.principal, "lakehouse")
    tables = [view.relation.name for view in found.slice(0, len(found))]
    namespaces = await asyncio.to_thread(ctx.engine.lake.namespaces, ctx.principal.tenant)
    shown = [namespace for namespace in namespaces if found.shows_namespace(namespace)]
    return LakehouseTables(namespaces=shown, tables=tables)


@tool("GET /table/{table}/schema", needs="catalog.read", effect="read", toolsets=("default",))
async def get_table_schema(ctx: Ctx, request: GetTableSchema) -> TableSchemaResult:
    """Get the columns of one lakehouse table: name, type, nullable, comment.

    `get_table` says more: tags, size, description."""
    view = await ctx.engine.catalog.table(ctx.principal, request.connection_id, request.table, request.as_of)
    ctx.note(f"table:{request.connection_id}/{view.key}")
    columns = [
        TableSchemaColumn(
            name=column.name,
            type=column.data_type,
            nullable=column.nullable,
            comment=view.column_description(column),
        )
        for column in view.relation.columns
    ]
    return TableSchemaResult(table=view.relation.name, columns=columns)
