"""Passwords: coming in by an invitation, setting a new one by a link, changing one's own."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from core.portable import Model, Refers
from core.tool import ANYONE, SIGNED_IN, Empty, tool
from engine.context import Ctx
from engine.identity.names import SEEN
from tools.admin.users import moment

CHOSEN = "The password: 12 characters or more, or what the tenant demands; three or four words make a good one."
LINK = r"^hwl_[A-Za-z0-9_-]{43}$"


class AcceptInvitation(Model):
    """An invitation and the password to come in with."""

    link_token: str = Field(pattern=LINK, description="Secret of the link.", examples=["hwl_" + "A" * 43])
    password: str = Field(min_length=12, max_length=256, description=CHOSEN)
    name: str = Field("", max_length=255, pattern=SEEN, description="Your name, where the invitation has it wrong.")


class ResetPassword(Model):
    """A link and the new password."""

    link_token: str = Field(pattern=LINK, description="Secret of the link.", examples=["hwl_" + "A" * 43])
    password: str = Field(min_length=12, max_length=256, description=CHOSEN)


class ChangePassword(Model):
    """The present password and the new one."""

    present_password: str = Field(min_length=1, max_length=256, description="The password of now.")
    new_password: str = Field(min_length=12, max_length=256, description=CHOSEN)


class RequestPasswordReset(Model):
    """Whose password."""

    login: str = Field(min_length=1, max_length=255, description="E-mail address or id of the user.")
    tenant_id: str = Field("default", max_length=64, description="Id of the tenant.")


class CreatePasswordLink(Model):
    """Whose password."""

    user_id: Annotated[str, Refers("user")] = Field(max_length=64, description="Id of the user; list_users shows them.")


class PasswordLink(Model):
    """A link by which a user sets a password."""

    user_id: str = Field(description="The user.")
    link_url: str = Field(description="The link, shown this once: it works once, until it expires.")
    link_token: str = Field(description="The secret of the link, for reset_password.")
    expires_at: datetime = Field(description="When the link stops working (UTC).")


class Account(Model):
    """The account that a link was for."""

    user_id: str = Field(description="Its id, to sign in with.")
    tenant_id: str = Field(description="Its tenant.")
    email: str = Field(description="Its e-mail address, to sign in with.")
    name: str = Field(description="Its name.")


class Asked(Model):
    """What happens next, whoever it was."""

    message: str = Field(description="The same for every address.")


@tool("POST /invitations/accept", needs=ANYONE, effect="write")
async def accept_invitation(ctx: Ctx, request: AcceptInvitation) -> Account:
    """Accept an invitation: sets your password and opens your account. The link works once."""
    user = await ctx.engine.identity.admin.passwords.accept(
        request.link_token, "invitation", request.password, name=request.name
    )
    return Account(user_id=user.user_id, tenant_id=user.tenant, email=user.email, name=user.name)


@tool("POST /password/reset", needs=ANYONE, effect="write")
async def reset_password(ctx: Ctx, request: ResetPassword) -> Account:
    """Set a new password by a link; the one before, and all sessions, end."""
    user = await ctx.engine.identity.admin.passwords.accept(request.link_token, "password", request.password)
    return Account(user_id=user.user_id, tenant_id=user.tenant, email=user.email, name=user.name)


@tool("POST /password/forgot", needs=ANYONE, effect="write")
async def request_password_reset(ctx: Ctx, request: RequestPasswordReset) -> Asked:
    """Have a link sent to your e-mail address, by which you set a new password.

    The answer is the same whether or not anybody has that address."""
    ctx.engine.identity.admin.passwords.ask_link(request.tenant_id, request.login)
    return Asked(message="If there is such an account, a link is on its way to its address.")


@tool("POST /users/{user_id}/password-link", needs="users.manage", effect="write")
async def create_password_link(ctx: Ctx, request: CreatePasswordLink) -> PasswordLink:
    """Make a link by which a user sets a new password, to be handed over; it works once, for a day.

    Only for users who may do no more than you. Links made before stop working."""
    link = await ctx.engine.identity.admin.passwords.make_link(ctx.principal, request.user_id)
    return PasswordLink(
        user_id=link.user_id,
        link_url=link.url(ctx.engine.settings.server.public_url),
        link_token=link.secret,
        expires_at=moment(link.expires_at),
    )


@tool("POST /users/me/password", needs=SIGNED_IN, effect="write", status=204)
async def change_password(ctx: Ctx, request: ChangePassword) -> Empty:
    """Change your own password; your sessions end, so sign in again."""
    await ctx.engine.identity.admin.passwords.change(ctx.principal, request.present_password, request.new_password)
    return Empty()
