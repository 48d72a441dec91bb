import asyncio
import threading
import time

import pyarrow as pa
import pytest

from core.context import Cancellation
from core.errors import Cancelled, Timeout
from engine.connectors.connector import QueryLimits, RunStats
from engine.connectors.stream import BatchStream

SCHEMA = pa.schema([("n", pa.int64())])


class Slow:
    """A statement of `count` batches of ten rows that blocks before each until it is interrupted."""

    def __init__(self, count: int, wait_s: float = 0.0, ignores_interrupts: bool = False):
        self.left = count
        self.is_closed = threading.Event()
        self._wait_s = wait_s
        self._ignores = ignores_interrupts
        self._stop = threading.Event()

    def start(self) -> pa.Schema:
        return SCHEMA

    def next(self) -> pa.RecordBatch | None:
        if self._stop.wait(self._wait_s) and not self._ignores:
            raise RuntimeError("interrupted")
        self.left -= 1
        return pa.record_batch([pa.array(range(10), pa.int64())], schema=SCHEMA) if self.left >= 0 else None

    def interrupt(self) -> None:
        if not self._ignores:
            self._stop.set()

    def measure(self, stats: RunStats) -> None:
        stats.rows_scanned = 7

    def close(self) -> None:
        self.is_closed.set()


def limits(**changes: float) -> QueryLimits:
    values = {"max_rows": 1000, "max_bytes": 10**6, "timeout_s": 10.0, **changes}
    return QueryLimits(int(values["max_rows"]), int(values["max_bytes"]), values["timeout_s"])


async def read(statement: Slow, bounds: QueryLimits, cancelled: Cancellation | None = None) -> tuple[int, bool]:
    stream = await BatchStream.open(statement, bounds, Cancellation() if cancelled is None else cancelled)
    rows = sum([batch.num_rows async for batch in stream])
    return rows, stream.is_truncated


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        (limits(), (50, False)),
        (limits(max_rows=50), (50, False)),
        (limits(max_rows=49), (49, True)),
        (limits(max_rows=10), (10, True)),
        (limits(max_bytes=400), (50, False)),
        (limits(max_bytes=399), (49, True)),
        (limits(max_bytes=4), (0, True)),
    ],
)
async def test_rows_and_bytes_are_capped_and_the_cut_is_told(bounds: QueryLimits, expected: tuple[int, bool]) -> None:
    statement = Slow(5)
    assert await read(statement, bounds) == expected
    assert statement.is_closed.is_set()


async def test_cancelling_stops_a_statement_within_a_tenth_of_a_second() -> None:
    statement, cancelled = Slow(5, wait_s=30), Cancellation()
    asyncio.get_running_loop().call_later(0.05, cancelled.set)
    started = time.monotonic()
    with pytest.raises(Cancelled):
        await read(statement, limits(), cancelled)
    assert time.monotonic() - started < 0.15
    assert statement.is_closed.is_set()


async def test_the_deadline_covers_the_whole_statement() -> None:
    started = time.monotonic()
    with pytest.raises(Timeout, match=r"0\.2 s"):
        await read(Slow(100, wait_s=0.05), limits(timeout_s=0.2))
    assert 0.19 < time.monotonic() - started < 0.4


async def test_a_caller_that_goes_away_ends_the_statement() -> None:
    statement = Slow(5, wait_s=30)
    task = asyncio.create_task(read(statement, limits()))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert statement.is_closed.wait(1)


async def test_a_statement_that_will_not_stop_is_left_behind_and_closed_later() -> None:
    statement = Slow(1, wait_s=1.5, ignores_interrupts=True)
    with pytest.raises(Timeout):
        await read(statement, limits(timeout_s=0.05))
    assert not statement.is_closed.is_set()
    assert await asyncio.to_thread(statement.is_closed.wait, 3)


@pytest.mark.parametrize("count", [0, 5, 40_000])
async def test_chunks_are_whole_arrow_streams_of_all_rows_and_there_is_always_one(count: int) -> None:
    bounds = limits(max_rows=10**6, max_bytes=10**8)
    stream = await BatchStream.open(Slow(count), bounds, Cancellation())
    sizes = []
    rows = 0
    async for chunk in stream.chunks():
        table = pa.ipc.open_stream(chunk).read_all()
        assert table.schema == SCHEMA
        rows += table.num_rows
        sizes.append(table.nbytes)
    assert rows == stream.stats.row_count == 10 * count
    assert len(sizes) == max(1, -(-80 * count // 1_000_000))
    assert stream.stats.size_bytes == 80 * count
    assert stream.stats.rows_scanned == 7
    assert stream.stats.cpu_ms is not None
    assert not stream.is_truncated


async def test_chunks_are_capped_like_rows() -> None:
    stream = await BatchStream.open(Slow(5), limits(max_rows=12), Cancellation())
    assert sum([pa.ipc.open_stream(chunk).read_all().num_rows async for chunk in stream.chunks()]) == 12
    assert stream.is_truncated
