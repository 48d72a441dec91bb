"""Connections: the data sources of a tenant."""

import time
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.catalog.connections import CONNECTION_ID, NAME, StoredConnection
from engine.context import Ctx

OPTIONS = (
    "Options of the kind. duckdb, sqlite, files: `path` (absolute, on the server). "
    "postgresql: `host`, `port`, `database`, `user`, `password`, `sslmode`. To write records: sqlite `allow_writes`, "
    "postgresql `write_user` and `write_password`. All values are texts."
)


class ListConnections(Paged):
    """Which page of connections to list."""


class Connection(Model):
    """A data source. Secrets are never returned."""

    connection_id: str = Field(description="Id; other tools take it as `connection_id`.")
    name: str = Field(description="Name for people, unique in the tenant.")
    kind: str = Field(description="`lakehouse`, `duckdb`, `files`, `sqlite` or `postgresql`.")
    options: dict[str, str] = Field(description="Options without secrets.")
    description: str = Field(description="What the data is.")
    has_secret: bool = Field(description="Whether a password is stored.")
    is_built_in: bool = Field(description="True for the embedded lakehouse, which cannot be changed or deleted.")
    version: int = Field(description="Raised by every change.")
    created_at: datetime = Field(description="When it was created (UTC).")
    updated_at: datetime = Field(description="When it was last changed (UTC).")


class ConnectionList(Listing):
    """A page of connections."""

    connections: list[Connection] = Field(description="The connections, the lakehouse first, then by name.")
    items: list[Connection] = Field(description="The same list.")


class ConnectionRef(Model):
    """Which connection."""

    connection_id: Annotated[str, Refers("connection")] = Field(
        max_length=64, description="Id of the connection; list_connections shows them."
    )


class CreateConnection(Model):
    """A new data source."""

    name: str = Field(pattern=NAME, max_length=255, description="Name for people, unique in the tenant.")
    kind: Literal["duckdb", "files", "sqlite", "postgresql"] = Field(description="Kind of source.")
    options: dict[str, str] = Field({}, description=OPTIONS)
    description: str = Field("", max_length=2000, description="What the data is; models read it.")
    connection_id: str | None = Field(
        None, pattern=CONNECTION_ID, description="Id of your choice; left out, one is made."
    )


class UpdateConnection(ConnectionRef):
    """What to change; fields left out stay as they are."""

    name: str | None = Field(None, pattern=NAME, max_length=255, description="New name.")
    options: dict[str, str] | None = Field(
        None, description=f"New options, all of them; send the password again with changed ones. {OPTIONS}"
    )
    description: str | None = Field(None, max_length=2000, description="New description.")


class ConnectionCheck(Model):
    """A connection that answered."""

    connection_id: str = Field(description="The connection.")
    status: Literal["ok"] = Field(description="Always `ok`; a source that does not answer is an error.")
    server: str = Field(description="What answered, with its version.")
    duration_ms: float = Field(description="How long it took, in milliseconds.")


@tool("GET /connections", needs="catalog.read", effect="read", toolsets=("default",))
async def list_connections(ctx: Ctx, request: ListConnections) -> ConnectionList:
    """List the data sources that can be queried, the embedded lakehouse first.

    Go on with `list_tables` or `search_catalog`."""
    window = ctx.engine.pages.window("list_connections", request, ctx.principal)
    stored = await ctx.engine.catalog.connections.visible(ctx.principal)
    page = [show(item) for item in stored[window.offset : window.offset + window.size]]
    return ConnectionList(
        connections=page,
        items=page,
        total_count=len(stored),
        next_page_token=ctx.engine.pages.next_token("list_connections", request, ctx.principal, window, len(stored)),
    )


@tool("GET /connections/{connection_id}", needs="catalog.read", effect="read")
async def get_connection(ctx: Ctx, request: ConnectionRef) -> Connection:
    """Show one data source: its kind, options and description, without secrets."""
    return show(await ctx.engine.catalog.connections.see(ctx.principal, request.connection_id))


@tool(
    "POST /connections",
    needs="catalog.manage",
    effect="write",
    status=201,
    location="/connections/{connection_id}",
)
async def create_connection(ctx: Ctx, request: CreateConnection) -> Connection:
    """Add a data source, so that its tables can be browsed and queried.

    It may point only at folders and hosts that the operator allows. `check_connection` then tries it."""
    created = await ctx.engine.catalog.connections.create(
        ctx.principal.tenant,
        name=request.name,
        kind=request.kind,
        options=request.options,
        description=request.description,
        connection_id=request.connection_id or "",
    )
    ctx.note(f"connection:{created.connection_id}")
    return show(created)


@tool(
    "PATCH /connections/{connection_id}",
    "PUT /connections/{connection_id}",
    needs="catalog.manage",
    effect="write",
)
async def update_connection(ctx: Ctx, request: UpdateConnection) -> Connection:
    """Change a data source's name, options or description. The kind stays."""
    changed = await ctx.engine.catalog.connections.update(
        ctx.principal.tenant,
        request.connection_id,
        name=request.name,
        options=request.options,
        description=request.description,
    )
    return show(changed)


@tool("DELETE /connections/{connection_id}", needs="catalog.manage", effect="destroy", status=204)
async def delete_connection(ctx: Ctx, request: ConnectionRef) -> Empty:
    """Remove a data source with its tags and descriptions. The data itself is not touched."""
    await ctx.engine.catalog.delete_connection(ctx.principal, request.connection_id)
    return Empty()


@tool("POST /connections/{connection_id}/check", needs="catalog.manage", effect="read")
async def check_connection(ctx: Ctx, request: ConnectionRef) -> ConnectionCheck:
    """Connect to a data source and say what answered. Use it after `create_connection`."""
    started = time.perf_counter()
    connector = await ctx.engine.catalog.connector(ctx.principal, request.connection_id)
    server = await connector.check()
    duration_ms = (time.perf_counter() - started) * 1000
    return ConnectionCheck(
        connection_id=request.connection_id, status="ok", server=server, duration_ms=round(duration_ms, 1)
    )


def show(stored: StoredConnection) -> Connection:
    return Connection(
        connection_id=stored.connection_id,
        name=stored.name,
        kind=stored.kind,
        options=dict(stored.options),
        description=stored.description,
        has_secret=stored.has_secret,
        is_built_in=stored.is_built_in,
        version=stored.version,
        created_at=datetime.fromtimestamp(stored.created_at, UTC),
        updated_at=datetime.fromtimestamp(stored.updated_at, UTC),
    )
