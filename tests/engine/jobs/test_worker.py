"""The worker: runs, steps, failures, cancellation, lost leases, outages, and a graceful end."""

import asyncio
import json
import logging
import time

import pytest
from sqlalchemy import update

from core.context import Cancellation, Emit, JobRun
from core.errors import Cancelled, InvalidArgument, Unauthorized, Unavailable
from core.jobs import Progress
from engine.jobs.leases import Claim
from engine.jobs.queue import JobQueue
from engine.jobs.worker import Worker
from engine.store.db import Store
from engine.store.tables import jobs, metadata
from tests.fixtures_jobs import ADA, finish, part_of, submit, working
from tests.fixtures_postgres import PostgresServer


async def answer(claim: Claim, run: JobRun, emit: Emit, cancelled: Cancellation) -> str:
    return json.dumps({"by": claim.principal.subject, "attempt": run.attempt})


async def test_a_job_runs_and_its_result_is_kept(queue: JobQueue) -> None:
    async with working(queue, answer):
        job = await finish(queue, await submit(queue))
    assert (job.status, job.result, job.progress) == ("succeeded", {"by": "ada", "attempt": 1}, 1.0)


async def test_no_more_jobs_run_at_once_than_the_worker_has_places(queue: JobQueue) -> None:
    at_once: list[int] = []

    async def body(claim: Claim, run: JobRun, emit: Emit, cancelled: Cancellation) -> str:
        at_once.append(worker.running)
        await asyncio.sleep(0.02)
        return "1"

    ids = [await submit(queue) for _ in range(6)]
    async with working(queue, body, concurrency=2) as worker:
        for job_id in ids:
            await finish(queue, job_id)
    assert len(at_once) == 6 and max(at_once) == 2


async def test_quick_parts_are_all_logged_in_order(queue: JobQueue) -> None:
    async def body(claim: Claim, run: JobRun, emit: Emit, cancelled: Cancellation) -> str:
        for number in range(700):
            await emit(Progress(message="m", done=number))
        return "1"

    async with working(queue, body):
        job_id = await submit(queue)
        await finish(queue, job_id)
    events = await queue.events("acme", job_id)
    assert [event.seq for event in events] == list(range(1, 704))
    assert [event.data["done"] for event in events if event.kind == "progress"] == list(range(700))  # type: ignore[index,call-overload]


async def test_a_retry_replays_the_finished_steps(queue: JobQueue) -> None:
    made: list[str] = []

    async def body(claim: Claim, run: JobRun, emit: Emit, cancelled: Cancellation) -> str:
        async def make() -> str:
            made.append(f"attempt {run.attempt}")
            return "7"

        output = await run.step("one", make)
        if run.attempt == 1:
            raise Unavailable("The source is away.")
        return output

    async with working(queue, body):
        job = await finish(queue, await submit(queue))
    assert (job.status, job.attempt, job.result, made) == ("succeeded", 2, 7, ["attempt 1"])


async def test_an_outage_that_lasts_fails_the_job_in_the_end(queue: JobQueue) -> None:
    async def body(claim: Claim, run: JobRun, emit: Emit, cancelled: Cancellation) -> str:
        raise Unavailable("The source is away.")

    async with working(queue, body, max_attempts=1):
        job = await finish(queue, await submit(queue))
    assert job.status == "failed" and job.error is not None and job.error.code == "UNAVAILABLE"


@pytest.mark.parametrize("error", [InvalidArgument("No such column."), Unauthorized("The owner is gone.")])
async def test_a_refusal_is_stored_with_its_code(queue: JobQueue, error: Exception) -> None:
    async def body(claim: Claim, run: JobRun, emit: Emit, cancelled: Cancellation) -> str:
        raise error

    async with working(queue, body):
        job = await finish(queue, await submit(queue))
    assert job.status == "failed" and job.error is not None
    assert (job.error.code, job.error.message, job.error.request_id) == (error.code, str(error), "req-1")  # type: ignore[attr-defined]


async def test_a_defect_becomes_internal_without_its_text(queue: JobQueue, caplog: pytest.LogCaptureFixture) -> None:
    async def body(claim: Claim, run: JobRun, emit: Emit, cancelled: Cancellation) -> str:
        raise ValueError("secret detail")

    async with working(queue, body):
        job = await finish(queue, await submit(queue))
    assert job.error is not None and job.error.code == "INTERNAL"
    assert "secret" not in job.model_dump_json() + caplog.text
    assert "req-1" in caplog.text


async def test_rights_are_checked_again_before_each_step(queue: JobQueue) -> None:
    made: list[str] = []

    async def admit(claim: Claim) -> None:
        if made:
            raise Unauthorized("The owner may no longer run it.")

    async def body(claim: Claim, run: JobRun, emit: Emit, cancelled: Cancellation) -> str:
        async def make() -> str:
            made.append("x")
            return "1"

        await run.step("one", make)
        return await run.step("two", make)

    async with working(queue, body, admit=admit):
        job = await finish(queue, await submit(queue))
    assert job.error is not None and job.error.code == "UNAUTHORIZED" and made == ["x"]


