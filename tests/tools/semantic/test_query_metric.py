"""query_metric: figures by dimensions and over time, governed as any SQL is."""

from typing import Any

import pytest

from core.context import Principal
from core.errors import Conflict, InvalidArgument, NotFound, QueryUnauthorized, Unauthorized
from tests.tools.admin.policy_desk import STRANGER, VIC, PolicyDesk

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def ask(office: PolicyDesk, *metrics: str, by: Principal | None = None, **asked: Any) -> Any:
    more = () if by is None else (by,)
    return await office.call("query_metric", *more, metrics=list(metrics), current_date="2026-02-10", **asked)


async def test_figures_come_with_their_sql_and_their_range(office: PolicyDesk) -> None:
    answer = await ask(office, "revenue", "order_count", dimensions=["customer__country"], time_range="last month")
    assert (
        answer.data.records()
        == [
            {"customer__country": "DE", "revenue": 30, "order_count": 1},
            {"customer__country": "FR", "revenue": 20, "order_count": 1},
        ]
        or answer.data.records()[::-1]
    )
    assert (str(answer.time_range.start)[:10], str(answer.time_range.end)[:10]) == ("2026-01-01", "2026-02-01")
    assert (
        answer.sql.startswith("SELECT")
        and "2026-02-01" in answer.sql
        and answer.tables
        == [
            "shop.customers",
            "shop.orders",
        ]
    )
    assert [column.name for column in answer.columns] == ["customer__country", "revenue", "order_count"]
    assert answer.query_id and not answer.truncated


async def test_time_is_grouped_compared_and_accumulated(office: PolicyDesk) -> None:
    monthly = await ask(office, "revenue", grain="month", time_range="2025-12-01/2026-03-01")
    assert [row["revenue"] for row in monthly.data.records()] == [10, 50, 40]
    running = await ask(office, "running_revenue", grain="month")
    assert [row["running_revenue"] for row in running.data.records()] == [10, 60, 100]
    compared = await ask(office, "revenue", time_range="last month", compare="previous_period")
    assert compared.data.records() == [
        {"revenue": 50, "revenue_previous": 10, "revenue_change": 40, "revenue_growth": 4.0}
    ]
    assert str(compared.compared_with.start)[:10] == "2025-12-01"
    words = await ask(office, "revenue", time_range="January 2026 vs December 2025")
    assert words.data.records()[0]["revenue_previous"] == 10
    by_month = await ask(office, "revenue", grain="month", compare="previous_month", time_range="this year")
    assert [row["revenue_previous"] for row in by_month.data.records()] == [10, 50, 40]
    fiscal = await ask(office, "revenue", grain="fiscal_year", fiscal_month=2)
    assert [row["revenue"] for row in fiscal.data.records()] == [60, 40]


async def test_filters_hold_before_anything_is_added_up(office: PolicyDesk) -> None:
    where = [{"column": "customer__country", "operator": "eq", "value": "FR"}]
    assert (await ask(office, "revenue", "average_order", filters=where)).data.records() == [
        {"revenue": 70, "average_order": pytest.approx(70 / 3)}
    ]
    text = ["{{ Dimension('customer__country') }} IN ('DE') OR {{ Dimension('customer__name') }} = 'C'"]
    assert (await ask(office, "revenue", filters=text)).data.records() == [{"revenue": 70}]
    top = await ask(
        office, "revenue", dimensions=["customer__name"], order=[{"name": "revenue", "direction": "desc"}], limit=1
    )
    assert top.data.records() == [{"customer__name": "C", "revenue": 40}]


async def test_groups_are_left_out_by_their_figures(office: PolicyDesk) -> None:
    by_name: dict[str, Any] = {"dimensions": ["customer__name"], "order": [{"name": "customer__name"}]}
    found = await ask(office, "revenue", "order_count", having=["revenue > 20 AND order_count >= 1"], **by_name)
    assert [row["customer__name"] for row in found.data.records()] == ["A", "B", "C"]
    given = [{"column": "revenue", "operator": "between", "value": [30, 35]}]
    between = await ask(office, "revenue", having=given, **by_name)
    assert [row["revenue"] for row in between.data.records()] == [30, 30]
    words = await office.call("query_metric", question="revenue by customer name with order count of at least 2")
    assert words.data.records() == [{"customer__name": "A", "revenue": 30, "order_count": 2}]


async def test_rows_that_a_policy_hides_are_in_no_figure(office: PolicyDesk) -> None:
    assert (await ask(office, "payroll")).data.records() == [{"payroll": 210}]
    assert (await ask(office, "payroll", by=VIC)).data.records() == [{"payroll": 60}]
    for dimension in ("person__number", "person__nothing"):
        with pytest.raises(Conflict) as refused:
            await ask(office, "payroll", by=VIC, dimensions=[dimension])
        assert "cannot be reached" in refused.value.message and "ssn" not in refused.value.hint
    with pytest.raises(Conflict):
        await ask(
            office, "payroll", by=VIC, filters=[{"column": "person__number", "operator": "eq", "value": "canary-1"}]
        )


async def test_a_dry_run_reads_nothing(office: PolicyDesk) -> None:
    answer = await ask(office, "revenue", grain="quarter", dry_run=True, time_range="2025")
    assert (answer.row_count, answer.query_id, answer.data.records()) == (0, "", [])
    assert "DATE_TRUNC" in answer.sql.upper()


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"dimensions": ["customer__nothing"]}, "cannot be reached"),
        ({"time_range": "whenever you like"}, "is not clear"),
        ({"time_range": "last month and next year"}, "is not clear"),
        ({"time_range": "2026-13-01/2026-14-01"}, "is not clear"),
        ({"compare": "previous_period"}, "no range to compare"),
        ({"compare": "previous_month"}, "needs a range"),
        ({"order": [{"name": "id"}]}, "to order by"),
        ({"filters": [{"column": "customer__country", "operator": "eq", "value": {"a": 1}}]}, "does not fit"),
        ({"filters": [{"exists": {"table": "vault.canary"}}]}, "holds no query"),
        (
            {"filters": [{"column": "customer__country", "operator": "in", "query": {"table": "vault.canary"}}]},
            "no query",
        ),
        ({"filters": ["{{ Dimension('customer__country') }} = (SELECT 1)"]}, "may not be used"),
        ({"filters": [7]}, "a text or an object"),
        ({"having": ["customer__country = 'FR'"]}, "no figure"),
        ({"having": ["revenue > (SELECT 1)"]}, "may not be used"),
        ({"having": [{"column": "revenue", "operator": "in", "query": {"table": "vault.canary"}}]}, "no query"),
        ({"filters": [{"nonsense": 1}]}, "right form"),
    ],
)
async def test_what_has_no_answer_says_why(office: PolicyDesk, asked: dict[str, Any], why: str) -> None:
    with pytest.raises((Conflict, QueryUnauthorized)) as refused:
        await ask(office, "revenue", **asked)
    assert why in f"{refused.value.message} {refused.value.hint}"


async def test_unknown_metrics_other_tenants_and_forms(office: PolicyDesk) -> None:
    with pytest.raises(NotFound, match="No metric 'revenu'"):
        await ask(office, "revenu", connection_id="lakehouse")
    with pytest.raises(NotFound):
        await ask(office, "revenue", by=STRANGER)
    with pytest.raises(Unauthorized):
        await ask(office, "revenue", by=Principal("nil", "default"))
    for wrong in ({"grain": "era"}, {"week_start": "friday"}, {"fiscal_month": 13}, {"current_date": "today"}):
        with pytest.raises(InvalidArgument):
            await office.call("query_metric", metrics=["revenue"], **wrong)
