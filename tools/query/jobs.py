"""Query jobs: SQL that runs in the background and whose rows are kept for some days."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from core.jobs import JobStatus
from core.pages import Listing, Paged
from core.portable import FileLink, Model, Refers, Rows
from core.tool import tool
from engine.context import Ctx
from engine.lake.past import AS_OF, AS_OF_TEXT, MAX_AS_OF
from engine.results.listing import RUN, OwnJob
from engine.results.manifests import ResultManifest
from engine.sql.plans import MAX_SQL_CHARS
from engine.sql.rows import make_rows
from engine.sql.run import Statement
from tools.query.execute import QueryColumn
from tools.query.exports import Export, exports_of

JobId = Annotated[str, Refers("query_job"), Field(min_length=1, max_length=64, description="Id of the query job.")]
Facts = dict[str, JsonValue] | None


class RunQuery(Model):
    """A saved query, a text, or both: then the text runs, in the name of the saved query."""

    query_id: str | None = Field(None, max_length=64, description="Id of a saved query.")
    query_text: str | None = Field(None, max_length=MAX_SQL_CHARS, description="One SELECT to run.")
    connection_id: Annotated[str, Refers("connection")] | None = Field(
        None, max_length=64, description="Id of the connection; default the saved query's, else the lakehouse."
    )
    parameters: dict[str, str] = Field({}, max_length=200, description="Values for $name or :name in the SQL.")
    max_rows: int = Field(0, ge=0, le=50_000_000, description="Rows wanted at most; 0 means the platform's limit.")
    as_of: str = Field("", max_length=MAX_AS_OF, pattern=AS_OF, description=AS_OF_TEXT)


class StartedQuery(Model):
    """The job that runs the query."""

    job_id: str = Field(description="Id for get_query_job and get_query_job_results.")


class QueryJobRef(Model):
    """Which query job; callers see their own."""

    job_id: JobId


class StoppedQuery(Model):
    """The job after the wish to stop it."""

    job_id: str = Field(description="Id of the job.")
    status: JobStatus = Field(description="`cancelled`, or `running` until its worker has heard of it.")


class ListQueryJobs(Paged):
    """Which page of your query jobs."""


class ListJobsOfQuery(Paged):
    """Which saved query, and which page."""

    query_id: str = Field(min_length=1, max_length=64, description="Id of the saved query.")


class QueryJob(Model):
    """One query job. What does not exist here, or is not known, is null."""

    id: str = Field(description="Id of the job.")
    tenant_id: str = Field(description="Tenant it belongs to.")
    query_id: str | None = Field(description="Saved query that it runs.")
    running_job_id: str = Field(description="Id of the durable job, for list_jobs and watch_job.")
    status: JobStatus = Field(description="Where the job stands.")
    error_result: Facts = Field(description="Code, message and hint of the error that ended it.")
    error_details: Facts = Field(description="The request under which the error was logged.")
    created: datetime = Field(description="When it was submitted.")
    started: datetime | None = Field(description="When a worker last started it.")
    ended: datetime | None = Field(description="When it ended.")
    total_rows: int | None = Field(description="Rows of the result.")
    total_bytes_processed: int | None = Field(description="Bytes that the engine read.")
    total_slot_ms: int | None = Field(description="CPU time, in milliseconds.")
    cache_hit: bool | None = Field(description="Whether the rows were kept from an earlier run.")
    dml_stats: Facts = Field(description="Always null: queries only read.")
    query_plan: Facts = Field(description="Null; explain_query shows plans.")
    timeline: Facts = Field(description="Milliseconds of the run, and whether rows were left out at a limit.")
    destination_table: Facts = Field(description="Always null: rows are kept as a result.")
    num_dml_affected_rows: int | None = Field(description="Always null: queries only read.")
    script_statistics: Facts = Field(description="Always null: one statement a job.")
    session_info: Facts = Field(description="Always null.")
    transaction_info: Facts = Field(description="Always null.")
    reservation_usage: Facts = Field(description="Always null.")
    created_at: datetime = Field(description="When it was submitted.")
    updated_at: datetime = Field(description="When it last changed.")
    private_row_count: int | None = Field(description="Rows and groups that policies left out.")
    exports: list[Export] = Field(description="Exports of its result; their links come with get_export.")


class QueryJobList(Listing):
    """A page of query jobs."""

    query_jobs: list[QueryJob] = Field(description="The jobs, newest first.")
    items: list[QueryJob] = Field(description="The same list.")


class ReadResults(QueryJobRef):
    """Which page of a result."""

    page: int = Field(1, ge=1, le=10**9, description="Number of the page, from 1.")
    page_size: int = Field(50, ge=1, le=200, description="Rows on a page.")


class QueryResults(Model):
    """One page of a result."""

    rows: Rows = Field(description="One object per row; over gRPC one Arrow IPC stream.")
    columns: list[QueryColumn] = Field(description="The columns, in order.")
    column_privacy: dict[str, str] = Field(description="Privacy of each column that is not public.")
    total_rows: int = Field(description="Rows of the whole result.")
    page: int = Field(description="Number of this page.")
    page_size: int = Field(description="Rows on a page.")
    total_pages: int = Field(description="Pages in all.")


class DownloadResult(QueryJobRef):
    """Which result, and as what."""

    format: Literal["CSV", "JSON", "AVRO", "PARQUET", "ARROW"] = Field("CSV", description="Format of the file.")


class ResultLink(Model):
    """Where to download a result."""

    signed_url: Annotated[str, FileLink()] = Field(
        description="Link that needs no token; for you alone, for a quarter of an hour."
    )
    expires_at: datetime = Field(description="When the link ends.")


@tool("POST /queries/run", needs="query.run", effect="read", submits=True)
async def run_query(ctx: Ctx, request: RunQuery) -> StartedQuery:
    """Start a query in the background and answer the id of its job at once.

    The query is checked first. Ask get_query_job until it has ended, then get_query_job_results; rows are kept
    for some days. create_schedule can run it at set times. For a short query whose rows are wanted now, use
    execute_query."""
    jobs, by = ctx.engine.query_jobs, ctx.principal
    wanted = await jobs.resolve(
        by,
        query_id=request.query_id if ctx.job is None else None,  # a started job has its text already
        query_text=request.query_text,
        connection_id=request.connection_id,
        parameters=request.parameters,
    )
    statement = Statement(wanted.query_text, wanted.parameters, max_rows=request.max_rows or None, as_of=request.as_of)
    if ctx.job is None:
        for table in await jobs.check(by, wanted.connection_id, statement):
            ctx.note(f"table:{wanted.connection_id}/{table}")
        # What is meant now is kept: the saved query may be another by the time a worker comes to it.
        found = {name: getattr(wanted, name) for name in ("query_text", "connection_id", "parameters")}
        kept = request.model_copy(update=found).model_dump_json()
        job_id = await jobs.submit(ctx.engine.jobs, by, kept, request_id=ctx.request_id)
        ctx.note(f"query_job:{job_id}")
        return StartedQuery(job_id=job_id)
    await jobs.run(
        by,
        ctx.job,
        wanted.connection_id,
        statement,
        query_id=request.query_id or "",
        emit=ctx.emit,
        cancelled=ctx.cancelled,
    )
    return StartedQuery(job_id=ctx.job.job_id)


@tool("POST /queries/cancel", needs="query.run", effect="write")
async def cancel_query_job(ctx: Ctx, request: QueryJobRef) -> StoppedQuery:
    """Cancel a query job of yours: at once while it waits, within about a second while it runs.

    One that has ended stays as it is, and keeps its rows."""
    job = await ctx.engine.jobs.cancel(ctx.principal, request.job_id)
    return StoppedQuery(job_id=job.job_id, status=job.status)


@tool("GET /query-jobs", needs="query.run", effect="read")
async def list_query_jobs(ctx: Ctx, request: ListQueryJobs) -> QueryJobList:
    """List your query jobs, newest first."""
    window = ctx.engine.pages.window("list_query_jobs", request, ctx.principal)
    found, total = await ctx.engine.query_jobs.own.page(ctx.principal, RUN, window)
    token = ctx.engine.pages.next_token("list_query_jobs", request, ctx.principal, window, total)
    return await _listed(ctx, found, total, token)


@tool("GET /queries/{query_id}/jobs", needs="query.run", effect="read")
async def list_query_jobs_by_query(ctx: Ctx, request: ListJobsOfQuery) -> QueryJobList:
    """List your jobs of one saved query, newest first."""
    window = ctx.engine.pages.window("list_query_jobs_by_query", request, ctx.principal)
    found, total = await ctx.engine.query_jobs.own.page_by(ctx.principal, RUN, "query_id", [request.query_id], window)
    token = ctx.engine.pages.next_token("list_query_jobs_by_query", request, ctx.principal, window, total)
    return await _listed(ctx, found, total, token)


@tool("GET /query-jobs/{job_id}", needs="query.run", effect="read")
async def get_query_job(ctx: Ctx, request: QueryJobRef) -> QueryJob:
    """Fetch a query job of yours: its state, its error, its figures and its exports."""
    return (await _described(ctx, [await ctx.engine.query_jobs.own.get(ctx.principal, RUN, request.job_id)]))[0]


@tool("GET /query-jobs/{job_id}/results", needs="query.run", effect="read")
async def get_query_job_results(ctx: Ctx, request: ReadResults) -> QueryResults:
    """Read a page of the rows of a query job that has succeeded.

    Your access is checked again: where it has changed since the run, the query must run again. Whole
    results come faster with download_query_result or create_export."""
    await ctx.engine.query_jobs.own.check_rows(ctx.principal, request.job_id)
    size = request.page_size
    page = await ctx.engine.query_jobs.results.page(
        ctx.principal, request.job_id, offset=(request.page - 1) * size, size=size
    )
    manifest, outcome = page.manifest, page.manifest.outcome
    return QueryResults(
        rows=make_rows(page.schema, page.batches),
        columns=[QueryColumn(name=name, type=kind) for name, kind in outcome.columns],
        column_privacy=outcome.column_privacy,
        total_rows=manifest.row_count,
        page=request.page,
        page_size=size,
        total_pages=-(-manifest.row_count // size),
    )


@tool("GET /query-jobs/{job_id}/download", needs="query.export", effect="read")
async def download_query_result(ctx: Ctx, request: DownloadResult) -> ResultLink:
    """Make a link that downloads all rows of a query job as one uncompressed file.

    The file is made while it is downloaded. For a compressed one, or one to fetch again, use create_export."""
    await ctx.engine.query_jobs.own.check_rows(ctx.principal, request.job_id)
    url, ends_at = await ctx.engine.query_jobs.exports.result_link(ctx.principal, request.job_id, request.format)
    return ResultLink(signed_url=url, expires_at=_time(ends_at))


async def _listed(ctx: Ctx, found: list[OwnJob], total: int, token: str | None) -> QueryJobList:
    jobs = await _described(ctx, found)
    return QueryJobList(query_jobs=jobs, items=jobs, total_count=total, next_page_token=token)


async def _described(ctx: Ctx, found: list[OwnJob]) -> list[QueryJob]:
    job_ids = [job.job_id for job in found]
    results = await ctx.engine.query_jobs.results.find(ctx.principal, job_ids)
    exports = await exports_of(ctx, job_ids)
    return [_describe(ctx, job, results.get(job.job_id), exports.get(job.job_id, [])) for job in found]


def _describe(ctx: Ctx, job: OwnJob, result: ResultManifest | None, exports: list[Export]) -> QueryJob:
    outcome = None if result is None else result.outcome
    error = job.error
    return QueryJob(
        id=job.job_id,
        tenant_id=ctx.principal.tenant,
        query_id=job.request.get("query_id"),
        running_job_id=job.job_id,
        status=job.status,
        error_result={"code": error.code, "message": error.message, "hint": error.hint} if error else None,
        error_details={"request_id": error.request_id} if error else None,
        created=_time(job.created_at),
        started=None if job.started_at is None else _time(job.started_at),
        ended=None if job.ended_at is None else _time(job.ended_at),
        total_rows=None if result is None else result.row_count,
        total_bytes_processed=outcome.bytes_scanned if outcome else None,
        total_slot_ms=outcome.cpu_ms if outcome else None,
        cache_hit=outcome.is_from_cache if outcome else None,
        dml_stats=None,
        query_plan=None,
        timeline={"execution_time_ms": outcome.execution_time_ms, "truncated": outcome.is_truncated}
        if outcome
        else None,
        destination_table=None,
        num_dml_affected_rows=None,
        script_statistics=None,
        session_info=None,
        transaction_info=None,
        reservation_usage=None,
        created_at=_time(job.created_at),
        updated_at=_time(job.updated_at),
        private_row_count=outcome.private_row_count if outcome else None,
        exports=exports,
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
