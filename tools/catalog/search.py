"""Search over the catalog."""

from typing import Literal

from pydantic import Field

from core.portable import Model
from core.tool import tool
from engine.catalog.catalog import TableView
from engine.catalog.search import Hit
from engine.context import Ctx


class SearchCatalog(Model):
    """What to look for."""

    q: str = Field(min_length=1, max_length=500, description="Words, or beginnings of words, in any order.")
    limit: int = Field(20, ge=1, le=100, description="Hits to return at most.")


class CatalogHit(Model):
    """A table or a column that fits."""

    kind: Literal["table", "column"] = Field(description="What was found.")
    connection_id: str = Field(description="Connection that holds it.")
    table: str = Field(description="Table, as other tools and SQL take it.")
    column: str | None = Field(description="Column, for a column.")
    data_type: str | None = Field(description="Type of the column.")
    description: str | None = Field(description="What it holds, where someone wrote it down.")
    tags: list[str] = Field(description="Tags of the column.")
    score: float = Field(description="How well it fits; higher is better, comparable within one answer.")


class CatalogHits(Model):
    """Hits, best first."""

    hits: list[CatalogHit] = Field(description="What fits, best first.")
    unavailable: list[str] = Field(description="Connections that did not answer, so were not searched.")


@tool("GET /catalog/search", needs="catalog.read", effect="read", toolsets=("default",))
async def search_catalog(ctx: Ctx, request: SearchCatalog) -> CatalogHits:
    """Find tables and columns by words of their names, descriptions and tags, in all connections.

    Start here when you do not know where the data is; then `get_table` shows a table in full."""
    found = await ctx.engine.catalog.search(ctx.principal, request.q, request.limit)
    return CatalogHits(hits=[show(hit) for hit in found.items], unavailable=list(found.unavailable))


def show(hit: Hit) -> CatalogHit:
    view = TableView(hit.connection_id, hit.table, hit.governed, hit.notes)
    column = hit.column
    return CatalogHit(
        kind="column" if column else "table",
        connection_id=hit.connection_id,
        table=hit.relation.name,
        column=column.name if column else None,
        data_type=column.data_type if column else None,
        description=view.column_description(column) if column else view.description,
        tags=view.column_tags(column) if column else [],
        score=hit.score,
    )
