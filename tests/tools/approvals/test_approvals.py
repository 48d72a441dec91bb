"""Approvals through the gate: asked by one, decided once by another."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import update

from core.errors import Conflict, InvalidArgument, NotFound, PlatformError, Unauthorized
from engine.approvals.approval import PROMOTION, Opening
from engine.store.tables import schedules
from headwater.build import make_ticker
from tests.fixtures_town import Town, town

__all__ = ["town"]

CAREFUL = [{"name": "careful", "effects": ["destroy"]}]


async def asked_to_delete(town: Town, by: str = "ada", **arguments: Any) -> str:
    """A call that is refused for want of an approval; the approval's id."""
    with pytest.raises(Unauthorized) as refused:
        await town.call("delete_project", by, project_id="sales", **arguments)
    [waiting] = (await town.call("list_approvals", "cora", status=["pending"], kind="tool_call")).approvals
    assert waiting.id in refused.value.message
    return str(waiting.id)


@pytest.fixture
async def careful(town: Town) -> Town:
    """What destroys needs an approval."""
    await town.call("create_project", "ada", name="Sales", project_id="sales")
    await town.call("set_approval_rules", rules=CAREFUL)
    return town


async def test_an_approved_call_passes_exactly_once(careful: Town) -> None:
    waiting = await asked_to_delete(careful)
    assert await asked_to_delete(careful) == waiting
    shown = await careful.call("get_approval", approval_id=waiting)
    assert (shown.arguments, shown.approval.tool) == ({"project_id": "sales"}, "delete_project")
    await careful.call("approve_request", "carl", approval_id=waiting, reason="Fine.")
    await careful.call("delete_project", "ada", project_id="sales")
    await careful.call("restore_project", "ada", project_id="sales")
    again = await asked_to_delete(careful)
    assert again != waiting
    used = (await careful.call("get_approval", approval_id=waiting)).approval
    assert used.used_at is not None and (used.status, used.reviewed_by, used.reason) == ("approved", "carl", "Fine.")


async def test_an_approval_is_for_one_person_and_one_call(careful: Town) -> None:
    await careful.call("create_project", "ada", name="Other", project_id="spare")
    await careful.call("approve_request", approval_id=await asked_to_delete(careful))
    for by, project in (("ada", "spare"), ("lea", "sales")):
        with pytest.raises(Unauthorized):
            await careful.call("delete_project", by, project_id=project)
    await careful.call("delete_project", "ada", project_id="sales")


