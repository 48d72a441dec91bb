"""Jobs for tests: principals, a queue on the store of the test, and a worker that runs plain functions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import BaseModel

from core.context import Cancellation, Emit, JobRun, Principal
from core.jobs import Job, Progress
from engine.jobs.leases import Claim
from engine.jobs.queue import JobQueue
from engine.jobs.worker import Worker
from engine.store.db import Store

ADA = Principal("ada", "acme", frozenset({"editor"}), frozenset({"catalog.read"}))
BOB = Principal("bob", "acme", frozenset({"auditor"}), frozenset({"jobs.read"}))
CY = Principal("cy", "acme")
ADMIN = Principal("root", "acme", frozenset({"admin"}), frozenset({"jobs.read", "tenant.manage"}))
EVE = Principal("ada", "evil", frozenset({"admin"}), frozenset({"jobs.read", "tenant.manage"}))

Body = Callable[[Claim, JobRun, Emit, Cancellation], Awaitable[str]]


def part_of(tool: str) -> type[BaseModel] | None:
    return Progress if tool == "count" else None


@pytest.fixture
def queue(store: Store) -> JobQueue:
    return JobQueue(store, part_of=part_of)


@asynccontextmanager
async def working(queue: JobQueue, body: Body, **options: Any) -> AsyncIterator[Worker]:
    """A worker that runs `body` for every job while the block lasts."""
    worker = Worker(queue, body, **options)
    serving = asyncio.create_task(worker.serve())
    try:
        yield worker
    finally:
        worker.stop()
        await serving


async def submit(queue: JobQueue, tool: str = "count", by: Principal = ADA, **arguments: Any) -> str:
    """Submit and return the job's id."""
    return (await queue.submit(by, tool, "{}", request_id="req-1", **arguments)).job_id


async def finish(queue: JobQueue, job_id: str, by: Principal = ADA, timeout_s: float = 10.0) -> Job:
    """The job after it ended."""
    job = await queue.wait(by, job_id, timeout_s=timeout_s, emit=_ignore)
    assert job.is_done, job
    return job


async def _ignore(part: BaseModel) -> None:
    return None
