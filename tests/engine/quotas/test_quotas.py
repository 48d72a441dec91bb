"""Tiers of tenants at the gate: requests per minute and running queries."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from pytest import raises
from sqlalchemy import insert, select, update

from core.context import Principal
from core.errors import RateLimited
from engine.quotas.ledger import SqlLedger
from engine.quotas.quotas import Quotas
from engine.quotas.slots import Slots
from engine.quotas.tiers import Tier, Tiers
from engine.store.db import Store
from engine.store.tables import slots, tenants
from tests.engine.quotas.conftest import ALICE, TOOL, Clock
from tests.fixtures_store import new_sqlite

ROOT = Path(__file__).parents[3]


@pytest.fixture
def store(tmp_path: Path) -> Any:
    opened = Store(new_sqlite(tmp_path))
    yield opened
    opened.close()


@pytest.fixture
async def quotas(store: Store) -> AsyncIterator[Quotas]:
    opened = Quotas(store, SqlLedger(store))
    yield opened
    await opened.close()


def add_tenant(store: Store, name: str, tier: str, **limits: int | None) -> None:
    row = {"tenant_id": name, "name": name, "tier": tier, "wrapped_key": b"", "version": 1, "created_at": 0.0}
    store.write_now(lambda connection: connection.execute(insert(tenants).values(**row, **limits)))


async def passes(quotas: Quotas, principal: Principal, tries: int) -> int:
    results = await asyncio.gather(*(quotas.take(principal, TOOL) for _ in range(tries)), return_exceptions=True)
    return results.count(None)


@pytest.mark.parametrize(("tier", "passing"), [("free", 60), ("pro", 600), ("enterprise", 700), ("unheard of", 60)])
async def test_each_tier_has_its_requests_per_minute(store: Store, quotas: Quotas, tier: str, passing: int) -> None:
    add_tenant(store, "acme", tier)
    assert await passes(quotas, ALICE, 700) == passing


async def test_what_is_set_for_a_tenant_counts_before_its_tier(store: Store, quotas: Quotas) -> None:
    add_tenant(store, "acme", "enterprise", max_requests_per_minute=7, max_concurrent_queries=1)
    assert await passes(quotas, ALICE, 20) == 7
    assert await quotas.tier("acme") == Tier(7, 1)


async def test_all_subjects_of_a_tenant_share_its_limit_and_no_other(store: Store, quotas: Quotas) -> None:
    add_tenant(store, "acme", "free")
    add_tenant(store, "other", "free")
    assert await passes(quotas, ALICE, 40) + await passes(quotas, Principal("bob", "acme"), 40) == 60
    assert await passes(quotas, Principal("alice", "other"), 70) == 60


async def test_a_refusal_says_when_to_come_back_and_what_the_limit_is(store: Store, quotas: Quotas) -> None:
    add_tenant(store, "acme", "free")
    await passes(quotas, ALICE, 60)
    with raises(RateLimited, match="60 requests per minute") as refused:
        await quotas.take(ALICE, TOOL)
    assert refused.value.retry_after_s is not None
    assert 58 < refused.value.retry_after_s <= 61


async def test_a_changed_tier_is_seen_within_two_seconds(store: Store) -> None:
    add_tenant(store, "acme", "free")
    clock = Clock()
    tiers = Tiers(store, clock=clock)
    assert await tiers.of("acme") == Tier(60, 5)
    store.write_now(lambda connection: connection.execute(update(tenants).values(tier="pro")))
    clock.now += 1.9
    assert await tiers.of("acme") == Tier(60, 5)
    clock.now += 0.2
    assert await tiers.of("acme") == Tier(600, 25)


async def test_a_tenant_runs_as_many_queries_as_its_tier_allows(store: Store, quotas: Quotas) -> None:
    add_tenant(store, "acme", "free")
    async with AsyncExitStack() as running:
        for _ in range(5):
            await running.enter_async_context(quotas.query_slot(ALICE))
        with raises(RateLimited, match="5 queries") as refused:
            async with quotas.query_slot(ALICE):
                pytest.fail("a sixth query ran")
        assert refused.value.retry_after_s
    async with quotas.query_slot(ALICE):
        pass


async def test_unlimited_tenants_leave_no_trace_in_the_store(store: Store, quotas: Quotas) -> None:
    add_tenant(store, "acme", "enterprise")
    async with quotas.query_slot(ALICE):
        assert store.read_now(lambda connection: connection.execute(select(slots)).all()) == []


async def test_a_cancelled_query_gives_its_slot_back(store: Store, quotas: Quotas) -> None:
    add_tenant(store, "acme", "enterprise", max_concurrent_queries=1)

    async def run() -> None:
        async with quotas.query_slot(ALICE):
            await asyncio.sleep(60)

    for pause_s in (0.0, 0.001, 0.05):
        query = asyncio.create_task(run())
        await asyncio.sleep(pause_s)
        query.cancel()
        await asyncio.gather(query, return_exceptions=True)
    await quotas.close()
    async with quotas.query_slot(ALICE):
        pass


async def test_a_failing_query_gives_its_slot_back(store: Store, quotas: Quotas) -> None:
    add_tenant(store, "acme", "enterprise", max_concurrent_queries=1)
    with raises(ZeroDivisionError):
        async with quotas.query_slot(ALICE):
            raise ZeroDivisionError
    async with quotas.query_slot(ALICE):
        pass


HOLDER = """
import asyncio, sys
from engine.quotas.ledger import SqlLedger
from engine.quotas.slots import Slots
from engine.store.db import Store

async def main():
    async with Slots(SqlLedger(Store(sys.argv[1])), lease_s=1.0, beat_s=0.3).hold("acme", "queries", 1):
        print("held", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_heartbeat_keeps_a_slot_until_its_process_is_killed(store: Store) -> None:
    command = [sys.executable, "-c", HOLDER, store.url.render_as_string(hide_password=False)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    ledger = SqlLedger(store)
    await asyncio.sleep(1.5)
    assert not await ledger.claim("acme", "queries", "ours", cap=1, lease_s=30.0)
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    await asyncio.sleep(1.1)
    assert await ledger.claim("acme", "queries", "ours", cap=1, lease_s=30.0)


async def test_the_heartbeat_ends_when_nothing_is_held(store: Store) -> None:
    slots = Slots(SqlLedger(store), lease_s=1.0, beat_s=0.01)
    async with slots.hold("acme", "queries", 1) as is_held:
        assert is_held
    await asyncio.sleep(0.1)
    names = {task.get_name() for task in asyncio.all_tasks()}
    assert "slots' heartbeat" not in names
    await slots.close()
