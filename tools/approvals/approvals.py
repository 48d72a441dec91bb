"""Approvals: seeing what waits, deciding it, talking about it."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.approvals.approval import PENDING, PROJECT_DATASET, PROJECT_TENANT, PROMOTION
from engine.context import Ctx
from tools.approvals.shown import (
    Approval,
    Arguments,
    ProjectDatasetApproval,
    ProjectTenantApproval,
    as_project_dataset,
    as_project_tenant,
    show_all,
    show_one,
)

TEXT = r"^[^\x00]*$"
Kind = Literal["promotion", "project_tenant", "project_dataset", "agent_change", "tool_call", "data_access"]
ApprovalId = Annotated[
    str, Refers("approval"), Field(min_length=1, max_length=64, description="Id; list_approvals shows it.")
]


class ListApprovals(Paged):
    """Which approvals."""

    status: list[Literal["pending", "approved", "rejected", "expired"]] = Field(
        [], max_length=4, description="Only those of these; default all."
    )
    kind: Kind | None = Field(None, description="Only those of this kind.")


class ApprovalRef(Model):
    """Which approval."""

    approval_id: ApprovalId


class Decision(ApprovalRef):
    """What is decided, and why."""

    reason: str = Field("", pattern=TEXT, max_length=4000, description="Why; promotions need one.")
    rejection_reason: str | None = Field(None, pattern=TEXT, max_length=4000, description="The same as `reason`.")


class AddApprovalComment(ApprovalRef):
    """What to say."""

    content: str = Field(min_length=1, pattern=r"^[^\x00]+$", max_length=4000, description="The comment.")


class ApprovalList(Listing):
    """A page of approvals."""

    approvals: list[Approval] = Field(description="The approvals, the newest first.")
    items: list[Approval] = Field(description="The same list.")


class ApprovalDetails(Model):
    """An approval with what belongs to its kind."""

    approval: Approval = Field(description="How it stands.")
    project_tenant_details: ProjectTenantApproval | None = Field(description="Of a tenant that joins a project.")
    project_dataset_details: ProjectDatasetApproval | None = Field(description="Of a dataset for a project.")
    version: JsonValue = Field(description="Of a promotion: the version as it was when it was asked.")
    arguments: Arguments | None = Field(description="Of a call: its arguments, without secrets.")
    comment_count: int = Field(description="Comments on it; list_approval_comments shows them.")


class ApprovalComment(Model):
    """What somebody said."""

    id: str = Field(description="Id.")
    approval_id: str = Field(description="The approval.")
    author: str = Field(description="Who said it.")
    tenant_id: str = Field(description="Their tenant.")
    content: str = Field(description="The comment.")
    created_at: datetime = Field(description="When.")


class ApprovalCommentList(Model):
    """All comments on an approval."""

    comments: list[ApprovalComment] = Field(description="The comments, the oldest first.")
    items: list[ApprovalComment] = Field(description="The same list.")
    total_count: int = Field(description="How many there are.")


class PendingApprovals(Model):
    """What waits for your tenant, by kind."""

    project_tenant_approvals: list[ProjectTenantApproval] = Field(description="Projects that ask you to join.")
    project_dataset_approvals: list[ProjectDatasetApproval] = Field(description="Projects that ask for a dataset.")
    other_approvals: list[Approval] = Field(description="Of all other kinds.")


class ApprovalNotifications(Model):
    """What waits for your tenant."""

    count: int = Field(description="How many wait.")
    requests: list[Approval] = Field(description="The newest hundred of them.")


class Expired(Model):
    """What was done."""

    expired: int = Field(description="Requests whose time was over.")


@tool("GET /approvals", needs="approvals.read", effect="read")
async def list_approvals(ctx: Ctx, request: ListApprovals) -> ApprovalList:
    """List what your tenant asks of others or of itself, and what others ask of it."""
    window = ctx.engine.pages.window("list_approvals", request, ctx.principal)
    found, total = await ctx.engine.desk.approvals.listing(
        ctx.principal, status=request.status, kind=request.kind or "", offset=window.offset, size=window.size
    )
    shown = await show_all(ctx, found)
    return ApprovalList(
        approvals=shown,
        items=shown,
        total_count=total,
        next_page_token=ctx.engine.pages.next_token("list_approvals", request, ctx.principal, window, total),
    )


@tool("GET /approvals/{approval_id}", needs="approvals.read", effect="read")
async def get_approval(ctx: Ctx, request: ApprovalRef) -> ApprovalDetails:
    """Fetch one approval with what a decision needs: the call's arguments, the version, the names."""
    found = await ctx.engine.desk.approvals.get(ctx.principal, request.approval_id)
    shown, arguments = await show_one(ctx, found), None
    if found.arguments is not None and found.tenant == ctx.principal.tenant:
        opened = await asyncio.to_thread(ctx.engine.desk.approvals.unseal, found.tenant, found.arguments)
        arguments = json.loads(opened)
    return ApprovalDetails(
        approval=shown,
        project_tenant_details=as_project_tenant(shown) if found.kind == PROJECT_TENANT else None,
        project_dataset_details=as_project_dataset(shown) if found.kind == PROJECT_DATASET else None,
        version=json.loads(found.snapshot) if found.kind == PROMOTION and found.snapshot else None,
        arguments=arguments,
        comment_count=len(await ctx.engine.desk.approvals.comments(ctx.principal, request.approval_id)),
    )


