"""All of a tenant's data at once: an archive of it, and its end."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from core.errors import Conflict
from core.jobs import JobStatus, Progress
from core.portable import Model, Refers
from core.tool import tool
from engine.context import Ctx
from engine.results.listing import TENANT_EXPORT
from engine.tenancy.archive import Wished
from engine.tenancy.purge import Purged


class ExportTenantData(Model):
    """Whose data, and what of it."""

    tenant_id: str = Field(max_length=64, description="The tenant; your own, unless you look after all of them.")
    include_tables: bool = Field(True, description="With the files of the lakehouse's tables, where they lie with us.")
    include_uploads: bool = Field(True, description="With the uploads that are still there.")


class TenantExportRef(Model):
    """Which archive."""

    job_id: Annotated[str, Refers("tenant_export")] = Field(max_length=64, description="Id of the export's job.")


class TenantExport(Model):
    """An archive of a tenant's data: a ZIP file that holds its rows as JSON lines, its audit log and its files."""

    job_id: str = Field(description="Id of the export's job; get_tenant_export takes it.")
    tenant_id: str = Field(description="Whose data it is.")
    status: JobStatus = Field(description="`succeeded` when the archive is complete.")
    size_bytes: int | None = Field(description="Size of the file; null until it is complete.")
    signed_url: str | None = Field(description="Link to download it, from get_tenant_export; else null.")
    expires_at: datetime | None = Field(description="When the archive is deleted (UTC).")


class PurgeTenant(Model):
    """Whose data is deleted, said twice."""

    tenant_id: str = Field(max_length=64, description="An archived tenant; delete_tenant archives one.")
    confirm: str = Field(max_length=64, description="The same id again, for nothing brings it back.")


class PurgedTenant(Model):
    """What was deleted."""

    tenant_id: str = Field(description="The tenant; its id stays taken.")
    row_count: int = Field(description="Rows of the platform's store.")
    file_count: int = Field(description="Files of tables, results, exports, uploads and imports.")
    size_bytes: int = Field(description="Size of the files that lay with us.")
    is_store_rewritten: bool = Field(
        description="Whether the store's file was written anew, so that nothing of it is left in free pages."
    )
    is_key_shredded: bool = Field(description="Its key is gone: its audit log still verifies, and nobody reads it.")


@tool(
    "POST /tenants/{tenant_id}/export",
    needs="tenant.manage",
    effect="write",
    status=201,
    location="/tenant-exports/{job_id}",
    job=True,
    emits=Progress,
)
async def export_tenant_data(ctx: Ctx, request: ExportTenantData) -> TenantExport:
    """Write all that a tenant has into one archive: rows, audit log, tables, uploads.

    Secrets and hashes are left out; rows of results are too, for they expire. get_tenant_export has the link."""
    assert ctx.job is not None, "the gate runs this as a job"
    engine, by = ctx.engine, ctx.principal
    tenant = (await engine.identity.admin.tenants.get(by, request.tenant_id)).tenant_id
    ctx.note(f"tenant:{tenant}")
    await ctx.emit(Progress(message="writing the archive"))
    wished = Wished(has_tables=request.include_tables, has_uploads=request.include_uploads)
    parts = _in_threads(engine.tenancy.archive.pieces(tenant, wished, by))
    made = await engine.query_jobs.exports.write_file(by, ctx.job, "ZIP", parts)
    return TenantExport(
        job_id=ctx.job.job_id,
        tenant_id=tenant,
        status="succeeded",
        size_bytes=made.size_bytes,
        signed_url=None,
        expires_at=datetime.fromtimestamp(made.expires_at, UTC),
    )


@tool("GET /tenant-exports/{job_id}", needs="tenant.manage", effect="read")
async def get_tenant_export(ctx: Ctx, request: TenantExportRef) -> TenantExport:
    """Fetch an archive that you have had made: its state, and a link once it is complete.

    The link holds for a quarter of an hour, and only while you may have it made."""
    jobs, by = ctx.engine.query_jobs, ctx.principal
    job = await jobs.own.get(by, TENANT_EXPORT, request.job_id)
    tenant = job.request["tenant_id"] or by.tenant
    await ctx.engine.identity.admin.tenants.get(by, tenant)  # who made it then may have it only while they still may
    made = (await jobs.exports.find(by, [job.job_id])).get(job.job_id)
    link = None if made is None else await jobs.exports.link(by, made, f"/v1/tenant-exports/{job.job_id}/content")
    return TenantExport(
        job_id=job.job_id,
        tenant_id=tenant,
        status=job.status,
        size_bytes=made.size_bytes if made else None,
        signed_url=link[0] if link else None,
        expires_at=datetime.fromtimestamp(made.expires_at, UTC) if made else None,
    )


@tool("POST /tenants/{tenant_id}/purge", needs="platform.tenants", effect="destroy", job=True, emits=Progress)
async def purge_tenant(ctx: Ctx, request: PurgeTenant) -> PurgedTenant:
    """Delete everything that an archived tenant has, for good, and its key with it.

    Rows, tables, results, exports and uploads go. Its audit log stays and still verifies, but nobody can read it.
    Nothing brings the data back; backups of the platform's store and home are the operator's to delete."""
    if request.confirm != request.tenant_id:
        raise Conflict("`confirm` is not the tenant's id.", hint="Give the id of the tenant to purge twice.")
    ctx.note(f"tenant:{request.tenant_id}")
    found = Purged()
    purge, steps = ctx.engine.tenancy.purge, 0
    async for name, removed in purge.run(request.tenant_id):
        found, steps = found + removed, steps + 1
        await ctx.emit(Progress(message=name, done=steps, total=len(purge.steps)))
    return PurgedTenant(
        tenant_id=request.tenant_id,
        row_count=found.rows,
        file_count=found.files,
        size_bytes=found.size_bytes,
        is_store_rewritten=found.is_compacted,
        is_key_shredded=True,
    )


async def _in_threads(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """What a blocking iterator gives, each piece made in a thread."""
    while (piece := await asyncio.to_thread(next, parts, None)) is not None:
        yield piece
