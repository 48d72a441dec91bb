"""Personal tokens: long-lived keys of one's own for scripts and MCP clients."""

from datetime import UTC, datetime

from pydantic import Field

from core.pages import Listing, Paged
from core.portable import Model
from core.tool import SIGNED_IN, Empty, tool
from engine.context import Ctx
from engine.identity.personal import MAX_DAYS, PersonalToken


class CreateToken(Model):
    """A new token."""

    name: str = Field(min_length=1, max_length=255, description="What it is for, for example `laptop`.")
    expires_in_days: int = Field(90, ge=1, le=MAX_DAYS, description="Days after which it no longer works.")
    permissions: list[str] | None = Field(
        None,
        max_length=100,
        description="Permissions to narrow it down to, such as `query.run`; left out: all yours.",
    )


class ListTokens(Paged):
    """Which page of tokens to list."""


class TokenRef(Model):
    """Which token."""

    token_id: str = Field(max_length=64, description="Id of the token; list_tokens shows them.")


class Token(Model):
    """A personal token, without its secret."""

    token_id: str = Field(description="Its id.")
    name: str = Field(description="What it is for.")
    permissions: list[str] | None = Field(description="What it is narrowed down to; null: all that you have.")
    created_at: datetime = Field(description="When it was created (UTC).")
    expires_at: datetime = Field(description="When it stops working (UTC).")
    last_used_at: datetime | None = Field(description="When it was last used (UTC), give or take a minute.")


class CreatedToken(Token):
    """A token just made."""

    token: str = Field(description="The token itself, shown this once: send it as `Authorization: Bearer TOKEN`.")


class TokenList(Listing):
    """A page of tokens."""

    tokens: list[Token] = Field(description="Your tokens, newest first.")
    items: list[Token] = Field(description="The same list.")


@tool("POST /tokens", needs=SIGNED_IN, effect="write", status=201, location="/tokens/{token_id}")
async def create_token(ctx: Ctx, request: CreateToken) -> CreatedToken:
    """Create a personal token that acts as you, with all your permissions or with fewer.

    Its secret is shown this once. Agents and personal tokens themselves can not create tokens."""
    made = await ctx.engine.identity.create_personal_token(
        by=ctx.principal,
        name=request.name,
        lifetime_days=request.expires_in_days,
        permissions=request.permissions,
    )
    return CreatedToken(token=made.token, **show(made.info).model_dump())


@tool("GET /tokens", needs=SIGNED_IN, effect="read")
async def list_tokens(ctx: Ctx, request: ListTokens) -> TokenList:
    """List your personal tokens that were not revoked, newest first, without their secrets."""
    window = ctx.engine.pages.window("list_tokens", request, ctx.principal)
    found, total = await ctx.engine.identity.list_personal_tokens(
        by=ctx.principal, offset=window.offset, size=window.size
    )
    page = [show(token) for token in found]
    return TokenList(
        tokens=page,
        items=page,
        total_count=total,
        next_page_token=ctx.engine.pages.next_token("list_tokens", request, ctx.principal, window, total),
    )


@tool("DELETE /tokens/{token_id}", needs=SIGNED_IN, effect="write", status=204)
async def revoke_token(ctx: Ctx, request: TokenRef) -> Empty:
    """Revoke one of your personal tokens; it stops working within two seconds, for good."""
    await ctx.engine.identity.revoke_personal_token(request.token_id, by=ctx.principal)
    return Empty()


def show(token: PersonalToken) -> Token:
    return Token(
        token_id=token.token_id,
        name=token.name,
        permissions=None if token.permissions is None else sorted(token.permissions),
        created_at=datetime.fromtimestamp(token.created_at, UTC),
        expires_at=datetime.fromtimestamp(token.expires_at, UTC),
        last_used_at=None if token.last_used_at is None else datetime.fromtimestamp(token.last_used_at, UTC),
    )
