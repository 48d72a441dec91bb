"""The queue as callers see it: who sees a job, equal keys, following, cancelling, purging."""

import asyncio
import time

import pytest
from pydantic import BaseModel
from sqlalchemy import func, insert, select

from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from core.jobs import JobEvent, Progress
from core.pages import Window
from engine.jobs.leases import Verdict
from engine.jobs.log import part_line
from engine.jobs.queue import RETENTION_S, JobQueue
from engine.store.db import Store
from engine.store.result_tables import query_results
from engine.store.tables import job_events
from tests.fixtures_jobs import ADA, ADMIN, BOB, CY, EVE, part_of, submit

ALL = Window(0, 100)


async def claim(queue: JobQueue):  # type: ignore[no-untyped-def]
    found = await queue.leases.claim("w", lease_s=15, max_attempts=5)
    assert found is not None
    return found


async def collect(queue: JobQueue, job_id: str, after_seq: int = 0, timeout_s: float = 5) -> list[JobEvent]:
    return [event async for event in queue.follow("acme", job_id, after_seq, timeout_s=timeout_s)]


async def test_a_submitted_job_waits_and_its_owner_sees_it(queue: JobQueue) -> None:
    job_id = await submit(queue)
    job = await queue.get(ADA, job_id)
    assert (job.status, job.owner, job.attempt, job.result) == ("pending", "ada", 0, None)


@pytest.mark.parametrize("stranger", [CY, EVE])
async def test_somebody_elses_job_does_not_exist(queue: JobQueue, stranger) -> None:  # type: ignore[no-untyped-def]
    job_id = await submit(queue)
    for look in (queue.get, queue.cancel):
        with pytest.raises(NotFound):
            await look(stranger, job_id)
    assert await queue.page(stranger, ALL) == ([], 0)


async def test_jobs_read_shows_the_whole_tenants_jobs_but_does_not_cancel_them(queue: JobQueue) -> None:
    job_id = await submit(queue)
    assert (await queue.get(BOB, job_id)).job_id == job_id
    with pytest.raises(Unauthorized):
        await queue.cancel(BOB, job_id)
    assert (await queue.cancel(ADMIN, job_id)).status == "cancelled"


async def test_pages_are_newest_first_with_a_count_and_filters(store: Store) -> None:
    now = iter(range(1, 100))
    queue = JobQueue(store, clock=lambda: float(next(now)))
    ids = [await submit(queue, tool) for tool in ("count", "count", "copy")]
    found, total = await queue.page(ADA, Window(1, 1))
    assert ([job.job_id for job in found], total) == ([ids[1]], 3)
    assert (await queue.page(ADA, ALL, tool="copy", status="pending"))[1] == 1
    assert (await queue.page(ADA, ALL, status="failed"))[1] == 0


async def test_an_equal_key_with_equal_arguments_is_the_same_job(queue: JobQueue) -> None:
    first = await submit(queue, idempotency_key="k")
    assert await submit(queue, idempotency_key="k") == first
    assert await submit(queue, tool="copy", idempotency_key="k") != first
    assert await submit(queue, by=CY, idempotency_key="k") != first
    assert await submit(queue, by=EVE, idempotency_key="k") != first


async def test_submits_with_one_key_at_once_make_one_job(queue: JobQueue, store_url: str) -> None:
    store = Store(store_url)
    other = JobQueue(store)
    ids = await asyncio.gather(*(submit(each, idempotency_key="k") for each in (queue, other) for _ in range(5)))
    assert len(set(ids)) == 1
    store.close()


async def test_an_equal_key_with_other_arguments_is_a_conflict(queue: JobQueue) -> None:
    await submit(queue, idempotency_key="k")
    with pytest.raises(Conflict):
        await queue.submit(ADA, "count", '{"to":2}', request_id="r", idempotency_key="k")


async def test_a_key_that_is_too_long_is_refused(queue: JobQueue) -> None:
    with pytest.raises(InvalidArgument):
        await submit(queue, idempotency_key="k" * 256)


async def test_events_are_numbered_from_one_and_read_from_a_cursor(queue: JobQueue) -> None:
    job_id = await submit(queue)
    held = await claim(queue)
    await queue.leases.record(held, [part_line(1.0, Progress(message="half", done=1, total=2))])
    assert [event.seq for event in await queue.events("acme", job_id)] == [1, 2, 3]
    (last,) = await queue.events("acme", job_id, after_seq=2)
    assert (last.kind, last.data) == ("progress", {"message": "half", "done": 1, "total": 2})
    assert (await queue.get(ADA, job_id)).progress == 0.5
    assert await queue.events("evil", job_id) == []


