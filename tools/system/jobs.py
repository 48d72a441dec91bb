"""Jobs: durable calls, their state, their events, and how to stop them."""

import time
from typing import Annotated, Literal

from pydantic import Field

from core.jobs import Job, JobEvent
from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import SIGNED_IN, tool
from engine.context import Ctx

# The answer must be on its way before the gate's own deadline ends the call.
MARGIN_S = 1.0


class ListJobs(Paged):
    """Which jobs to list."""

    status: Literal["pending", "running", "succeeded", "failed", "cancelled"] | None = Field(
        None, description="Only jobs in this state."
    )
    tool: str | None = Field(None, max_length=64, description="Only jobs of this tool.")


class JobList(Listing):
    """A page of jobs."""

    jobs: list[Job] = Field(description="The jobs, newest first.")
    items: list[Job] = Field(description="The same list.")


class JobRef(Model):
    """Which job."""

    job_id: Annotated[str, Refers("job")] = Field(max_length=64, description="Id of the job; list_jobs shows them.")


class WatchJob(JobRef):
    """Which job to follow, and from where."""

    after: int = Field(0, ge=0, description="Last `seq` already seen; events after it are sent.")


class JobPart(Model):
    """One event of a followed job."""

    event: JobEvent = Field(description="The event.")


class WatchedJob(Model):
    """The job when the following ended."""

    job: Job = Field(description="The job; if it still runs, call again with `after` set to the last seq.")


@tool("GET /jobs", needs=SIGNED_IN, effect="read")
async def list_jobs(ctx: Ctx, request: ListJobs) -> JobList:
    """List your jobs, newest first; with the permission jobs.read those of everybody in the tenant."""
    window = ctx.engine.pages.window("list_jobs", request, ctx.principal)
    found, total = await ctx.engine.jobs.page(ctx.principal, window, status=request.status, tool=request.tool)
    return JobList(
        jobs=found,
        items=found,
        total_count=total,
        next_page_token=ctx.engine.pages.next_token("list_jobs", request, ctx.principal, window, total),
    )


@tool("GET /jobs/{job_id}", needs=SIGNED_IN, effect="read")
async def get_job(ctx: Ctx, request: JobRef) -> Job:
    """Fetch one job: its state, progress, and its result or error once it has ended."""
    return await ctx.engine.jobs.get(ctx.principal, request.job_id)


@tool("POST /jobs/{job_id}/cancel", needs=SIGNED_IN, effect="write")
async def cancel_job(ctx: Ctx, request: JobRef) -> Job:
    """Cancel a job: at once while it waits, within about a second while it runs.

    A job that has ended stays as it is. Somebody else's job needs the permission tenant.manage."""
    return await ctx.engine.jobs.cancel(ctx.principal, request.job_id)


@tool("GET /jobs/{job_id}/events", needs=SIGNED_IN, effect="read", emits=JobPart)
async def watch_job(ctx: Ctx, request: WatchJob) -> WatchedJob:
    """Follow a job's events as they happen, until it ends or the call's time is over.

    Its log is kept, so following may start late, and go on after `after` when a connection broke."""
    jobs, by = ctx.engine.jobs, ctx.principal
    await jobs.get(by, request.job_id)
    left_s = None if ctx.deadline is None else max(0.0, ctx.deadline - MARGIN_S - time.monotonic())
    async for event in jobs.follow(by.tenant, request.job_id, request.after, timeout_s=left_s):
        await ctx.emit(JobPart(event=event))
    return WatchedJob(job=await jobs.get(by, request.job_id))
