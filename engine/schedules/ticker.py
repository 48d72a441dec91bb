"""The ticker: turns each due schedule into one job, however many processes tick."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from core.errors import PlatformError, Unavailable
from engine.schedules.schedules import Schedule, Schedules

log = logging.getLogger("headwater.schedules")

TRY_FOR_S = 600.0

Fire = Callable[[Schedule, str], Awaitable[str]]
"""Submits the job of a tick, with rights read afresh, under the idempotency key; answers its id."""


class Ticker:
    """A ticker that dies between submitting and settling is followed by another with the same key: one job."""

    def __init__(
        self, schedules: Schedules, fire: Fire, *, every_s: float = 1.0, clock: Callable[[], float] = time.time
    ):
        self._schedules = schedules
        self._fire = fire
        self._every_s = every_s
        self._clock = clock
        self._stopped = asyncio.Event()

    async def serve(self) -> None:
        """Tick until `stop`; through outages of the store."""
        while not self._stopped.is_set():
            try:
                await self.tick()
            except Unavailable as error:
                log.warning("no schedules are run: %s", error.message)
            try:
                await asyncio.wait_for(self._stopped.wait(), self._every_s)
            except TimeoutError:
                continue

    def stop(self) -> None:
        self._stopped.set()

    async def tick(self) -> int:
        """Fire what is due now; says how many this ticker fired."""
        fired = 0
        for schedule in await self._schedules.due():
            if not self._stopped.is_set() and await self._schedules.claim(schedule):
                await self._run(schedule)
                fired += 1
        return fired

    async def _run(self, schedule: Schedule) -> None:
        try:
            job_id = await self._fire(schedule, schedule.key)
        except PlatformError as error:
            if isinstance(error, Unavailable) and self._clock() - schedule.next_at < TRY_FOR_S:
                return  # not settled: tried again, under the same key, once the claim is over
            log.warning("schedule %s was refused: %s", schedule.schedule_id, error.code)
            await self._schedules.settle(schedule, error=f"{error.code}: {error.message}")
        else:
            await self._schedules.settle(schedule, job_id=job_id)
