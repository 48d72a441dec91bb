"""Exports: the rows of a query job as one file, to download by a link."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from core.errors import Conflict
from core.jobs import JobStatus, Progress
from core.pages import Listing, Paged
from core.portable import FileLink, Model, Refers
from core.tool import tool
from engine.context import Ctx
from engine.results.content import export_name
from engine.results.exports import Wish
from engine.results.formats import choose_compression
from engine.results.listing import EXPORT, OwnJob
from engine.results.manifests import ExportManifest

JobId = Annotated[str, Refers("query_job"), Field(min_length=1, max_length=64, description="Id of the query job.")]
COMPRESSION = "CSV and JSON: GZIP, ZSTD, NONE. AVRO: DEFLATE, NONE. PARQUET: GZIP, ZSTD, NONE. ARROW: ZSTD, NONE."


class CreateExport(Model):
    """What to export, and as what."""

    job_id: JobId
    format: Literal["CSV", "JSON", "AVRO", "PARQUET", "ARROW"] = Field(
        "CSV", description="Format of the file; JSON is one object a line."
    )
    compression: Literal["GZIP", "DEFLATE", "NONE", "ZSTD"] | None = Field(
        None, description=f"{COMPRESSION} Default GZIP, or for AVRO DEFLATE and for ARROW ZSTD."
    )
    spreadsheet_safe: bool = Field(
        False, description="CSV only: put ' before texts that a spreadsheet would run as a formula; it changes them."
    )


class ListExports(Paged):
    """Whose exports, and which page."""

    job_id: JobId


class ExportRef(Model):
    """Which export; callers see their own."""

    export_id: Annotated[
        str,
        Refers("export"),
        Field(min_length=1, max_length=64, description="Id of the export; list_exports shows it."),
    ]


class Export(Model):
    """One export."""

    id: str = Field(description="Id of the export, and of the job that makes it.")
    query_job_id: str = Field(description="Query job whose rows it holds.")
    tenant_id: str = Field(description="Tenant it belongs to.")
    status: JobStatus = Field(description="Where it stands.")
    format: str = Field(description="Format of the file.")
    compression: str = Field(description="Compression of the file.")
    gcs_path: str | None = Field(
        description="Where the operator finds the object; sealed unless links are the store's."
    )
    signed_url: str | None = Field(description="Link to download it, from get_export and download_export; else null.")
    error_message: str | None = Field(description="Why it failed.")
    created_at: datetime = Field(description="When it was asked for.")
    completed_at: datetime | None = Field(description="When it was complete.")
    expires_at: datetime | None = Field(description="When the file is deleted.")
    size_bytes: int | None = Field(description="Size of the file.")
    row_count: int | None = Field(description="Rows in the file.")


class ExportList(Listing):
    """A page of exports."""

    exports: list[Export] = Field(description="The exports, newest first; get_export has their links.")
    items: list[Export] = Field(description="The same list.")


class ExportLink(Model):
    """Where to download an export."""

    signed_url: Annotated[str, FileLink()] = Field(
        description="Link that needs no token. Whoever has it can download the file."
    )
    expires_at: datetime = Field(description="When the link ends.")
    file_name: str = Field(description="Name that the download gets.")
    size_bytes: int = Field(description="Size of the file.")


@tool(
    "POST /query-jobs/{job_id}/exports",
    needs="query.export",
    effect="write",
    status=201,
    location="/exports/{id}",
    job=True,
)
async def create_export(ctx: Ctx, request: CreateExport) -> Export:
    """Write the rows of a query job into a file: CSV, JSON lines, Avro, Parquet or Arrow.

    The file is kept for some days; download_export makes links to it. Values are exact in every format."""
    assert ctx.job is not None, "the gate runs this as a job"
    wish = Wish(
        request.format, choose_compression(request.format, request.compression), is_defused=request.spreadsheet_safe
    )
    await ctx.engine.query_jobs.own.check_rows(ctx.principal, request.job_id)

    async def report(done: int, total: int) -> None:
        await ctx.emit(Progress(message="rows written", done=done, total=total))

    made = await ctx.engine.query_jobs.exports.write(
        ctx.principal, ctx.job, request.job_id, wish, cancelled=ctx.cancelled, report=report
    )
    job = await ctx.engine.query_jobs.own.get(ctx.principal, EXPORT, made.export_id)
    return _describe(ctx, job, made, status="succeeded")


@tool("GET /query-jobs/{job_id}/exports", needs="query.export", effect="read")
async def list_exports(ctx: Ctx, request: ListExports) -> ExportList:
    """List your exports of a query job, newest first; without links, which get_export has."""
    window = ctx.engine.pages.window("list_exports", request, ctx.principal)
    own = ctx.engine.query_jobs.own
    found, total = await own.page_by(ctx.principal, EXPORT, "job_id", [request.job_id], window)
    made = await ctx.engine.query_jobs.exports.find(ctx.principal, [job.job_id for job in found])
    exports = [_describe(ctx, job, made.get(job.job_id)) for job in found]
    return ExportList(
        exports=exports,
        items=exports,
        total_count=total,
        next_page_token=ctx.engine.pages.next_token("list_exports", request, ctx.principal, window, total),
    )


@tool("GET /exports/{export_id}", needs="query.export", effect="read")
async def get_export(ctx: Ctx, request: ExportRef) -> Export:
    """Fetch an export of yours: its state, and a new link once it is complete."""
    job = await ctx.engine.query_jobs.own.get(ctx.principal, EXPORT, request.export_id)
    made = (await ctx.engine.query_jobs.exports.find(ctx.principal, [job.job_id])).get(job.job_id)
    url = None
    if made is not None:
        opened = await ctx.engine.query_jobs.exports.open(ctx.principal, job.job_id)
        url = (await _link(ctx, opened))[0]
    return _describe(ctx, job, made, url=url)


@tool("GET /exports/{export_id}/download", needs="query.export", effect="read")
async def download_export(ctx: Ctx, request: ExportRef) -> ExportLink:
    """Make a new link to an export of yours that is complete.

    It holds for a quarter of an hour, and only while you may export and see what the query read."""
    job = await ctx.engine.query_jobs.own.get(ctx.principal, EXPORT, request.export_id)
    if job.status in ("pending", "running"):
        raise Conflict("The export is not complete yet.", hint="Ask get_export until its status is `succeeded`.")
    made = await ctx.engine.query_jobs.exports.open(ctx.principal, request.export_id)
    url, ends_at = await _link(ctx, made)
    return ExportLink(
        signed_url=url,
        expires_at=_time(ends_at),
        file_name=export_name(made.export_id, made.format, made.compression),
        size_bytes=made.size_bytes,
    )


async def exports_of(ctx: Ctx, job_ids: list[str]) -> dict[str, list[Export]]:
    """The caller's exports of several query jobs, newest first, without links."""
    found = await ctx.engine.query_jobs.own.of_many(ctx.principal, EXPORT, "job_id", job_ids)
    made = await ctx.engine.query_jobs.exports.find(ctx.principal, [job.job_id for job in found])
    grouped: dict[str, list[Export]] = {}
    for job in found:
        grouped.setdefault(job.request["job_id"], []).append(_describe(ctx, job, made.get(job.job_id)))
    return grouped


async def _link(ctx: Ctx, made: ExportManifest) -> tuple[str, float]:
    return await ctx.engine.query_jobs.exports.link(ctx.principal, made)


def _describe(
    ctx: Ctx, job: OwnJob, made: ExportManifest | None, *, url: str | None = None, status: JobStatus | None = None
) -> Export:
    asked = CreateExport.model_validate(job.request)
    return Export(
        id=job.job_id,
        query_job_id=asked.job_id,
        tenant_id=ctx.principal.tenant,
        status=status or job.status,
        format=asked.format,
        compression=made.compression if made else asked.compression or choose_compression(asked.format, None),
        gcs_path=ctx.engine.query_jobs.exports.uri(made) if made else None,
        signed_url=url,
        error_message=job.error.message if job.error else None,
        created_at=_time(job.created_at),
        completed_at=_time(made.ended_at) if made else None,
        expires_at=_time(made.expires_at) if made else None,
        size_bytes=made.size_bytes if made else None,
        row_count=made.row_count if made else None,
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