@tool("POST /approvals/{approval_id}/approve", needs="approvals.read", effect="write")
async def approve_request(ctx: Ctx, request: Decision) -> Approval:
    """Approve a request of somebody else: what was asked for happens at once, or may be done once.

    Which permission it takes depends on the kind. Nobody approves their own, and agents approve nothing."""
    reason = request.reason or request.rejection_reason or ""
    decided = await ctx.engine.desk.approvals.decide(ctx.principal, request.approval_id, approve=True, reason=reason)
    return await show_one(ctx, decided)


@tool("POST /approvals/{approval_id}/reject", needs="approvals.read", effect="write")
async def reject_request(ctx: Ctx, request: Decision) -> Approval:
    """Reject a request of somebody else; say why.

    Which permission it takes depends on the kind. Nobody rejects their own, and agents reject nothing."""
    reason = request.reason or request.rejection_reason or ""
    decided = await ctx.engine.desk.approvals.decide(ctx.principal, request.approval_id, approve=False, reason=reason)
    return await show_one(ctx, decided)


@tool("GET /approvals/{approval_id}/comments", needs="approvals.comment", effect="read")
async def list_approval_comments(ctx: Ctx, request: ApprovalRef) -> ApprovalCommentList:
    """List what was said about a request."""
    shown = [
        ApprovalComment(
            id=item.comment_id,
            approval_id=request.approval_id,
            author=item.author,
            tenant_id=item.author_tenant,
            content=item.content,
            created_at=datetime.fromtimestamp(item.created_at, UTC),
        )
        for item in await ctx.engine.desk.approvals.comments(ctx.principal, request.approval_id)
    ]
    return ApprovalCommentList(comments=shown, items=shown, total_count=len(shown))


@tool(
    "POST /approvals/{approval_id}/comments",
    needs="approvals.comment",
    effect="write",
    status=201,
    location="/approvals/{approval_id}/comments",
)
async def add_approval_comment(ctx: Ctx, request: AddApprovalComment) -> ApprovalComment:
    """Say something about a request. Between tenants, both sides read it."""
    made = await ctx.engine.desk.approvals.add_comment(ctx.principal, request.approval_id, request.content)
    return ApprovalComment(
        id=made.comment_id,
        approval_id=request.approval_id,
        author=made.author,
        tenant_id=made.author_tenant,
        content=made.content,
        created_at=datetime.fromtimestamp(made.created_at, UTC),
    )


@tool("GET /approvals/pending", needs="approvals.decide", effect="read")
async def list_pending_approvals(ctx: Ctx, request: Empty) -> PendingApprovals:
    """List everything that waits for you, by kind."""
    found, _ = await ctx.engine.desk.approvals.waiting(ctx.principal)
    shown = await show_all(ctx, found)
    return PendingApprovals(
        project_tenant_approvals=[as_project_tenant(item) for item in shown if item.kind == PROJECT_TENANT],
        project_dataset_approvals=[as_project_dataset(item) for item in shown if item.kind == PROJECT_DATASET],
        other_approvals=[item for item in shown if item.kind not in (PROJECT_TENANT, PROJECT_DATASET)],
    )


@tool("GET /notifications/pending-approvals", needs="approvals.read", effect="read")
async def get_approval_notifications(ctx: Ctx, request: Empty) -> ApprovalNotifications:
    """Count what waits for a decision of your tenant, and show the newest of it."""
    found, total = await ctx.engine.desk.approvals.asked(ctx.principal, status=PENDING, size=100)
    return ApprovalNotifications(count=total, requests=await show_all(ctx, found))


@tool("POST /approvals/expire", needs="platform.operate", effect="write")
async def expire_approvals(ctx: Ctx, request: Empty) -> Expired:
    """Mark requests whose time is over as expired; workers do this by themselves.

    They cannot be decided from that time on, whether or not they are marked."""
    return Expired(expired=await ctx.engine.desk.approvals.expire())
