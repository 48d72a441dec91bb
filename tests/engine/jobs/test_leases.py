"""Leases: one holder at a time, takeover after the lease, writes of an older holder refused."""

import asyncio

import pytest

from engine.jobs.leases import LeaseLost, Verdict
from engine.jobs.queue import JobQueue
from engine.store.db import Store
from tests.fixtures_jobs import ADA, submit


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(store: Store, clock: Clock) -> JobQueue:
    return JobQueue(store, clock=clock)


async def claim(queue: JobQueue, worker: str = "w", max_attempts: int = 5):  # type: ignore[no-untyped-def]
    return await queue.leases.claim(worker, lease_s=10, max_attempts=max_attempts)


async def test_the_claim_carries_who_submitted_the_job(queue: JobQueue) -> None:
    await submit(queue)
    held = await claim(queue)
    assert (held.principal, held.tool, held.request, held.attempt, held.fence) == (ADA, "count", "{}", 1, 1)


async def test_concurrent_claims_take_each_job_once(queue: JobQueue, store_url: str) -> None:
    ids = {await submit(queue) for _ in range(20)}
    store = Store(store_url)
    other = JobQueue(store, clock=lambda: 1000.0)

    async def drain(each: JobQueue) -> list[str]:
        taken = []
        while (held := await claim(each)) is not None:
            taken.append(held.job_id)
        return taken

    taken = await asyncio.gather(*(drain(each) for each in (queue, other, queue, other)))
    assert sorted(job_id for part in taken for job_id in part) == sorted(ids)
    store.close()


async def test_a_lease_that_is_renewed_is_not_taken_over(queue: JobQueue, clock: Clock) -> None:
    job_id = await submit(queue)
    held = await claim(queue)
    clock.now += 9
    assert await queue.leases.renew([held], lease_s=10) == {job_id: False}
    clock.now += 9
    assert await claim(queue) is None


async def test_after_the_lease_another_worker_takes_over_and_the_first_is_refused(
    queue: JobQueue, clock: Clock
) -> None:
    job_id = await submit(queue)
    first = await claim(queue)
    await queue.leases.record(first, [], ("one", '"done"'))
    clock.now += 11
    second = await claim(queue)
    assert (second.job_id, second.attempt, second.fence) == (job_id, 2, 2)
    assert await queue.leases.steps(second) == {"one": '"done"'}
    assert await queue.leases.renew([first], lease_s=10) == {}
    for late in (queue.leases.record(first, [], ("two", "1")), queue.leases.settle(first, Verdict("failed"), [])):
        with pytest.raises(LeaseLost):
            await late
    await queue.leases.settle(second, Verdict("succeeded", result="1"), [])
    assert (await queue.get(ADA, job_id)).result == 1


async def test_a_job_that_kills_its_workers_fails_in_the_end(queue: JobQueue, clock: Clock) -> None:
    job_id = await submit(queue)
    for _ in range(2):
        assert await claim(queue, max_attempts=2) is not None
        clock.now += 11
    assert await claim(queue, max_attempts=2) is None
    job = await queue.get(ADA, job_id)
    assert (job.status, job.attempt) == ("failed", 2)
    assert job.error is not None and job.error.code == "INTERNAL" and job.error.request_id == "req-1"


async def test_a_job_whose_worker_died_after_the_cancel_is_cancelled(queue: JobQueue, clock: Clock) -> None:
    job_id = await submit(queue)
    await claim(queue)
    await queue.cancel(ADA, job_id)
    clock.now += 11
    assert await claim(queue) is None
    assert (await queue.get(ADA, job_id)).status == "cancelled"


async def test_the_longest_waiting_job_goes_first(queue: JobQueue, clock: Clock) -> None:
    ids = []
    for _ in range(3):
        ids.append(await submit(queue))
        clock.now += 1
    assert [(await claim(queue)).job_id for _ in ids] == ids
