"""Tables and columns of a connection."""

from typing import Annotated

from pydantic import Field

from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import tool
from engine.catalog.catalog import TableView
from engine.connectors.connector import ColumnInfo
from engine.context import Ctx
from engine.lake.names import TABLE_NAME
from engine.lake.past import AS_OF, AS_OF_TEXT, MAX_AS_OF

CONNECTION = "Id of the connection; default the lakehouse."
TABLE = "Name as list_tables shows it, for example `sales.orders`."


class ListTables(Paged):
    """Which tables to list."""

    connection_id: Annotated[str, Refers("connection")] = Field("lakehouse", max_length=64, description=CONNECTION)
    namespace: str | None = Field(None, max_length=512, description="Only tables of this namespace (schema).")


class TableSummary(Model):
    """A table, briefly."""

    name: str = Field(description="Name, as other tools take it.")
    kind: str = Field(description="`table` or `view`.")
    row_count: int | None = Field(description="Rows, where the source knows without counting.")
    column_count: int = Field(description="Number of columns.")
    description: str | None = Field(description="What it holds, where someone wrote it down.")


class TableList(Listing):
    """A page of tables."""

    tables: list[TableSummary] = Field(description="The tables, by name.")
    items: list[TableSummary] = Field(description="The same list.")


class GetTable(Model):
    """Which table."""

    connection_id: Annotated[str, Refers("connection")] = Field("lakehouse", max_length=64, description=CONNECTION)
    table: str = Field(pattern=TABLE_NAME, max_length=512, description=TABLE)
    as_of: str = Field("", max_length=MAX_AS_OF, pattern=AS_OF, description=AS_OF_TEXT)


class Column(Model):
    """A column."""

    name: str = Field(description="Name.")
    data_type: str = Field(description="Type, in the source's words.")
    nullable: bool = Field(description="Whether it may be null.")
    tags: list[str] = Field(description="Tags, for example `pii`.")
    ordinal: int = Field(description="Position in the table.")
    privacy: str = Field(description="How you may use it: public, masked or aggregate_only.")
    description: str | None = Field(description="What it holds, where someone wrote it down.")


class Table(Model):
    """A table with its columns."""

    connection_id: str = Field(description="The connection.")
    name: str = Field(description="Name, as other tools and SQL take it.")
    kind: str = Field(description="`table` or `view`.")
    columns: list[Column] = Field(description="Columns in order.")
    row_count: int | None = Field(description="Rows, where the source knows without counting.")
    description: str | None = Field(description="What it holds, where someone wrote it down.")


class ListColumns(Paged):
    """Of which table to list the columns."""

    connection_id: Annotated[str, Refers("connection")] = Field("lakehouse", max_length=64, description=CONNECTION)
    table: str = Field(pattern=TABLE_NAME, max_length=512, description=TABLE)
    as_of: str = Field("", max_length=MAX_AS_OF, pattern=AS_OF, description=AS_OF_TEXT)


class ColumnList(Listing):
    """A page of columns."""

    columns: list[Column] = Field(description="The columns in order.")
    items: list[Column] = Field(description="The same list.")


@tool("GET /catalog/schemas/{connection_id}/tables", needs="catalog.read", effect="read", toolsets=("default",))
async def list_tables(ctx: Ctx, request: ListTables) -> TableList:
    """List the tables of a connection, by default of the lakehouse, in pages.

    Use `search_catalog` when you look for something; `get_table` shows a table's columns."""
    pages = ctx.engine.pages
    window = pages.window("list_tables", request, ctx.principal)
    found = await ctx.engine.catalog.tables(ctx.principal, request.connection_id, namespace=request.namespace or "")
    page = [summarise(view) for view in found.slice(window.offset, window.size)]
    return TableList(
        tables=page,
        items=page,
        total_count=len(found),
        next_page_token=pages.next_token("list_tables", request, ctx.principal, window, len(found)),
    )


@tool("GET /catalog/schemas/{connection_id}/tables/{table}", needs="catalog.read", effect="read", toolsets=("default",))
async def get_table(ctx: Ctx, request: GetTable) -> Table:
    """Show one table: its columns with types, tags and descriptions, and its size.

    Look here before you write SQL for `execute_query`."""
    view = await ctx.engine.catalog.table(ctx.principal, request.connection_id, request.table, request.as_of)
    ctx.note(f"table:{request.connection_id}/{view.key}")
    return Table(
        connection_id=request.connection_id,
        name=view.relation.name,
        kind=view.relation.kind,
        columns=[show_column(view, column) for column in view.relation.columns],
        row_count=view.relation.row_count,
        description=view.description,
    )


@tool("GET /catalog/schemas/{connection_id}/tables/{table}/columns", needs="catalog.read", effect="read")
async def list_columns(ctx: Ctx, request: ListColumns) -> ColumnList:
    """List the columns of one table, in pages."""
    pages = ctx.engine.pages
    window = pages.window("list_columns", request, ctx.principal)
    view = await ctx.engine.catalog.table(ctx.principal, request.connection_id, request.table, request.as_of)
    ctx.note(f"table:{request.connection_id}/{view.key}")
    columns = view.relation.columns
    page = [show_column(view, column) for column in columns[window.offset : window.offset + window.size]]
    return ColumnList(
        columns=page,
        items=page,
        total_count=len(columns),
        next_page_token=pages.next_token("list_columns", request, ctx.principal, window, len(columns)),
    )


def summarise(view: TableView) -> TableSummary:
    return TableSummary(
        name=view.relation.name,
        kind=view.relation.kind,
        row_count=view.relation.row_count,
        column_count=len(view.relation.columns),
        description=view.description,
    )


def show_column(view: TableView, column: ColumnInfo) -> Column:
    return Column(
        name=column.name,
        data_type=column.data_type,
        nullable=column.nullable,
        tags=view.column_tags(column),
        ordinal=column.ordinal,
        privacy=view.privacy(column),
        description=view.column_description(column),
    )