async def test_following_ends_with_the_job(queue: JobQueue) -> None:
    job_id = await submit(queue)
    following = asyncio.create_task(collect(queue, job_id))
    held = await claim(queue)
    await queue.leases.settle(held, Verdict("succeeded", result='{"total":3}'), [])
    states = [event.data["status"] for event in await following]  # type: ignore[index,call-overload]
    assert states == ["pending", "running", "succeeded"]
    assert await collect(queue, job_id, after_seq=3) == []
    assert await collect(queue, job_id, after_seq=99) == []


async def test_followers_in_this_process_hear_at_once_and_others_within_half_a_second(
    queue: JobQueue, store_url: str
) -> None:
    job_id = await submit(queue)
    store = Store(store_url)
    other = JobQueue(store)
    both = [asyncio.create_task(collect(each, job_id)) for each in (queue, other)]
    held = await claim(queue)
    await asyncio.sleep(0.7)  # until the other one polls slowly
    begun = time.monotonic()
    await queue.leases.settle(held, Verdict("succeeded"), [])
    await both[0]
    near_s = time.monotonic() - begun
    await both[1]
    far_s = time.monotonic() - begun
    assert near_s < 0.3 and far_s < 1.0
    store.close()


async def test_following_gives_up_after_its_time(queue: JobQueue) -> None:
    job_id = await submit(queue)
    begun = time.monotonic()
    assert len(await collect(queue, job_id, timeout_s=0.2)) == 1
    assert 0.15 < time.monotonic() - begun < 1.0


async def test_waiting_emits_the_tools_parts_as_models(queue: JobQueue) -> None:
    job_id = await submit(queue)
    parts: list[BaseModel] = []

    async def emit(part: BaseModel) -> None:
        parts.append(part)

    waiting = asyncio.create_task(queue.wait(ADA, job_id, timeout_s=5, emit=emit))
    held = await claim(queue)
    await queue.leases.settle(held, Verdict("succeeded"), [part_line(1.0, Progress(message="one", done=1))])
    assert (await waiting).status == "succeeded"
    assert parts == [Progress(message="one", done=1)]


async def test_a_waiting_job_is_cancelled_at_once_and_never_claimed(queue: JobQueue) -> None:
    job_id = await submit(queue)
    assert (await queue.cancel(ADA, job_id)).status == "cancelled"
    assert await queue.leases.claim("w", lease_s=15, max_attempts=5) is None


async def test_cancelling_a_job_that_ended_changes_nothing(queue: JobQueue) -> None:
    job_id = await submit(queue)
    await queue.leases.settle(await claim(queue), Verdict("succeeded"), [])
    assert (await queue.cancel(ADA, job_id)).status == "succeeded"


async def test_an_old_job_stays_as_long_as_its_rows(store: Store) -> None:
    now = [1000.0]
    queue = JobQueue(store, part_of=part_of, clock=lambda: now[0])
    kept, old = await submit(queue), await submit(queue)
    for _ in (kept, old):
        await queue.leases.settle(await claim(queue), Verdict("succeeded"), [])
    row: dict[str, object] = {
        "tenant_id": "acme",
        "job_id": kept,
        "owner": "ada",
        "path": "p",
        "frames": "[]",
        "outcome": "{}",
    }
    row |= {"outcome": "{}", "sight": "", "ended_at": 0.0, "expires_at": 0.0}
    await store.write(lambda connection: connection.execute(insert(query_results).values(**row)))
    now[0] += RETENTION_S + 1
    assert await queue.purge() == 1
    assert [job.job_id for job in (await queue.page(ADA, ALL))[0]] == [kept]


async def test_old_jobs_are_purged_with_their_events_and_young_ones_stay(store: Store) -> None:
    now = [1000.0]
    queue = JobQueue(store, part_of=part_of, clock=lambda: now[0])
    old, waiting = await submit(queue), await submit(queue)
    await queue.leases.settle(await claim(queue), Verdict("succeeded"), [])
    now[0] += RETENTION_S + 1
    assert await queue.purge() == 1
    done = {old, waiting} - {job.job_id for job in (await queue.page(ADA, ALL))[0]}
    assert len(done) == 1
    left = await store.read(lambda c: c.execute(select(func.count(func.distinct(job_events.c.job_id)))).scalar())
    assert left == 1
