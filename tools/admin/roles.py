"""Roles: named sets of permissions, built in or the tenant's own, and who has them."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.context import Ctx
from engine.identity import rolebook
from engine.identity.grants import canonical_roles
from engine.identity.rolebook import permission_matrix
from tools.admin.users import EXPECTED, ID, User, maybe, show

PERMISSIONS = "Permissions, such as `query.run`; list_roles shows all. You give only what you hold."


class ListRoles(Paged):
    """Which page of roles to list."""


class RoleRef(Model):
    """Which role."""

    role: Annotated[str, Refers("role")] = Field(max_length=64, description="Name of the role; list_roles shows them.")


class CreateRole(Model):
    """A new role."""

    role: str = Field(pattern=ID, description="Its name, for example `analyst`.", examples=["parity-role"])
    permissions: list[str] = Field(max_length=200, description=PERMISSIONS, examples=[["query.run"]])
    description: str = Field("", max_length=2000, description="What it is for.")


class UpdateRole(RoleRef):
    """Changes of a role; what is left out stays."""

    permissions: list[str] | None = Field(None, max_length=200, description=PERMISSIONS)
    description: str | None = Field(None, max_length=2000, description="What it is for.")
    expected_version: int | None = Field(None, ge=1, description=EXPECTED)


class RoleGrant(Model):
    """Who, and which role."""

    user_id: Annotated[str, Refers("user")] = Field(max_length=64, description="Id of the user; list_users shows them.")
    role: Annotated[str, Refers("role")] = Field(max_length=64, description="Name of the role; list_roles shows them.")
    expected_version: int | None = Field(None, ge=1, description=EXPECTED)


class Role(Model):
    """A role and what it allows."""

    role: str = Field(description="Its name.")
    name: str = Field(description="How a directory calls it, or its name.")
    description: str = Field(description="What it is for.")
    permissions: list[str] = Field(description="What it allows.")
    built_in: bool = Field(description="Whether it comes with Headwater; those are not changed.")
    created_at: datetime | None = Field(description="When it was made (UTC); null for built-in ones.")
    updated_at: datetime | None = Field(description="When it was last changed (UTC).")
    version: int = Field(description="Raised by every change; update_role takes it as `expected_version`.")


class PermissionRoles(Model):
    """A permission and the roles that have it."""

    permission: str = Field(description="The permission.")
    roles: list[str] = Field(description="Roles of this page that have it.")


class RoleList(Listing):
    """A page of roles, and their matrix."""

    roles: list[Role] = Field(description="Built-in roles first, then the tenant's own by name.")
    items: list[Role] = Field(description="The same list.")
    matrix: list[PermissionRoles] = Field(description="Every permission that there is, with the roles that have it.")


@tool("GET /roles", needs="users.manage", effect="read")
async def list_roles(ctx: Ctx, request: ListRoles) -> RoleList:
    """List roles and what each allows, also as a matrix of permissions."""
    window = ctx.engine.pages.window("list_roles", request, ctx.principal)
    found = await ctx.engine.identity.admin.roles.listing(ctx.principal)
    shown = found[window.offset : window.offset + window.size]
    page = [show_role(role) for role in shown]
    return RoleList(
        roles=page,
        items=page,
        matrix=[PermissionRoles(permission=name, roles=held) for name, held in permission_matrix(shown).items()],
        total_count=len(found),
        next_page_token=ctx.engine.pages.next_token("list_roles", request, ctx.principal, window, len(found)),
    )


@tool("POST /roles", needs="users.manage", effect="write", status=201, location="/roles/{role}")
async def create_role(ctx: Ctx, request: CreateRole) -> Role:
    """Make a role of the tenant's own, of permissions that you hold.

    `assign_role` gives it to somebody."""
    made = await ctx.engine.identity.admin.roles.create(
        ctx.principal, request.role, permissions=request.permissions, description=request.description
    )
    ctx.note(f"role:{made.role}")
    return show_role(made)


@tool("GET /roles/{role}", needs="users.manage", effect="read")
async def get_role(ctx: Ctx, request: RoleRef) -> Role:
    """Show one role and what it allows."""
    return show_role(await ctx.engine.identity.admin.roles.get(ctx.principal, request.role))


@tool("PATCH /roles/{role}", "PUT /roles/{role}", needs="users.manage", effect="write")
async def update_role(ctx: Ctx, request: UpdateRole) -> Role:
    """Change what a role of the tenant's own allows.

    It holds for everybody who has the role within two seconds."""
    changed = await ctx.engine.identity.admin.roles.update(
        ctx.principal,
        request.role,
        permissions=request.permissions,
        description=request.description,
        expected=request.expected_version,
    )
    return show_role(changed)


@tool("DELETE /roles/{role}", needs="users.manage", effect="destroy", status=204)
async def delete_role(ctx: Ctx, request: RoleRef) -> Empty:
    """Delete a role of the tenant's own that nobody has any more."""
    await ctx.engine.identity.admin.roles.delete(ctx.principal, request.role)
    return Empty()


@tool("POST /users/{user_id}/roles", needs="users.manage", effect="write")
async def assign_role(ctx: Ctx, request: RoleGrant) -> User:
    """Give a user one more role. Nobody gives one to themselves, or what they do not hold."""
    people = ctx.engine.identity.admin.people
    return show(
        await people.set_roles(
            ctx.principal, request.user_id, lambda held: {*held, request.role}, request.expected_version
        )
    )


@tool("DELETE /users/{user_id}/roles/{role}", needs="users.manage", effect="write")
async def revoke_role(ctx: Ctx, request: RoleGrant) -> User:
    """Take a role from a user. The last administrator keeps it."""
    people = ctx.engine.identity.admin.people
    return show(
        await people.set_roles(
            ctx.principal,
            request.user_id,
            lambda held: held - canonical_roles([request.role]),
            request.expected_version,
        )
    )


def show_role(role: rolebook.Role) -> Role:
    return Role(
        role=role.role,
        name=role.name,
        description=role.description,
        permissions=sorted(role.permissions),
        built_in=role.is_built_in,
        created_at=maybe(role.created_at),
        updated_at=maybe(role.updated_at),
        version=role.version,
    )
