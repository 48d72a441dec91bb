"""A worker process of the chaos test: each job writes three entries into a ledger, and dies whenever it is killed."""

import asyncio
import sys

from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, insert, select

from core.context import Cancellation, Emit, JobRun
from core.jobs import Progress
from engine.jobs.leases import Claim, hold
from engine.jobs.queue import JobQueue
from engine.jobs.worker import Worker
from engine.store.db import Store

STEPS = ("read", "merge", "commit")
LEASE_S = 1.0

ledger_metadata = MetaData()
# No unique constraint on job and step: an effect that happens twice must show up, not be refused.
ledger = Table(
    "ledger",
    ledger_metadata,
    Column("entry", Integer, primary_key=True),
    Column("job_id", String(64), nullable=False),
    Column("step", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),
)


def make_worker(store: Store) -> Worker:
    async def run(claim: Claim, job: JobRun, emit: Emit, cancelled: Cancellation) -> str:
        for number, step in enumerate(STEPS, 1):

            async def make(step: str = step) -> str:
                await asyncio.sleep(0.02)
                await store.write(lambda connection: write_once(connection, claim, step))
                await asyncio.sleep(0.02)
                return '"done"'

            await job.step(step, make)
            await emit(Progress(message=step, done=number, total=len(STEPS)))
        return '"done"'

    return Worker(JobQueue(store), run, concurrency=4, lease_s=LEASE_S, max_attempts=1000)


def write_once(connection: Connection, claim: Claim, step: str) -> None:
    """The effect of a step, as a tool has to write it: under the fence, and looked for before it is repeated."""
    hold(connection, claim, 0.0)
    is_it = (ledger.c.job_id == claim.job_id, ledger.c.step == step)
    if connection.execute(select(ledger.c.entry).where(*is_it)).first() is None:
        connection.execute(insert(ledger).values(job_id=claim.job_id, step=step, attempt=claim.attempt))


if __name__ == "__main__":
    asyncio.run(make_worker(Store(sys.argv[1])).serve())
