"""Requests to another tenant: to join a project, or to add a dataset to one."""

from typing import Annotated

from pydantic import Field

from core.portable import Model, Refers
from core.tool import tool
from engine.context import Ctx
from tools.approvals.shown import (
    ProjectDatasetApproval,
    ProjectTenantApproval,
    as_project_dataset,
    as_project_tenant,
    show_one,
)

PROJECT = "Id of the project; list_projects shows it."


class RequestProjectTenant(Model):
    """Whom to invite to what."""

    project_id: Annotated[str, Refers("own_project")] = Field(min_length=1, max_length=64, description=PROJECT)
    tenant_id: str = Field(
        min_length=1, max_length=64, pattern=r"^[^\x00]+$", description="Id of the tenant to invite."
    )


class RequestProjectDataset(Model):
    """What is asked for, and where it should go."""

    project_id: Annotated[str, Refers("project")] = Field(min_length=1, max_length=64, description=PROJECT)
    dataset_id: str = Field(min_length=1, max_length=64, pattern=r"^[^\x00]+$", description="Id of the dataset.")
    owner_tenant_id: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        pattern=r"^[^\x00]+$",
        description="Tenant whose dataset it is; needed where several tenants have one of that id.",
    )


@tool("POST /approvals/project-tenant", needs="projects.manage", effect="write", status=201, location="/approvals/{id}")
async def request_project_tenant(ctx: Ctx, request: RequestProjectTenant) -> ProjectTenantApproval:
    """Invite another tenant to a project of yours; its administrators decide within fifteen days.

    Belonging to a project shows it, and lets the tenant ask for datasets. It reads no data for that alone."""
    found = await ctx.engine.desk.sharing.request_tenant(ctx.principal, request.project_id, request.tenant_id)
    return as_project_tenant(await show_one(ctx, found))


@tool(
    "POST /approvals/project-dataset", needs="projects.manage", effect="write", status=201, location="/approvals/{id}"
)
async def request_project_dataset(ctx: Ctx, request: RequestProjectDataset) -> ProjectDatasetApproval:
    """Ask that a dataset is added to a project; its owner's administrators decide within fifteen days.

    Another's dataset is then read by your tenant, through a connection of its own and under its owner's policies. Your
    own one is then read by the tenants that belong to the project at that time."""
    found = await ctx.engine.desk.sharing.request_dataset(
        ctx.principal, request.project_id, request.dataset_id, owner=request.owner_tenant_id or ""
    )
    return as_project_dataset(await show_one(ctx, found))
