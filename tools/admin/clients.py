"""Clients: programs that sign in with an id and a secret, at `POST /auth/token`."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.context import Ctx
from engine.identity import clientbook
from engine.identity.names import SEEN
from tools.admin.users import EXPECTED, ID, maybe

SECRET = "The secret, shown this once."  # noqa: S105


class CreateClient(Model):
    """A new client."""

    name: str = Field(
        min_length=1, max_length=255, pattern=SEEN, description="What it is, for example `nightly report`."
    )
    roles: list[str] = Field(["editor"], max_length=100, description="Its roles; you give only what you hold.")
    client_id: str | None = Field(None, pattern=ID, description="Id of your choice; made up unless given.")
    description: str = Field("", max_length=2000, description="What it is for, and who minds it.")


class ListClients(Paged):
    """Which page of clients to list."""


class ClientRef(Model):
    """Which client."""

    client_id: Annotated[str, Refers("client")] = Field(
        max_length=64, description="Id of the client; list_clients shows them."
    )


class UpdateClient(ClientRef):
    """What to change; what is left out stays."""

    name: str | None = Field(None, min_length=1, max_length=255, pattern=SEEN, description="What it is.")
    roles: list[str] | None = Field(
        None, max_length=100, description="Its roles; you give and take only what you hold."
    )
    description: str | None = Field(None, max_length=2000, description="What it is for, and who minds it.")
    expected_version: int | None = Field(None, ge=1, description=EXPECTED)


class RotateClientSecret(ClientRef):
    """How to replace the secret."""

    overlap_hours: float = Field(
        24, ge=0, le=720, description="Hours that the old secret still works; 0 ends it, and its tokens, at once."
    )
    expected_version: int | None = Field(None, ge=1, description=EXPECTED)


class Client(Model):
    """A client, without its secret."""

    client_id: str = Field(description="Its id.")
    name: str = Field(description="What it is.")
    description: str = Field(description="What it is for.")
    roles: list[str] = Field(description="Its roles.")
    created_at: datetime | None = Field(description="When it was made (UTC); null for one of auth_clients.yml.")
    updated_at: datetime | None = Field(description="When it was last changed (UTC).")
    rotated_at: datetime | None = Field(description="When its secret was last replaced (UTC).")
    old_secret_until: datetime | None = Field(description="Until when the secret before the present one works (UTC).")
    is_from_file: bool = Field(description="Whether it stands in auth_clients.yml, where alone it is changed.")
    version: int = Field(description="Raised by every change; updates take it as `expected_version`.")


class ClientSecret(Client):
    """A client, and its new secret."""

    client_secret: str = Field(description=SECRET)


class ClientList(Listing):
    """A page of clients."""

    clients: list[Client] = Field(description="The clients, oldest first, then those of auth_clients.yml.")
    items: list[Client] = Field(description="The same list.")


@tool("POST /clients", needs="users.manage", effect="write", status=201, location="/clients/{client_id}")
async def create_client(ctx: Ctx, request: CreateClient) -> ClientSecret:
    """Make a client: an id and a secret for a program.

    The secret is shown this once. `auth/token` exchanges both for a token."""
    made, secret = await ctx.engine.identity.admin.clients.create(
        ctx.principal,
        request.name,
        roles=request.roles,
        client_id=request.client_id or "",
        description=request.description,
    )
    ctx.note(f"client:{made.client_id}")
    return ClientSecret(client_secret=secret, **show_client(made).model_dump())


@tool("GET /clients", needs="users.manage", effect="read")
async def list_clients(ctx: Ctx, request: ListClients) -> ClientList:
    """List the tenant's clients, without secrets; also those of auth_clients.yml, after the others."""
    window = ctx.engine.pages.window("list_clients", request, ctx.principal)
    found, total = await ctx.engine.identity.admin.clients.listing(
        ctx.principal, offset=window.offset, size=window.size
    )
    page = [show_client(client) for client in found]
    token = ctx.engine.pages.next_token("list_clients", request, ctx.principal, window, total)
    return ClientList(clients=page, items=page, total_count=total, next_page_token=token)


@tool("GET /clients/{client_id}", needs="users.manage", effect="read")
async def get_client(ctx: Ctx, request: ClientRef) -> Client:
    """Show one client, without its secret."""
    return show_client(await ctx.engine.identity.admin.clients.get(ctx.principal, request.client_id))


@tool("PATCH /clients/{client_id}", "PUT /clients/{client_id}", needs="users.manage", effect="write")
async def update_client(ctx: Ctx, request: UpdateClient) -> Client:
    """Rename or describe a client, or give it other roles, which hold within two seconds.

    Its secret and its tokens stay; they may then do what the new roles allow."""
    change = clientbook.Change(request.name, request.description, request.roles)
    return show_client(
        await ctx.engine.identity.admin.clients.update(
            ctx.principal, request.client_id, change, expected=request.expected_version
        )
    )


@tool("POST /clients/{client_id}/rotate", needs="users.manage", effect="write")
async def rotate_client_secret(ctx: Ctx, request: RotateClientSecret) -> ClientSecret:
    """Make a new secret for a client; the old one works on for a while.

    So nothing has to stop. If the old one was stolen, say `overlap_hours` 0: it ends at once, and with it the
    tokens that it was good for."""
    client, secret = await ctx.engine.identity.admin.clients.rotate(
        ctx.principal, request.client_id, overlap_hours=request.overlap_hours, expected=request.expected_version
    )
    return ClientSecret(client_secret=secret, **show_client(client).model_dump())


@tool("DELETE /clients/{client_id}", needs="users.manage", effect="destroy", status=204)
async def delete_client(ctx: Ctx, request: ClientRef) -> Empty:
    """Delete a client: it is out within two seconds, with all its tokens, for good.

    Its id is not given again."""
    await ctx.engine.identity.admin.clients.delete(ctx.principal, request.client_id)
    return Empty()


def show_client(client: clientbook.Client) -> Client:
    return Client(
        client_id=client.client_id,
        name=client.name,
        description=client.description,
        roles=sorted(client.roles),
        created_at=maybe(client.created_at),
        updated_at=maybe(client.updated_at),
        is_from_file=client.is_from_file,
        rotated_at=maybe(client.rotated_at),
        old_secret_until=maybe(client.previous_until),
        version=client.version,
    )
