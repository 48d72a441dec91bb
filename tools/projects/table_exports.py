"""Export jobs: a managed table, as its reader may see it, written into one file to download."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from core.errors import Conflict
from core.jobs import JobStatus, Progress
from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import tool
from engine.context import Ctx
from engine.results.exports import Wish
from engine.results.formats import choose_compression
from engine.results.listing import TABLE_EXPORT, OwnJob
from engine.results.manifests import ExportManifest
from engine.sql.run import Statement
from tools.projects.managed_tables import TableId
from tools.projects.table_jobs import TableJob, describe


class CreateExportJob(Model):
    """What to export, and as what."""

    table_id: TableId
    status: Literal["pending"] = Field("pending", description="State to begin with; `pending` is the only one.")
    format: Literal["CSV", "JSON", "AVRO", "PARQUET", "ARROW"] = Field("CSV", description="Format of the file.")
    compression: Literal["GZIP", "DEFLATE", "NONE", "ZSTD"] | None = Field(
        None, description="Compression that goes with the format; default GZIP, for AVRO DEFLATE, for ARROW ZSTD."
    )


class ListExportJobs(Paged):
    """Which page of your export jobs."""


class ListExportJobsByTable(Paged):
    """Which table, and which page."""

    table_id: TableId


class ExportJobRef(Model):
    """Which export job; callers see their own."""

    job_id: Annotated[str, Refers("export_job"), Field(min_length=1, max_length=64, description="Id of the job.")]


class ExportJob(TableJob):
    """One export job."""

    format: str = Field(description="Format of the file.")
    row_count: int | None = Field(description="Rows in the file.")
    size_bytes: int | None = Field(description="Size of the file.")
    signed_url: str | None = Field(description="Link to download it, from get_export_job; else null.")
    expires_at: datetime | None = Field(description="When the file is deleted.")


class ExportJobList(Listing):
    """A page of export jobs."""

    export_jobs: list[ExportJob] = Field(description="The jobs, newest first; get_export_job has their links.")
    items: list[ExportJob] = Field(description="The same list.")


@tool(
    "POST /export-jobs",
    needs="query.export",
    effect="write",
    status=201,
    location="/export-jobs/{id}",
    job=True,
    emits=Progress,
)
async def create_export_job(ctx: Ctx, request: CreateExportJob) -> ExportJob:
    """Write a managed table into a file: CSV, JSON lines, Avro, Parquet or Arrow.

    It holds what you may read: masked values masked, columns for aggregates only left out. get_export_job has the
    link; the file is kept for some days."""
    assert ctx.job is not None, "the gate runs this as a job"
    wish = Wish(request.format, choose_compression(request.format, request.compression))
    jobs, by = ctx.engine.query_jobs, ctx.principal
    name = await ctx.engine.datasets.full_name(await ctx.engine.datasets.table(by, request.table_id))
    sql = await ctx.engine.datasets.select_all(by, request.table_id)
    ctx.note(f"table:lakehouse/{name}")
    limit = ctx.engine.settings.query.max_stream_rows
    statement = Statement(sql, {}, max_rows=limit)
    result = await jobs.run(by, ctx.job, "lakehouse", statement, query_id="", emit=ctx.emit, cancelled=ctx.cancelled)
    if result.outcome.is_truncated:
        raise Conflict(f"The table has more than {limit:,} rows.", hint="Export parts of it with run_query.")

    async def report(done: int, total: int) -> None:
        await ctx.emit(Progress(message="rows written", done=done, total=total))

    made = await jobs.exports.write(by, ctx.job, ctx.job.job_id, wish, cancelled=ctx.cancelled, report=report)
    return _show(ctx, await jobs.own.get(by, TABLE_EXPORT, ctx.job.job_id), made, status="succeeded")


@tool("GET /export-jobs", needs="datasets.read", effect="read")
async def list_export_jobs(ctx: Ctx, request: ListExportJobs) -> ExportJobList:
    """List your export jobs of tables, newest first."""
    window = ctx.engine.pages.window("list_export_jobs", request, ctx.principal)
    found, total = await ctx.engine.query_jobs.own.page(ctx.principal, TABLE_EXPORT, window)
    token = ctx.engine.pages.next_token("list_export_jobs", request, ctx.principal, window, total)
    return await _listed(ctx, found, total, token)


@tool("GET /managed-tables/{table_id}/export-jobs", needs="datasets.read", effect="read")
async def list_export_jobs_by_table(ctx: Ctx, request: ListExportJobsByTable) -> ExportJobList:
    """List your export jobs of one table, newest first."""
    window = ctx.engine.pages.window("list_export_jobs_by_table", request, ctx.principal)
    own = ctx.engine.query_jobs.own
    found, total = await own.page_by(ctx.principal, TABLE_EXPORT, "table_id", [request.table_id], window)
    token = ctx.engine.pages.next_token("list_export_jobs_by_table", request, ctx.principal, window, total)
    return await _listed(ctx, found, total, token)


@tool("GET /export-jobs/{job_id}", needs="datasets.read", effect="read")
async def get_export_job(ctx: Ctx, request: ExportJobRef) -> ExportJob:
    """Fetch an export job of yours: its state, and a link once the file is complete.

    The link holds for a quarter of an hour, and only while you may export and see what the table shows you."""
    jobs = ctx.engine.query_jobs
    job = await jobs.own.get(ctx.principal, TABLE_EXPORT, request.job_id)
    made = (await jobs.exports.find(ctx.principal, [job.job_id])).get(job.job_id)
    url = None
    if made is not None and ctx.principal.may("query.export"):
        opened = await jobs.exports.open(ctx.principal, job.job_id)
        url = (await jobs.exports.link(ctx.principal, opened, f"/v1/export-jobs/{job.job_id}/content"))[0]
    return _show(ctx, job, made, url=url)


async def _listed(ctx: Ctx, found: list[OwnJob], total: int, token: str | None) -> ExportJobList:
    made = await ctx.engine.query_jobs.exports.find(ctx.principal, [job.job_id for job in found])
    shown = [_show(ctx, job, made.get(job.job_id)) for job in found]
    return ExportJobList(export_jobs=shown, items=shown, total_count=total, next_page_token=token)


def _show(
    ctx: Ctx, job: OwnJob, made: ExportManifest | None, *, url: str | None = None, status: JobStatus | None = None
) -> ExportJob:
    return ExportJob(
        **describe(ctx, job, made.ended_at if made else None, status),
        format=job.request["format"],
        row_count=made.row_count if made else None,
        size_bytes=made.size_bytes if made else None,
        signed_url=url,
        expires_at=datetime.fromtimestamp(made.expires_at, UTC) if made else None,
    )
