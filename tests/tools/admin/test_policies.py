"""Policies through the gate: made by those who may, in force at once, following what they are about."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, QueryUnauthorized, Unauthorized
from tests.tools.admin.policy_desk import ADMIN, LEAD, STRANGER, VIC, PolicyDesk, govern_staff, opened_desk

COLUMN: dict[str, Any] = {"name": "p", "kind": "column", "table": "hr.staff", "columns": ["pay"]}
EVERYONE = "SELECT * FROM hr.staff ORDER BY id"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[PolicyDesk]:
    async with opened_desk(tmp_path / "home") as opened:
        yield opened


async def test_policies_hold_at_once_and_until_they_are_deleted(desk: PolicyDesk) -> None:
    assert len(await desk.rows(EVERYONE)) == 6
    await govern_staff(desk)
    rows = await desk.rows(EVERYONE)
    assert [list(row) for row in rows] == [["id", "name", "email", "region", "pay"]] * 3
    assert [row["email"] for row in rows] == ["a********", "b********", "c********"]
    assert await desk.rows(EVERYONE, replace(VIC, attributes={})) == []
    assert len(await desk.rows(EVERYONE, ADMIN)) == 6
    for policy in (await desk.call("list_policies")).policies:
        await desk.call("delete_policy", policy_id=policy.policy_id)
    assert len(await desk.rows("SELECT ssn FROM hr.staff")) == 6


async def test_a_policy_is_shown_changed_and_switched_off(desk: PolicyDesk) -> None:
    made = await desk.call("create_policy", policy_id="pay", privacy="hidden", **COLUMN)
    assert made == await desk.call("get_policy", policy_id="pay") and made.status == "active"
    masked = await desk.call("update_policy", policy_id="pay", privacy="masked", mask={"kind": "number", "step": "15"})
    assert (masked.privacy, masked.columns, masked.mask.step) == ("masked", ["pay"], "15")
    assert [row["pay"] for row in await desk.rows(EVERYONE)] == [0, 15, 30, 30, 45, 60]
    off = await desk.call("update_policy", policy_id="pay", enabled=False)
    assert off.status == "disabled" and (await desk.rows(EVERYONE))[0]["pay"] == 10
    expired = await desk.call("update_policy", policy_id="pay", enabled=True, expires_at="2020-01-01T00:00:00Z")
    assert expired.status == "expired" and (await desk.rows(EVERYONE))[0]["pay"] == 0


async def test_only_people_who_manage_policies_reach_them(desk: PolicyDesk) -> None:
    await desk.call("create_policy", policy_id="pay", **COLUMN)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("list_policies", {}),
        ("get_policy", {"policy_id": "pay"}),
        ("create_policy", COLUMN),
        ("update_policy", {"policy_id": "pay", "enabled": False}),
        ("delete_policy", {"policy_id": "pay"}),
        ("test_policy", {"sql": "SELECT 1"}),
        ("explain_access", {"table": "hr.staff"}),
    ]
    for tool, arguments in calls:
        with pytest.raises(Unauthorized):
            await desk.call(tool, VIC, **arguments)
    for tool, arguments in calls[2:]:
        with pytest.raises(Unauthorized):
            await desk.call(tool, replace(ADMIN, via="agent"), **arguments)
    for tool, arguments in (calls[1], calls[3], calls[4]):
        with pytest.raises(NotFound):
            await desk.call(tool, STRANGER, **arguments)
    assert (await desk.call("list_policies", STRANGER)).total_count == 0


WRONG: list[tuple[dict[str, Any], type[Exception]]] = [
    ({"table": "hr.nobody"}, NotFound),
    ({"columns": ["nothing"]}, NotFound),
    ({"connection_id": "no-such"}, NotFound),
    ({"columns": []}, Conflict),
    ({"tag": "pii"}, Conflict),
    ({"filter": "1 = 1"}, Conflict),
    ({"privacy": "hidden", "mask": {"kind": "null"}}, Conflict),
    ({"mask": {"kind": "date"}}, Conflict),
    ({"mask": {"kind": "constant", "value": "many"}}, Conflict),
    ({"mask": {"kind": "number", "step": "1; DROP"}}, InvalidArgument),
    ({"kind": "other"}, InvalidArgument),
    ({"policy_id": "../x"}, InvalidArgument),
]


async def test_a_policy_that_cannot_work_is_not_made(desk: PolicyDesk) -> None:
    for change, error in WRONG:
        with pytest.raises(error):
            await desk.call("create_policy", **{**COLUMN, **change})
    assert (await desk.call("list_policies")).total_count == 0


async def test_filters_are_plain_conditions_over_the_table(desk: PolicyDesk) -> None:
    wrong = [
        *("", "nothing = 1", "region = (SELECT max(region) FROM vault.staff)", "count(*) > 1"),
        *("random() < 0.5", "region = $x", "true GROUP BY 1", "true) OR (true", "true; DROP TABLE x", "region = 'x"),
        *("read_text('/etc/passwd') = 'x'", "principal.roles = 'x'", "row_number() OVER () = 1", "hr.staff.id = 1"),
        *("EXISTS (SELECT 1)", "vault.canary IS NULL", "staff IS NOT NULL", "*"),
    ]
    for text in wrong:
        with pytest.raises(Conflict):
            await desk.call("create_policy", name="f", kind="row_filter", table="hr.staff", filter=text)
    filters = {
        "'viewer' IN principal.roles AND id < 3": 2,
        "name = principal.subject": 0,
        "region IN (principal.region, 'us') -- a word": 6,
        "region IN principal.missing": 0,
        "NOT (region = principal.missing)": 0,
        "lower(\"region\") LIKE 'e%' OR pay BETWEEN 40 AND 50": 5,
    }
    for text, count in filters.items():
        made = await desk.call("create_policy", name="f", kind="row_filter", table="hr.staff", filter=text)
        assert len(await desk.rows(EVERYONE)) == count, text
        await desk.call("delete_policy", policy_id=made.policy_id)


async def test_an_attribute_is_a_value_and_never_sql(desk: PolicyDesk) -> None:
    await govern_staff(desk)
    for value in ("eu' OR '1'='1", "eu\\' OR 1=1 --", "'); DROP TABLE x; --", "\0", '"', "eu'"):
        assert await desk.rows(EVERYONE, replace(VIC, attributes={"region": value})) == []


async def test_the_catalog_shows_only_what_policies_leave(desk: PolicyDesk) -> None:
    for column in ("ssn", "name"):
        await desk.call("tag_column", table="hr.staff", column=column, tag="canary-tag")
    await desk.call("describe_column", table="hr.staff", column="ssn", description="canary words")
    await govern_staff(desk)
    shown = [
        await desk.call("list_tables", VIC),
        await desk.call("get_schema", VIC, connection_id="lakehouse"),
        await desk.call("get_table", VIC, table="hr.staff"),
        await desk.call("list_columns", VIC, table="hr.staff"),
        await desk.call("get_table_schema", VIC, table="hr.staff"),
        await desk.call("list_lakehouse_tables", VIC),
        await desk.call("search_catalog", VIC, q="ssn"),
        await desk.call("search_catalog", VIC, q="vault canary words staff"),
        await desk.call("search", VIC, query="ssn vault"),
        await desk.call("fetch", VIC, id="lakehouse/hr.staff"),
    ]
    for answer in shown:
        text = answer.model_dump_json().replace("canary-tag", "")
        assert not any(word in text for word in ("ssn", "vault", "canary", "words"))
    table = shown[2]
    assert (
        table.row_count is None and [c.privacy for c in table.columns] == ["public"] * 2 + ["masked"] + ["public"] * 2
    )
    for hidden in ({"table": "vault.staff"}, {"table": "hr.staff", "column": "ssn"}):
        arguments = {"column": "id", **hidden}
        with pytest.raises(NotFound) as refused:
            await desk.call("tag_column", replace(LEAD, roles=frozenset({"lead"})), tag="x", **arguments)
        assert "canary" not in refused.value.hint


async def test_a_hidden_table_makes_no_name_ambiguous(desk: PolicyDesk) -> None:
    with pytest.raises(QueryUnauthorized):
        await desk.rows("SELECT id FROM staff")
    await govern_staff(desk)
    assert len(await desk.rows("SELECT id FROM staff")) == 3
    assert (await desk.call("get_table", VIC, table="staff")).name == "hr.staff"


async def test_renames_escape_nothing_and_re_added_names_neither(desk: PolicyDesk) -> None:
    await govern_staff(desk)
    await desk.call("tag_column", table="hr.staff", column="pay", tag="money")
    await desk.call("create_policy", name="money", kind="column", tag="money", privacy="hidden")
    for old, new in (("ssn", "nick"), ("region", "area"), ("pay", "level")):
        await desk.alter("hr.staff", lambda schema, old=old, new=new: schema.rename_column(old, new))
    rows = await desk.rows(EVERYONE)
    assert [sorted(row) for row in rows] == [["area", "email", "id", "name"]] * 3
    from pyiceberg.types import StringType

    await desk.alter("hr.staff", lambda schema: [schema.add_column(name, StringType()) for name in ("ssn", "region")])
    rows = await desk.rows(EVERYONE)
    assert [sorted(row) for row in rows] == [["area", "email", "id", "name", "region"]] * 3
    await desk.alter("hr.staff", lambda schema: schema.delete_column("area"))
    with pytest.raises(QueryUnauthorized):
        await desk.rows(EVERYONE)


async def test_a_policy_is_changed_after_its_columns_were_renamed(desk: PolicyDesk) -> None:
    await govern_staff(desk)
    made = {
        item.columns[0] if item.columns else item.kind: item for item in (await desk.call("list_policies")).policies
    }
    assert len(await desk.rows("SELECT id FROM hr.staff")) == 3
    for old, new in (("ssn", "nick"), ("region", "area")):
        await desk.alter("hr.staff", lambda schema, old=old, new=new: schema.rename_column(old, new))
    for key, change in (
        ("ssn", {"mask": {"kind": "constant", "value": "x"}, "privacy": "masked"}),
        ("ssn", {"columns": ["ssn"]}),
        ("ssn", {"columns": ["NICK"]}),
        ("row_filter", {"description": "As before."}),
        ("row_filter", {"applies_to": {"roles": ["viewer"]}}),
    ):
        await desk.call("update_policy", policy_id=made[key].policy_id, **change)
    rows = await desk.rows(EVERYONE)
    assert {row["nick"] for row in rows} == {"x"} and len(rows) == 3
    with pytest.raises(NotFound):
        await desk.call("update_policy", policy_id=made["ssn"].policy_id, columns=["never_there"])
    with pytest.raises(Conflict):
        await desk.call("update_policy", policy_id=made["row_filter"].policy_id, filter="region = 'eu'")
    await desk.call("update_policy", policy_id=made["row_filter"].policy_id, filter="area = 'eu'")
    assert len(await desk.rows("SELECT id FROM hr.staff")) == 3
    await desk.alter("hr.staff", lambda schema: schema.delete_column("nick"))
    await desk.call("update_policy", policy_id=made["ssn"].policy_id, privacy="hidden")  # there is nothing left to mask


async def test_a_renamed_table_takes_its_policies_along(desk: PolicyDesk) -> None:
    await govern_staff(desk)
    lake = desk.platform.engine.lake
    await lake.commit("default", lambda catalog: catalog.rename_table("hr.staff", "hr.people"))
    assert len(await desk.rows("SELECT * FROM hr.people")) == 3
    with pytest.raises(QueryUnauthorized):
        await desk.rows("SELECT ssn FROM hr.people")


async def test_a_tag_carries_its_policy_and_is_taken_off_by_few(desk: PolicyDesk) -> None:
    await desk.call("tag_column", LEAD, table="hr.staff", column="ssn", tag="pii")
    await desk.call("create_policy", name="pii", kind="column", tag="pii", mask={"kind": "hash"})
    first = (await desk.rows(EVERYONE))[0]["ssn"]
    assert len(first) == 64 and first != (await desk.rows(EVERYONE))[1]["ssn"]
    for tool, column in (("untag_column", "ssn"), ("tag_column", "email")):
        for by in (LEAD, replace(ADMIN, via="agent")):
            with pytest.raises(Unauthorized):
                await desk.call(tool, by, table="hr.staff", column=column, tag="pii")
    await desk.call("tag_column", table="hr.staff", column="email", tag="pii")
    assert len((await desk.rows(EVERYONE))[0]["email"]) == 64
    await desk.call("untag_column", table="hr.staff", column="ssn", tag="pii")
    assert (await desk.rows(EVERYONE))[0]["ssn"] == "canary-1"


async def test_a_trial_shows_what_would_happen_and_no_key(desk: PolicyDesk) -> None:
    await govern_staff(desk)
    await desk.call("create_policy", policy_id="key", **{**COLUMN, "mask": {"kind": "hash"}})
    tried = await desk.call(
        "test_policy", sql="SELECT name FROM hr.staff", roles=["viewer"], attributes={"region": "eu"}
    )
    assert (
        tried.allowed
        and "'eu'" in tried.sql
        and tried.tables[0].columns
        == {
            "email": "masked",
            "pay": "masked",
            "ssn": "hidden",
        }
    )
    assert "key" in tried.tables[0].policies and "<the tenant's key>" in tried.sql.replace("''", "'")
    view = await desk.platform.engine.catalog.view(VIC, "lakehouse")
    governed = view.get("hr.staff")
    assert governed is not None and governed.mask_key and governed.mask_key not in tried.sql + repr(governed)
    refused = await desk.call("test_policy", sql="SELECT ssn FROM hr.staff", roles=["viewer"])
    assert (refused.allowed, refused.code, refused.sql) == (False, "QUERY_UNAUTHORIZED", "")
    with pytest.raises(NotFound):
        await desk.call("test_policy", sql="SELECT 1", user_id="nobody-here")


async def test_access_is_explained_and_plans_tell_nothing(desk: PolicyDesk) -> None:
    await govern_staff(desk)
    found = await desk.call("explain_access", table="hr.staff")
    assert found.visible and found.effect.columns == {"email": "masked", "ssn": "hidden"}
    assert [policy.concerns_user for policy in found.policies] == [True] * 3
    hidden = await desk.call("explain_access", table="vault.staff")
    assert not hidden.visible
    plan = (await desk.call("explain_query", VIC, sql="SELECT name, email FROM hr.staff")).plan
    assert "rows are filtered by policy" in plan and "masked: email" in plan
    assert not any(word in plan for word in ("'eu'", "region", "ssn", "lake"))


async def test_a_stale_update_is_refused(desk: PolicyDesk) -> None:
    made = await desk.call("create_policy", name="x", kind="column", tag="pii", privacy="hidden")
    changed = await desk.call("update_policy", policy_id=made.policy_id, name="y", expected_version=made.version)
    with pytest.raises(Conflict, match=f"at version {changed.version}"):
        await desk.call("update_policy", policy_id=made.policy_id, name="z", expected_version=made.version)
