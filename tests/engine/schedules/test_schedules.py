"""Schedules: whose they are, one job per tick across processes, refusals kept, crashes and outages overcome."""

import asyncio

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized, Unavailable
from core.pages import Window
from engine.jobs.queue import JobQueue
from engine.schedules.schedules import CLAIM_S, Schedule, Schedules
from engine.schedules.ticker import Ticker
from engine.store.db import Store
from tests.fixtures_jobs import ADA, ADMIN, BOB, CY, EVE

START = 1_000_000_020.0  # 01:47:00 UTC
ALL = Window(0, 100)


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def schedules(store: Store, clock: Clock) -> Schedules:
    return Schedules(store, clock=clock)


@pytest.fixture
def queue(store: Store, clock: Clock) -> JobQueue:
    return JobQueue(store, clock=clock)


async def make(schedules: Schedules, cron: str = "*/5 * * * *", **options: str) -> Schedule:
    return await schedules.create(ADA, name="often", tool="count", request="{}", cron=cron, **options)


def firing(queue: JobQueue):  # type: ignore[no-untyped-def]
    async def fire(schedule: Schedule, key: str) -> str:
        job = await queue.submit(
            schedule.principal, schedule.tool, schedule.request, request_id="r", idempotency_key=key
        )
        return job.job_id

    return fire


async def test_a_schedule_is_its_owners_and_shown_with_jobs_read(schedules: Schedules) -> None:
    made = await make(schedules)
    assert made.next_at == START + 180
    for reader in (ADA, BOB):
        assert await schedules.get(reader, made.schedule_id) == made
        assert await schedules.page(reader, ALL) == ([made], 1)
    for stranger in (CY, EVE):
        assert await schedules.page(stranger, ALL) == ([], 0)
        with pytest.raises(NotFound):
            await schedules.delete(stranger, made.schedule_id)


async def test_only_its_owner_or_an_administrator_deletes_it(schedules: Schedules) -> None:
    made = await make(schedules)
    with pytest.raises(Unauthorized):
        await schedules.delete(BOB, made.schedule_id)
    await schedules.delete(ADMIN, made.schedule_id)
    with pytest.raises(NotFound):
        await schedules.get(ADA, made.schedule_id)


async def test_an_id_is_used_once(schedules: Schedules) -> None:
    await make(schedules, schedule_id="mine")
    with pytest.raises(Conflict):
        await make(schedules, schedule_id="mine")


@pytest.mark.parametrize("bad", [{"cron": "often"}, {"time_zone": "Mars"}])
async def test_bad_times_are_refused(schedules: Schedules, bad: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument):
        await make(schedules, **bad)


async def test_each_due_tick_becomes_one_job_however_many_tick(
    schedules: Schedules, queue: JobQueue, clock: Clock, store_url: str
) -> None:
    made = await make(schedules)
    store = Store(store_url)
    tickers = [
        Ticker(Schedules(each, clock=clock), firing(queue), clock=clock) for each in (store, store, schedules._store)
    ]
    assert sum(await asyncio.gather(*(ticker.tick() for ticker in tickers))) == 0
    for tick in range(1, 4):
        clock.now += 300
        assert sum(await asyncio.gather(*(ticker.tick() for ticker in tickers))) == 1
        assert (await queue.page(ADA, ALL))[1] == tick
    after = await schedules.get(ADA, made.schedule_id)
    assert after.next_at == START + 180 + 900 and after.last_error is None
    assert after.last_job_id in {job.job_id for job in (await queue.page(ADA, ALL))[0]}
    store.close()


async def test_missed_ticks_are_not_made_up_for(schedules: Schedules, queue: JobQueue, clock: Clock) -> None:
    await make(schedules)
    clock.now += 24 * 3600
    ticker = Ticker(schedules, firing(queue), clock=clock)
    assert await ticker.tick() + await ticker.tick() == 1


async def test_a_ticker_that_died_after_submitting_is_followed_without_a_second_job(
    schedules: Schedules, queue: JobQueue, clock: Clock
) -> None:
    await make(schedules)
    clock.now += 300
    (due,) = await schedules.due()
    assert await schedules.claim(due)
    await firing(queue)(due, due.key)
    assert await Ticker(schedules, firing(queue), clock=clock).tick() == 0
    clock.now += CLAIM_S
    assert await Ticker(schedules, firing(queue), clock=clock).tick() == 1
    assert (await queue.page(ADA, ALL))[1] == 1


async def test_a_refusal_is_kept_and_the_next_tick_tries_again(
    schedules: Schedules, queue: JobQueue, clock: Clock
) -> None:
    async def refuse(schedule: Schedule, key: str) -> str:
        raise Unauthorized("ada may no longer call count.")

    made = await make(schedules)
    clock.now += 300
    await Ticker(schedules, refuse, clock=clock).tick()
    after = await schedules.get(ADA, made.schedule_id)
    assert after.last_error == "UNAUTHORIZED: ada may no longer call count." and after.next_at > clock.now
    clock.now += 300
    await Ticker(schedules, firing(queue), clock=clock).tick()
    assert (await schedules.get(ADA, made.schedule_id)).last_error is None


async def test_an_outage_delays_a_tick_and_does_not_lose_it(
    schedules: Schedules, queue: JobQueue, clock: Clock
) -> None:
    async def fail(schedule: Schedule, key: str) -> str:
        raise Unavailable("away")

    await make(schedules, cron="@hourly")
    clock.now += 800
    await Ticker(schedules, fail, clock=clock).tick()
    clock.now += CLAIM_S
    assert await Ticker(schedules, firing(queue), clock=clock).tick() == 1


async def test_a_ticker_serves_until_stopped(schedules: Schedules, queue: JobQueue, clock: Clock) -> None:
    await make(schedules)
    ticker = Ticker(schedules, firing(queue), every_s=0.01, clock=clock)
    serving = asyncio.create_task(ticker.serve())
    clock.now += 300
    while (await queue.page(ADA, ALL))[1] == 0:
        await asyncio.sleep(0.01)
    ticker.stop()
    await asyncio.wait_for(serving, 2)
