"""An approval as tools show it: one shape for all kinds, with what is not of a kind left null."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import Field, JsonValue

from core.portable import Model
from engine.approvals.approval import PROJECT_TENANT
from engine.approvals.approval import Approval as Row
from engine.approvals.labels import Label, read_labels
from engine.context import Ctx


class Approval(Model):
    """A request and how it stands."""

    id: str = Field(description="Id.")
    kind: str = Field(description="promotion, project_tenant, project_dataset, agent_change, tool_call or data_access.")
    status: str = Field(description="pending, approved, rejected or expired.")
    title: str = Field(description="What is asked, in a line.")
    requested_by: str = Field(description="Who asked; empty: the platform itself.")
    requester_name: str | None = Field(description="Their name.")
    requester_email: str | None = Field(description="Their mail address.")
    requester_tenant_id: str = Field(description="Their tenant.")
    request_reason: str | None = Field(description="Why they ask.")
    reviewed_by: str | None = Field(description="Who decided.")
    reviewed_at: datetime | None = Field(description="When it was decided.")
    reason: str | None = Field(description="Why it was decided so.")
    rejection_reason: str | None = Field(description="The same, where it was rejected.")
    created_at: datetime = Field(description="When it was asked.")
    expires_at: datetime = Field(description="When it expires; of an approved call, when it must have been made.")
    used_at: datetime | None = Field(description="Of an approved call: when it was made.")
    project_id: str | None = Field(description="The project that it is about.")
    project_name: str | None = Field(description="The project's name.")
    tenant_id: str | None = Field(description="The tenant that is invited; of other kinds, the requester's.")
    tenant_name: str | None = Field(description="The invited tenant's name, once it has agreed.")
    dataset_id: str | None = Field(description="The dataset that is asked for.")
    dataset_name: str | None = Field(description="The dataset's name, once its owner has agreed.")
    tool: str | None = Field(description="The tool whose call it is about.")
    argument_digest: str | None = Field(description="Digest of the call's arguments.")
    agent_id: str | None = Field(description="The agent that has changed.")
    connection_id: str | None = Field(description="The connection of the table that is asked for.")
    table: str | None = Field(description="The table that is asked for.")
    columns: list[str] = Field(description="The columns that are asked for; empty: the table.")
    hours: int | None = Field(description="For how long.")
    version_id: str | None = Field(description="The pipeline version to promote.")
    from_environment: str | None = Field(description="Where the version is.")
    to_environment: str | None = Field(description="Where it would go.")


class ProjectTenantApproval(Model):
    """A request that a tenant joins a project."""

    status: str = Field(description="pending, approved, rejected or expired.")
    requested_by: str = Field(description="Who asked.")
    reviewed_by: str | None = Field(description="Who decided.")
    created_at: datetime = Field(description="When it was asked.")
    expires_at: datetime = Field(description="When it expires.")
    reviewed_at: datetime | None = Field(description="When it was decided.")
    rejection_reason: str | None = Field(description="Why it was rejected.")
    id: str = Field(description="Id of the approval.")
    project_id: str = Field(description="The project.")
    tenant_id: str = Field(description="The tenant that is invited.")
    project_name: str | None = Field(description="The project's name.")
    tenant_name: str | None = Field(description="The tenant's name, once it has agreed.")
    requester_name: str | None = Field(description="Name of who asked.")
    requester_email: str | None = Field(description="Mail address of who asked.")


class ProjectDatasetApproval(Model):
    """A request that a dataset is added to a project."""

    status: str = Field(description="pending, approved, rejected or expired.")
    requested_by: str = Field(description="Who asked.")
    reviewed_by: str | None = Field(description="Who decided.")
    created_at: datetime = Field(description="When it was asked.")
    expires_at: datetime = Field(description="When it expires.")
    reviewed_at: datetime | None = Field(description="When it was decided.")
    rejection_reason: str | None = Field(description="Why it was rejected.")
    id: str = Field(description="Id of the approval.")
    project_id: str = Field(description="The project.")
    dataset_id: str = Field(description="The dataset.")
    project_name: str | None = Field(description="The project's name.")
    dataset_name: str | None = Field(description="The dataset's name, once its owner has agreed.")
    requester_name: str | None = Field(description="Name of who asked.")
    requester_email: str | None = Field(description="Mail address of who asked.")


async def show_all(ctx: Ctx, found: Sequence[Row]) -> list[Approval]:
    """Approvals with the names that the caller may know."""
    labels = await read_labels(ctx.engine.store, ctx.principal.tenant, found)
    return [show(row, label) for row, label in zip(found, labels, strict=True)]


async def show_one(ctx: Ctx, found: Row) -> Approval:
    return (await show_all(ctx, [found]))[0]


def show(row: Row, label: Label) -> Approval:
    subject = row.subject
    invited = subject.get("tenant_id") if row.kind == PROJECT_TENANT else None
    return Approval(
        id=row.approval_id,
        kind=row.kind,
        status=row.status,
        title=row.title,
        requested_by=row.requested_by,
        requester_name=label.requester_name or None,
        requester_email=label.requester_email or None,
        requester_tenant_id=row.tenant,
        request_reason=row.request_reason or None,
        reviewed_by=row.reviewed_by,
        reviewed_at=_time(row.reviewed_at),
        reason=row.reason or None,
        rejection_reason=(row.reason or None) if row.status == "rejected" else None,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
        expires_at=datetime.fromtimestamp(row.expires_at, UTC),
        used_at=_time(row.used_at),
        project_id=subject.get("project_id"),
        project_name=subject.get("project_name"),
        tenant_id=invited or row.tenant,
        tenant_name=label.tenant_name or None,
        dataset_id=subject.get("dataset_id"),
        dataset_name=label.dataset_name or None,
        tool=row.tool or None,
        argument_digest=row.argument_digest or None,
        agent_id=subject.get("agent_id"),
        connection_id=subject.get("connection_id"),
        table=subject.get("table"),
        columns=list(subject.get("columns", ())),
        hours=subject.get("hours"),
        version_id=subject.get("version_id"),
        from_environment=subject.get("from_environment"),
        to_environment=subject.get("to_environment"),
    )


def as_project_tenant(shown: Approval) -> ProjectTenantApproval:
    return ProjectTenantApproval.model_validate(_part(shown, ProjectTenantApproval))


def as_project_dataset(shown: Approval) -> ProjectDatasetApproval:
    return ProjectDatasetApproval.model_validate(_part(shown, ProjectDatasetApproval))


def _part(shown: Approval, model: type[Model]) -> dict[str, Any]:
    return {name: getattr(shown, name) for name in model.model_fields}


def _time(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


Arguments = dict[str, JsonValue]