async def test_a_cancel_from_another_process_reaches_the_tool_within_about_a_second(
    queue: JobQueue, store_url: str
) -> None:
    started = asyncio.Event()

    async def body(claim: Claim, run: JobRun, emit: Emit, cancelled: Cancellation) -> str:
        started.set()
        await cancelled.wait()
        raise Cancelled("Stopped as asked.")

    store = Store(store_url)
    async with working(queue, body):
        job_id = await submit(queue)
        await started.wait()
        begun = time.monotonic()
        await JobQueue(store).cancel(ADA, job_id)
        job = await finish(queue, job_id)
    assert job.status == "cancelled" and job.error is None and time.monotonic() - begun < 2.0
    store.close()


async def test_a_cancel_in_the_same_process_is_heard_at_once(queue: JobQueue) -> None:
    async def body(claim: Claim, run: JobRun, emit: Emit, cancelled: Cancellation) -> str:
        started.set()
        await cancelled.wait()
        return '"too late"'

    started = asyncio.Event()
    async with working(queue, body):
        job_id = await submit(queue)
        await started.wait()
        begun = time.monotonic()
        await queue.cancel(ADA, job_id)
        await finish(queue, job_id)
    assert time.monotonic() - begun < 0.5


async def test_a_run_whose_lease_was_taken_is_interrupted_and_writes_nothing(queue: JobQueue, store: Store) -> None:
    seen: list[str] = []

    async def body(claim: Claim, run: JobRun, emit: Emit, cancelled: Cancellation) -> str:
        started.set()
        try:
            await asyncio.sleep(10)
        finally:
            seen.append(f"cancelled={bool(cancelled)}")
        return "1"

    started = asyncio.Event()
    async with working(queue, body, lease_s=0.4) as worker:
        job_id = await submit(queue)
        await started.wait()
        taken = update(jobs).where(jobs.c.job_id == job_id).values(fence=99, worker="other", due_at=time.time() + 60)
        await store.write(lambda connection: connection.execute(taken))
        while worker.running:
            await asyncio.sleep(0.02)
    job = await queue.get(ADA, job_id)
    assert seen == ["cancelled=True"] and (job.status, job.result) == ("running", None)


async def test_stopping_gives_running_jobs_back_without_counting_the_attempt(queue: JobQueue) -> None:
    started = asyncio.Event()

    async def body(claim: Claim, run: JobRun, emit: Emit, cancelled: Cancellation) -> str:
        started.set()
        await asyncio.sleep(30)
        return "1"

    async with working(queue, body, drain_s=0.05):
        job_id = await submit(queue)
        await started.wait()
    assert (await queue.get(ADA, job_id)).status == "pending"
    async with working(queue, answer):
        assert (await finish(queue, job_id)).attempt == 1


async def test_stopping_lets_short_jobs_end(queue: JobQueue) -> None:
    started = asyncio.Event()

    async def body(claim: Claim, run: JobRun, emit: Emit, cancelled: Cancellation) -> str:
        started.set()
        await asyncio.sleep(0.1)
        return "1"

    async with working(queue, body):
        job_id = await submit(queue)
        await started.wait()
    assert (await queue.get(ADA, job_id)).status == "succeeded"


async def test_chores_are_done(queue: JobQueue) -> None:
    done = asyncio.Event()

    async def chore() -> None:
        done.set()

    async with working(queue, answer, chores=[chore]):
        await asyncio.wait_for(done.wait(), 5)


async def test_a_worker_whose_loop_breaks_says_so(queue: JobQueue, store: Store) -> None:
    metadata.drop_all(store.engine)
    with pytest.raises(Exception, match="job"):
        await Worker(queue, answer).serve()


@pytest.mark.postgres
async def test_a_worker_outlives_an_outage_of_the_store(
    postgres: PostgresServer, postgres_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    store = Store(postgres.url(postgres_database))
    metadata.create_all(store.engine)
    queue = JobQueue(store, part_of=part_of)
    away, attempts = asyncio.Event(), []

    async def body(claim: Claim, run: JobRun, emit: Emit, cancelled: Cancellation) -> str:
        async def make() -> str:
            away.set()
            await asyncio.sleep(0.3)
            return "7"

        attempts.append(run.attempt)
        return await run.step("one", make)

    async with working(queue, body):
        job_id = await submit(queue)
        await away.wait()
        await asyncio.to_thread(postgres.cut_off, postgres_database)
        await asyncio.sleep(0.6)
        await asyncio.to_thread(postgres.let_in, postgres_database)
        job = await finish(queue, job_id)
        again = await finish(queue, await submit(queue))
    assert (job.status, job.result, attempts) == ("succeeded", 7, [1, 1]) and again.status == "succeeded"
    store.close()
