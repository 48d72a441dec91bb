"""Asking for data, and getting it for a while."""

from typing import Any

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, QueryUnauthorized, Unauthorized
from tests.fixtures_town import Town, town

__all__ = ["town"]

ASKED: dict[str, Any] = {"table": "hr.staff", "reason": "Year-end audit.", "hours": 24}


@pytest.fixture
async def guarded(town: Town) -> Town:
    """Only administrators see the staff; nobody but them its social security numbers."""
    await town.dataset()
    staff: dict[str, Any] = {"table": "hr.staff", "kind": "column", "except_for": {"roles": ["admin"]}}
    await town.call("create_policy", name="all", columns=["*"], privacy="hidden", **staff)
    await town.call("create_policy", name="ssn", columns=["ssn"], mask={"kind": "null"}, **staff)
    return town


async def test_an_approval_opens_the_columns_and_closes_them_by_itself(guarded: Town) -> None:
    asked = await guarded.call("request_access", "vic", columns=["Email", "id"], **ASKED)
    assert (asked.status, asked.requested_by) == ("pending", "vic")
    with pytest.raises(QueryUnauthorized):
        await guarded.rows("lakehouse", "SELECT email FROM hr.staff", by="vic")
    await guarded.call("approve_request", approval_id=asked.id, reason="Until tomorrow.")
    assert len(await guarded.rows("lakehouse", "SELECT email FROM hr.staff", by="vic")) == 6
    for by, sql in (("vic", "SELECT name FROM hr.staff"), ("ada", "SELECT email FROM hr.staff")):
        with pytest.raises(QueryUnauthorized):
            await guarded.rows("lakehouse", sql, by=by)
    with guarded.later(25 * 3600), pytest.raises(QueryUnauthorized):
        await guarded.rows("lakehouse", "SELECT email FROM hr.staff", by="vic")
    [told] = (await guarded.call("list_access_requests", "vic")).access_requests
    assert (told.status, told.decision_reason) == ("approved", "Until tomorrow.")


async def test_asking_for_a_table_leaves_what_has_a_policy_of_its_own(guarded: Town) -> None:
    asked = await guarded.call("request_access", "vic", **ASKED)
    await guarded.call("approve_request", approval_id=asked.id)
    rows = await guarded.rows("lakehouse", "SELECT * FROM hr.staff ORDER BY id", by="vic")
    assert rows[0] == {"id": 1, "name": "Ada", "email": "ada@x.org", "region": "eu", "ssn": None, "pay": 10}


@pytest.mark.slow
async def test_a_grant_lifts_no_row_filter_and_narrows_nobody(guarded: Town) -> None:
    own: dict[str, Any] = {
        "kind": "row_filter",
        "filter": "region = 'eu'",
        "table": "hr.staff",
        "except_for": {"roles": ["admin"]},
    }
    await guarded.call("create_policy", name="eu", **own)
    before = await guarded.rows("lakehouse", "SELECT * FROM hr.staff", by="cora")
    asked = await guarded.call("request_access", "vic", columns=["id"], **ASKED)
    await guarded.call("approve_request", approval_id=asked.id)
    assert len(await guarded.rows("lakehouse", "SELECT id FROM hr.staff", by="vic")) == 3
    assert await guarded.rows("lakehouse", "SELECT * FROM hr.staff", by="cora") == before


@pytest.mark.parametrize("table", ["hr.staff", "hr.nowhere"])
async def test_the_answer_is_the_same_for_what_is_hidden_and_what_is_not_there(guarded: Town, table: str) -> None:
    asked = await guarded.call("request_access", "vic", **{**ASKED, "table": table}, columns=["ssn"])
    shown = asked.model_dump(exclude={"id", "table", "created_at", "expires_at"})
    assert shown == {
        "status": "pending",
        "connection_id": "lakehouse",
        "columns": ["ssn"],
        "reason": "Year-end audit.",
        "hours": 24,
        "requested_by": "vic",
        "reviewed_by": None,
        "reviewed_at": None,
        "decision_reason": None,
    }


@pytest.mark.parametrize("wrong", [{"table": "hr.nowhere"}, {"columns": ["nothing"]}])
async def test_what_is_not_there_cannot_be_approved_and_stays_to_be_rejected(guarded: Town, wrong: Any) -> None:
    asked = await guarded.call("request_access", "vic", **{**ASKED, **wrong})
    with pytest.raises(Conflict):
        await guarded.call("approve_request", approval_id=asked.id)
    assert (await guarded.call("reject_request", approval_id=asked.id)).status == "rejected"
    assert (await guarded.call("list_policies")).total_count == 2


@pytest.mark.parametrize("end", ["rejected", "expired"])
async def test_what_is_not_approved_grants_nothing(guarded: Town, end: str) -> None:
    asked = await guarded.call("request_access", "vic", **ASKED)
    if end == "rejected":
        await guarded.call("reject_request", approval_id=asked.id)
    else:
        with guarded.later(), pytest.raises(Conflict):
            await guarded.call("approve_request", approval_id=asked.id)
    assert (await guarded.call("list_policies")).total_count == 2
    with pytest.raises(QueryUnauthorized):
        await guarded.rows("lakehouse", "SELECT id FROM hr.staff", by="vic")


async def test_an_administrators_own_request_is_decided_by_another(guarded: Town) -> None:
    asked = await guarded.call("request_access", "cora", **ASKED)
    with pytest.raises(Unauthorized):
        await guarded.call("approve_request", "cora", approval_id=asked.id)


async def test_each_sees_their_own_requests_and_other_connections_do_not_exist(guarded: Town) -> None:
    await guarded.call("request_access", "vic", **ASKED)
    for by in ("ada", "otto"):
        assert (await guarded.call("list_access_requests", by)).access_requests == []
    with pytest.raises(NotFound):
        await guarded.call("request_access", "otto", **ASKED, connection_id="elsewhere")


@pytest.mark.parametrize(
    "wrong", [{"hours": 0}, {"hours": 9999}, {"reason": ""}, {"table": "a/b"}, {"columns": ["\0"]}]
)
async def test_a_request_that_cannot_be_is_refused(town: Town, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        await town.call("request_access", "vic", **{**ASKED, **wrong})
