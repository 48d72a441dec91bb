"""list_metrics, get_metric, search_metrics, create_metric, update_metric, delete_metric, their versions."""

from typing import Any

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, PlatformError, Unauthorized
from tests.tools.admin.policy_desk import ADMIN, STRANGER, VIC, PolicyDesk
from tests.tools.semantic.conftest import AGENT, EDITOR

pytestmark = pytest.mark.asyncio(loop_scope="session")
SHARE: dict[str, Any] = {
    "kind": "derived",
    "type_params": {"expr": "f / revenue", "metrics": [{"name": "french_revenue", "alias": "f"}, {"name": "revenue"}]},
}


async def test_a_metric_says_how_it_is_computed_and_what_it_can_be_asked_by(office: PolicyDesk) -> None:
    shown = await office.call("get_metric", metric="revenue")
    assert (shown.expression, shown.grain, shown.kind, shown.version) == ("sum(amount)", "day", "simple", 1)
    assert {"customer__country", "order__day", "customer", "order"} <= set(shown.dimensions)
    assert (shown.joins, shown.synonyms, shown.subject_path) == (
        ["customers by customer"],
        ["turnover", "takings"],
        "sales/orders",
    )
    french = await office.call("get_metric", metric="french_revenue")
    assert french.filters == ["{{ Dimension('customer__country') }} = 'FR'"]
    assert (await office.call("get_metric", metric="running_revenue")).expression == "sum(amount) over all time so far"


async def test_metrics_are_found_by_words_synonyms_and_subjects(office: PolicyDesk) -> None:
    async def names(q: str, **more: Any) -> list[str]:
        return [each.name for each in (await office.call("search_metrics", q=q, **more)).metrics]

    assert (await names("takings"))[0] == "revenue"
    assert (await names("average order"))[0] == "average_order"
    assert await names("nothing like it") == []
    assert await names("revenue", subject_path="sales") == ["revenue"]
    below = await office.call("list_metrics", subject_path="sales")
    assert [each.name for each in below.metrics] == ["revenue"]
    first = await office.call("list_metrics", page_size=2)
    rest = await office.call("list_metrics", page_size=100, page_token=first.next_page_token)
    assert first.total_count == len(first.metrics) + len(rest.metrics)


async def test_what_is_made_of_hidden_columns_does_not_exist(office: PolicyDesk) -> None:
    everything = {each.name for each in (await office.call("list_metrics")).metrics}
    seen = {each.name for each in (await office.call("list_metrics", VIC)).metrics}
    hidden = {"numbers", "vaulted", "numbered_payroll", "pay_per_number"}
    assert everything >= hidden and everything - seen == hidden and "payroll" in seen
    for metric in hidden:
        for tool, more in (("get_metric", {}), ("list_metric_versions", {}), ("query_metric", None)):
            arguments = {"metrics": [metric]} if more is None else {"metric": metric}
            with pytest.raises(NotFound) as refused:
                await office.call(tool, VIC, **arguments)
            assert metric in refused.value.message and "ssn" not in str(refused.value) + refused.value.hint
    assert "person__number" not in (await office.call("get_metric", VIC, metric="payroll")).dimensions
    assert [each.name for each in (await office.call("search_metrics", VIC, q="numbers vaulted")).metrics] == []


