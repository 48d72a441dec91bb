"""Idempotency keys: an equal call is answered from the first, other arguments clash, a crash is overcome."""

import asyncio

import pytest

from core.errors import Conflict, InvalidArgument
from engine.jobs.idempotency import KEEP_S, IdempotencyKeys
from engine.store.db import Store
from tests.fixtures_jobs import ADA, CY, EVE


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(store: Store, clock: Clock) -> IdempotencyKeys:
    return IdempotencyKeys(store, clock=clock)


async def test_a_second_equal_call_gets_the_first_result(keys: IdempotencyKeys) -> None:
    assert await keys.begin(ADA, "create_thing", "k", "d1") is None
    await keys.finish(ADA, "create_thing", "k", '{"id":1}')
    assert await keys.begin(ADA, "create_thing", "k", "d1") == '{"id":1}'


async def test_other_arguments_under_the_key_are_a_conflict(keys: IdempotencyKeys) -> None:
    await keys.begin(ADA, "create_thing", "k", "d1")
    await keys.finish(ADA, "create_thing", "k", "1")
    with pytest.raises(Conflict, match="other arguments"):
        await keys.begin(ADA, "create_thing", "k", "d2")


async def test_a_call_beside_the_running_first_one_is_a_conflict(keys: IdempotencyKeys) -> None:
    answers = await asyncio.gather(*(keys.begin(ADA, "t", "k", "d") for _ in range(8)), return_exceptions=True)
    assert answers.count(None) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == 7


async def test_keys_are_scoped_by_tenant_subject_and_tool(keys: IdempotencyKeys) -> None:
    for principal, tool in ((ADA, "t"), (CY, "t"), (EVE, "t"), (ADA, "u")):
        assert await keys.begin(principal, tool, "k", "d") is None


async def test_a_failed_call_gives_its_key_back(keys: IdempotencyKeys) -> None:
    await keys.begin(ADA, "t", "k", "d1")
    await keys.finish(ADA, "t", "k", None)
    assert await keys.begin(ADA, "t", "k", "d2") is None


async def test_a_crashed_first_call_is_taken_over_and_cannot_answer_later(store: Store, clock: Clock) -> None:
    crashed, other = IdempotencyKeys(store, clock=clock), IdempotencyKeys(store, clock=clock)
    await crashed.begin(ADA, "t", "k", "d")
    clock.now += 121
    assert await other.begin(ADA, "t", "k", "d") is None
    await crashed.finish(ADA, "t", "k", '"stale"')
    await other.finish(ADA, "t", "k", '"fresh"')
    assert await crashed.begin(ADA, "t", "k", "d") == '"fresh"'


async def test_a_key_is_forgotten_after_a_day(keys: IdempotencyKeys, clock: Clock) -> None:
    await keys.begin(ADA, "t", "k", "d1")
    await keys.finish(ADA, "t", "k", "1")
    assert await keys.purge() == 0
    clock.now += KEEP_S + 1
    assert await keys.purge() == 1
    assert await keys.begin(ADA, "t", "k", "d2") is None


async def test_a_key_that_is_too_long_is_refused(keys: IdempotencyKeys) -> None:
    with pytest.raises(InvalidArgument):
        await keys.begin(ADA, "t", "k" * 256, "d")
