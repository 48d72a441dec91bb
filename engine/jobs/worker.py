"""The worker: claims jobs, runs them, keeps their leases, and survives outages of the store."""

import asyncio
import logging
import os
import socket
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from core.context import Cancellation, Emit, JobRun
from core.dispatch import describe
from core.errors import Internal, PlatformError, Unavailable
from core.jobs import JobError
from engine.jobs.bell import CANCEL, WORK
from engine.jobs.leases import Claim, LeaseLost, Verdict
from engine.jobs.live import OUTAGE_PAUSE_S, Admit, LiveRun, admit_all
from engine.jobs.queue import POLL_MAX_S, POLL_MIN_S, JobQueue

log = logging.getLogger("headwater.jobs")

Run = Callable[[Claim, JobRun, Emit, Cancellation], Awaitable[str]]
Chore = Callable[[], Awaitable[object]]

MAX_BEAT_S = 1.0
MAX_RETRY_DELAY_S = 60.0
CHORE_EVERY_S = 3600.0
# Ends a run this share of the lease before another worker may take the job.
SAFETY = 0.1


class Worker:
    """Runs jobs of every tenant, `concurrency` at a time.

    `run` calls the tool with rights read afresh and gives its result as JSON; it raises Unauthorized
    when the owner is gone. `admit` re-checks them before each step. `chores` are done every hour."""

    def __init__(
        self,
        queue: JobQueue,
        run: Run,
        *,
        concurrency: int = 1,
        lease_s: float = 15.0,
        max_attempts: int = 5,
        drain_s: float = 10.0,
        admit: Admit = admit_all,
        chores: Sequence[Chore] = (),
        clock: Callable[[], float] = time.time,
    ):
        self.name = f"{socket.gethostname()[:100]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._queue = queue
        self._run = run
        self._concurrency = concurrency
        self._lease_s = lease_s
        self._max_attempts = max_attempts
        self._drain_s = drain_s
        self._admit = admit
        self._chores = (queue.purge, *chores)
        self._clock = clock
        self._is_stopping = False
        self._runs: dict[asyncio.Task[None], LiveRun] = {}

    @property
    def running(self) -> int:
        """How many jobs this worker runs now."""
        return len(self._runs)

    async def serve(self) -> None:
        """Run jobs until `stop` is called or this task is cancelled; then let running jobs end, or give them back."""
        parts = [asyncio.create_task(part) for part in (self._claim_jobs(), self._beat(), self._do_chores())]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            await self._drain()
        except asyncio.CancelledError:
            await self._give_back()
            raise
        finally:
            for part in parts:
                part.cancel()
            await asyncio.wait(parts)
        for part in done:
            part.result()

    def stop(self) -> None:
        """Take no more jobs, and end `serve` when the running ones have ended or `drain_s` is over."""
        self._is_stopping = True
        self._queue.bell.ring(WORK)

    async def _claim_jobs(self) -> None:
        pause_s = POLL_MIN_S
        with self._queue.bell.listen(WORK) as listener:
            while not self._is_stopping:
                try:
                    is_busy = await self._fill()
                    pause_s = POLL_MIN_S if is_busy else min(POLL_MAX_S, pause_s * 1.5)
                except Unavailable as error:
                    log.warning("the store does not answer: %s", error.message)
                    pause_s = POLL_MAX_S
                await listener.wait(pause_s)

    async def _fill(self) -> bool:
        """Claim jobs while there are free places; says whether any was due."""
        is_busy = False
        while len(self._runs) < self._concurrency and not self._is_stopping:
            asked_at = time.monotonic()
            claim = await self._queue.leases.claim(self.name, lease_s=self._lease_s, max_attempts=self._max_attempts)
            if claim is None:
                break
            is_busy = True
            live = LiveRun(self._queue.leases, claim, clock=self._clock, admit=self._admit)
            live.keep_until(self._safe_end(asked_at))
            task = asyncio.create_task(self._perform(live))
            self._runs[task] = live
            task.add_done_callback(self._forget)
        return is_busy

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._runs[task]
        self._queue.bell.ring(WORK)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the worker failed outside a tool: %s", describe(error))

    def _safe_end(self, asked_at: float) -> float:
        return asked_at + self._lease_s * (1 - SAFETY)

    async def _beat(self) -> None:
        """Extend the leases and hear of cancellations, at once from this process, else within a second."""
        with self._queue.bell.listen(CANCEL) as listener:
            while True:
                await listener.wait(min(MAX_BEAT_S, self._lease_s / 4))
                runs = [live for live in self._runs.values() if not live.is_lost]
                if runs:
                    with suppress(Unavailable):  # the runs end themselves when their leases do
                        await self._renew(runs)

    async def _renew(self, runs: Sequence[LiveRun]) -> None:
        asked_at = time.monotonic()
        held = await self._queue.leases.renew([live.claim for live in runs], lease_s=self._lease_s)
        for live in runs:
            if live.claim.job_id not in held:
                live.lose()
            else:
                live.keep_until(self._safe_end(asked_at))
                if held[live.claim.job_id]:
                    live.ask_to_stop()

    async def _perform(self, live: LiveRun) -> None:
        claim = live.claim
        if claim.attempt > 1:
            await self._read_steps(live)
        run = JobRun(job_id=claim.job_id, fence=claim.fence, attempt=claim.attempt, step=live.step)
        task = await live.run(lambda: self._run(claim, run, live.emit, live.cancelled))
        verdict = self._judge(live, task)
        await live.settled()
        await self._settle(live, verdict)

    async def _read_steps(self, live: LiveRun) -> None:
        while not live.is_stopped:
            try:
                live.steps = await self._queue.leases.steps(live.claim)
                return
            except Unavailable:
                await asyncio.sleep(OUTAGE_PAUSE_S)

    async def _settle(self, live: LiveRun, verdict: Verdict) -> None:
        """Write the outcome, through outages too: the fence refuses it if another worker has the job by then."""
        lines = live.close()
        while True:
            try:
                return await self._queue.leases.settle(live.claim, verdict, lines)
            except Unavailable:
                await asyncio.sleep(OUTAGE_PAUSE_S)
            except LeaseLost:
                log.warning("job %s was taken over by another worker", live.claim.job_id)
                return None

    def _judge(self, live: LiveRun, task: asyncio.Task[str]) -> Verdict:
        error = None if task.cancelled() else task.exception()
        if not task.cancelled() and error is None:
            return Verdict("succeeded", result=task.result())
        if live.is_cancel_requested:
            return Verdict("cancelled")
        if live.is_stopped:
            return Verdict("pending", is_attempt=live.is_lost)
        if isinstance(error, Unavailable) and live.claim.attempt < self._max_attempts:
            delay_s = min(MAX_RETRY_DELAY_S, 2.0 ** (live.claim.attempt - 1))
            return Verdict("pending", error=_job_error(error, live.claim), delay_s=delay_s)
        return Verdict("failed", error=_job_error(error, live.claim))

    async def _drain(self) -> None:
        if self._runs:
            await asyncio.wait(set(self._runs), timeout=self._drain_s)
        await self._give_back()

    async def _give_back(self) -> None:
        """Interrupt what still runs, so that other workers can go on with it."""
        self._is_stopping = True
        for live in self._runs.values():
            live.stop()
        if self._runs:
            await asyncio.wait(set(self._runs), timeout=self._lease_s)
        for task in list(self._runs):
            task.cancel()

    async def _do_chores(self) -> None:
        while True:
            for chore in self._chores:
                with suppress(Unavailable):
                    await chore()
            await asyncio.sleep(CHORE_EVERY_S)


def _job_error(error: BaseException | None, claim: Claim) -> JobError:
    if error is not None and not isinstance(error, PlatformError):
        log.error("%s failed in %s: %s", claim.request_id, claim.tool, describe(error))
    known = error if isinstance(error, PlatformError) else Internal(hint="The details are in the worker's log.")
    return JobError(code=known.code, message=known.message, hint=known.hint, request_id=claim.request_id)
