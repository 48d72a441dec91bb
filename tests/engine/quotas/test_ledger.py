"""One behaviour for every ledger: SQLite, PostgreSQL and Redis."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from pytest import raises

from core.errors import RateLimited, Unavailable
from engine.quotas.leases import Leases
from engine.quotas.ledger import Ledger
from engine.quotas.redis import RedisLedger
from engine.quotas.windows import Ask, Window
from tests.engine.quotas.conftest import Clock

ROOT = Path(__file__).parents[3]


async def passes(leases: Leases, window: Window, tries: int, tenant: str = "acme") -> int:
    """How many of some tries pass."""
    passed = 0
    for _ in range(tries):
        try:
            await leases.take(tenant, "calls", window)
            passed += 1
        except RateLimited:
            continue
    return passed


async def test_a_lone_caller_reaches_the_limit_and_not_more(ledger: Ledger, clock: Clock) -> None:
    leases = Leases(ledger, clock=clock)
    assert await passes(leases, Window(60), 100) == 60
    await leases.close()


async def test_retry_after_is_true(ledger: Ledger, clock: Clock) -> None:
    leases = Leases(ledger, clock=clock)
    await passes(leases, Window(60), 60)
    with raises(RateLimited) as refused:
        await leases.take("acme", "calls", Window(60))
    assert refused.value.retry_after_s is not None
    assert 0 < refused.value.retry_after_s <= 61
    clock.now += refused.value.retry_after_s - 0.01
    assert await passes(leases, Window(60), 1) == 0
    clock.now += 0.01
    assert await passes(leases, Window(60), 100) == 60
    await leases.close()


async def test_a_full_limit_of_spaced_calls_passes_minute_after_minute(ledger: Ledger, clock: Clock) -> None:
    leases = Leases(ledger, clock=clock)
    for _ in range(180):
        await leases.take("acme", "calls", Window(60))
        clock.now += 61 / 60
    await leases.close()


async def test_tenants_and_purposes_do_not_share(ledger: Ledger, clock: Clock) -> None:
    leases = Leases(ledger, clock=clock)
    assert await passes(leases, Window(5), 9) == 5
    assert await passes(leases, Window(5), 9, tenant="other") == 5
    await leases.take("acme", "exports", Window(5))
    await leases.close()


async def test_concurrent_callers_share_leases(ledger: Ledger, clock: Clock) -> None:
    leases = Leases(ledger, clock=clock)
    tries = [leases.take("acme", "calls", Window(100)) for _ in range(300)]
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert results.count(None) == 100
    assert all(isinstance(result, RateLimited) for result in results if result is not None)
    await leases.close()


async def test_a_slice_that_ends_takes_its_tokens_along_and_they_come_back(ledger: Ledger, clock: Clock) -> None:
    leases = Leases(ledger, clock=clock)
    window = Window(100)
    for _ in range(30):
        await leases.take("acme", "calls", window)
    clock.now += 1.0
    assert await passes(leases, window, 200) == 70
    await leases.close()


async def test_closing_gives_back_what_is_unspent(ledger: Ledger, clock: Clock) -> None:
    window = Window(100)
    first = Leases(ledger, clock=clock)
    for _ in range(30):
        await first.take("acme", "calls", window)
    await first.close()
    assert (await ledger.lease("acme", "calls", window, Ask(100))).granted == 70


async def test_a_changed_limit_counts_at_once(ledger: Ledger, clock: Clock) -> None:
    leases = Leases(ledger, clock=clock)
    assert await passes(leases, Window(10), 20) == 10
    assert await passes(leases, Window(15), 20) == 5
    assert await passes(leases, Window(5), 20) == 0
    await leases.close()


async def test_slots_are_capped_and_those_of_the_dead_lapse(ledger: Ledger, clock: Clock) -> None:
    claims = [await ledger.claim("acme", "query", f"slot{index}", cap=2, lease_s=30.0) for index in range(3)]
    assert claims == [True, True, False]
    clock.now += 20
    await ledger.renew("acme", "query", {"slot0"}, lease_s=30.0)
    clock.now += 15
    assert await ledger.claim("acme", "query", "slot3", cap=2, lease_s=30.0)
    assert not await ledger.claim("acme", "query", "slot4", cap=2, lease_s=30.0)
    await ledger.release("acme", "query", "slot0")
    assert await ledger.claim("acme", "query", "slot5", cap=2, lease_s=30.0)
    assert await ledger.claim("other", "query", "slot6", cap=1, lease_s=30.0)


TRIES = """
import asyncio, os, sys
from core.errors import RateLimited
from engine.quotas.leases import Leases
from engine.quotas.windows import Window
from tests.engine.quotas.ledgers import open_ledger

async def main():
    ledger, store = open_ledger(sys.argv[1])
    leases = Leases(ledger)
    passed = 0
    for index in range(500):
        try:
            await leases.take("acme", "calls", Window(100))
            passed += 1
        except RateLimited:
            pass
        await asyncio.sleep(0.005 if index % 10 == 0 else 0)
    await leases.close()
    await ledger.close()
    return passed

reading, writing = os.pipe()
for _ in range(4):  # imported once, then a process each
    if os.fork() == 0:
        os.write(writing, b"%d " % asyncio.run(main()))
        os._exit(0)
for _ in range(4):
    os.wait()
print(os.read(reading, 100).decode())
"""


async def test_four_processes_pass_exactly_the_limit(ledger_url: str) -> None:
    done = subprocess.run([sys.executable, "-c", TRIES, ledger_url], capture_output=True, text=True, cwd=ROOT)
    passed = [int(number) for number in done.stdout.split()]
    assert len(passed) == 4, done.stderr
    assert sum(passed) == 100


@pytest.mark.redis
async def test_a_redis_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    ledger = RedisLedger(f"unix://{tmp_path}/nowhere")
    leases = Leases(ledger)
    with raises(Unavailable):
        await leases.take("acme", "calls", Window(5))
    await ledger.close()
