"""Runs: begun once, held by one, read by their owner alone, followed from any event, kept for a while."""

import asyncio

import pytest

from core.context import Cancellation, Principal
from core.errors import Cancelled, Conflict, NotFound
from core.pages import Window
from engine.runs.run import Beginning, Cost, Outcome, Step
from engine.runs.runs import LEASE_S, RETENTION_S, RunFilter, Runs
from engine.store.db import Store
from engine.store.tables import run_events
from engine.store.tables import runs as run_table

ADA = Principal("ada", "acme")
BOB = Principal("bob", "acme")
EVE = Principal("ada", "other")  # the same name in another tenant


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def runs(store: Store, clock: Clock) -> Runs:
    def turn(tenant: str, data: bytes) -> bytes:
        return bytes(byte ^ 0x5A for byte in data)

    return Runs(store, seal=turn, unseal=turn, clock=clock)


def beginning(run_id: str = "t1", **changes: object) -> Beginning:
    return Beginning(**{"kind": "workflow", "run_id": run_id, "request": {"task": "secret question"}, **changes})  # type: ignore[arg-type]


async def test_an_equal_call_finds_the_run_and_another_request_clashes(runs: Runs) -> None:
    first = await runs.start(ADA, beginning())
    again = await runs.start(ADA, beginning())
    assert (first.is_new, first.is_mine, again.is_new, again.is_mine) == (True, True, False, False)
    with pytest.raises(Conflict):
        await runs.start(ADA, beginning(request={"task": "another"}))
    assert (await runs.start(BOB, beginning())).is_new  # ids are each owner's own
    assert (await runs.start(ADA, beginning(kind="agent"))).is_new


async def test_equal_calls_at_once_give_one_run(runs: Runs) -> None:
    started = await asyncio.gather(*(runs.start(ADA, beginning()) for _ in range(8)))
    assert sum(item.is_mine for item in started) == 1


@pytest.mark.parametrize("stranger", [BOB, EVE])
async def test_a_run_is_its_owners_alone(runs: Runs, stranger: Principal) -> None:
    await runs.start(ADA, beginning())
    with pytest.raises(NotFound):
        await runs.get(stranger, "t1")
    with pytest.raises(NotFound):
        await runs.cancel(stranger, "t1")
    assert await runs.page(stranger, Window(0, 10)) == ([], 0)
    assert await runs.delete(stranger, RunFilter()) == 0


async def test_events_are_numbered_and_read_again_from_any_of_them(runs: Runs) -> None:
    run = (await runs.start(ADA, beginning())).run
    for number in range(3):
        assert (await runs.append(run, "progress", {"n": number})).seq == number + 1
    await runs.finish(run, Outcome("completed", answer={"sql": "SELECT 1"}))
    assert [(event.seq, event.data["n"]) async for event in runs.follow(ADA, run, 1)] == [(2, 1), (3, 2)]


async def test_events_are_followed_as_they_come(runs: Runs) -> None:
    run = (await runs.start(ADA, beginning())).run

    async def work() -> None:
        for number in range(5):
            await runs.append(run, "token", {"n": number})
            await asyncio.sleep(0.01)
        await runs.finish(run, Outcome("completed"))

    working = asyncio.create_task(work())
    assert [event.data["n"] async for event in runs.follow(ADA, run)] == [0, 1, 2, 3, 4]
    await working


async def test_an_outcome_is_kept_with_steps_and_cost(runs: Runs) -> None:
    run = (await runs.start(ADA, beginning())).run
    await runs.finish(run, Outcome("waiting", answer={"question": "Which?"}, cost=Cost(5, 1, 7)))
    assert not (await runs.start(ADA, beginning())).is_mine
    resumed = (await runs.start(ADA, beginning(resumes=True))).run
    steps = (Step("execute", "completed", 12),)
    done = await runs.finish(resumed, Outcome("failed", error={"code": "TIMEOUT"}, steps=steps, cost=Cost(1, 1, 1)))
    found = await runs.get(ADA, "t1")
    assert found == done and found.has_ended
    assert (found.error, found.steps, found.cost) == ({"code": "TIMEOUT"}, steps, Cost(6, 2, 8))


async def test_whoever_lost_a_run_writes_nothing_more(runs: Runs, clock: Clock) -> None:
    lost = (await runs.start(ADA, beginning())).run
    clock.now += LEASE_S + 1
    taken = await runs.start(ADA, beginning())
    assert taken.is_mine and not taken.is_new
    with pytest.raises(Cancelled):
        await runs.append(lost, "progress", {})
    with pytest.raises(Cancelled):
        await runs.finish(lost, Outcome("completed"))
    await runs.append(taken.run, "progress", {})


