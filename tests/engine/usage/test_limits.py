"""Limits by tenant, project and user: soft ones are told once, hard ones are never passed, whoever counts beside."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import insert, select, update

from core.context import Principal
from core.errors import QuotaExceeded
from engine.store.db import Store
from engine.store.tables import tenants, usage_counters, usage_holds
from engine.usage.limits import Limit
from engine.usage.prices import Prices
from engine.usage.usage import QueryCost, Usage, Work
from tests.fixtures_store import empty_url, store, store_url

__all__ = ["empty_url", "store", "store_url"]

ANN, BOB, EVE = Principal("ann", "acme"), Principal("bob", "acme"), Principal("ann", "other")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
PRICES = Prices(Decimal(5), Decimal(36))


class Clock:
    now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def usage(store: Store, clock: Clock) -> Usage:
    for tenant in ("acme", "other"):
        row = {"tenant_id": tenant, "name": tenant, "tier": "pro", "wrapped_key": b"", "version": 1, "created_at": 0.0}
        await store.write(lambda connection, row=row: connection.execute(insert(tenants).values(row)))  # type: ignore[misc]
    return Usage(store, PRICES, clock=clock)


def again(usage: Usage) -> Usage:
    """The same store, as another process has it."""
    return Usage(Store(usage._store.url.render_as_string(hide_password=False)), PRICES, clock=usage._clock)


async def limit(usage: Usage, metric: str, hard: int | None, *, of: str = "tenant", soft: int | None = None) -> None:
    scope, _, scope_id = of.partition(":")
    limits = [Limit(scope, scope_id, metric, "day", soft, hard)]
    await usage.set_quota("acme", daily_usd=None, monthly_usd=None, others=limits)


async def outcomes(work: list[object]) -> tuple[int, int]:
    """How many passed, and how many were refused for want of quota."""
    ends = await asyncio.gather(*work, return_exceptions=True)  # type: ignore[call-overload]
    refused = [end for end in ends if isinstance(end, QuotaExceeded)]
    assert len(refused) == len([end for end in ends if isinstance(end, BaseException)]), ends
    return len(ends) - len(refused), len(refused)


async def start(usage: Usage, query_id: str, rows: int, by: Principal = ANN) -> None:
    await usage._store.write(usage.reservation(by, query_id, Work(rows_scanned=rows), timeout_s=30))


async def end(usage: Usage, query_id: str, rows: int, by: Principal = ANN) -> None:
    cost = QueryCost(query_id, by.subject, "shop", NOON, "succeeded", Work(rows), 1, False, Decimal(0))
    await usage._store.write(usage.settlement(by, cost))


async def test_never_more_requests_pass_than_allowed_counted_over_processes(store: Store, usage: Usage) -> None:
    await limit(usage, "requests", 50)
    other = again(usage)
    passed, refused = await outcomes(
        [one.requests.take(by) for _ in range(40) for one, by in ((usage, ANN), (other, BOB))]
    )
    assert passed <= 50 and refused >= 30
    await other.requests.close()
    await usage.requests.close()
    rest, _ = await outcomes([usage.requests.take(ANN) for _ in range(60)])
    assert passed + rest == 50
    await usage.requests.close()
    used = await usage.used("acme", ["2026-11-22"])
    assert used["tenant", "", "2026-11-22"].requests == 50
    other._store.close()


async def test_requests_without_a_limit_are_all_counted(usage: Usage) -> None:
    other = again(usage)
    await asyncio.gather(
        *(one.requests.take(by) for _ in range(100) for one in (usage, other) for by in (ANN, BOB, EVE))
    )
    await asyncio.gather(usage.requests.close(), other.requests.close())
    used = await usage.used("acme", ["2026-11"])
    assert {key[:2]: amount.requests for key, amount in used.items()} == {
        ("tenant", ""): 400,
        ("user", "ann"): 200,
        ("user", "bob"): 200,
    }
    other._store.close()


async def test_a_refusal_says_what_how_much_and_until_when(usage: Usage) -> None:
    await limit(usage, "requests", 1, of="user:*")
    await usage.requests.take(ANN)
    await usage.requests.take(BOB)
    with pytest.raises(QuotaExceeded) as refused:
        await usage.requests.take(ANN)
    assert refused.value.message == ("The daily limit of 1 requests for user 'ann' is reached: 1 requests are used.")
    assert "2026-11-23T00:00:00Z" in refused.value.hint and refused.value.retry_after_s == 12 * 3600
    await usage.requests.close()


async def test_parallel_queries_never_reserve_more_rows_than_the_limit(usage: Usage) -> None:
    await limit(usage, "rows_scanned", 100)
    other = again(usage)
    passed, _ = await outcomes([start(one, f"{n}-{id(one)}", 20) for n in range(10) for one in (usage, other)])
    assert passed == 5
    other._store.close()


async def test_what_was_read_takes_the_place_of_what_was_set_aside(store: Store, usage: Usage) -> None:
    await limit(usage, "rows_scanned", 100)
    await start(usage, "q1", 100)
    with pytest.raises(QuotaExceeded, match="running work holds 100 rows scanned"):
        await start(usage, "q2", 1)
    await end(usage, "q1", 40)
    await start(usage, "q2", 60)
    assert len(await store.read(lambda connection: connection.execute(select(usage_holds)).all())) == 1


async def test_one_users_limit_binds_nobody_else(usage: Usage) -> None:
    await limit(usage, "rows_scanned", 10, of="user:ann")
    with pytest.raises(QuotaExceeded):
        await start(usage, "q1", 11)
    await start(usage, "q2", 11, by=BOB)
    await start(usage, "q3", 11, by=EVE)


async def test_a_soft_limit_is_told_once_and_stops_nothing(usage: Usage) -> None:
    await limit(usage, "rows_scanned", None, soft=5)
    for number in range(3):
        await start(usage, f"q{number}", 4)
        await end(usage, f"q{number}", 4)
    state = await usage.quota("acme")
    assert [(notice.metric, notice.period, notice.soft) for notice in state.notices] == [
        ("rows_scanned", "2026-11-22", 5)
    ]


async def test_models_are_set_aside_and_charged_exactly(usage: Usage) -> None:
    await limit(usage, "model_tokens", 1000)
    other = again(usage)

    async def ask(one: Usage) -> None:
        async with one.models.call(ANN, likely_tokens=200, likely_nano=5) as charge:
            await asyncio.sleep(0.02)
            charge.add(tokens=150, nano=3)

    passed, refused = await outcomes([ask(one) for _ in range(5) for one in (usage, other)])
    used = (await usage.used("acme", ["2026-11-22"]))["user", "ann", "2026-11-22"]
    assert (used.model_tokens, used.model_nano) == (150 * passed, 3 * passed) and refused
    other._store.close()


async def test_a_call_of_a_model_that_fails_is_charged_for_what_it_used(usage: Usage) -> None:
    with pytest.raises(ValueError, match="broken"):
        async with usage.models.call(ANN, likely_tokens=10, likely_nano=1, project_id="p1") as charge:
            charge.add(tokens=7, nano=1)
            raise ValueError("broken")
    used = await usage.used("acme", ["2026-11"])
    assert used["project", "p1", "2026-11"].model_tokens == 7


async def test_yesterdays_use_does_not_count_today(usage: Usage, clock: Clock) -> None:
    await limit(usage, "requests", 2)
    await usage.requests.take(ANN)
    await usage.requests.take(ANN)
    clock.now += 12 * 3600
    await usage.requests.take(ANN)
    await usage.requests.close()
    used = await usage.used("acme", ["2026-11-22", "2026-11-23", "2026-11"])
    assert {key[2]: amount.requests for key, amount in used.items() if key[0] == "tenant"} == {
        "2026-11-22": 2,
        "2026-11-23": 1,
        "2026-11": 3,
    }


async def test_requests_that_are_counted_late_leave_nothing_of_an_archived_tenant(usage: Usage, store: Store) -> None:
    for by in (ANN, EVE):
        await usage.requests.take(by)
    archive = update(tenants).where(tenants.c.tenant_id == "acme").values(archived_at=NOON)
    await store.write(lambda connection: connection.execute(archive))
    await usage.requests.close()
    counted = await store.read(
        lambda connection: connection.execute(select(usage_counters.c.tenant_id)).scalars().all()
    )
    assert set(counted) == {"other"}
