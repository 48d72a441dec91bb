"""Saved queries: SQL that a tenant keeps and runs again."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.context import Ctx
from engine.queries import Draft
from engine.queries import SavedQuery as Stored

ID = r"^[A-Za-z0-9_-]{1,64}$"
MAX_TEXT = 65_536
TEXT = "One SELECT in the connection's dialect; $name or :name stand for parameters."
PROJECT = "Project that it belongs to, where it belongs to one."
NAME = "Name for people."
ABOUT = "What it answers; models read it."
DEFAULTS = "Values for its parameters where a run gives none."
CONNECTION = "Id of the connection that it reads; default the lakehouse."
VERSION = "The version that you read: if it has changed since, nothing is done and CONFLICT is answered."


class SavedQueryRef(Model):
    """Which saved query."""

    query_id: Annotated[str, Refers("saved_query")] = Field(
        max_length=64, description="Id of the saved query; list_queries shows them."
    )


class ListQueries(Paged):
    """Which saved queries to list."""

    project_id: str | None = Field(None, pattern=ID, description="Only those of this project.")


class CreateQuery(Model):
    """A query to keep."""

    query_text: str = Field(min_length=1, max_length=MAX_TEXT, description=TEXT)
    project_id: Annotated[str | None, Refers("project")] = Field(None, pattern=ID, description=PROJECT)
    name: str = Field("", max_length=255, description=NAME)
    description: str = Field("", max_length=2000, description=ABOUT)
    connection_id: Annotated[str, Refers("connection")] = Field("lakehouse", max_length=64, description=CONNECTION)
    parameters: dict[str, str] = Field({}, max_length=200, description=DEFAULTS)
    query_id: str | None = Field(None, pattern=ID, description="Id of your choice; left out, one is made.")


class UpdateQuery(SavedQueryRef):
    """What to change; fields left out, or null, stay as they are."""

    query_text: str | None = Field(None, min_length=1, max_length=MAX_TEXT, description=TEXT)
    project_id: Annotated[str | None, Refers("project")] = Field(None, pattern=ID, description=PROJECT)
    name: str | None = Field(None, max_length=255, description=NAME)
    description: str | None = Field(None, max_length=2000, description=ABOUT)
    connection_id: Annotated[str | None, Refers("connection")] = Field(None, max_length=64, description=CONNECTION)
    parameters: dict[str, str] | None = Field(None, max_length=200, description=DEFAULTS)
    version: int | None = Field(None, ge=1, description=VERSION)


class DeleteQuery(SavedQueryRef):
    """Which saved query to remove."""

    version: int | None = Field(None, ge=1, description=VERSION)


class SavedQuery(Model):
    """A query that a tenant keeps."""

    id: str = Field(description="Its id.")
    tenant_id: str = Field(description="The tenant that keeps it.")
    project_id: str | None = Field(description=PROJECT)
    query_text: str = Field(description=TEXT)
    name: str = Field(description=NAME)
    description: str = Field(description=ABOUT)
    connection_id: str = Field(description="Id of the connection that it reads.")
    parameters: dict[str, str] = Field(description=DEFAULTS)
    owner: str = Field(description="Who made it.")
    version: int = Field(description="Raised by every change; update_query and delete_query take it.")
    created_at: datetime = Field(description="When it was made (UTC).")
    updated_at: datetime = Field(description="When it was last changed (UTC).")
    archived_at: datetime | None = Field(description="When it was removed (UTC); null while it is there.")


class SavedQueryList(Listing):
    """A page of saved queries."""

    queries: list[SavedQuery] = Field(description="The queries, the oldest first.")
    items: list[SavedQuery] = Field(description="The same list.")


@tool("POST /queries", needs="queries.manage", effect="write", status=201, location="/queries/{id}")
async def create_query(ctx: Ctx, request: CreateQuery) -> SavedQuery:
    """Keep a query for the tenant, to be run again by run_query.

    The text is not run and may be unfinished; validate_query checks it. Others see it only when they may see
    every table and column that it names."""
    draft = Draft(**request.model_dump(exclude={"query_id"}))
    made = await ctx.engine.saved.create(ctx.principal, draft, query_id=request.query_id)
    ctx.note(f"saved_query:{made.query_id}")
    return show(made)


@tool("GET /queries", needs="query.run", effect="read")
async def list_queries(ctx: Ctx, request: ListQueries) -> SavedQueryList:
    """List the tenant's saved queries that you may see, the oldest first."""
    pages = ctx.engine.pages
    window = pages.window("list_queries", request, ctx.principal)
    found, total = await ctx.engine.saved.page(ctx.principal, window, project_id=request.project_id)
    shown = [show(each) for each in found]
    return SavedQueryList(
        queries=shown,
        items=shown,
        total_count=total,
        next_page_token=pages.next_token("list_queries", request, ctx.principal, window, total),
    )


@tool("GET /queries/{query_id}", needs="query.run", effect="read")
async def get_query(ctx: Ctx, request: SavedQueryRef) -> SavedQuery:
    """Show one saved query: its SQL, its connection and the values of its parameters."""
    return show(await ctx.engine.saved.get(ctx.principal, request.query_id))


@tool("PATCH /queries/{query_id}", "PUT /queries/{query_id}", needs="queries.manage", effect="write")
async def update_query(ctx: Ctx, request: UpdateQuery) -> SavedQuery:
    """Change a saved query's text or what is said about it.

    Give `version` so that nobody else's change is lost."""
    draft = Draft(**request.model_dump(exclude={"query_id", "version"}))
    return show(await ctx.engine.saved.update(ctx.principal, request.query_id, draft, version=request.version))


@tool("DELETE /queries/{query_id}", needs="queries.manage", effect="destroy", status=204)
async def delete_query(ctx: Ctx, request: DeleteQuery) -> Empty:
    """Remove a saved query. Its runs and their results stay."""
    await ctx.engine.saved.archive(ctx.principal, request.query_id, version=request.version)
    return Empty()


def show(stored: Stored) -> SavedQuery:
    return SavedQuery(
        id=stored.query_id,
        tenant_id=stored.tenant,
        project_id=stored.project_id,
        query_text=stored.query_text,
        name=stored.name,
        description=stored.description,
        connection_id=stored.connection_id,
        parameters=dict(stored.parameters),
        owner=stored.owner,
        version=stored.version,
        created_at=_time(stored.created_at),
        updated_at=_time(stored.updated_at),
        archived_at=None if stored.archived_at is None else _time(stored.archived_at),
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