async def test_cancelling_reaches_whoever_works_on_it(runs: Runs) -> None:
    run, cancelled = (await runs.start(ADA, beginning())).run, Cancellation()
    async with runs.holding(run, cancelled):
        assert (await runs.cancel(ADA, "t1")).status == "running"
        await asyncio.wait_for(cancelled.wait(), 2)
    await runs.finish(run, Outcome("cancelled"))
    assert (await runs.cancel(ADA, "t1")).status == "cancelled"


async def test_a_run_that_nobody_holds_is_cancelled_at_once(runs: Runs, clock: Clock) -> None:
    await runs.start(ADA, beginning())
    clock.now += LEASE_S + 1
    assert (await runs.cancel(ADA, "t1")).status == "cancelled"


async def test_a_talk_whose_process_is_gone_has_failed_and_says_what_to_do(runs: Runs, clock: Clock) -> None:
    """It has no checkpoint to go on from; a workflow has, and waits for whoever asks for it."""
    await runs.start(ADA, beginning("chat1", kind="chat"))
    await runs.start(ADA, beginning("flow1"))
    assert (await runs.get(ADA, "chat1", "chat")).status == "running"
    clock.now += LEASE_S + 1
    talk, flow = await runs.get(ADA, "chat1", "chat"), await runs.get(ADA, "flow1")
    assert (talk.status, flow.status, flow.is_left) == ("failed", "running", True)
    assert talk.error is not None and "ended in the middle" in talk.error["message"] and talk.error["hint"]
    assert talk.finished_at is not None and (await runs.cancel(ADA, "chat1", "chat")).status == "failed"
    for status, expected in (("failed", ["chat1"]), ("running", ["flow1"]), ("completed", [])):
        found, total = await runs.page(ADA, Window(0, 9), RunFilter(status=status))  # type: ignore[arg-type]
        assert ([run.run_id for run in found], total) == (expected, len(expected))


async def test_steps_and_cost_so_far_outlive_whoever_worked(runs: Runs, clock: Clock) -> None:
    lost = (await runs.start(ADA, beginning())).run
    so_far = Outcome("running", steps=(Step("link", "completed", 5),), cost=Cost(3, 1, 9))
    await runs.append(lost, "node_detail", {}, so_far)
    clock.now += LEASE_S + 1
    taken = (await runs.start(ADA, beginning())).run
    assert (taken.cost, taken.steps, taken.is_left) == (Cost(3, 1, 9), so_far.steps, False)
    done = await runs.finish(taken, Outcome("completed", steps=taken.steps, cost=Cost(1, 1, 1)))
    assert (done.cost, done.steps) == (Cost(4, 2, 10), so_far.steps)


async def test_what_is_said_stands_sealed_in_the_store(runs: Runs, store: Store) -> None:
    run = (await runs.start(ADA, beginning())).run
    await runs.append(run, "node", {"sql": "secret question"})
    await runs.finish(run, Outcome("completed", answer={"a": "secret question"}, error={"b": "secret question"}))
    rows = await store.read(
        lambda connection: [
            *connection.execute(run_table.select()).all(),
            *connection.execute(run_events.select()).all(),
        ]
    )
    assert all(b"secret" not in bytes(value) for row in rows for value in row if isinstance(value, (bytes, memoryview)))


async def test_old_runs_are_deleted_with_their_events(runs: Runs, store: Store, clock: Clock) -> None:
    old = (await runs.start(ADA, beginning("old"))).run
    await runs.append(old, "progress", {})
    clock.now += RETENTION_S + 1
    await runs.start(ADA, beginning("new"))
    assert await runs.purge() == 1
    assert await store.read(lambda connection: connection.execute(run_events.select()).all()) == []
    assert [run.run_id for run in (await runs.page(ADA, Window(0, 9)))[0]] == ["new"]


async def test_runs_are_listed_newest_first_and_filtered(runs: Runs, clock: Clock) -> None:
    for number, session in enumerate(("s1", "s1", "s2")):
        clock.now += 1
        await runs.start(ADA, beginning(f"r{number}", kind="chat", session_id=session))
    found, total = await runs.page(ADA, Window(0, 1), RunFilter(kind="chat", session_id="s1"))
    assert ([run.run_id for run in found], total) == (["r1"], 2)
