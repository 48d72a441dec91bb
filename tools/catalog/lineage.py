"""Lineage: which queries read a table or column, and what becomes of it."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from core.portable import Model, Refers
from core.tool import tool
from engine.context import Ctx
from engine.lake.names import TABLE_NAME
from engine.sql.lineage import Link, Reader

CONNECTION = "Id of the connection; default the lakehouse."


class GetLineage(Model):
    """Of which table or column to show the lineage."""

    table: str = Field(
        pattern=TABLE_NAME, max_length=512, description="Name as list_tables shows it, for example `sales.orders`."
    )
    column: str = Field("", max_length=255, description="Only this column; default all of the table.")
    connection_id: Annotated[str, Refers("connection")] = Field("lakehouse", max_length=64, description=CONNECTION)


class LineageLink(Model):
    """A column at the other end."""

    table: str = Field(description="Its table.")
    column: str = Field(description="Its name.")
    is_direct: bool = Field(description="Whether values are computed from it; false when it only decides on rows.")


class LineageOutput(Model):
    """A column of a query's result."""

    name: str = Field(description="Its name in the result; `?` where the query gives it none.")
    is_direct: bool = Field(description="Whether it is computed from what was asked for.")


class LineageReader(Model):
    """A query that read it. Queries that differ only in literals are one."""

    query_shape_id: str = Field(description="Id of the statement without its literals.")
    sql: str = Field(description="The statement, with `?` in the place of literals.")
    saved_query_id: str = Field(description="The saved query that it is; empty when it is none.")
    target: str = Field(description="The table that it filled; empty when it answered someone.")
    columns: list[str] = Field(description="Columns of the table that it reads.")
    outputs: list[LineageOutput] = Field(description="Columns of its result that depend on it.")
    run_count: int = Field(description="How often it ran.")
    last_run_at: datetime = Field(description="When it last ran.")


class ColumnLineage(Model):
    """Where a table's data comes from and goes to, as far as the caller may see."""

    connection_id: str = Field(description="The connection.")
    table: str = Field(description="The table.")
    column: str = Field(description="The column; empty for all.")
    upstream: list[LineageLink] = Field(description="Columns that it is filled from.")
    downstream: list[LineageLink] = Field(description="Columns that are filled from it.")
    readers: list[LineageReader] = Field(description="Queries that read it, the latest first; at most 100.")
    truncated: bool = Field(description="Whether there are more readers.")


@tool("GET /catalog/lineage", needs="catalog.read", effect="read")
async def get_lineage(ctx: Ctx, request: GetLineage) -> ColumnLineage:
    """Show which queries read a table or column, and which columns depend on it.

    Use it before you change or drop a column. It knows the queries that ran here in the last 90 days, and shows
    those whose tables and columns you may all see."""
    view = await ctx.engine.catalog.view(ctx.principal, request.connection_id)
    found = await ctx.engine.lineage.find(view, request.table, request.column)
    ctx.note(f"table:{request.connection_id}/{found.table}")
    return ColumnLineage(
        connection_id=request.connection_id,
        table=found.table,
        column=found.column,
        upstream=[_link(item) for item in found.upstream],
        downstream=[_link(item) for item in found.downstream],
        readers=[_reader(item) for item in found.readers],
        truncated=found.is_truncated,
    )


def _link(item: Link) -> LineageLink:
    return LineageLink(table=item.table, column=item.column, is_direct=item.is_direct)


def _reader(item: Reader) -> LineageReader:
    return LineageReader(
        query_shape_id=item.shape_hash,
        sql=item.sql_shape,
        saved_query_id=item.reader,
        target=item.target,
        columns=item.columns,
        outputs=[LineageOutput(name=output.name, is_direct=output.is_direct) for output in item.outputs],
        run_count=item.run_count,
        last_run_at=datetime.fromtimestamp(item.last_run_at, UTC),
    )
