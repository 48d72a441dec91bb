"""Users of the tenant: making, inviting, changing, locking out and bringing back."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.context import Ctx
from engine.identity import users as stored
from engine.identity.names import EMAIL, SEEN
from engine.identity.people import UserDraft
from engine.identity.roles import canonical, main_role
from engine.identity.users import UserFilter

ID = r"^[A-Za-z0-9_-]{1,64}$"
ROLE = "Role, as `Dataset user`, `Dataset editor`, `Org admin`, or any name that list_roles shows."
EXPECTED = "The version that you read: if it has changed since, nothing is done and CONFLICT is answered."
ISSUER = "Issuer of the external identity that is this user, for example `https://login.example.com`."
SUBJECT = "The issuer's name for the user: its `sub` claim."
ATTRIBUTES = "Attributes that policies decide by, as `principal.<name>`; setting them needs policies.manage."


class UserRef(Model):
    """Which user."""

    user_id: Annotated[str, Refers("user")] = Field(max_length=64, description="Id of the user; list_users shows them.")


class ListUsers(Paged):
    """Which users to list."""

    status: Literal["", "active", "invited", "deactivated", "deleted"] = Field(
        "", description="Only these; empty: all who are not deleted."
    )
    role: str = Field("", max_length=64, description="Only those with this role.")
    q: str = Field("", max_length=255, description="Only those whose name or address holds this.")


class CreateUser(Model):
    """A new user."""

    email: str = Field(pattern=EMAIL, max_length=255, description="E-mail address; nobody else in the tenant has it.")
    name: str = Field(min_length=1, max_length=255, pattern=SEEN, description="Name that people read.")
    role: str = Field("Dataset user", min_length=1, max_length=64, description=ROLE)
    roles: list[str] | None = Field(None, max_length=100, description="All roles, instead of the one.")
    user_id: str | None = Field(None, pattern=ID, description="Id of your choice; made up unless given.")
    attributes: dict[str, str] = Field({}, max_length=100, description=ATTRIBUTES)
    identity_provider_id: str = Field("", max_length=255, description=ISSUER)
    external_subject: str = Field("", max_length=255, description=SUBJECT)


class InviteUser(Model):
    """Whom to invite."""

    email: str = Field(pattern=EMAIL, max_length=255, description="E-mail address.")
    name: str = Field(min_length=1, max_length=255, pattern=SEEN, description="Name that people read.")
    role: str = Field("Dataset user", min_length=1, max_length=64, description=ROLE)
    roles: list[str] | None = Field(None, max_length=100, description="All roles, instead of the one.")


class UpdateUser(UserRef):
    """Changes of a user; what is left out stays."""

    email: str | None = Field(None, pattern=EMAIL, max_length=255, description="E-mail address.")
    name: str | None = Field(None, min_length=1, max_length=255, pattern=SEEN, description="Name that people read.")
    role: str | None = Field(None, min_length=1, max_length=64, description=ROLE + " It replaces all roles.")
    roles: list[str] | None = Field(None, max_length=100, description="All roles, instead of the one.")
    attributes: dict[str, str] | None = Field(None, max_length=100, description=ATTRIBUTES)
    identity_provider_id: str | None = Field(None, max_length=255, description=ISSUER + " Empty unlinks.")
    external_subject: str | None = Field(None, max_length=255, description=SUBJECT)
    expected_version: int | None = Field(None, ge=1, description=EXPECTED)


class UpdateUserRole(UserRef):
    """The role to have instead of all others."""

    role: str = Field(min_length=1, max_length=64, description=ROLE)
    expected_version: int | None = Field(None, ge=1, description=EXPECTED)


class User(Model):
    """A user of the tenant."""

    id: str = Field(description="Its id: the subject of its calls, jobs and audit records.")
    email: str = Field(description="E-mail address.")
    name: str = Field(description="Name that people read.")
    role: str = Field(description="The main role, as `Dataset user`, `Dataset editor` or `Org admin` where it is one.")
    tenant_id: str = Field(description="Id of the tenant.")
    identity_provider_id: str | None = Field(description="External issuer that vouches for it; null for local users.")
    created_at: datetime = Field(description="When it was made (UTC).")
    roles: list[str] = Field(description="All roles.")
    status: str = Field(description="active, invited (has not come yet), deactivated or deleted.")
    attributes: dict[str, str] = Field(description="Attributes that policies decide by.")
    external_subject: str = Field(description="The issuer's name for it.")
    updated_at: datetime | None = Field(description="When it was last changed (UTC).")
    deactivated_at: datetime | None = Field(description="When it was locked out (UTC).")
    deleted_at: datetime | None = Field(description="When it was deleted (UTC).")
    version: int = Field(description="Raised by every change; updates take it as `expected_version`.")


class InvitedUser(User):
    """A user who was invited, and the link."""

    invitation_url: str = Field(description="The link, shown this once: it works once, until it expires.")
    invitation_token: str = Field(description="The secret of the link, for accept_invitation.")
    expires_at: datetime = Field(description="When the link stops working (UTC).")


class UserList(Listing):
    """A page of users."""

    users: list[User] = Field(description="The users, oldest first.")
    items: list[User] = Field(description="The same list.")


@tool("GET /users", needs="users.manage", effect="read")
async def list_users(ctx: Ctx, request: ListUsers) -> UserList:
    """List the tenant's users, oldest first, with their roles and whether they are locked out."""
    window = ctx.engine.pages.window("list_users", request, ctx.principal)
    wanted = UserFilter(request.status, canonical(request.role), request.q)
    found, total = await ctx.engine.identity.admin.people.listing(
        ctx.principal, wanted, offset=window.offset, size=window.size
    )
    page = [show(user) for user in found]
    token = ctx.engine.pages.next_token("list_users", request, ctx.principal, window, total)
    return UserList(users=page, items=page, total_count=total, next_page_token=token)


