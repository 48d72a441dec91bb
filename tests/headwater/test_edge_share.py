"""Turns in a data plane: no tenant waits for another's flood, nothing is lost when callers go away."""

import asyncio
from collections.abc import Callable

import pytest

from core.errors import InvalidArgument, Unavailable
from engine.connectors.connector import ColumnInfo, ConnectionSpec, RelationInfo
from headwater.edge import wire
from headwater.edge.share import FairShare


async def hold(share: FairShare, tenant: str, log: list[str], release: asyncio.Event, name: str = "c") -> None:
    async with share.turn((tenant, name), patience_s=5):
        log.append(tenant)
        await release.wait()


async def settle(holds: Callable[[], bool]) -> None:
    for _ in range(100):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not come to hold")


async def test_a_tenant_that_floods_leaves_slots_and_turns_to_others() -> None:
    share, log = FairShare(slots=4, per_tenant=3, engines=9), list[str]()
    first, later = asyncio.Event(), asyncio.Event()
    flood = [asyncio.create_task(hold(share, "flood", log, first if n < 3 else later)) for n in range(50)]
    await settle(lambda: len(log) == 3)
    calm = [asyncio.create_task(hold(share, "calm", log, later)) for _ in range(2)]
    await settle(lambda: len(log) == 4)
    assert log == ["flood"] * 3 + ["calm"]  # the slot that no tenant alone can take
    first.set()
    await settle(lambda: len(log) == 7)
    assert log[4:].count("calm") == 1  # among the next three, though 47 waited before it
    assert share.waiting == 50 + 2 - 7
    later.set()
    await asyncio.gather(*flood, *calm)
    assert (share.running, share.waiting, dict(share.busy)) == (0, 0, {})


async def test_no_more_engines_run_than_there_is_memory_for() -> None:
    share, log, done = FairShare(slots=9, per_tenant=9, engines=2), list[str](), asyncio.Event()
    tasks = [asyncio.create_task(hold(share, tenant, log, done)) for tenant in ("a", "b", "c", "a")]
    await settle(lambda: len(log) == 3)
    assert sorted(log) == ["a", "a", "b"]
    done.set()
    await asyncio.gather(*tasks)
    assert len(log) == 4


async def test_waiting_has_an_end_and_one_who_leaves_takes_no_slot_along() -> None:
    share, log, done = FairShare(slots=1, per_tenant=1, engines=1), list[str](), asyncio.Event()
    holder = asyncio.create_task(hold(share, "a", log, done))
    await settle(lambda: share.running == 1)
    with pytest.raises(Unavailable, match="Too many"):
        async with share.turn(("b", "c"), patience_s=0.01):
            raise AssertionError("there is no slot")
    leaving = asyncio.create_task(hold(share, "b", log, done))
    await settle(lambda: share.waiting == 1)
    done.set()
    leaving.cancel()  # in the moment in which its turn comes
    await asyncio.gather(holder, leaving, return_exceptions=True)
    assert (share.running, share.waiting) == (0, 0)
    async with share.turn(("c", "c"), patience_s=0.1):
        assert share.running == 1


def test_what_travels_arrives_as_it_was() -> None:
    spec = ConnectionSpec("acme", "c1", "Shop", "postgresql", {"host": "h"}, {"password": "s3cret"}, 7)
    assert wire.unpack_spec(wire.unpack(wire.pack(wire.pack_spec(spec, "/place")))) == (spec, "/place")
    relations = [RelationInfo("a.b", (ColumnInfo("x", "int", True, 1, "c", 4),), "view", 3, "r", ("x",))]
    assert wire.unpack_relations(wire.pack_relations(relations)) == relations
    error = wire.unpack_error(wire.pack_error(Unavailable("mö" * 5000, hint="h")))
    assert error is not None
    assert (error.code, error.hint, len(error.message)) == ("UNAVAILABLE", "h", wire.MAX_ERROR_CHARS)


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"1", b"{"])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArgument):
        wire.unpack(data)
