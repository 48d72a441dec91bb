"""Requests for data that one may not read yet."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.approvals.approval import DATA_ACCESS, Approval
from engine.context import Ctx
from engine.lake.names import TABLE_NAME

LINE = r"^[^\x00-\x1f\x7f]+$"


class RequestAccess(Model):
    """What to read, why, and for how long."""

    connection_id: Annotated[str, Refers("connection")] = Field(
        "lakehouse", max_length=64, description="Id of the connection; default the lakehouse."
    )
    table: str = Field(pattern=TABLE_NAME, max_length=512, description="Name of the table.")
    columns: list[Annotated[str, Field(pattern=LINE, max_length=255)]] = Field(
        [], max_length=200, description="Columns; none: all that have no policy of their own."
    )
    reason: str = Field(min_length=1, max_length=4000, pattern=r"^[^\x00]+$", description="What it is needed for.")
    hours: int = Field(24, ge=1, le=2160, description="For how long, from the approval on; at most 90 days.")


class AccessRequest(Model):
    """A request and how it stands."""

    id: str = Field(description="Id of the approval.")
    status: str = Field(description="pending, approved, rejected or expired.")
    connection_id: str = Field(description="The connection.")
    table: str = Field(description="The table, as it was asked for.")
    columns: list[str] = Field(description="The columns; none: the table.")
    reason: str = Field(description="What it is needed for.")
    hours: int = Field(description="For how long.")
    requested_by: str = Field(description="Who asked.")
    created_at: datetime = Field(description="When it was asked.")
    expires_at: datetime = Field(description="When the request expires.")
    reviewed_by: str | None = Field(description="Who decided.")
    reviewed_at: datetime | None = Field(description="When it was decided.")
    decision_reason: str | None = Field(description="Why it was decided so.")


class AccessRequestList(Model):
    """One's own requests."""

    access_requests: list[AccessRequest] = Field(description="The newest first, two hundred at most.")
    items: list[AccessRequest] = Field(description="The same list.")
    total_count: int = Field(description="How many are shown.")


@tool(
    "POST /catalog/access-requests",
    needs="catalog.read",
    effect="write",
    status=201,
    location="/catalog/access-requests",
)
async def request_access(ctx: Ctx, request: RequestAccess) -> AccessRequest:
    """Ask for a table or some of its columns, for a time; somebody else decides.

    The answer is the same whether there is such a table or not. An approval opens the columns to you alone, and ends
    by itself; row filters stay."""
    opened = await ctx.engine.desk.access.request(
        ctx.principal,
        request.connection_id,
        request.table,
        request.columns,
        reason=request.reason,
        hours=request.hours,
    )
    return _show(opened)


@tool("GET /catalog/access-requests", needs="catalog.read", effect="read")
async def list_access_requests(ctx: Ctx, request: Empty) -> AccessRequestList:
    """List what you yourself have asked for, and how it stands."""
    shown = [_show(item) for item in await ctx.engine.desk.approvals.requested(ctx.principal, kind=DATA_ACCESS)]
    return AccessRequestList(access_requests=shown, items=shown, total_count=len(shown))


def _show(found: Approval) -> AccessRequest:
    subject = found.subject
    return AccessRequest(
        id=found.approval_id,
        status=found.status,
        connection_id=subject["connection_id"],
        table=subject["table"],
        columns=list(subject["columns"]),
        reason=found.request_reason,
        hours=subject["hours"],
        requested_by=found.requested_by,
        created_at=datetime.fromtimestamp(found.created_at, UTC),
        expires_at=datetime.fromtimestamp(found.expires_at, UTC),
        reviewed_by=found.reviewed_by,
        reviewed_at=None if found.reviewed_at is None else datetime.fromtimestamp(found.reviewed_at, UTC),
        decision_reason=found.reason or None,
    )
