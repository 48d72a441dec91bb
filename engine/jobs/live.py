"""A job in the hands of this process: what its tool emits and records, and the end of its lease."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from pydantic import BaseModel

from core.context import Cancellation
from core.errors import Cancelled, Unavailable
from engine.jobs.leases import Claim, LeaseLost, Leases
from engine.jobs.log import Line, part_line

MAX_UNWRITTEN = 500
OUTAGE_PAUSE_S = 0.2
CANCEL_GRACE_S = 5.0

Admit = Callable[[Claim], Awaitable[None]]


async def admit_all(claim: Claim) -> None:
    """The `Admit` of a worker that relies on the check at the start alone."""


class LiveRun:
    """One run. It ends itself when its lease does, even while the store is out of reach."""

    def __init__(self, leases: Leases, claim: Claim, *, clock: Callable[[], float], admit: Admit = admit_all):
        self.claim = claim
        self.cancelled = Cancellation()
        self.is_lost = False
        self.is_stopped = False
        self.is_cancel_requested = False
        self.steps: dict[str, str] = {}
        self._leases = leases
        self._clock = clock
        self._admit = admit
        self._task: asyncio.Task[str] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._lines: list[Line] = []
        self._writing = asyncio.Lock()
        self._flush: asyncio.Task[None] | None = None

    async def run(self, work: Callable[[], Awaitable[str]]) -> "asyncio.Task[str]":
        """Run `work` to its end, whatever that is; the finished task says which."""

        async def start() -> str:
            return await work()

        self._task = asyncio.create_task(start(), name=f"job {self.claim.job_id}")
        if self.is_stopped:
            self._task.cancel()
        await asyncio.wait({self._task})
        return self._task

    def keep_until(self, monotonic_s: float) -> None:
        """The lease holds until then, by this process's clock; nobody else can have the job before."""
        if self._expiry is not None:
            self._expiry.cancel()
        loop = asyncio.get_running_loop()
        self._expiry = loop.call_later(max(0.0, monotonic_s - time.monotonic()), self.lose)

    def lose(self) -> None:
        """Stop: the lease is over, or somebody else has the job."""
        self.is_lost = True
        self.stop()

    def stop(self) -> None:
        """Interrupt the run, so that it can go on elsewhere."""
        self.is_stopped = True
        self.cancelled.set()
        if self._task is not None:
            self._task.cancel()

    def ask_to_stop(self) -> None:
        """Pass the owner's wish on; a tool that does not listen is interrupted a little later."""
        if not self.is_cancel_requested and self._task is not None:
            self.is_cancel_requested = True
            self.cancelled.set()
            asyncio.get_running_loop().call_later(CANCEL_GRACE_S, self._task.cancel)

    def close(self) -> list[Line]:
        """End the lease's timer and hand over the events that are not written yet."""
        if self._expiry is not None:
            self._expiry.cancel()
        return self._take_lines()

    async def emit(self, part: BaseModel) -> None:
        """Put a part into the job's log; parts that come quickly are written together."""
        self._lines.append(part_line(self._clock(), part))
        if self._flush is None or self._flush.done():
            self._flush = asyncio.create_task(self._write_lines())
        if len(self._lines) > MAX_UNWRITTEN:
            await asyncio.shield(self._flush)

    async def step(self, name: str, make: Callable[[], Awaitable[str]]) -> str:
        """The output of a named step: the stored one, or `make`'s, which is stored before this returns."""
        if name in self.steps:
            return self.steps[name]
        if self.is_cancel_requested:
            raise Cancelled(f"Job {self.claim.job_id} was cancelled.")
        await self._admit(self.claim)
        output = await make()
        await self._record(step=(name, output))
        self.steps[name] = output
        return output

    async def settled(self) -> None:
        """Return when no write of this run is under way."""
        if self._flush is not None:
            await asyncio.wait({self._flush})
            if not self._flush.cancelled():
                self._flush.result()

    async def _write_lines(self) -> None:
        while self._lines and not self.is_lost:
            await self._record()

    async def _record(self, step: tuple[str, str] | None = None) -> None:
        """Write what is pending; through an outage for as long as the lease holds."""
        async with self._writing:
            lines = self._take_lines()
            while not self.is_lost:
                try:
                    await self._leases.record(self.claim, lines, step)
                    return
                except Unavailable:
                    await asyncio.sleep(OUTAGE_PAUSE_S)
                except LeaseLost:
                    self.lose()
        raise asyncio.CancelledError

    def _take_lines(self) -> list[Line]:
        lines, self._lines = self._lines, []
        return lines
