"""Workers are killed at random moments; still every job is done, and every step's effect happens once."""

import asyncio
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from sqlalchemy import func, select

from engine.jobs.queue import JobQueue
from engine.store.db import Store
from engine.store.tables import jobs
from tests.chaos.worker_main import STEPS, ledger, ledger_metadata
from tests.fixtures_jobs import submit

WORKERS, JOBS, KILLS = 3, 60, 6
TIMEOUT_S = 60.0
REPOSITORY = Path(__file__).parents[2]


async def start_worker(url: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.worker_main", url, cwd=REPOSITORY, stderr=asyncio.subprocess.DEVNULL
    )


async def count(store: Store, status: str) -> int:
    query = select(func.count()).select_from(jobs).where(jobs.c.status == status)
    return await store.read(lambda connection: int(connection.execute(query).scalar_one()))


async def kill_some(store: Store, url: str, workers: list[asyncio.subprocess.Process], dice: random.Random) -> None:
    """Kill a worker that is at work, a moment after its start, and put a new one in its place."""
    for _ in range(KILLS):
        while await count(store, "running") == 0:
            await asyncio.sleep(0.02)
        await asyncio.sleep(dice.uniform(0.02, 0.3))
        victim = dice.randrange(WORKERS)
        workers[victim].send_signal(signal.SIGKILL)
        await workers[victim].wait()
        workers[victim] = await start_worker(url)


async def test_killed_workers_lose_nothing_and_do_nothing_twice(store: Store, store_url: str) -> None:
    ledger_metadata.drop_all(store.engine)
    ledger_metadata.create_all(store.engine)
    queue, dice = JobQueue(store), random.Random(20)
    ids = [await submit(queue) for _ in range(JOBS)]
    workers = [await start_worker(store_url) for _ in range(WORKERS)]
    try:
        await kill_some(store, store_url, workers, dice)
        ends_at = time.monotonic() + TIMEOUT_S
        while await count(store, "succeeded") < JOBS and time.monotonic() < ends_at:
            await asyncio.sleep(0.05)
    finally:
        for worker in workers:
            worker.kill()
        await asyncio.gather(*(worker.wait() for worker in workers))
    rows = await store.read(lambda connection: connection.execute(select(ledger)).all())
    attempts = await store.read(lambda connection: connection.execute(select(jobs.c.attempt)).scalars().all())
    assert await count(store, "succeeded") == JOBS
    assert Counter((row.job_id, row.step) for row in rows) == Counter((job, step) for job in ids for step in STEPS)
    assert max(attempts) > 1, "no kill hit a running job: the test proved nothing"
    for job_id in ids:
        events = await queue.events("acme", job_id)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.data for event in events if event.kind == "status"][-1] == {"status": "succeeded"}
