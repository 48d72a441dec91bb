"""Schemas: everything that a connection holds, in one answer."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from core.portable import Model, Refers
from core.tool import tool
from engine.catalog.catalog import TableView
from engine.context import Ctx

TABLES_PER_TURN = 100  # a large schema is built in turns, so that other calls are not kept waiting


class GetSchema(Model):
    """Whose schema."""

    connection_id: Annotated[str, Refers("connection")] = Field(
        "lakehouse", max_length=64, description="Id of the connection; default the lakehouse."
    )


class ColumnSchema(Model):
    """A column."""

    name: str = Field(description="Name.")
    data_type: str = Field(description="Type, in the source's words.")
    nullable: bool = Field(description="Whether it may be null.")
    tags: list[str] = Field(description="Tags, for example `pii`.")
    privacy: str = Field(description="How you may use it: public, masked or aggregate_only.")


class TableSchema(Model):
    """A table with its columns."""

    name: str = Field(description="Name, as other tools take it.")
    columns: list[ColumnSchema] = Field(description="Columns in order.")
    row_count: int | None = Field(description="Rows, where the source knows without counting.")


class Schema(Model):
    """All tables of a connection."""

    connection_id: str = Field(description="The connection.")
    tables: list[TableSchema] = Field(description="All tables, by name.")


class RefreshedSchema(Model):
    """What was read."""

    connection_id: str = Field(description="The connection.")
    table_count: int = Field(description="Tables found.")
    column_count: int = Field(description="Columns found.")
    refreshed_at: datetime = Field(description="When the source was read (UTC).")


@tool("GET /catalog/schemas/{connection_id}", needs="catalog.read", effect="read")
async def get_schema(ctx: Ctx, request: GetSchema) -> Schema:
    """Get every table of a connection with all its columns, in one answer.

    It can be large: `list_tables` pages, `search_catalog` finds by word, `get_table` shows one table."""
    found = await ctx.engine.catalog.tables(ctx.principal, request.connection_id)
    tables: list[TableSchema] = []
    for offset in range(0, len(found), TABLES_PER_TURN):
        tables += [show(view) for view in found.slice(offset, TABLES_PER_TURN)]
        await asyncio.sleep(0)
    return Schema(connection_id=request.connection_id, tables=tables)


@tool("POST /catalog/schemas/{connection_id}/refresh", needs="catalog.manage", effect="write", job=True)
async def refresh_schema(ctx: Ctx, request: GetSchema) -> RefreshedSchema:
    """Read a source's tables and columns again, now.

    Schemas are read again by themselves after a few minutes, and the lakehouse's at every change."""
    snapshot = await ctx.engine.catalog.snapshots.refresh(ctx.principal, request.connection_id)
    found = await ctx.engine.catalog.tables(ctx.principal, request.connection_id)
    return RefreshedSchema(
        connection_id=request.connection_id,
        table_count=len(found),
        column_count=found.column_count,
        refreshed_at=datetime.fromtimestamp(snapshot.taken_at, UTC),
    )


def show(view: TableView) -> TableSchema:
    columns = [
        ColumnSchema(
            name=column.name,
            data_type=column.data_type,
            nullable=column.nullable,
            tags=view.column_tags(column),
            privacy=view.privacy(column),
        )
        for column in view.relation.columns
    ]
    return TableSchema(name=view.relation.name, columns=columns, row_count=view.relation.row_count)
