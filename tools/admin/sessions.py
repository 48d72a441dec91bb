"""Sessions: where somebody is signed in."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import SIGNED_IN, Empty, tool
from engine.context import Ctx
from engine.identity.verify import IN_SESSION
from tools.admin.users import moment


class ListSessions(Paged):
    """Whose sessions to list."""

    user_id: Annotated[str | None, Refers("user")] = Field(
        None, max_length=64, description="A user whom you manage (users.manage); left out: your own."
    )


class RevokeSession(Model):
    """Which session."""

    session_id: Annotated[str, Refers("session")] = Field(
        max_length=64, description="Id of the session; list_sessions shows them."
    )


class Session(Model):
    """One sign-in that lasts."""

    session_id: str = Field(description="Its id.")
    user_id: str = Field(description="Whose it is.")
    client_id: str = Field(description="The application that was signed in to.")
    permissions: list[str] | None = Field(description="What it is narrowed down to; null: all that the user has.")
    address: str = Field(description="Network address that it came from.")
    user_agent: str = Field(description="Program that it came from, as it says.")
    created_at: datetime = Field(description="When it began (UTC).")
    last_used_at: datetime = Field(description="When it was last renewed (UTC).")
    expires_at: datetime = Field(description="When it ends by itself (UTC).")
    is_current: bool = Field(description="Whether this call came with it.")


class SessionList(Listing):
    """A page of sessions."""

    sessions: list[Session] = Field(description="The sessions, the last used first.")
    items: list[Session] = Field(description="The same list.")


@tool("GET /sessions", needs=SIGNED_IN, effect="read")
async def list_sessions(ctx: Ctx, request: ListSessions) -> SessionList:
    """List where you are signed in, or where a user is whom you manage."""
    window = ctx.engine.pages.window("list_sessions", request, ctx.principal)
    found, total = await ctx.engine.identity.admin.sessions.listing(
        ctx.principal, user_id=request.user_id or "", offset=window.offset, size=window.size
    )
    page = [
        Session(
            session_id=session.session_id,
            user_id=session.subject,
            client_id=session.client_id,
            permissions=None if session.scopes is None else sorted(session.scopes),
            address=session.address,
            user_agent=session.user_agent,
            created_at=moment(session.created_at),
            last_used_at=moment(session.last_used_at),
            expires_at=moment(session.expires_at),
            is_current=ctx.principal.credential_id == IN_SESSION + session.session_id,
        )
        for session in found
    ]
    token = ctx.engine.pages.next_token("list_sessions", request, ctx.principal, window, total)
    return SessionList(sessions=page, items=page, total_count=total, next_page_token=token)


@tool("DELETE /sessions/{session_id}", needs=SIGNED_IN, effect="write", status=204)
async def revoke_session(ctx: Ctx, request: RevokeSession) -> Empty:
    """End a session: yours, or of a user whom you manage; its tokens stop working within two seconds."""
    await ctx.engine.identity.admin.sessions.revoke(ctx.principal, request.session_id)
    return Empty()
