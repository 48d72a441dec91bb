"""Whoever is gone stops: what runs for a caller ends soon after the caller's rights do.

Tokens are checked where calls come in. This watches what came in already: streams, downloads, long queries, jobs."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from types import TracebackType

from core.context import Principal
from core.errors import PlatformError, Unauthenticated, Unauthorized

log = logging.getLogger("headwater.identity")

LOOK_EVERY_S = 0.4  # with the age of what is known about a tenant (0.9 s at most) well below 2 s
YOUNG_S = 0.25  # calls that are shorter than this never cost a look

Present = Callable[[Principal, str], Awaitable[None]]
"""Raises Unauthenticated or Unauthorized when a caller may no longer do what needs that permission."""


class Presence:
    """Knows what runs in this process for whom. The look-out runs only while something does."""

    def __init__(self, present: Present):
        self._present = present
        self._stays: set[Stay] = set()
        self._look_out: asyncio.Task[None] | None = None

    def stay(self, principal: Principal, needs: str = "") -> "Stay":
        """To be entered around work for a caller. It ends with what the look-out finds."""
        return Stay(self, principal, needs)

    def enter(self, stay: "Stay") -> None:
        self._stays.add(stay)
        if self._look_out is None or self._look_out.done() or self._look_out.get_loop() is not stay.loop:
            self._look_out = stay.loop.create_task(self._watch(), name="presence")

    def leave(self, stay: "Stay") -> None:
        self._stays.discard(stay)

    def close(self) -> None:
        if self._look_out is not None and not self._look_out.get_loop().is_closed():
            self._look_out.cancel()

    async def _watch(self) -> None:
        while self._stays:
            await asyncio.sleep(LOOK_EVERY_S)
            latest = time.monotonic() - YOUNG_S
            long_ones: dict[tuple[str, ...], list[Stay]] = {}
            for stay in self._stays:
                if stay.since < latest:
                    long_ones.setdefault(stay.key, []).append(stay)
            for stays in long_ones.values():
                await self._look(stays)

    async def _look(self, stays: list["Stay"]) -> None:
        try:
            await self._present(stays[0].principal, stays[0].needs)
        except (Unauthenticated, Unauthorized) as error:
            for stay in stays:
                if stay in self._stays:
                    stay.end(error)
        except PlatformError as error:  # a store that does not answer for a moment stops nobody
            log.warning("callers could not be checked: %s", error.message)


class Stay:
    """Some work for a caller, in the task that entered it."""

    __slots__ = ("_cancels_before", "_error", "_presence", "_task", "loop", "needs", "principal", "since")

    def __init__(self, presence: Presence, principal: Principal, needs: str):
        self._presence = presence
        self._error: PlatformError | None = None
        self.principal = principal
        self.needs = needs

    @property
    def key(self) -> tuple[str, ...]:
        by = self.principal
        return by.tenant, by.subject, by.via, by.credential_id, self.needs

    def __enter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("work for a caller runs in a task")
        self._task, self.loop = task, task.get_loop()
        self._cancels_before, self.since = task.cancelling(), time.monotonic()
        self._presence.enter(self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._presence.leave(self)
        if self._error is None:
            return
        # A cancellation that others asked for goes on; only our own becomes a refusal.
        if self._task.uncancel() <= self._cancels_before and kind is asyncio.CancelledError:
            raise self._error from error

    def end(self, error: PlatformError) -> None:
        """Interrupt the work; it is answered with the error."""
        if self._error is None:
            self._error = error
            self._task.cancel()
