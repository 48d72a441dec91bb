"""Time limits: what expires, what is left alone."""

import asyncio

import pytest

from core.deadline import Deadline


async def test_a_block_that_takes_too_long_times_out() -> None:
    with pytest.raises(TimeoutError), Deadline(0.01):
        await asyncio.sleep(5)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_a_block_that_ends_in_time_leaves_no_timer() -> None:
    with Deadline(0.01):
        await asyncio.sleep(0)
    await asyncio.sleep(0.03)


async def test_without_a_limit_nothing_expires() -> None:
    with Deadline(None):
        await asyncio.sleep(0.01)


async def test_an_error_of_the_block_is_its_own() -> None:
    with pytest.raises(KeyError), Deadline(1):
        raise KeyError


async def test_a_cancellation_from_outside_stays_one() -> None:
    async def work() -> None:
        with Deadline(5):
            await asyncio.sleep(5)

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_of_nested_limits_the_one_that_passed_is_raised() -> None:
    with pytest.raises(TimeoutError), Deadline(0.01), Deadline(5):
        await asyncio.sleep(5)
    with Deadline(5):
        with pytest.raises(TimeoutError), Deadline(0.01):
            await asyncio.sleep(5)
        await asyncio.sleep(0)
