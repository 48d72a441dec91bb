"""Projects: what datasets, saved queries and agents belong to, and what other tenants can be let into."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.context import Ctx
from engine.projects.projects import Change
from engine.projects.projects import Project as Row

ID = r"^[A-Za-z0-9_-]{1,64}$"
TEXT = r"^[^\x00]*$"
NAME = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
ProjectId = Annotated[
    str, Refers("project"), Field(min_length=1, max_length=64, description="Id of the project; list_projects shows it.")
]


class CreateProject(Model):
    """What to make."""

    name: str = Field(pattern=NAME, max_length=255, description="Name, unlike that of any other project.")
    description: str | None = Field(None, pattern=TEXT, max_length=4000, description="What it is for.")
    project_id: str | None = Field(None, pattern=ID, description="Id to give it; default a new one.")


class ListProjects(Paged):
    """Which projects."""

    archived: bool = Field(False, description="Only those that were deleted and can be restored.")


class ProjectRef(Model):
    """Which project."""

    project_id: ProjectId


class DeletedProjectRef(Model):
    """Which deleted project."""

    project_id: str = Field(min_length=1, max_length=64, description="Id; list_projects with `archived` shows it.")


class UpdateProject(ProjectRef):
    """What to change; what is left out stays."""

    name: str | None = Field(None, pattern=NAME, max_length=255, description="New name.")
    description: str | None = Field(None, pattern=TEXT, max_length=4000, description="New description.")
    expected_version: int | None = Field(None, ge=1, description="Refused unless this is its version now.")


class Project(Model):
    """One project."""

    id: str = Field(description="Id.")
    name: str = Field(description="Name.")
    description: str | None = Field(description="What it is for.")
    tenant_id: str = Field(description="Tenant it belongs to; another one's project is one that you were let into.")
    created_at: datetime = Field(description="When it was made.")
    archived_at: datetime | None = Field(description="When it was deleted.")
    updated_at: datetime = Field(description="When it was last changed.")
    created_by: str = Field(description="Who made it.")
    version: int = Field(description="Rises with every change; give it as `expected_version`.")


class ProjectList(Listing):
    """A page of projects."""

    projects: list[Project] = Field(description="Your tenant's own, the oldest first, then those you were let into.")
    items: list[Project] = Field(description="The same list.")


@tool("POST /projects", needs="projects.manage", effect="write", status=201, location="/projects/{id}")
async def create_project(ctx: Ctx, request: CreateProject) -> Project:
    """Make a project, which datasets, saved queries and agents can belong to.

    A name that is taken, or looks like one that is, is refused."""
    made = await ctx.engine.desk.projects.create(
        ctx.principal, request.name, description=request.description or "", project_id=request.project_id or ""
    )
    return _show(made)


@tool("GET /projects", needs="projects.read", effect="read")
async def list_projects(ctx: Ctx, request: ListProjects) -> ProjectList:
    """List your tenant's projects, and those of others that your tenant was let into."""
    found = await ctx.engine.desk.projects.all(ctx.principal, archived=request.archived)
    window = ctx.engine.pages.window("list_projects", request, ctx.principal)
    shown = [_show(row) for row in found[window.offset : window.offset + window.size]]
    return ProjectList(
        projects=shown,
        items=shown,
        total_count=len(found),
        next_page_token=ctx.engine.pages.next_token("list_projects", request, ctx.principal, window, len(found)),
    )


@tool("GET /projects/{project_id}", needs="projects.read", effect="read")
async def get_project(ctx: Ctx, request: ProjectRef) -> Project:
    """Fetch one project."""
    return _show(await ctx.engine.desk.projects.get(ctx.principal, request.project_id))


@tool("PATCH /projects/{project_id}", "PUT /projects/{project_id}", needs="projects.manage", effect="write")
async def update_project(ctx: Ctx, request: UpdateProject) -> Project:
    """Rename or describe a project of your tenant."""
    change = Change(request.name, request.description, request.expected_version)
    return _show(await ctx.engine.desk.projects.update(ctx.principal, request.project_id, change))


@tool("DELETE /projects/{project_id}", needs="projects.manage", effect="destroy", status=204)
async def delete_project(ctx: Ctx, request: ProjectRef) -> Empty:
    """Delete a project of your tenant; restore_project brings it back.

    Its datasets and queries stay. What was shared through it ends at once, and stays ended."""
    await ctx.engine.desk.projects.delete(ctx.principal, request.project_id)
    return Empty()


@tool("POST /projects/{project_id}/restore", needs="projects.manage", effect="write")
async def restore_project(ctx: Ctx, request: DeletedProjectRef) -> Project:
    """Bring a deleted project back, without what was shared through it."""
    return _show(await ctx.engine.desk.projects.restore(ctx.principal, request.project_id))


def _show(row: Row) -> Project:
    return Project(
        id=row.project_id,
        name=row.name,
        description=row.description or None,
        tenant_id=row.tenant,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
        archived_at=None if row.archived_at is None else datetime.fromtimestamp(row.archived_at, UTC),
        updated_at=datetime.fromtimestamp(row.updated_at, UTC),
        created_by=row.created_by,
        version=row.version,
    )
