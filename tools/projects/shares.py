"""Shares: what tenants have opened to each other, and its end."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.context import Ctx
from engine.projects.shares import Share as Row


class ListShares(Paged):
    """Which page of shares."""


class ShareRef(Model):
    """Which share."""

    share_id: Annotated[str, Refers("share")] = Field(max_length=64, description="Id; list_shares shows it.")


class Share(Model):
    """Something that one tenant has opened to another."""

    id: str = Field(description="Id. For the guest, it is also the id of the connection that reads the dataset.")
    kind: Literal["project_tenant", "project_dataset"] = Field(
        description="project_tenant: the guest belongs to the project; project_dataset: it reads the dataset."
    )
    direction: Literal["given", "taken"] = Field(description="given by your tenant, or taken by it.")
    tenant_id: str = Field(description="Tenant whose project or dataset it is.")
    guest_tenant_id: str = Field(description="Tenant it was opened to.")
    project_id: str = Field(description="Project through which it was opened.")
    project_name: str = Field(description="The project's name.")
    dataset_id: str | None = Field(description="The dataset, where it is one.")
    dataset_name: str | None = Field(description="The dataset's name.")
    approval_id: str = Field(description="The approval that opened it.")
    created_at: datetime = Field(description="Since when.")


class ShareList(Listing):
    """A page of shares."""

    shares: list[Share] = Field(description="The shares that live, the oldest first.")
    items: list[Share] = Field(description="The same list.")


@tool("GET /shares", needs="projects.read", effect="read")
async def list_shares(ctx: Ctx, request: ListShares) -> ShareList:
    """List what your tenant shares with others, and what others share with it.

    A dataset that is shared with you is read through the connection that has the share's id."""
    found = await ctx.engine.desk.shares.all(ctx.principal)
    window = ctx.engine.pages.window("list_shares", request, ctx.principal)
    tenant = ctx.principal.tenant
    shown = [_show(row, tenant) for row in found[window.offset : window.offset + window.size]]
    return ShareList(
        shares=shown,
        items=shown,
        total_count=len(found),
        next_page_token=ctx.engine.pages.next_token("list_shares", request, ctx.principal, window, len(found)),
    )


@tool("DELETE /shares/{share_id}", needs="approvals.decide", effect="destroy", status=204)
async def revoke_share(ctx: Ctx, request: ShareRef) -> Empty:
    """End a share, as the one who gave it or the one who took it: nothing of it is read any more.

    It holds within two seconds everywhere. Leaving a project ends everything that was shared through it."""
    await ctx.engine.desk.shares.revoke(ctx.principal, request.share_id)
    return Empty()


def _show(row: Row, tenant: str) -> Share:
    return Share(
        id=row.share_id,
        kind="project_dataset" if row.dataset_id else "project_tenant",
        direction="given" if row.owner == tenant else "taken",
        tenant_id=row.owner,
        guest_tenant_id=row.guest,
        project_id=row.project_id,
        project_name=row.project_name,
        dataset_id=row.dataset_id or None,
        dataset_name=row.dataset_name or None,
        approval_id=row.approval_id,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
    )
