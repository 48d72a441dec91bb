"""Notices: where a tenant is told that something waits or was decided, and what became of each notice."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.context import Ctx
from engine.notices.destinations import Destination
from engine.notices.mail import ADDRESS
from engine.notices.outbox import Notice as Row
from engine.notices.webhook import show_secret

Event = Literal["approval.opened", "approval.decided", "approval.expired"]
DestinationId = Annotated[
    str,
    Refers("notice_destination"),
    Field(max_length=64, description="Id; list_notice_destinations shows it."),
]


class CreateNoticeDestination(Model):
    """A webhook, or some mail addresses."""

    name: str = Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$", description="What it is for.")
    url: str | None = Field(None, pattern=r"^https?://[^\s\x00-\x1f\x7f]+$", max_length=2000, description="Webhook.")
    addresses: list[Annotated[str, Field(pattern=ADDRESS, max_length=255)]] = Field(
        [], max_length=20, description="Mail addresses."
    )
    events: list[Event] = Field([], max_length=10, description="What to tell of; none: everything.")


class ListNoticeDestinations(Paged):
    """Which page."""


class NoticeDestinationRef(Model):
    """Which destination."""

    destination_id: DestinationId


class ListNotices(Paged):
    """Which notices."""

    status: Literal["pending", "sent", "failed"] | None = Field(None, description="Only those of this status.")


class NoticeDestination(Model):
    """Where notices go."""

    id: str = Field(description="Id.")
    name: str = Field(description="What it is for.")
    kind: Literal["webhook", "email"] = Field(description="webhook or email.")
    url: str | None = Field(description="Of a webhook.")
    addresses: list[str] = Field(description="Of mail.")
    events: list[str] = Field(description="What it is told of; none: everything.")
    created_at: datetime = Field(description="When it was made.")
    updated_at: datetime = Field(description="When it, or its secret, was last changed.")


class NewNoticeDestination(NoticeDestination):
    """A destination with what is shown once."""

    secret: str | None = Field(description="Signs what the webhook gets (Standard Webhooks); it is not shown again.")


class NoticeDestinationList(Listing):
    """A page of destinations."""

    destinations: list[NoticeDestination] = Field(description="The destinations, the oldest first.")
    items: list[NoticeDestination] = Field(description="The same list.")


class Notice(Model):
    """One notice to one destination."""

    id: str = Field(description="Id; `webhook-id` of the request.")
    destination_id: str | None = Field(description="Where it goes; null: to one person.")
    event: str = Field(description="What it tells of.")
    status: Literal["pending", "sent", "failed"] = Field(description="failed: it was given up.")
    attempts: int = Field(description="How often it was tried.")
    error: str | None = Field(description="What went wrong the last time.")
    next_attempt_at: datetime | None = Field(description="When it is tried next.")
    created_at: datetime = Field(description="When it was written.")


class NoticeList(Listing):
    """A page of notices."""

    notices: list[Notice] = Field(description="The notices of a month, the newest first.")
    items: list[Notice] = Field(description="The same list.")


@tool(
    "POST /notices/destinations",
    needs="tenant.manage",
    effect="write",
    status=201,
    location="/notices/destinations/{id}",
)
async def create_notice_destination(ctx: Ctx, request: CreateNoticeDestination) -> NewNoticeDestination:
    """Have your tenant told of approvals, by a signed webhook or by mail.

    The secret of a webhook is shown this once."""
    made, secret = await ctx.engine.desk.destinations.create(
        ctx.principal, request.name, url=request.url or "", addresses=request.addresses, events=request.events
    )
    return _new(made, secret)


@tool("GET /notices/destinations", needs="tenant.manage", effect="read")
async def list_notice_destinations(ctx: Ctx, request: ListNoticeDestinations) -> NoticeDestinationList:
    """List where your tenant's notices go."""
    found = await ctx.engine.desk.destinations.all(ctx.principal)
    window = ctx.engine.pages.window("list_notice_destinations", request, ctx.principal)
    shown = [_show(row) for row in found[window.offset : window.offset + window.size]]
    return NoticeDestinationList(
        destinations=shown,
        items=shown,
        total_count=len(found),
        next_page_token=ctx.engine.pages.next_token(
            "list_notice_destinations", request, ctx.principal, window, len(found)
        ),
    )


@tool("GET /notices/destinations/{destination_id}", needs="tenant.manage", effect="read")
async def get_notice_destination(ctx: Ctx, request: NoticeDestinationRef) -> NoticeDestination:
    """Show where some of your tenant's notices go."""
    return _show(await ctx.engine.desk.destinations.get(ctx.principal, request.destination_id))


@tool("POST /notices/destinations/{destination_id}/rotate", needs="tenant.manage", effect="write")
async def rotate_notice_secret(ctx: Ctx, request: NoticeDestinationRef) -> NewNoticeDestination:
    """Give a webhook another secret; the one before signs nothing any more."""
    return _new(*await ctx.engine.desk.destinations.rotate(ctx.principal, request.destination_id))


@tool("DELETE /notices/destinations/{destination_id}", needs="tenant.manage", effect="destroy", status=204)
async def delete_notice_destination(ctx: Ctx, request: NoticeDestinationRef) -> Empty:
    """Stop telling a webhook, or some people, of anything."""
    await ctx.engine.desk.destinations.delete(ctx.principal, request.destination_id)
    return Empty()


@tool("GET /notices", needs="tenant.manage", effect="read")
async def list_notices(ctx: Ctx, request: ListNotices) -> NoticeList:
    """List the notices of the last month, and what became of them."""
    window = ctx.engine.pages.window("list_notices", request, ctx.principal)
    found, total = await ctx.engine.desk.outbox.listing(
        ctx.principal.tenant, status=request.status or "", offset=window.offset, size=window.size
    )
    shown = [_notice(row) for row in found]
    return NoticeList(
        notices=shown,
        items=shown,
        total_count=total,
        next_page_token=ctx.engine.pages.next_token("list_notices", request, ctx.principal, window, total),
    )


def _show(row: Destination) -> NoticeDestination:
    return NoticeDestination(
        id=row.destination_id,
        name=row.name,
        kind="webhook" if row.kind == "webhook" else "email",
        url=row.target if row.kind == "webhook" else None,
        addresses=row.addresses,
        events=list(row.events),
        created_at=datetime.fromtimestamp(row.created_at, UTC),
        updated_at=datetime.fromtimestamp(row.updated_at, UTC),
    )


def _new(row: Destination, secret: bytes) -> NewNoticeDestination:
    return NewNoticeDestination(**_show(row).model_dump(), secret=show_secret(secret) if secret else None)


def _notice(row: Row) -> Notice:
    return Notice.model_validate(
        {
            "id": row.notice_id,
            "destination_id": row.destination_id or None,
            "event": row.event,
            "status": row.status,
            "attempts": row.attempts,
            "error": row.error or None,
            "next_attempt_at": None if row.due_at is None else datetime.fromtimestamp(row.due_at, UTC),
            "created_at": datetime.fromtimestamp(row.created_at, UTC),
        }
    )
