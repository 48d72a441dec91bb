"""ChatGPT's contract for connectors: `search` and `fetch`, over the catalog. MCP only."""

import re
from urllib.parse import quote

from pydantic import Field

from core.errors import NotFound
from core.portable import Model
from core.tool import tool
from engine.catalog.catalog import TableView
from engine.context import Ctx
from engine.lake.names import TABLE_NAME

SEARCH_LIMIT = 20


class Search(Model):
    """What to look for."""

    query: str = Field(min_length=1, max_length=500, description="Words for the data that you look for.")


class SearchResult(Model):
    """A table that fits."""

    id: str = Field(description="Id for `fetch`.")
    title: str = Field(description="Name of the table, and why it fits.")
    url: str = Field(description="Address of the table.")


class SearchResults(Model):
    """What fits, best first."""

    results: list[SearchResult] = Field(description="What fits, best first.")


class Fetch(Model):
    """What to fetch."""

    id: str = Field(min_length=1, max_length=600, description="Id that `search` gave.")


class Document(Model):
    """A table, as text."""

    id: str = Field(description="The id.")
    title: str = Field(description="Name of the table.")
    text: str = Field(description="Description and columns.")
    url: str = Field(description="Address of the table.")
    metadata: dict[str, str] = Field(description="Connection, table, kind, rows.")


@tool(needs="catalog.read", effect="read", mcp_only=True, toolsets=("default",))
async def search(ctx: Ctx, request: Search) -> SearchResults:
    """Search the data catalog by words; `fetch` then returns a result in full."""
    found = await ctx.engine.catalog.search(ctx.principal, request.query, SEARCH_LIMIT)
    results: dict[str, SearchResult] = {}
    for hit in found.items:
        table = hit.relation.name
        document_id = f"{hit.connection_id}/{table}"
        title = f"{table}: column {hit.column.name}" if hit.column else table
        shown = SearchResult(id=document_id, title=title, url=_url(ctx, hit.connection_id, table))
        results.setdefault(document_id, shown)
    return SearchResults(results=list(results.values()))


@tool(needs="catalog.read", effect="read", mcp_only=True, toolsets=("default",))
async def fetch(ctx: Ctx, request: Fetch) -> Document:
    """Fetch a table that `search` found: what it holds and its columns."""
    connection_id, _, table = request.id.partition("/")
    if not re.fullmatch(TABLE_NAME, table):
        raise NotFound(f"No document {request.id[:80]!r}.", hint="search gives the ids.")
    view = await ctx.engine.catalog.table(ctx.principal, connection_id, table)
    ctx.note(f"table:{connection_id}/{view.key}")
    rows = view.relation.row_count
    return Document(
        id=request.id,
        title=view.relation.name,
        text=describe(view),
        url=_url(ctx, connection_id, view.relation.name),
        metadata={
            "connection_id": connection_id,
            "table": view.relation.name,
            "kind": view.relation.kind,
            "row_count": "unknown" if rows is None else str(rows),
        },
    )


def describe(view: TableView) -> str:
    """A table in Markdown."""
    lines = [f"# {view.relation.name}", "", view.description or "No description.", "", "## Columns", ""]
    for column in view.relation.columns:
        notes = [column.data_type, "may be null" if column.nullable else "never null", *view.column_tags(column)]
        text = view.column_description(column)
        lines.append(f"- {column.name} ({', '.join(notes)}){': ' + text if text else ''}")
    return "\n".join(lines)


def _url(ctx: Ctx, connection_id: str, table: str) -> str:
    server = ctx.engine.settings.server
    base = server.public_url.rstrip("/") or f"http://{server.host}:{server.rest_port}"
    return f"{base}/v1/catalog/schemas/{quote(connection_id)}/tables/{quote(table, safe='')}"
