"""Prices, periods, and counters that are exact whoever counts at the same time."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import insert, select

from core.context import Principal
from core.errors import QuotaExceeded
from engine.store.db import Store
from engine.store.tables import query_reservations, tenants
from engine.usage.periods import periods_at
from engine.usage.prices import NANO, Prices, to_nano, to_usd
from engine.usage.usage import GRACE_S, QueryCost, Usage, Work
from tests.fixtures_store import empty_url, store, store_url

__all__ = ["empty_url", "store", "store_url"]

ANN, BEN = Principal("ann", "acme"), Principal("ben", "other")
NOW = datetime(2026, 11, 30, 23, 59, 50, tzinfo=UTC).timestamp()
PRICES = Prices(Decimal(5), Decimal(36))
CENT = Work(cpu_ms=1000)


class Clock:
    now = NOW

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


async def reserve(store: Store, usage: Usage, query_id: str, likely: Work, by: Principal = ANN) -> None:
    await store.write(usage.reservation(by, query_id, likely, timeout_s=30))


async def settle(store: Store, usage: Usage, query_id: str, work: Work, by: Principal = ANN, at: float = NOW) -> None:
    cost = QueryCost(query_id, by.subject, "shop", at, "succeeded", work, 1, False, to_usd(usage.price(work)))
    await store.write(usage.settlement(by, cost))


def test_a_price_is_exact_and_rounded_up() -> None:
    assert PRICES.nano(bytes_scanned=10**12, cpu_ms=0) == 5 * NANO
    assert PRICES.nano(bytes_scanned=0, cpu_ms=3_600_000) == 36 * NANO
    assert PRICES.nano(bytes_scanned=1, cpu_ms=0) == 1
    assert PRICES.nano(bytes_scanned=0, cpu_ms=0) == 0
    assert str(to_usd(to_nano(Decimal("10.10")))) == "10.10"
    assert f"{to_usd(5):f}" == "0.000000005"


def test_days_and_months_are_those_of_utc() -> None:
    periods = periods_at(NOW)
    assert (periods.day, periods.month) == ("2026-11-30", "2026-11")
    assert periods.day_ends == periods.month_ends == datetime(2026, 12, 1, tzinfo=UTC)
    assert periods_at(NOW + 10).day == "2026-12-01"


async def test_parallel_queries_never_reserve_more_than_the_quota(store: Store, usage: Usage) -> None:
    await usage.set_quota("acme", daily_usd=Decimal("0.05"), monthly_usd=None)
    elsewhere = Usage(Store(store.url.render_as_string(hide_password=False)), PRICES, clock=usage._clock)
    tries = [
        reserve(one._store, one, f"{index}-{number}", CENT)
        for index, one in enumerate((usage, elsewhere))
        for number in range(10)
    ]
    ends = await asyncio.gather(*tries, return_exceptions=True)
    elsewhere._store.close()
    assert [end for end in ends if end is not None and not isinstance(end, QuotaExceeded)] == []
    assert ends.count(None) == 5


async def test_parallel_settlements_add_up(store: Store, usage: Usage) -> None:
    await asyncio.gather(*(settle(store, usage, f"q{number}", CENT) for number in range(20)))
    state = await usage.quota("acme")
    assert state.spent.daily == state.spent.monthly == 20 * to_nano(Decimal("0.01"))
    assert (await usage.quota("other")).spent.daily == 0


async def test_what_a_query_cost_takes_the_place_of_its_reservation(store: Store, usage: Usage) -> None:
    await usage.set_quota("acme", daily_usd=Decimal("0.02"), monthly_usd=None)
    await reserve(store, usage, "q1", Work(cpu_ms=2000))
    with pytest.raises(QuotaExceeded, match="running queries hold"):
        await reserve(store, usage, "q2", CENT)
    await settle(store, usage, "q1", CENT)
    await reserve(store, usage, "q2", CENT)
    await reserve(store, usage, "q3", CENT, by=BEN)


async def test_a_new_day_and_month_start_at_nothing(store: Store, usage: Usage, clock: Clock) -> None:
    await usage.set_quota("acme", daily_usd=Decimal("0.01"), monthly_usd=Decimal("0.01"))
    await settle(store, usage, "q1", CENT)
    with pytest.raises(QuotaExceeded) as refused:
        await reserve(store, usage, "q2", Work())
    assert "2026-12-01T00:00:00Z" in refused.value.hint and refused.value.retry_after_s == 10
    clock.now += 10
    await reserve(store, usage, "q2", Work())


async def test_a_killed_process_gives_its_reservation_back_in_time(store: Store, usage: Usage, clock: Clock) -> None:
    await usage.set_quota("acme", daily_usd=Decimal("0.01"), monthly_usd=None)
    clock.now -= 3600
    await reserve(store, usage, "dead", CENT)
    clock.now += 30 + GRACE_S
    await reserve(store, usage, "alive", CENT)
    rows = await store.read(lambda connection: connection.execute(select(query_reservations.c.query_id)).all())
    assert [row.query_id for row in rows] == ["alive"]
