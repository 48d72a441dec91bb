"""A blocking statement as an asynchronous stream of Arrow batches: deadline, cancel, row and byte caps."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from core.context import Cancellation
from core.errors import Cancelled, Timeout
from engine.connectors.connector import QueryLimits, RunStats
from engine.connectors.ipc import Regrouped, ipc_stream, unique_names
from engine.connectors.meter import CpuMeter

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

PATIENCE_S = 1.0  # how long an interrupted statement may take to notice
INTERRUPT_EVERY_S = 0.02  # an interrupt that arrives before the engine has started is lost: repeat it

# Threads mostly wait for an engine; their number is bounded by the tenants' query slots, not by this.
_threads = ThreadPoolExecutor(128, thread_name_prefix="query")
_meter = CpuMeter()
_left_behind: dict[asyncio.Future[Any], float] = {}


class Statement(Protocol):
    """A running statement of a blocking driver. All but `interrupt` are called from one thread at a time."""

    def start(self) -> "pa.Schema": ...

    def next(self) -> "pa.RecordBatch | None":
        """The next batch, or None after the last."""
        ...

    def interrupt(self) -> None:
        """Stop `start` or `next` that runs in another thread."""
        ...

    def measure(self, stats: RunStats) -> None:
        """Fill in what the engine says of the run, when the last batch was read."""
        ...

    def close(self) -> None: ...


def stuck_s() -> float:
    """For how many seconds the oldest statement that would not stop has gone on; 0 when there is none."""
    return max((time.monotonic() - since for since in _left_behind.values()), default=0.0)


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
        self._groups = Regrouped()
        self._is_read = False
        self.is_truncated = False
        self.stats = RunStats()

    @classmethod
    async def open(cls, statement: Statement, limits: QueryLimits, cancelled: Cancellation) -> "BatchStream":
        stream = cls(statement, limits, cancelled)
        _meter.enter(stream)
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
        try:
            while (batch := await self._run(self._read)) is not None:
                if batch.num_rows:
                    yield batch
        finally:
            await self.close()

    async def chunks(self) -> AsyncIterator[bytes]:
        is_first = True
        try:
            while chunks := await self._run(self._encode):
                for chunk in chunks:
                    yield chunk
                is_first = False
            if is_first:
                yield ipc_stream(unique_names(self.schema), [])
        finally:
            await self.close()

    async def close(self) -> None:
        if self.stats.cpu_ms is None:
            self.stats.cpu_ms = round(_meter.leave(self) * 1000)
        if not self._is_closed:
            self._is_closed = True
            self._statement.interrupt()
            await in_thread(self._statement.close)

    def _encode(self) -> list[bytes]:
        """The next chunks; none after the last. In one step, since each hop to a thread costs a tenth of a chunk."""
        groups: list[list[pa.RecordBatch]] = []
        while not groups and (batch := self._read()) is not None:
            groups = list(self._groups.add(batch)) if batch.num_rows else []
        if not groups and (rest := self._groups.rest()):
            groups = [rest]
        named = unique_names(self.schema)
        return [ipc_stream(named, group) for group in groups]

    def _read(self) -> "pa.RecordBatch | None":
        """The next batch as far as the caps allow; None at the end."""
        if self._is_read:
            return None
        batch = self._statement.next()
        if batch is not None:
            batch = self._fit(batch)
            self.stats.row_count += batch.num_rows
            self.stats.size_bytes += batch.nbytes
        if batch is None or self.is_truncated:
            self._is_read = True
            self._statement.measure(self.stats)
        return batch

    def _fit(self, batch: "pa.RecordBatch") -> "pa.RecordBatch":
        """The batch, or the part of it that the caps still allow."""
        rows, size_bytes = self.stats.row_count, self.stats.size_bytes
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
            _left_behind[step] = time.monotonic()
            step.add_done_callback(self._close_late)

    def _close_late(self, step: "asyncio.Future[T]") -> None:
        _left_behind.pop(step, None)
        if not step.cancelled():
            step.exception()
        _threads.submit(self._statement.close)
