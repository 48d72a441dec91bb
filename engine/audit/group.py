"""Group commit: items queue in memory and one writer commits them in batches."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from core.errors import PlatformError, Unavailable

ItemT = TypeVar("ItemT")
log = logging.getLogger("headwater.audit")

MAX_DELAY_S = 0.05
CAPACITY = 10_000
FIRST_RETRY_S = 0.05
LAST_RETRY_S = 1.0


class _Batch:
    """What those wait for whose items go out together."""

    def __init__(self) -> None:
        self.done = asyncio.Event()
        self.error: BaseException | None = None

    def finish(self, error: BaseException | None) -> None:
        self.error = error
        self.done.set()


class GroupCommit(Generic[ItemT]):
    """Commits items in order: at once when somebody waits, else after `max_delay_s` at most.

    An item leaves the queue only when its commit succeeded, so a failed batch is tried again with
    whatever came since. A full queue makes everybody wait, for `patience_s` at most."""

    def __init__(
        self,
        commit: Callable[[list[ItemT]], None],
        *,
        max_delay_s: float = MAX_DELAY_S,
        capacity: int = CAPACITY,
        patience_s: float = 5.0,
    ):
        self._commit = commit
        self._max_delay_s = max_delay_s
        self._capacity = capacity
        self._patience_s = patience_s
        self._items: list[ItemT] = []
        self._batch = _Batch()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._writer: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="audit")
        self._closing = False

    @property
    def backlog(self) -> int:
        """Items that are not yet durable."""
        return len(self._items)

    async def add(self, item: ItemT, *, wait: bool) -> None:
        """Queue an item; with `wait` return once it is durable. Raises Unavailable."""
        if len(self._items) >= self._capacity:
            await self._wait_for_room()
        if self._closing:
            raise Unavailable("The audit log is closed.", hint="The server is shutting down; try another one.")
        self._items.append(item)
        if self._writer is None:
            self._start()
        if wait:
            self._wake.set()
            batch = self._batch
            await batch.done.wait()
            if batch.error is not None:
                raise _refusal() from batch.error
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._max_delay_s, self._wake.set)

    async def close(self) -> None:
        """Commit what is queued, trying for `patience_s` while the store is down."""
        self._closing = True
        self._wake.set()
        writer = self._writer
        if writer is not None:
            await asyncio.wait([writer], timeout=self._patience_s)
            writer.cancel()
            await asyncio.wait([writer])
        if self._items:
            log.critical("%d audit records could not be written before the end", len(self._items))
        self._thread.shutdown(wait=True)

    def _start(self) -> None:
        self._writer = asyncio.get_running_loop().create_task(self._write(), name="audit writer")
        self._writer.add_done_callback(self._stopped)

    def _stopped(self, writer: "asyncio.Task[None]") -> None:
        """A writer that died of a defect fails those who wait; the next item starts another."""
        self._writer = None
        self._stop_timer()
        if not writer.cancelled() and (error := writer.exception()) is not None:
            log.critical("the audit writer failed: %s", type(error).__qualname__)
            self._take_batch().finish(error)

    async def _write(self) -> None:
        retry_s = FIRST_RETRY_S
        while self._items or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            self._stop_timer()
            if not self._items or await self._flush():
                retry_s = FIRST_RETRY_S
                continue
            await asyncio.sleep(retry_s)
            retry_s = min(retry_s * 2, LAST_RETRY_S)
            self._wake.set()

    async def _flush(self) -> bool:
        items = self._items.copy()
        batch = self._take_batch()
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, items)
        except (PlatformError, SQLAlchemyError) as error:
            log.error("%d audit records wait for the store: %s", len(items), type(error).__qualname__)
            batch.finish(error)
            return False
        except BaseException as error:
            batch.finish(error)
            raise
        del self._items[: len(items)]
        batch.finish(None)
        self._room.set()
        return True

    def _take_batch(self) -> _Batch:
        batch, self._batch = self._batch, _Batch()
        return batch

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _wait_for_room(self) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                while len(self._items) >= self._capacity:
                    self._wake.set()
                    self._room.clear()
                    await self._room.wait()
        except TimeoutError as error:
            raise _refusal() from error


def _refusal() -> Unavailable:
    return Unavailable("The audit log cannot be written.", hint="Retry later; nothing runs unrecorded.")
