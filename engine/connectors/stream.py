"""A blocking statement as an asynchronous stream of Arrow batches: deadline, cancel, row and byte caps."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from core.context import Cancellation
from core.errors import Cancelled, Timeout
from engine.connectors.connector import QueryLimits

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

PATIENCE_S = 1.0  # how long an interrupted statement may take to notice
INTERRUPT_EVERY_S = 0.02  # an interrupt that arrives before the engine has started is lost: repeat it

# Threads mostly wait for an engine; their number is bounded by the tenants' query slots, not by this.
_threads = ThreadPoolExecutor(128, thread_name_prefix="query")


class Statement(Protocol):
    """A running statement of a blocking driver. All but `interrupt` are called from one thread at a time."""

    def start(self) -> "pa.Schema": ...

    def next(self) -> "pa.RecordBatch | None":
        """The next batch, or None after the last."""
        ...

    def interrupt(self) -> None:
        """Stop `start` or `next` that runs in another thread."""
        ...

    def close(self) -> None: ...


async def in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads, work)


class BatchStream:
    """An `ArrowStream` over a `Statement`."""

    def __init__(self, statement: Statement, limits: QueryLimits, cancelled: Cancellation):
        self._statement = statement
        self._limits = limits
        self._cancelled = cancelled
        self._deadline = time.monotonic() + limits.timeout_s
        self._is_closed = False
        self._schema: pa.Schema | None = None
        self.is_truncated = False

    @classmethod
    async def open(cls, statement: Statement, limits: QueryLimits, cancelled: Cancellation) -> "BatchStream":
        stream = cls(statement, limits, cancelled)
        try:
            stream._schema = await stream._run(statement.start)
        except BaseException:
            await stream.close()
            raise
        return stream

    @property
    def schema(self) -> "pa.Schema":
        assert self._schema is not None, "open() sets the schema"
        return self._schema

    async def __aiter__(self) -> "AsyncIterator[pa.RecordBatch]":
        rows, size_bytes = 0, 0
        try:
            while not self.is_truncated and (batch := await self._run(self._statement.next)) is not None:
                kept = self._fit(batch, rows, size_bytes)
                rows, size_bytes = rows + kept.num_rows, size_bytes + kept.nbytes
                if kept.num_rows:
                    yield kept
        finally:
            await self.close()

    async def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._statement.interrupt()
            await in_thread(self._statement.close)

    def _fit(self, batch: "pa.RecordBatch", rows: int, size_bytes: int) -> "pa.RecordBatch":
        """The batch, or the part of it that the caps still allow."""
        if rows + batch.num_rows > self._limits.max_rows:
            self.is_truncated = True
            batch = batch.slice(0, self._limits.max_rows - rows)
        room = self._limits.max_bytes - size_bytes
        while batch.num_rows and batch.nbytes > room:
            self.is_truncated = True
            batch = batch.slice(0, min(batch.num_rows - 1, batch.num_rows * room // batch.nbytes))
        return batch

    async def _run(self, work: Callable[[], T]) -> T:
        """Run one blocking step in a thread until it ends, is cancelled or is too late."""
        step = asyncio.get_running_loop().run_in_executor(_threads, work)
        cancel = asyncio.ensure_future(self._cancelled.wait())
        try:
            left_s = max(0.0, self._deadline - time.monotonic())
            waits: set[asyncio.Future[Any]] = {step, cancel}
            await asyncio.wait(waits, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if step.done():
                return step.result()
            await self._stop(step)
            if cancel.done():
                raise Cancelled("The query was cancelled.")
            raise Timeout(
                f"The query took longer than {self._limits.timeout_s:g} s.",
                hint="Ask for less: filter, aggregate, or allow more time with timeout_seconds.",
            )
        except asyncio.CancelledError:
            await self._stop(step)
            raise
        finally:
            cancel.cancel()

    async def _stop(self, step: "asyncio.Future[T]") -> None:
        """Interrupt the step until it ends; one that will not is left behind and closed when it does."""
        give_up = time.monotonic() + PATIENCE_S
        while not step.done() and time.monotonic() < give_up:
            self._statement.interrupt()
            await asyncio.wait({step}, timeout=INTERRUPT_EVERY_S)
        if step.done():
            step.exception()  # its own complaint about the interrupt is of no interest
        else:
            self._is_closed = True
            step.add_done_callback(self._close_late)

    def _close_late(self, step: "asyncio.Future[T]") -> None:
        if not step.cancelled():
            step.exception()
        _threads.submit(self._statement.close)
