"""Import jobs: files made into rows of a managed table, once and all or nothing."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from core.jobs import JobStatus, Progress
from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import tool
from engine.context import Ctx
from engine.datasets.columns import read_columns
from engine.results.listing import IMPORT, OwnJob
from engine.transfer.imports import From, Result
from tools.projects.managed_tables import TableId
from tools.projects.table_jobs import TableJob, describe


class CreateImportJob(Model):
    """What to import, into which table, and how."""

    table_id: TableId
    status: Literal["pending"] = Field("pending", description="State to begin with; `pending` is the only one.")
    upload_id: Annotated[str, Refers("upload")] | None = Field(
        None, max_length=64, description="Upload of yours that holds the file; or give `uri`."
    )
    uri: str | None = Field(
        None,
        max_length=2000,
        pattern=r"^(https?://|file:///|/)[^\s\x00-\x1f]+$",
        description="https address of a public host; or a path that the operator allows.",
    )
    format: Literal["CSV", "JSON", "PARQUET", "AVRO", "ARROW"] | None = Field(
        None, description="Format; default as its first bytes and name tell. .gz and .zst around CSV, JSON are undone."
    )
    mode: Literal["append", "overwrite", "upsert"] = Field(
        "append", description="Add rows; replace all rows; or replace those with the same `key_columns`, add others."
    )
    key_columns: list[str] = Field([], max_length=32, description="For `upsert`: columns that tell rows apart.")
    columns: list[dict[str, JsonValue]] = Field(
        [], max_length=5000, description="Types for columns of the file: objects with `name` and `type`."
    )
    schema_evolution: Literal["refuse", "add_columns", "widen"] = Field(
        "refuse", description="Columns that the table lacks: refuse, add; `widen` adds and lets types grow."
    )
    max_bad_rows: int = Field(0, ge=0, le=100_000, description="Rows that may be set aside before all is refused.")
    delimiter: str | None = Field(None, pattern=r"^[^\s\"'\\A-Za-z0-9]$|^\t$", description="CSV: default as it seems.")
    header: bool = Field(True, description="CSV: whether the first line names the columns.")
    quote: Literal['"', "'", "`", ""] = Field('"', description="CSV: sign around values; none when empty.")
    null_text: str = Field("", max_length=32, pattern=r"^[ -~]*$", description="CSV: text that stands for null.")


class ListImportJobs(Paged):
    """Which page of your import jobs."""


class ListImportJobsByTable(Paged):
    """Which table, and which page."""

    table_id: TableId


class ImportJobRef(Model):
    """Which import job; callers see their own."""

    job_id: Annotated[str, Refers("import_job"), Field(min_length=1, max_length=64, description="Id of the job.")]


class BadRow(Model):
    """A row that was set aside."""

    row: int | None = Field(description="Its number in the file, from 1; for CSV with the header.")
    reason: str = Field(description="What is wrong with it.")
    text: str = Field(description="The row as it came, at most 10,000 characters.")


class ImportJob(TableJob):
    """One import job."""

    row_count: int | None = Field(description="Rows that it wrote.")
    bad_row_count: int | None = Field(description="Rows that were set aside.")
    bad_rows: list[BadRow] = Field(description="The first of them, from get_import_job.")
    rejects_url: str | None = Field(description="Where all of them are, as JSON lines, with your token.")
    snapshot_id: str | None = Field(description="Version of the table that it made.")


class ImportJobList(Listing):
    """A page of import jobs."""

    import_jobs: list[ImportJob] = Field(description="The jobs, newest first.")
    items: list[ImportJob] = Field(description="The same list.")


@tool(
    "POST /import-jobs",
    needs="records.write",
    effect="write",
    status=201,
    location="/import-jobs/{id}",
    job=True,
    emits=Progress,
)
async def create_import_job(ctx: Ctx, request: CreateImportJob) -> ImportJob:
    """Import a CSV, JSON, Parquet, Avro or Arrow file into a managed table.

    Send the file with create_upload, or name a URI. All good rows land in one commit, once, even when the worker is
    killed; when it fails nothing is changed. Rows that do not fit are refused, or set aside with `max_bad_rows`."""
    from engine.transfer.importing import Wish
    from engine.transfer.reading import CsvOptions

    assert ctx.job is not None, "the gate runs this as a job"
    wish = Wish(
        mode=request.mode,
        evolution=request.schema_evolution,
        key_columns=tuple(request.key_columns),
        columns=read_columns(list(request.columns)),
        csv=CsvOptions(request.delimiter, request.header, request.null_text, request.quote),
        max_bad_rows=request.max_bad_rows,
    )
    await ctx.emit(Progress(message="reading the file"))
    source = From(request.upload_id, request.uri, request.format)
    done = await ctx.engine.imports.run(ctx.principal, ctx.job, request.table_id, source, wish, ctx.cancelled)
    job = await ctx.engine.query_jobs.own.get(ctx.principal, IMPORT, ctx.job.job_id)
    return _show(ctx, job, done, status="succeeded")


@tool("GET /import-jobs", needs="datasets.read", effect="read")
async def list_import_jobs(ctx: Ctx, request: ListImportJobs) -> ImportJobList:
    """List your import jobs, newest first."""
    window = ctx.engine.pages.window("list_import_jobs", request, ctx.principal)
    found, total = await ctx.engine.query_jobs.own.page(ctx.principal, IMPORT, window)
    token = ctx.engine.pages.next_token("list_import_jobs", request, ctx.principal, window, total)
    return await _listed(ctx, found, total, token)


@tool("GET /managed-tables/{table_id}/import-jobs", needs="datasets.read", effect="read")
async def list_import_jobs_by_table(ctx: Ctx, request: ListImportJobsByTable) -> ImportJobList:
    """List your import jobs of one table, newest first."""
    window = ctx.engine.pages.window("list_import_jobs_by_table", request, ctx.principal)
    own = ctx.engine.query_jobs.own
    found, total = await own.page_by(ctx.principal, IMPORT, "table_id", [request.table_id], window)
    token = ctx.engine.pages.next_token("list_import_jobs_by_table", request, ctx.principal, window, total)
    return await _listed(ctx, found, total, token)


@tool("GET /import-jobs/{job_id}", needs="datasets.read", effect="read")
async def get_import_job(ctx: Ctx, request: ImportJobRef) -> ImportJob:
    """Fetch an import job of yours: its state, its counts, and the first of the rows that were set aside."""
    job = await ctx.engine.query_jobs.own.get(ctx.principal, IMPORT, request.job_id)
    done = (await ctx.engine.imports.find(ctx.principal, [job.job_id])).get(job.job_id)
    bad = await ctx.engine.imports.bad_rows(ctx.principal, job.job_id)
    return _show(ctx, job, done, bad_rows=[BadRow.model_validate(row) for row in bad])


async def _listed(ctx: Ctx, found: list[OwnJob], total: int, token: str | None) -> ImportJobList:
    done = await ctx.engine.imports.find(ctx.principal, [job.job_id for job in found])
    shown = [_show(ctx, job, done.get(job.job_id)) for job in found]
    return ImportJobList(import_jobs=shown, items=shown, total_count=total, next_page_token=token)


def _show(
    ctx: Ctx,
    job: OwnJob,
    done: Result | None,
    *,
    bad_rows: list[BadRow] | None = None,
    status: JobStatus | None = None,
) -> ImportJob:
    base = ctx.engine.settings.server.public_url.rstrip("/")
    return ImportJob(
        **describe(ctx, job, done.ended_at if done else None, status),
        row_count=done.row_count if done else None,
        bad_row_count=done.bad_row_count if done else None,
        bad_rows=bad_rows or [],
        rejects_url=f"{base}/v1/import-jobs/{job.job_id}/rejects" if done and done.bad_row_count else None,
        snapshot_id=str(done.snapshot_id) if done and done.snapshot_id else None,
    )