@tool("POST /users", needs="users.manage", effect="write", status=201, location="/users/{id}")
async def create_user(ctx: Ctx, request: CreateUser) -> User:
    """Make a user, who comes in by an external identity, a token, or a password link.

    `invite_user` makes one and a link in one step. You give only roles that you could have yourself."""
    draft = UserDraft(
        email=request.email,
        name=request.name,
        roles=[request.role] if request.roles is None else request.roles,
        attributes=request.attributes,
        issuer=request.identity_provider_id,
        external_subject=request.external_subject,
    )
    made = await ctx.engine.identity.admin.people.create(ctx.principal, draft, user_id=request.user_id or "")
    ctx.note(f"user:{made.user_id}")
    return show(made)


@tool("POST /users/invite", needs="users.manage", effect="write", status=201, location="/users/{id}")
async def invite_user(ctx: Ctx, request: InviteUser) -> InvitedUser:
    """Invite somebody: makes the user, and a link by which it sets a password and comes in.

    The link works once. Invite again to make a new link; the one before stops working."""
    roles = [request.role] if request.roles is None else request.roles
    draft = UserDraft(email=request.email, name=request.name, roles=roles)
    user, link = await ctx.engine.identity.admin.people.invite(ctx.principal, draft)
    ctx.note(f"user:{user.user_id}")
    return InvitedUser(
        invitation_url=link.url(ctx.engine.settings.server.public_url),
        invitation_token=link.secret,
        expires_at=moment(link.expires_at),
        **show(user).model_dump(),
    )


@tool("GET /users/{user_id}", needs="users.manage", effect="read")
async def get_user(ctx: Ctx, request: UserRef) -> User:
    """Show one user, also one who was deleted."""
    return show(await ctx.engine.identity.admin.people.get(ctx.principal, request.user_id))


@tool("PATCH /users/{user_id}", "PUT /users/{user_id}", needs="users.manage", effect="write")
async def update_user(ctx: Ctx, request: UpdateUser) -> User:
    """Change a user's name, address, roles, attributes or external identity; what is left out stays.

    Nobody raises their own rights, and you give or take only what you hold."""
    role = None if request.role is None else [request.role]
    draft = UserDraft(
        email=request.email,
        name=request.name,
        roles=role if request.roles is None else request.roles,
        attributes=request.attributes,
        issuer=request.identity_provider_id,
        external_subject=request.external_subject,
    )
    people = ctx.engine.identity.admin.people
    return show(await people.update(ctx.principal, request.user_id, draft, expected_version=request.expected_version))


@tool("PUT /users/{user_id}/role", "PATCH /users/{user_id}/role", needs="users.manage", effect="write")
async def update_user_role(ctx: Ctx, request: UpdateUserRole) -> User:
    """Give a user one role instead of all that it has. `assign_role` adds one."""
    people = ctx.engine.identity.admin.people
    return show(
        await people.set_roles(ctx.principal, request.user_id, lambda held: [request.role], request.expected_version)
    )


@tool("POST /users/{user_id}/deactivate", needs="users.manage", effect="write")
async def deactivate_user(ctx: Ctx, request: UserRef) -> User:
    """Lock a user out: tokens, sessions, running calls and jobs stop within two seconds, everywhere.

    `reactivate_user` lets it in again, with new tokens. The last administrator stays."""
    return show(await ctx.engine.identity.admin.people.set_active(ctx.principal, request.user_id, is_active=False))


@tool("POST /users/{user_id}/reactivate", needs="users.manage", effect="write")
async def reactivate_user(ctx: Ctx, request: UserRef) -> User:
    """Let a user in again who was locked out by `deactivate_user`. Its tokens stay revoked."""
    return show(await ctx.engine.identity.admin.people.set_active(ctx.principal, request.user_id, is_active=True))


@tool("DELETE /users/{user_id}", needs="users.manage", effect="destroy", status=204)
async def delete_user(ctx: Ctx, request: UserRef) -> Empty:
    """Delete a user: it is out within two seconds and in no list.

    What it made stays. `restore_user` undoes it."""
    await ctx.engine.identity.admin.people.delete(ctx.principal, request.user_id)
    return Empty()


@tool("POST /users/{user_id}/restore", needs="users.manage", effect="write")
async def restore_user(ctx: Ctx, request: UserRef) -> User:
    """Bring a deleted user back, with the roles that it had. Its tokens stay revoked."""
    return show(await ctx.engine.identity.admin.people.restore(ctx.principal, request.user_id))


def show(user: stored.User) -> User:
    return User(
        id=user.user_id,
        email=user.email,
        name=user.name,
        role=main_role(user.roles),
        tenant_id=user.tenant,
        identity_provider_id=user.issuer or None,
        created_at=moment(user.created_at),
        roles=sorted(user.roles),
        status=user.status,
        attributes=dict(user.attributes),
        external_subject=user.external_subject,
        updated_at=maybe(user.updated_at),
        deactivated_at=maybe(user.deactivated_at),
        deleted_at=maybe(user.deleted_at),
        version=user.version,
    )


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def maybe(seconds: float | None) -> datetime | None:
    return None if seconds is None else moment(seconds)