async def test_every_change_is_a_version_that_can_come_back(office: PolicyDesk) -> None:
    made = await office.call("create_metric", EDITOR, name="share", **SHARE, description="old")
    assert (made.version, made.status, made.updated_by) == (1, "active", "eve")
    changed = await office.call("update_metric", metric="share", description="new", version=1)
    assert (changed.version, changed.description, changed.type_params) == (2, "new", SHARE["type_params"])
    with pytest.raises(Conflict, match="changed meanwhile"):
        await office.call("update_metric", metric="share", description="lost", version=1)
    past = await office.call("list_metric_versions", metric="share")
    assert [(each.version, each.definition["description"], each.changed_by) for each in past.versions] == [
        (2, "new", "admin"),
        (1, "old", "eve"),
    ]
    back = await office.call("restore_metric", metric="share", version=1)
    assert (back.version, (await office.call("get_metric", metric="share")).description) == (3, "old")
    with pytest.raises(NotFound, match="no version 9"):
        await office.call("restore_metric", metric="share", version=9)
    with pytest.raises(Conflict):
        await office.call("delete_metric", metric="share", version=2)
    await office.call("delete_metric", metric="share", version=3)
    with pytest.raises(NotFound):
        await office.call("get_metric", metric="share")
    again = await office.call("create_metric", name="share", **SHARE)
    assert again.version == 5  # what was deleted counts as a version
    await office.call("delete_metric", metric="share")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"name": "revenue"}, "is taken"),
        ({"type_params": {"measure": "no_such"}, "kind": "simple"}, "no measure 'no_such'"),
        ({"type_params": {}, "kind": "simple"}, "'measure' is missing"),
        ({"type_params": {"numerator": "a", "denominator": "b"}, "kind": "ratio"}, "no metric 'a'"),
        ({"type_params": {"expr": "loop", "metrics": [{"name": "loop"}]}, "name": "loop"}, "made of itself"),
        ({"type_params": {"expr": "(SELECT 1)", "metrics": []}}, "may not be used"),
        ({"type_params": {"expr": "revenue; DROP TABLE x", "metrics": [{"name": "revenue"}]}}, "exactly one"),
        ({"type_params": {"expr": "read_text('/etc/passwd')", "metrics": [{"name": "revenue"}]}}, "may not be used"),
        ({"filters": ["{{ env_var('X') }} = 1"]}, "only Dimension"),
        ({"filters": ["{% for x in y %}"]}, "cannot be used"),
        ({"filters": ["{{ Dimension('customer__nothing') }} = 1"]}, "cannot be reached"),
        ({"filters": ["1 = 1 OR amount > 0"]}, "a column stands outside"),
        ({"type_params": {"measure": "revenue", "window": "7 fortnights"}, "kind": "cumulative"}, "A window is"),
    ],
)
async def test_what_means_nothing_is_refused(office: PolicyDesk, arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(Conflict) as refused:
        await office.call("create_metric", **{"name": "attempt", **SHARE, **arguments})
    assert why in refused.value.message


async def test_what_others_need_stays(office: PolicyDesk) -> None:
    with pytest.raises(Conflict, match="average_order"):
        await office.call("delete_metric", metric="order_count")
    with pytest.raises(Conflict, match="no measure"):
        await office.call("delete_semantic_model", model="orders")
    with pytest.raises(Conflict, match="Two measures are called 'revenue'"):
        await office.call(
            "update_semantic_model", model="customers", measures=[{"name": "revenue", "agg": "count", "expr": "id"}]
        )


async def test_agents_write_drafts_that_answer_nothing_until_a_person_agrees(office: PolicyDesk) -> None:
    made = await office.call("create_metric", AGENT, name="proposed", kind="simple", type_params={"measure": "revenue"})
    assert made.status == "draft"
    with pytest.raises(NotFound):
        await office.call("query_metric", metrics=["proposed"])
    with pytest.raises(NotFound):
        await office.call("get_metric", VIC, metric="proposed")
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("update_metric", {"metric": "proposed", "status": "active"}),
        ("update_metric", {"metric": "revenue", "description": "mine"}),
        ("delete_metric", {"metric": "revenue"}),
        ("restore_metric", {"metric": "revenue", "version": 1}),
        ("create_metric", {"name": "x", **SHARE, "status": "active"}),
        ("import_semantic_model", {"files": {"a.yml": "metrics: []"}, "status": "active"}),
    ]
    for tool, arguments in attempts:
        with pytest.raises(Unauthorized, match="only writes drafts"):
            await office.call(tool, AGENT, **arguments)
    await office.call("update_metric", metric="proposed", status="active")
    assert (await office.call("query_metric", metrics=["proposed"])).row_count == 1
    await office.call("delete_metric", metric="proposed")


async def test_rights_tenants_and_forms(office: PolicyDesk) -> None:
    for tool, arguments in (
        ("create_metric", {"name": "x", **SHARE}),
        ("update_metric", {"metric": "revenue"}),
        ("delete_metric", {"metric": "revenue"}),
        ("restore_metric", {"metric": "revenue", "version": 1}),
    ):
        with pytest.raises(Unauthorized):
            await office.call(tool, VIC, **arguments)
        with pytest.raises(PlatformError) as foreign:
            await office.call(tool, STRANGER, **arguments)
        assert foreign.value.code in ("NOT_FOUND", "CONFLICT") and "amount" not in str(foreign.value)
    for wrong in ({"name": "a__b"}, {"name": "a-b"}, {"kind": "magic"}, {"subject_path": "a/b/c/d"}):
        with pytest.raises(InvalidArgument):
            await office.call("create_metric", **{"name": "x", **SHARE, **wrong})
    assert (await office.call("list_metrics", STRANGER)).metrics == []
    assert ADMIN.may("semantic.edit")
