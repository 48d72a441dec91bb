"""Datasets: namespaces of the lakehouse that people make, describe, rename and delete."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.context import Ctx
from engine.datasets.datasets import Draft
from engine.datasets.rows import Dataset as Row

NAME = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,127}){0,3}$"
ID = r"^[A-Za-z0-9_-]{1,64}$"
ProjectId = Annotated[str | None, Refers("own_project"), Field(pattern=ID)]
DatasetId = Annotated[
    str, Refers("dataset"), Field(min_length=1, max_length=64, description="Id of the dataset; list_datasets shows it.")
]
Archived = Annotated[bool, Field(description="Only those that were deleted and can be restored.")]


class CreateDataset(Model):
    """What to make."""

    name: str = Field(pattern=NAME, max_length=255, description="Name, also of the namespace in SQL: `sales`.")
    description: str | None = Field(None, max_length=4000, description="What it holds.")
    project_id: ProjectId = Field(None, description="Project of your tenant that it belongs to.")
    dataset_id: str | None = Field(None, pattern=ID, description="Id to give it; default a new one.")


class ListDatasets(Paged):
    """Which datasets."""

    archived: Archived = False


class ListDatasetsByProject(ListDatasets):
    """Which project's datasets."""

    project_id: Annotated[str, Refers("project")] = Field(
        min_length=1, max_length=64, description="Id of the project; list_projects shows it."
    )


class DatasetRef(Model):
    """Which dataset."""

    dataset_id: DatasetId


class DeletedDatasetRef(Model):
    """Which deleted dataset."""

    dataset_id: str = Field(min_length=1, max_length=64, description="Id; list_datasets with `archived` shows it.")


class UpdateDataset(DatasetRef):
    """What to change; what is left out stays."""

    name: str | None = Field(None, pattern=NAME, max_length=255, description="New name; its tables move along.")
    description: str | None = Field(None, max_length=4000, description="New description.")
    project_id: ProjectId = Field(None, description="Project that it belongs to from now on.")


class Dataset(Model):
    """One dataset."""

    id: str = Field(description="Id.")
    name: str = Field(description="Name, also of the namespace in SQL.")
    description: str | None = Field(description="What it holds.")
    tenant_id: str = Field(description="Tenant it belongs to.")
    project_id: str | None = Field(description="Project it belongs to.")
    created_at: datetime = Field(description="When it was made, or first seen.")
    archived_at: datetime | None = Field(description="When it was deleted.")


class DatasetList(Listing):
    """A page of datasets."""

    datasets: list[Dataset] = Field(description="The datasets, the oldest first.")
    items: list[Dataset] = Field(description="The same list.")


@tool("POST /datasets", needs="datasets.manage", effect="write", status=201, location="/datasets/{id}")
async def create_dataset(ctx: Ctx, request: CreateDataset) -> Dataset:
    """Make a dataset: a namespace of the lakehouse that tables can be made in.

    Its name is the namespace in SQL; dots nest."""
    draft = Draft(request.name, request.description, request.project_id)
    return _show(await ctx.engine.datasets.create(ctx.principal, draft, dataset_id=request.dataset_id))


@tool("GET /datasets", needs="datasets.read", effect="read")
async def list_datasets(ctx: Ctx, request: ListDatasets) -> DatasetList:
    """List the datasets that you can see, also namespaces that were made with other engines."""
    found = await ctx.engine.datasets.all(ctx.principal, archived=request.archived)
    return _page(ctx, "list_datasets", request, found)


@tool("GET /projects/{project_id}/datasets", needs="datasets.read", effect="read")
async def list_datasets_by_project(ctx: Ctx, request: ListDatasetsByProject) -> DatasetList:
    """List the datasets of one project that you can see."""
    found = await ctx.engine.datasets.all(ctx.principal, archived=request.archived, project_id=request.project_id)
    return _page(ctx, "list_datasets_by_project", request, found)


@tool("GET /datasets/{dataset_id}", needs="datasets.read", effect="read")
async def get_dataset(ctx: Ctx, request: DatasetRef) -> Dataset:
    """Fetch one dataset."""
    return _show(await ctx.engine.datasets.get(ctx.principal, request.dataset_id))


@tool("PATCH /datasets/{dataset_id}", "PUT /datasets/{dataset_id}", needs="datasets.manage", effect="write")
async def update_dataset(ctx: Ctx, request: UpdateDataset) -> Dataset:
    """Rename a dataset, describe it, or give it to another project.

    A new name is the new namespace: SQL that names its tables must be changed."""
    draft = Draft(request.name, request.description, request.project_id)
    return _show(await ctx.engine.datasets.update(ctx.principal, request.dataset_id, draft))


@tool("DELETE /datasets/{dataset_id}", needs="datasets.manage", effect="destroy", status=204)
async def delete_dataset(ctx: Ctx, request: DatasetRef) -> Empty:
    """Delete a dataset with all of its tables; for seven days restore_dataset brings them back."""
    await ctx.engine.datasets.delete(ctx.principal, request.dataset_id)
    return Empty()


@tool("POST /datasets/{dataset_id}/restore", needs="datasets.manage", effect="write")
async def restore_dataset(ctx: Ctx, request: DeletedDatasetRef) -> Dataset:
    """Bring a deleted dataset back, with the tables that were deleted with it."""
    return _show(await ctx.engine.datasets.restore(ctx.principal, request.dataset_id))


def _page(ctx: Ctx, name: str, request: Paged, found: list[Row]) -> DatasetList:
    window = ctx.engine.pages.window(name, request, ctx.principal)
    shown = [_show(row) for row in found[window.offset : window.offset + window.size]]
    return DatasetList(
        datasets=shown,
        items=shown,
        total_count=len(found),
        next_page_token=ctx.engine.pages.next_token(name, request, ctx.principal, window, len(found)),
    )


def _show(row: Row) -> Dataset:
    return Dataset(
        id=row.dataset_id,
        name=row.name,
        description=row.description or None,
        tenant_id=row.tenant,
        project_id=row.project_id,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
        archived_at=None if row.archived_at is None else datetime.fromtimestamp(row.archived_at, UTC),
    )
