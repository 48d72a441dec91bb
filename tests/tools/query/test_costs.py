from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from core.context import Principal
from core.errors import InvalidArgument, NotFound, QuotaExceeded, Unauthorized
from core.portable import plain_digits
from engine.identity.roles import BUILT_IN
from engine.store.db import Store
from engine.store.tables import query_reservations
from engine.usage.prices import to_nano, to_usd
from tests.fixtures_catalog import ADMIN, STRANGER, VIEWER, Caller
from tools.query.costs import QueryQuota

ROOT = Principal("root", "acme", frozenset({"super_admin"}), BUILT_IN["super_admin"])
ROWS: dict[str, Any] = {"connection_id": "shop", "sql": "SELECT * FROM item"}


async def test_each_query_has_its_line_in_the_history(call: Caller) -> None:
    answer = await call("execute_query", by=VIEWER, **ROWS)
    page = await call("list_query_costs")
    (line,) = page.items
    assert (page.total, page.page, page.page_size) == (1, 1, 20)
    assert (line.query_id, line.user_id, line.status) == (answer.metadata.query_id, "vic", "succeeded")
    assert line.bytes_scanned > 0 and line.cost_usd > 0 and not line.from_cache


async def test_the_history_has_pages(call: Caller) -> None:
    for _ in range(3):
        await call("execute_query", **ROWS)
    first = await call("list_query_costs", page_size=2)
    second = await call("list_query_costs", page=2, page_size=2)
    assert (len(first.items), len(second.items), second.total) == (2, 1, 3)
    assert len({line.query_id for line in [*first.items, *second.items]}) == 3
    refused: list[dict[str, Any]] = [{"page": 0}, {"page_size": 101}, {"page_size": 0}]
    for wrong in refused:
        with pytest.raises(InvalidArgument):
            await call("list_query_costs", **wrong)


async def test_usage_adds_up_to_the_history(call: Caller) -> None:
    for _ in range(3):
        await call("execute_query", **ROWS)
    told = await call("get_query_quota")
    spent = sum(line.cost_usd for line in (await call("list_query_costs")).items)
    assert told.usage.daily_used_usd == told.usage.monthly_used_usd == spent
    assert told.quota.daily_limit_usd is None and told.daily_remaining_usd is None
    assert told.daily_percentage_used == 0 and not told.is_daily_quota_exceeded


async def test_a_used_up_quota_refuses_and_says_until_when(call: Caller, store: Store) -> None:
    set_to = await call("set_query_quota", by=ROOT, daily_limit_usd=Decimal("0"), monthly_limit_usd=Decimal("5"))
    assert set_to.is_daily_quota_exceeded and not set_to.is_monthly_quota_exceeded
    for tool in ("execute_query", "execute_query_stream"):
        with pytest.raises(QuotaExceeded, match="daily query quota of 0") as refused:
            await call(tool, **ROWS)
        assert "renews at" in refused.value.hint and 0 < (refused.value.retry_after_s or 0) <= 86_400
    assert (await call("list_query_costs")).total == 0
    await call("set_query_quota", by=ROOT)
    assert (await call("execute_query", **ROWS)).metadata.row_count == 2
    assert await store.read(lambda connection: connection.execute(select(query_reservations)).all()) == []


async def test_money_is_told_exactly(call: Caller) -> None:
    await call("set_query_quota", by=ROOT, daily_limit_usd=Decimal("10.10"))
    told = (await call("get_query_quota")).model_dump(mode="json")
    assert told["quota"] == {"daily_limit_usd": "10.10", "monthly_limit_usd": None}
    assert told["daily_remaining_usd"] == "10.10"


async def test_who_may_not_is_refused(call: Caller) -> None:
    for tool, by in (("get_query_quota", VIEWER), ("list_query_costs", VIEWER), ("set_query_quota", ADMIN)):
        with pytest.raises(Unauthorized):
            await call(tool, by=by)


async def test_another_tenant_sees_nothing_of_it(call: Caller) -> None:
    await call("execute_query", **ROWS)
    assert (await call("list_query_costs", by=STRANGER)).total == 0
    assert (await call("get_query_quota", by=STRANGER)).usage.daily_used_usd == 0


async def test_wrong_limits_are_refused(call: Caller) -> None:
    with pytest.raises(InvalidArgument):
        await call("set_query_quota", by=ROOT, daily_limit_usd=Decimal("-1"))
    with pytest.raises(NotFound):
        await call("set_query_quota", by=ROOT, tenant_id="no-such")


async def test_amounts_are_exact_and_without_an_exponent_on_every_face() -> None:
    quota = QueryQuota(daily_limit_usd=to_usd(1), monthly_limit_usd=Decimal("1E+6"))
    assert quota.model_dump_json() == '{"daily_limit_usd":"0.000000001","monthly_limit_usd":"1000000"}'
    assert quota.model_dump(mode="json")["daily_limit_usd"] == "0.000000001"
    assert QueryQuota.model_validate_json(quota.model_dump_json()) == quota
    nothing = QueryQuota(daily_limit_usd=None, monthly_limit_usd=None)
    assert nothing.model_dump(mode="json") == {"daily_limit_usd": None, "monthly_limit_usd": None}
    for nano in (1, 10, 123_456_789, 10**18 + 1):
        assert to_nano(Decimal(plain_digits(to_usd(nano)))) == nano
        assert "E" not in plain_digits(to_usd(nano))


LIMITS: dict[str, Any] = {
    "limits": [
        {"metric": "rows_scanned", "span": "day", "soft": 1, "hard": 2},
        {"metric": "query_usd", "scope": "user", "scope_id": "*", "span": "month", "hard": "1.5"},
    ]
}


async def test_limits_of_other_things_hold_and_are_shown(call: Caller) -> None:
    told = await call("set_query_quota", by=ROOT, **LIMITS)
    assert [(item.metric, item.scope_id, str(item.hard)) for item in told.limits] == [
        ("query_usd", "*", "1.50"),
        ("rows_scanned", "", "2"),
    ]
    await call("execute_query", **ROWS, no_cache=True)
    with pytest.raises(QuotaExceeded, match="daily limit of 2 rows scanned for your tenant is reached"):
        await call("execute_query", **ROWS, no_cache=True)
    state = await call("get_query_quota")
    rows = next(item for item in state.limits if item.metric == "rows_scanned")
    assert (rows.used, rows.remaining, rows.is_warned, rows.is_exceeded) == (2, 0, True, True)
    assert [(item.metric, item.soft) for item in state.warnings] == [("rows_scanned", 1)]
    assert state.max_concurrent_queries == 5 and state.max_requests_per_minute == 60


async def test_limits_stay_unless_they_are_given_anew(call: Caller) -> None:
    await call("set_query_quota", by=ROOT, **LIMITS)
    assert len((await call("set_query_quota", by=ROOT, daily_limit_usd=Decimal(1))).limits) == 2
    assert (await call("set_query_quota", by=ROOT, limits=[])).limits == []


async def test_limits_that_make_no_sense_are_refused(call: Caller) -> None:
    wrong: list[dict[str, Any]] = [
        {"metric": "rows"},
        {"metric": "requests", "hard": -1},
        {"metric": "requests", "scope_id": "a b"},
        {"metric": "requests", "span": "year"},
    ]
    for limit in wrong:
        with pytest.raises(InvalidArgument):
            await call("set_query_quota", by=ROOT, limits=[limit])