async def test_of_many_equal_calls_at_once_one_passes(careful: Town) -> None:
    await careful.call("approve_request", approval_id=await asked_to_delete(careful))
    calls = [careful.call("delete_project", "ada", project_id="sales") for _ in range(8)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(not isinstance(outcome, PlatformError) for outcome in outcomes) == 1


async def test_of_two_decisions_at_once_one_holds(careful: Town) -> None:
    waiting = await asked_to_delete(careful)
    outcomes = await asyncio.gather(
        *(
            careful.call(tool, by, approval_id=waiting)
            for by in ("cora", "carl", "root")
            for tool in ("approve_request", "reject_request")
        ),
        return_exceptions=True,
    )
    [decided] = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    assert (await careful.call("get_approval", approval_id=waiting)).approval.status == decided.status


async def test_nobody_decides_on_their_own_call_and_agents_decide_on_none(careful: Town) -> None:
    waiting = await asked_to_delete(careful, by="cora")
    for by, via in (("cora", "user"), ("cora", "agent"), ("carl", "agent"), ("lea", "user"), ("ada", "user")):
        for tool in ("approve_request", "reject_request"):
            with pytest.raises(Unauthorized):
                await careful.call(tool, by, via=via, approval_id=waiting)
    assert (await careful.call("get_approval", approval_id=waiting)).approval.status == "pending"


async def test_an_agents_call_is_its_persons(careful: Town) -> None:
    waiting = await asked_to_delete(careful, by="cora", via="agent")
    with pytest.raises(Unauthorized):
        await careful.call("approve_request", "cora", approval_id=waiting)
    await careful.call("approve_request", "carl", approval_id=waiting)
    await careful.call("delete_project", "cora", via="agent", project_id="sales")


async def test_a_rejected_call_is_asked_anew(careful: Town) -> None:
    waiting = await asked_to_delete(careful)
    decided = await careful.call("reject_request", approval_id=waiting, rejection_reason="Still used.")
    assert (decided.status, decided.rejection_reason, decided.reason) == ("rejected", "Still used.", "Still used.")
    assert await asked_to_delete(careful) != waiting
    with pytest.raises(Conflict):
        await careful.call("approve_request", approval_id=waiting)


async def test_what_nobody_decides_expires(careful: Town) -> None:
    waiting = await asked_to_delete(careful)
    with careful.later():
        with pytest.raises(Conflict):
            await careful.call("approve_request", approval_id=waiting)
        assert [item.id for item in (await careful.call("list_approvals", status=["expired"])).approvals] == [waiting]
        assert (await careful.call("expire_approvals", "root")).expired == 1
        assert (await careful.call("expire_approvals", "root")).expired == 0
    with pytest.raises(Conflict):
        await careful.call("approve_request", approval_id=waiting)


async def test_an_approved_call_is_made_within_a_day(careful: Town) -> None:
    await careful.call("approve_request", approval_id=await asked_to_delete(careful))
    with careful.later(25 * 3600), pytest.raises(Unauthorized):
        await careful.call("delete_project", "ada", project_id="sales")


async def test_rules_are_by_tool_and_role_and_never_of_another_tenant(town: Town) -> None:
    rules = [{"tools": ["create_project"], "roles": ["Dataset editor"], "except_roles": ["Org admin"]}]
    await town.call("set_approval_rules", rules=rules)
    assert (await town.call("get_approval_rules", "lea")).rules[0].roles == ["editor"]
    with pytest.raises(Unauthorized):
        await town.call("create_project", "ada", name="One")
    for by in ("cora", "otto"):
        await town.call("create_project", by, name="One")
    assert (await town.call("get_approval_rules", "olga")).rules == []


async def test_rules_may_ask_for_an_approval_of_their_own_change(town: Town) -> None:
    await town.call("set_approval_rules", rules=[{"tools": ["set_approval_rules"]}])
    with pytest.raises(Unauthorized):
        await town.call("set_approval_rules", rules=[])
    [waiting] = (await town.call("list_pending_approvals", "carl")).other_approvals
    await town.call("approve_request", "carl", approval_id=waiting.id)
    assert (await town.call("set_approval_rules", rules=[])).rules == []


async def test_a_stale_change_of_rules_is_refused(town: Town) -> None:
    await town.call("set_approval_rules", rules=CAREFUL, expected_version=0)
    for version in (0, 2):
        with pytest.raises(Conflict):
            await town.call("set_approval_rules", rules=[], expected_version=version)
    with pytest.raises(Unauthorized):
        await town.call("set_approval_rules", via="agent", rules=[])


async def test_decisions_never_need_an_approval_themselves(careful: Town) -> None:
    await careful.call("set_approval_rules", rules=[{"effects": ["read", "write", "destroy"], "roles": ["editor"]}])
    await careful.call("set_approval_rules", rules=[{"effects": ["write"]}])
    with pytest.raises(Unauthorized):
        await careful.call("create_project", "ada", name="Two")
    [waiting] = (await careful.call("list_approvals", status=["pending"])).approvals
    await careful.call("approve_request", approval_id=waiting.id)
    await careful.call("create_project", "ada", name="Two")


async def test_a_job_is_looked_at_again_when_it_starts(town: Town) -> None:
    started = await town.call("run_query", "ada", query_text="SELECT 1 AS one", connection_id="lakehouse")
    await town.call("set_approval_rules", rules=[{"tools": ["run_query"]}])
    await town.platform.start_workers()
    async for _ in town.platform.engine.jobs.follow("default", started.job_id, timeout_s=20):
        pass
    job = await town.platform.engine.jobs.get(await town.who("ada"), started.job_id)
    assert job.status == "failed" and job.error is not None and job.error.code == "UNAUTHORIZED"


async def test_a_schedule_passes_once_for_each_approval(town: Town) -> None:
    await town.call("set_approval_rules", rules=[{"tools": ["refresh_schema"]}])
    made = await town.call(
        "create_schedule", "lea", name="nightly", tool="refresh_schema", arguments={}, cron="0 3 * * *"
    )
    ticker, outcomes = make_ticker(town.platform), []
    for _ in range(3):
        due = update(schedules).values(next_at=0.0, claimed_until=None)
        await town.platform.engine.store.write(lambda connection: connection.execute(due))  # noqa: B023 - awaited
        assert await ticker.tick() == 1
        [listed] = (await town.call("list_schedules", "lea")).schedules
        outcomes.append((listed.schedule_id == made.schedule_id, bool(listed.last_error)))
        for item in (await town.call("list_approvals", status=["pending"])).approvals[len(outcomes) - 1 :]:
            assert item.id in (listed.last_error or "")
            await town.call("approve_request", approval_id=item.id)
    assert outcomes == [(True, True), (True, False), (True, True)]


async def test_what_is_read_to_decide_never_needs_an_approval(town: Town) -> None:
    await town.call("set_approval_rules", rules=[{"effects": ["read"]}])
    with pytest.raises(Unauthorized):
        await town.call("list_projects", "ada")
    assert (await town.call("list_approvals")).total_count == 1


async def test_secrets_in_arguments_are_not_shown(town: Town) -> None:
    await town.call("set_approval_rules", rules=[{"tools": ["create_connection"]}])
    options = {"host": "db.example.org", "database": "d", "user": "u", "password": "hunter2"}
    with pytest.raises(Unauthorized):
        await town.call("create_connection", "lea", name="Shop", kind="postgresql", options=options)
    [waiting] = (await town.call("list_pending_approvals")).other_approvals
    shown = await town.call("get_approval", approval_id=waiting.id)
    assert shown.arguments["options"] == {**options, "password": "***"}
    [row] = await town.platform.engine.store.read(
        lambda connection: connection.exec_driver_sql("SELECT arguments FROM approval").all()
    )
    assert b"hunter2" not in row[0] and b"example.org" not in row[0]


async def test_promotions_are_decided_by_leads_with_a_reason(town: Town) -> None:
    subject = {"version_id": "ver-1", "from_environment": "qa", "to_environment": "uat"}
    opening = Opening(PROMOTION, "Promote", "ver-1", subject, snapshot='{"id": "ver-1", "version": 3}')
    opened = await town.platform.engine.desk.approvals.open(await town.who("ada"), opening)
    told = (await town.call("get_approval_notifications", "lea")).requests[0]
    assert (told.id, told.version_id, told.to_environment) == (opened.approval_id, "ver-1", "uat")
    assert (await town.call("get_approval", "lea", approval_id=told.id)).version == {"id": "ver-1", "version": 3}
    for tool in ("approve_request", "reject_request"):
        with pytest.raises(Conflict):
            await town.call(tool, "lea", approval_id=told.id)
    assert (await town.call("approve_request", "lea", approval_id=told.id, reason="Looks good")).status == "approved"


async def test_both_sides_talk_about_a_request(careful: Town) -> None:
    waiting = await asked_to_delete(careful)
    said = await careful.call("add_approval_comment", "lea", approval_id=waiting, content="Updated the sink config")
    listed = await careful.call("list_approval_comments", approval_id=waiting)
    assert (listed.comments, said.author) == ([said], "lea")
    for tool, arguments in (("add_approval_comment", {"content": "x"}), ("list_approval_comments", {})):
        with pytest.raises(NotFound):
            await careful.call(tool, "olga", approval_id=waiting, **arguments)
        with pytest.raises(Unauthorized):
            await careful.call(tool, "ada", approval_id=waiting, **arguments)


async def test_another_tenants_approvals_do_not_exist(careful: Town) -> None:
    waiting = await asked_to_delete(careful)
    for tool in ("get_approval", "approve_request", "reject_request"):
        with pytest.raises(NotFound):
            await careful.call(tool, "olga", approval_id=waiting)
    assert (await careful.call("list_approvals", "olga")).total_count == 0
    told = await careful.call("get_approval_notifications", "olga")
    assert (told.count, (await careful.call("list_pending_approvals", "olga")).other_approvals) == (0, [])


async def test_who_may_see_or_decide_nothing_is_refused(careful: Town) -> None:
    waiting = await asked_to_delete(careful)
    for tool in ("list_approvals", "get_approval_notifications", "get_approval_rules", "list_pending_approvals"):
        with pytest.raises(Unauthorized):
            await careful.call(tool, "vic")
    with pytest.raises(Unauthorized):
        await careful.call("approve_request", "vic", approval_id=waiting)
    with pytest.raises(Unauthorized):
        await careful.call("expire_approvals", "cora")


@pytest.mark.parametrize(
    ("tool", "wrong"),
    [
        ("list_approvals", {"status": ["maybe"]}),
        ("approve_request", {"reason": "x" * 5000}),
        ("add_approval_comment", {"content": ""}),
        ("set_approval_rules", {"rules": [{"effects": ["explode"]}]}),
        ("request_project_tenant", {"tenant_id": "a\0b"}),
        ("request_project_dataset", {"dataset_id": "x" * 100}),
    ],
)
async def test_what_no_schema_allows_is_refused(town: Town, tool: str, wrong: dict[str, Any]) -> None:
    given = {"list_approvals": {}, "set_approval_rules": {}}.get(tool, {"approval_id": "apr_x", "project_id": "p"})
    fields = {
        name: value
        for name, value in given.items()
        if name in town.platform.dispatcher.registry.get(tool).request.model_fields
    }
    with pytest.raises(InvalidArgument):
        await town.call(tool, "root", **fields, **wrong)


async def test_requests_about_a_project_that_is_not_yours_are_refused(town: Town) -> None:
    await town.call("create_project", "ada", name="Sales", project_id="sales")
    with pytest.raises(NotFound):
        await town.call("request_project_tenant", "otto", project_id="sales", tenant_id="third")
    with pytest.raises(NotFound):
        await town.call("request_project_dataset", "otto", project_id="sales", dataset_id="x")
    with pytest.raises(Conflict):
        await town.call("request_project_tenant", "ada", project_id="sales", tenant_id="default")
    with pytest.raises(Unauthorized):
        await town.call("request_project_tenant", "vic", project_id="sales", tenant_id="third")
