"""insert_records, update_records and delete_records on lakehouse tables."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.context import Principal
from core.dispatch import Call
from core.errors import Conflict, InvalidArgument, NotFound, PlatformError, QueryUnauthorized, Unauthorized
from engine.identity.roles import BUILT_IN
from tests.tools.admin.policy_desk import ADMIN, STRANGER, VIC, PolicyDesk, govern_staff, opened_desk

EDI = Principal("edi", "default", frozenset({"editor"}), BUILT_IN["editor"], attributes={"region": "eu"})
EU = {"column": "region", "operator": "eq", "value": "eu"}
HOSTILE = "'); DROP TABLE hr.staff; --"


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[PolicyDesk]:
    async with opened_desk(tmp_path / "home") as desk:
        directory = desk.platform.engine.identity.directory
        await directory.create_user("default", user_id="edi", roles=["editor"])  # calls of nobody are ended
        yield desk


async def ids(office: PolicyDesk, where: str = "true", by: Principal = ADMIN) -> list[int]:
    rows = await office.rows(f"SELECT id FROM hr.staff WHERE {where} ORDER BY id", by)
    return [row["id"] for row in rows]


def one(column: str, value: Any, operator: str = "eq") -> list[dict[str, Any]]:
    return [{"column": column, "operator": operator, "value": value}]


async def test_what_is_written_is_counted_and_read_at_once(office: PolicyDesk) -> None:
    assert await ids(office) == [1, 2, 3, 4, 5, 6]
    found = await office.call("insert_records", table="hr.staff", records=[{"id": 7, "name": "G"}, {"ID": "8"}])
    assert (found.affected, found.inserted, found.dry_run) == (2, 2, False) and found.snapshot_id
    assert await ids(office) == [1, 2, 3, 4, 5, 6, 7, 8]
    values = {"pay": 5, "email": None}
    tried = await office.call("update_records", table="hr.staff", filters=[EU], values=values, dry_run=True)
    assert (tried.affected, tried.updated, tried.snapshot_id) == (3, 3, None)
    assert await ids(office, "pay = 5") == []
    assert (await office.call("update_records", table="hr.staff", filters=[EU], values=values)).updated == 3
    assert await ids(office, "pay = 5 AND email IS NULL") == [1, 2, 3]
    few = one("id", [2, 8, 99], "in")
    assert (await office.call("delete_records", table="hr.staff", filters=few, dry_run=True)).deleted == 2
    assert (await office.call("delete_records", table="hr.staff", filters=few)).deleted == 2
    none = await office.call("delete_records", table="hr.staff", filters=few)
    assert (none.affected, none.snapshot_id) == (0, None)
    assert await ids(office) == [1, 3, 4, 5, 6, 7]
    everyone = one("id", 0, "gt")
    assert (await office.call("delete_records", table="hr.staff", filters=everyone)).deleted == 6
    assert await ids(office) == []
    assert (await office.call("update_records", table="hr.staff", filters=everyone, values={"pay": 1})).affected == 0


async def test_upserts_tell_new_from_known(office: PolicyDesk) -> None:
    async def put(records: list[dict[str, Any]], **how: Any) -> tuple[int, int, int]:
        found = await office.call("insert_records", table="hr.staff", records=records, key_columns=["id"], **how)
        return found.inserted, found.updated, found.skipped

    both = [{"id": 1, "name": "Eve"}, {"id": 9, "name": "New"}]
    assert await put(both, on_conflict="update", dry_run=True) == (1, 1, 0)
    assert await put(both, on_conflict="update") == (1, 1, 0)
    rows = await office.rows("SELECT name, email FROM hr.staff WHERE id IN (1, 9) ORDER BY id", ADMIN)
    assert rows == [{"name": "Eve", "email": "ada@x.org"}, {"name": "New", "email": None}]
    assert await put([{"id": 1, "name": "no"}, {"id": 10, "name": "yes"}], on_conflict="ignore") == (1, 0, 1)
    assert await put([{"id": 1, "name": "no"}], on_conflict="ignore") == (0, 0, 1)
    with pytest.raises(Conflict, match="there already"):
        await put([{"id": 1, "name": "no"}])
    with pytest.raises(Conflict, match="same key"):
        await put([{"id": 20}, {"id": 20.0}], on_conflict="update")
    with pytest.raises(Conflict, match=r"records\[1\] has no key"):
        await put([{"id": 20}, {"id": None}], on_conflict="update")
    with pytest.raises(Conflict, match="other columns"):
        await put([{"id": 20, "name": "a"}, {"id": 21, "pay": 1}], on_conflict="update")
    with pytest.raises(Conflict, match="declares no key"):
        await office.call("insert_records", table="hr.staff", records=[{"id": 1}], on_conflict="update")
    assert await ids(office) == [1, 2, 3, 4, 5, 6, 9, 10]


async def test_policies_hold_for_what_is_touched_and_for_what_is_written(office: PolicyDesk) -> None:
    await govern_staff(office)
    staff: dict[str, Any] = {"table": "hr.staff", "by": EDI}
    assert (await office.call("update_records", **staff, filters=one("id", 0, "gt"), values={"pay": 1})).updated == 3
    assert await ids(office, "pay = 1") == [1, 2, 3]
    assert (await office.call("delete_records", **staff, filters=one("id", [3, 4], "in"))).deleted == 1
    assert await ids(office) == [1, 2, 4, 5, 6]
    new = {"id": 7, "name": "G", "region": "eu"}
    assert (await office.call("insert_records", **staff, records=[new])).inserted == 1
    outside: list[tuple[str, dict[str, Any]]] = [
        ("insert_records", {"records": [{**new, "region": "us"}]}),
        ("insert_records", {"records": [new, {"id": 8}]}),
        ("insert_records", {"records": [{"id": 1, "region": "us"}], "on_conflict": "update", "key_columns": ["id"]}),
        ("update_records", {"filters": [EU], "values": {"region": "us"}}),
        ("update_records", {"filters": [EU], "values": {"region": None}}),
        ("update_records", {"filters": [EU], "values": {"region": "us"}, "dry_run": True}),
    ]
    for tool, more in outside:
        with pytest.raises(QueryUnauthorized, match="outside the rows"):
            await office.call(tool, **staff, **more)
    # A record of that key that the caller does not see is not there for them.
    us = {"id": 4, "name": "mine", "region": "eu"}
    found = await office.call("insert_records", **staff, records=[us], on_conflict="update", key_columns=["id"])
    assert (found.inserted, found.updated) == (1, 0)
    rows = await office.rows("SELECT name, email, ssn, region FROM hr.staff ORDER BY id, name", ADMIN)
    assert [row["region"] for row in rows] == ["eu", "eu", "us", "eu", "us", "us", "eu"]
    assert rows[0] == {"name": "Ada", "email": "ada@x.org", "ssn": "canary-1", "region": "eu"}  # kept as they are


async def test_masked_and_hidden_columns_can_be_neither_filtered_nor_written(office: PolicyDesk) -> None:
    await govern_staff(office)
    said: dict[str, set[tuple[str, str]]] = {}
    for column in ("email", "ssn", "no_such"):
        for tool, more in (
            ("insert_records", {"records": [{"id": 9, "region": "eu", column: "x"}]}),
            ("insert_records", {"records": [{"id": 9}], "on_conflict": "ignore", "key_columns": [column]}),
            ("update_records", {"filters": [EU], "values": {column: "x"}}),
            ("update_records", {"filters": one(column, "x"), "values": {"pay": 1}}),
            ("delete_records", {"filters": one(column, "x", "ne")}),
            ("delete_records", {"filters": one(f'"{column}"', "x", "ne")}),
        ):
            with pytest.raises(QueryUnauthorized) as refused:
                await office.call(tool, EDI, table="hr.staff", **more)
            said.setdefault(column, set()).add((refused.value.message, refused.value.hint.replace(column, "X")))
    assert {message for message, _ in said["email"]} == {"Access denied: the column 'email' is masked for you."}
    assert said["ssn"] == said["no_such"]
    assert await ids(office, "pay > 9") == [1, 2, 3, 4, 5, 6]


async def test_refusals(office: PolicyDesk) -> None:
    await govern_staff(office)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("insert_records", {"records": [{"id": 1}]}),
        ("update_records", {"filters": one("id", 1), "values": {"id": 2}}),
        ("delete_records", {"filters": one("id", 1)}),
    ]
    for tool, more in calls:
        with pytest.raises(Unauthorized):
            await office.call(tool, VIC, table="hr.staff", **more)
        for by, table in ((STRANGER, "hr.staff"), (EDI, "vault.staff"), (EDI, "vault.none")):
            with pytest.raises(NotFound):
                await office.call(tool, by, table=table, **more)
        with pytest.raises(NotFound):
            await office.call(tool, table="hr.staff", connection_id="nowhere", **more)
    for tool, bad in (
        ("insert_records", {"records": []}),
        ("insert_records", {"records": [{"id": 1}] * 10_001}),
        ("insert_records", {"records": [{"id": 1}], "on_conflict": "replace"}),
        ("insert_records", {"records": "id"}),
        ("update_records", {"filters": [], "values": {"id": 2}}),
        ("update_records", {"values": {"id": 2}}),
        ("update_records", {"filters": one("id", 1), "values": {}}),
        ("delete_records", {"filters": []}),
        ("delete_records", {}),
        ("delete_records", {"filters": one("id", 1, "regexp")}),
    ):
        with pytest.raises(InvalidArgument):
            await office.call(tool, table="hr.staff", **bad)
    for filters in (one("id", "x"), one("id", None), one("id", [], "in"), one("name", 5), one("name", [1], "between")):
        with pytest.raises(Conflict):
            await office.call("delete_records", table="hr.staff", filters=filters)
    assert await ids(office) == [1, 2, 3, 4, 5, 6]


async def test_values_that_are_none_of_their_columns_type_are_told_by_record_and_column(office: PolicyDesk) -> None:
    wrong = [{"id": 1}, {"id": "x", "name": 5}, {"id": 2**63}, {"id": 1.5}, {"id": True}, {"pay": [1]}, {"id": {}}]
    with pytest.raises(Conflict) as refused:
        await office.call("insert_records", table="hr.staff", records=wrong)
    assert refused.value.message.startswith("Values do not fit their columns: records[1].id must be a whole number")
    assert "records[5].pay" not in refused.value.message and "And 2 more." in refused.value.message
    for values in ({"pay": "ten"}, {"name": "\ud800"}, {"pay": float(2**60)}, {"pay": float("nan")}):
        with pytest.raises(PlatformError):
            await office.call("update_records", table="hr.staff", filters=[EU], values=values)
    with pytest.raises(Conflict, match="names a column twice"):
        await office.call("insert_records", table="hr.staff", records=[{"id": 1, "ID": 2}])
    assert await ids(office, "pay > 9") == [1, 2, 3, 4, 5, 6]


async def test_hostile_values_are_values(office: PolicyDesk) -> None:
    many = [{"id": number, "name": f"{HOSTILE}{number}"} for number in range(100, 10_100)]
    assert (await office.call("insert_records", table="hr.staff", records=many)).inserted == 10_000
    large = {"id": 50, "name": "' \" \\ ; ö" + "x" * 2**20}
    await office.call("insert_records", table="hr.staff", records=[large])
    assert (await office.rows("SELECT name FROM hr.staff WHERE id = 50", ADMIN))[0]["name"] == large["name"]
    changed = await office.call(
        "update_records", table="hr.staff", filters=one("name", f"{HOSTILE}101"), values={"email": HOSTILE}
    )
    assert changed.updated == 1 and await ids(office, "email LIKE '%DROP%'") == [101]
    for column in (HOSTILE, 'id" = 1 OR "id', "hr.staff.id; --", "governed_source.ssn.x", "filename", ""):
        with pytest.raises((QueryUnauthorized, InvalidArgument)):
            await office.call("delete_records", table="hr.staff", filters=one(column, "x"))
        with pytest.raises(QueryUnauthorized):
            await office.call("update_records", table="hr.staff", filters=[EU], values={column: "x"})
    none = await office.call("delete_records", table="hr.staff", filters=one("name", "x' OR '1'='1"))
    assert none.deleted == 0
    like = await office.call("delete_records", table="hr.staff", filters=one("name", "%DROP%", "like"))
    assert like.deleted == 10_000 and len(await ids(office)) == 7


async def test_writers_of_one_table_take_turns_and_lose_nothing(office: PolicyDesk) -> None:
    calls = [
        office.call("insert_records", table="hr.staff", records=[{"id": number, "region": "new"}])
        for number in range(10, 16)
    ]
    calls += [
        office.call("update_records", table="hr.staff", filters=one("id", number), values={"pay": 1000 + number})
        for number in range(1, 5)
    ]
    await asyncio.gather(*calls)
    assert await ids(office) == [*range(1, 7), *range(10, 16)]
    assert await ids(office, "pay = 1000 + id") == [1, 2, 3, 4]


async def test_a_repeated_call_with_a_key_writes_once(office: PolicyDesk) -> None:
    asked = Call(
        "insert_records",
        {"table": "hr.staff", "records": [{"id": 77}]},
        face="test",
        request_id="r-write",
        principal=ADMIN,
        idempotency_key="k1",
    )
    first = await office.platform.dispatcher.call(asked)
    # As after a kill: the gate has forgotten the call, the table has not.
    store = office.platform.engine.store
    await store.write(lambda connection: connection.exec_driver_sql("DELETE FROM idempotency"))
    assert (await office.platform.dispatcher.call(asked)).model_dump() == first.model_dump()
    assert await ids(office, "id = 77") == [77]
