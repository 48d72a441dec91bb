"""Tasks of our own agents in the store: versions, owners, those who run them, and what is forgotten."""

from dataclasses import replace
from typing import Any

import pytest

from core.context import Principal
from core.errors import Conflict
from engine.agents.served import HOLD_S, KEEP_S, MAX_PUSHES, ServedTask, ServedTasks, TaskChanged, Wanted
from engine.store.db import Store

VERA, VIC = (Principal(name, "default") for name in ("vera", "vic"))
ELSE = Principal("vera", "other")
AGENT = "headwater"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def _turned(tenant: str, data: bytes, about: bytes) -> bytes:
    """A seal that is good for its tenant and purpose alone."""
    return bytes(byte ^ (len(tenant) + len(about)) % 256 for byte in data)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tasks(store: Store, clock: Clock) -> ServedTasks:
    return ServedTasks(store, seal=_turned, unseal=_turned, clock=clock)


def task(task_id: str = "t1", state: str = "working", **more: Any) -> ServedTask:
    return ServedTask(task_id, more.pop("context_id", "c1"), state, more.pop("at", 5), b"said", **more)


async def test_a_task_is_its_owners_and_its_agents_alone(tasks: ServedTasks) -> None:
    await tasks.save(VERA, AGENT, task())
    found = await tasks.get(VERA, AGENT, "t1")
    assert found is not None and (found.document, found.version, found.is_lost) == (b"said", 1, False)
    for by, agent in ((VIC, AGENT), (ELSE, AGENT), (VERA, "another")):
        assert await tasks.get(by, agent, "t1") is None
        assert (await tasks.page(by, agent, Wanted()))[1] == 0


async def test_two_tenants_may_have_the_same_id_and_one_tenant_not(tasks: ServedTasks) -> None:
    await tasks.save(VERA, AGENT, task())
    await tasks.save(ELSE, AGENT, task())
    with pytest.raises(TaskChanged):
        await tasks.save(VIC, AGENT, task())


async def test_a_change_from_an_older_version_is_refused(tasks: ServedTasks) -> None:
    first = await tasks.save(VERA, AGENT, task())
    second = await tasks.save(VERA, AGENT, task(version=first))
    with pytest.raises(TaskChanged):
        await tasks.save(VERA, AGENT, task(version=first))
    assert second == 2


async def test_a_cancel_goes_over_any_version_but_not_over_an_end(tasks: ServedTasks) -> None:
    version = await tasks.save(VERA, AGENT, task())
    await tasks.save(VERA, AGENT, task(version=version))
    ended = ("completed", "canceled")
    await tasks.save(VERA, AGENT, task(state="canceled", version=1), overwrites_unless=ended)
    with pytest.raises(TaskChanged):
        await tasks.save(VERA, AGENT, task(state="canceled", version=1), overwrites_unless=ended)


async def test_what_nobody_holds_any_more_is_lost(tasks: ServedTasks, clock: Clock) -> None:
    await tasks.save(VERA, AGENT, task(), holder="p1")
    clock.now += HOLD_S - 1
    assert await tasks.hold("p1") == {"t1"} and await tasks.hold("p2") == set()
    clock.now += HOLD_S - 1
    held = await tasks.get(VERA, AGENT, "t1")
    clock.now += 2
    lost = await tasks.get(VERA, AGENT, "t1")
    assert held is not None and not held.is_lost and lost is not None and lost.is_lost


async def test_what_a_process_lets_go_of_is_lost_at_once(tasks: ServedTasks) -> None:
    await tasks.save(VERA, AGENT, task("t1"), holder="p1")
    await tasks.save(VERA, AGENT, task("t2", "input_required"))
    await tasks.release("p1")
    found = [await tasks.get(VERA, AGENT, name) for name in ("t1", "t2")]
    assert [each is not None and each.is_lost for each in found] == [True, False]


async def test_pages_go_from_the_newest_change_on_and_filter(tasks: ServedTasks) -> None:
    for number in range(5):
        state, context = ("completed", "c2") if number == 3 else ("working", "c1")
        await tasks.save(VERA, AGENT, task(f"t{number}", state, context_id=context, at=number // 2))
    first, total = await tasks.page(VERA, AGENT, Wanted(limit=3))
    rest, _ = await tasks.page(VERA, AGENT, Wanted(limit=3, after=(first[-1].changed_at_ns, first[-1].task_id)))
    assert [each.task_id for each in [*first, *rest]] == ["t4", "t3", "t2", "t1", "t0"] and total == 5
    assert (await tasks.page(VERA, AGENT, Wanted(context_id="c2", state="completed")))[1] == 1
    assert (await tasks.page(VERA, AGENT, Wanted(since_ns=2)))[1] == 1


async def test_addresses_are_their_owners_and_limited(tasks: ServedTasks) -> None:
    await tasks.set_push(VERA, "t1", "c0", b"first")
    await tasks.set_push(VERA, "t1", "c0", b"second")
    assert await tasks.pushes(VERA, "t1") == [b"second"] and await tasks.pushes(VIC, "t1") == []
    await tasks.set_push(VIC, "t1", "c0", b"mine")  # no task of theirs: nothing of it is changed
    await tasks.delete_push(VIC, "t1", "c0")
    assert await tasks.pushes(VERA, "t1") == [b"second"]
    for number in range(1, MAX_PUSHES):
        await tasks.set_push(VERA, "t1", f"c{number}", b"x")
    with pytest.raises(Conflict):
        await tasks.set_push(VERA, "t1", "one too many", b"x")


async def test_what_is_a_week_old_is_forgotten(tasks: ServedTasks, clock: Clock) -> None:
    await tasks.save(VERA, AGENT, task("old"))
    await tasks.set_push(VERA, "old", "c0", b"x")
    clock.now += KEEP_S + 1
    await tasks.save(VERA, AGENT, replace(task("new"), document=b"y"))
    await tasks.purge()
    assert await tasks.get(VERA, AGENT, "old") is None and await tasks.get(VERA, AGENT, "new") is not None
    assert await tasks.pushes(VERA, "old") == []
