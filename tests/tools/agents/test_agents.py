"""The registry of agents: made, listed, changed, removed, put into projects, limited, trusted with secrets."""

from decimal import Decimal
from typing import Any

import pytest

from core.context import Principal
from core.dispatch import Call
from core.errors import Conflict, InvalidArgument, NotFound, RateLimited, Unauthorized, Unavailable
from core.registry import Registry
from engine.agents.limits import window_of
from engine.identity.roles import BUILT_IN
from tests.gateway.hostile_agents import TOOL, mcp_agent
from tests.gateway.worlds import ADMIN, STRANGER, VIEWER
from tests.tools.agents.conftest import Bench, answer

pytestmark = pytest.mark.asyncio(loop_scope="session")
ROBOT = Principal("ada", "default", frozenset({"admin"}), BUILT_IN["admin"], via="agent")
CALL = {"name": "look", "arguments": {"at": "you"}}
ZEROS = "0" * 64
TOOLS: dict[str, dict[str, Any]] = {
    "get_agent": {},
    "update_agent": {"description": "New."},
    "delete_agent": {},
    "test_agent_connection": {},
    "get_agent_tools": {},
    "get_agent_changes": {},
    "approve_agent_change": {"digest": ZEROS},
    "reject_agent_change": {"digest": ZEROS},
    "set_agent_credential": {"kind": "bearer", "bearer_token": "t"},
    "get_agent_rate_limit": {},
    "update_agent_rate_limit": {
        "max_requests_per_second": 1,
        "max_requests_per_minute": 1,
        "max_requests_per_hour": 1,
    },
    "assign_agent_to_project": {"project_id": "p1"},
    "remove_agent_from_project": {"project_id": "p1"},
    "route_to_agent": {"message": CALL},
}
READ_BY_ALL = {"get_agent", "get_agent_tools", "get_agent_changes", "get_agent_rate_limit", "route_to_agent"}


@pytest.mark.parametrize("tool", TOOLS)
async def test_another_tenants_agent_does_not_exist(bench: Bench, them: str, tool: str) -> None:
    with pytest.raises(NotFound):
        await bench.desk.call(tool, by=STRANGER, agent_id=them, **TOOLS[tool])


@pytest.mark.parametrize("tool", sorted(TOOLS.keys() - READ_BY_ALL))
async def test_only_who_manages_agents_may_change_them(bench: Bench, them: str, tool: str) -> None:
    with pytest.raises(Unauthorized):
        await bench.desk.call(tool, by=VIEWER, agent_id=them, **TOOLS[tool])


@pytest.mark.parametrize("tool", TOOLS)
async def test_fields_that_are_not_there_are_refused(bench: Bench, them: str, tool: str) -> None:
    with pytest.raises(InvalidArgument):
        await bench.desk.call(tool, agent_id=them, **TOOLS[tool], no_such_field=1)


async def test_an_agent_of_ones_own_is_registered_as_the_document_has_it(bench: Bench) -> None:
    made = await bench.desk.call(
        "create_agent",
        name="Sales Analyst",
        description="Answers questions about sales data",
        system_prompt="You are a sales data analyst.",
        connections=["lakehouse"],
        capabilities=["agents", "document_qa"],
    )
    assert (made.protocol, made.gateway_url, made.status) == ("", f"/a2a/{made.id}/", "active")
    assert made.capabilities == ["agents", "document_qa"] and made.connections == ["lakehouse"]
    with pytest.raises(Conflict, match="our own"):
        await bench.desk.call("test_agent_connection", agent_id=made.id)
    with pytest.raises(Conflict, match="our own"):
        await bench.desk.call("route_to_agent", agent_id=made.id, message={"text": "hi"})


async def test_an_agent_of_others_is_registered_listed_and_reached(bench: Bench, them: str) -> None:
    found = await bench.desk.call("get_agent", agent_id=them, by=VIEWER)
    assert (found.protocol, found.gateway_url) == ("MCP", f"/mcp/agents/{them}")
    listed = await bench.desk.call("list_agents", by=VIEWER, limit=1000)
    assert them in [agent.id for agent in listed.agents] and listed.items == listed.agents
    assert them not in [agent.id for agent in (await bench.desk.call("list_agents", by=STRANGER)).agents]
    tools = await bench.desk.call("get_agent_tools", agent_id=them, by=VIEWER)
    assert [(tool.name, tool.kind, tool.is_approved) for tool in tools.tools] == [("look", "tool", True)]
    routed = await bench.desk.call("route_to_agent", by=VIEWER, agent_id=them, message=CALL)
    assert routed.result["content"][0]["text"] == "{'at': 'you'}" and routed.error is None


@pytest.mark.parametrize(
    "lacks", [{"endpoint_url": None}, {"project_id": None}, {"protocol": None}, {"endpoint_url": "", "protocol": "A2A"}]
)
async def test_an_agent_of_others_needs_all_of_its_parts(bench: Bench, lacks: dict[str, Any]) -> None:
    with pytest.raises(Conflict):
        await bench.desk.register(**({"url": bench.scripted.url} | lacks))


async def test_a_taken_id_and_a_stale_version_are_conflicts(bench: Bench, them: str) -> None:
    with pytest.raises(Conflict, match="taken"):
        await bench.desk.register(bench.scripted.url, "MCP", them)
    changed = await bench.desk.call("update_agent", agent_id=them, name="Other", expected_version=1)
    assert (changed.name, changed.version) == ("Other", 2)
    for tool in ("update_agent", "delete_agent"):
        with pytest.raises(Conflict, match="version 2"):
            await bench.desk.call(tool, agent_id=them, expected_version=1)


async def test_a_removed_agent_is_gone_and_a_disabled_one_is_not_called(bench: Bench, them: str) -> None:
    await bench.desk.call("update_agent", agent_id=them, status="disabled")
    with pytest.raises(Unavailable, match="turned off"):
        await bench.desk.call("route_to_agent", agent_id=them, message=CALL)
    await bench.desk.call("delete_agent", agent_id=them)
    with pytest.raises(NotFound):
        await bench.desk.call("get_agent", agent_id=them)


async def hold_new(bench: Bench, is_held: bool) -> None:
    platform = bench.desk.platform
    gate = platform.dispatcher.beside(Registry.walk(["tools.admin.tenants"]), platform.engine, 10)
    given = {"configuration": {"hold_new_agents": is_held}}
    shown: Any = await gate.call(Call("update_tenant", given, "test", "r1", principal=ADMIN))
    assert shown.model_dump()["configuration"]["hold_new_agents"] is is_held


async def test_a_tenants_new_agents_wait_for_a_person_when_it_wants_so(bench: Bench) -> None:
    url = bench.scripted.agent("waits", bench.scripted.behaviours[next(iter(bench.scripted.behaviours))])
    await hold_new(bench, True)
    try:
        assert (await bench.desk.register(url, "MCP", "waits")).status == "quarantined"
    finally:
        await hold_new(bench, False)
    with pytest.raises(Conflict, match="quarantine"):
        await bench.desk.call("route_to_agent", agent_id="waits", message=CALL)
    with pytest.raises(Conflict, match="quarantine"):
        await bench.desk.call("update_agent", agent_id="waits", status="active")
    await bench.desk.call("test_agent_connection", agent_id="waits")
    found = await bench.desk.call("get_agent_changes", agent_id="waits")
    assert [(each.name, each.change) for each in found.changes] == [("look", "added")]
    with pytest.raises(Unauthorized, match="person"):
        await bench.desk.call("approve_agent_change", by=ROBOT, agent_id="waits", digest=found.digest)
    with pytest.raises(Conflict, match="not what the agent says"):
        await bench.desk.call("approve_agent_change", agent_id="waits", digest=ZEROS)
    await bench.desk.call("approve_agent_change", agent_id="waits", digest=found.digest)
    assert (await bench.desk.call("route_to_agent", agent_id="waits", message=CALL)).error is None


async def test_limits_are_exact_and_come_back_as_decimal_texts(bench: Bench, them: str) -> None:
    kept = await bench.desk.call(
        "update_agent_rate_limit",
        agent_id=them,
        max_requests_per_second="100.5",
        max_requests_per_minute=3,
        max_requests_per_hour=50,
    )
    assert kept.model_dump(mode="json")["max_requests_per_second"] == "100.5"
    assert (await bench.desk.call("get_agent_rate_limit", agent_id=them)).id == kept.id
    codes = []
    for _ in range(5):
        try:
            codes.append((await bench.desk.call("route_to_agent", agent_id=them, message=CALL)).error)
        except RateLimited as error:
            codes.append(error.code)
            assert error.retry_after_s and "3 requests per minute" in error.message
    assert codes == [None, None, None, "RATE_LIMITED", "RATE_LIMITED"]


async def test_an_agent_sets_no_limits_and_no_credentials(bench: Bench, them: str) -> None:
    for tool in ("set_agent_credential", "update_agent_rate_limit"):
        with pytest.raises(Unauthorized, match="person"):
            await bench.desk.call(tool, by=ROBOT, agent_id=them, **TOOLS[tool])


async def test_a_credential_goes_to_its_own_host_alone_and_a_users_own_comes_first(bench: Bench, them: str) -> None:
    async def sent_as(by: Principal) -> str:
        await bench.desk.call("route_to_agent", by=by, agent_id=them, message=CALL)
        return bench.scripted.received[-1].headers.get("authorization", "")

    set_ = "set_agent_credential"
    shown = await bench.desk.call(set_, agent_id=them, kind="bearer", bearer_token="everybodys")
    await bench.desk.call(set_, agent_id=them, kind="bearer", bearer_token="vics-own", user_id="vic")
    assert "everybodys" not in shown.model_dump_json()
    assert (await sent_as(ADMIN), await sent_as(VIEWER)) == ("Bearer everybodys", "Bearer vics-own")
    moved = bench.scripted.url.replace("127.0.0.1", "localhost") + f"/{them}"
    await bench.desk.call("update_agent", agent_id=them, endpoint_url=moved)
    bench.desk.platform.engine.agents.credentials._known.clear()
    assert await sent_as(ADMIN) == ""
    with pytest.raises(Conflict, match="needs"):
        await bench.desk.call(set_, agent_id=them, kind="oauth2_client", token_url="https://example.com/token")
    with pytest.raises(Unauthorized):
        await bench.desk.call(set_, agent_id=them, kind="token_exchange", token_url="http://10.0.0.1/token")


async def test_projects_have_agents_and_keep_the_last_one_of_others(bench: Bench, them: str) -> None:
    placed = await bench.desk.call("assign_agent_to_project", agent_id=them, project_id="p9", role="helper")
    assert (placed.project_id, placed.role, placed.archived_at) == ("p9", "helper", None)
    listed = await bench.desk.call("list_project_agents", by=VIEWER, project_id="p9")
    assert [agent.id for agent in listed.agents] == [them] and listed.total_count == 1
    await bench.desk.call("remove_agent_from_project", agent_id=them, project_id="p1")
    with pytest.raises(Conflict, match="a project at least"):
        await bench.desk.call("remove_agent_from_project", agent_id=them, project_id="p9")
    with pytest.raises(NotFound):
        await bench.desk.call("route_to_agent", agent_id=them, project_id="p1", message=CALL)


async def test_a_message_to_a_project_names_everybodys_result_or_error(bench: Bench, them: str) -> None:
    await bench.desk.call("assign_agent_to_project", agent_id=them, project_id="p8")
    await bench.desk.register("http://127.0.0.1:9/mcp", "MCP", "dead-8", project_id="p8")
    found = await bench.desk.call("route_to_project_agents", by=VIEWER, project_id="p8", message=CALL)
    by_agent = {each.agent_id: each for each in found.results}
    assert by_agent[them].result and by_agent[them].error is None
    assert by_agent["dead-8"].result is None and by_agent["dead-8"].error["code"] == "UNAVAILABLE"
    with pytest.raises(NotFound):
        await bench.desk.call("route_to_project_agents", by=STRANGER, project_id="p8", message=CALL)


async def test_limits_below_one_are_one_in_as_many_units() -> None:
    assert (window_of(Decimal("0.5"), 60).limit, window_of(Decimal("0.5"), 60).seconds) == (1, 120)
    assert (window_of(Decimal("2.9"), 60).limit, window_of(Decimal(0), 60).limit) == (2, 0)


async def test_a_change_waits_among_the_approvals_and_is_decided_there(bench: Bench, them: str) -> None:
    approvals = bench.desk.platform.engine.desk.approvals
    await bench.desk.call("test_agent_connection", agent_id=them)
    bench.scripted.behaviours[them] = mcp_agent(answer, [{**TOOL, "description": "Looks elsewhere."}])
    assert (await bench.desk.call("test_agent_connection", agent_id=them)).status == "quarantined"
    await bench.desk.call("test_agent_connection", agent_id=them)
    waiting, _ = await approvals.waiting(ADMIN)
    mine = [each for each in waiting if each.subject["agent_id"] == them]
    assert len(mine) == 1 and mine[0].kind == "agent_change"
    with pytest.raises(Unauthorized):
        await approvals.decide(ROBOT, mine[0].approval_id, approve=True)
    await approvals.decide(ADMIN, mine[0].approval_id, approve=True)
    assert (await bench.desk.call("get_agent", agent_id=them)).status == "active"
    assert (await bench.desk.call("route_to_agent", agent_id=them, message=CALL)).error is None


async def test_a_rate_with_more_digits_is_rounded_as_a_number_and_refused_as_a_text(bench: Bench, them: str) -> None:
    rates: dict[str, Any] = {"max_requests_per_minute": 10, "max_requests_per_hour": 10}
    kept = await bench.desk.call("update_agent_rate_limit", agent_id=them, max_requests_per_second=0.1 + 0.2, **rates)
    assert kept.max_requests_per_second == Decimal("0.3")
    kept = await bench.desk.call("update_agent_rate_limit", agent_id=them, max_requests_per_second="0.25", **rates)
    assert kept.max_requests_per_second == Decimal("0.25")
    for wrong in ("0.30001", 1e300, -1e-9, float("inf"), "some"):
        with pytest.raises(InvalidArgument):
            await bench.desk.call("update_agent_rate_limit", agent_id=them, max_requests_per_second=wrong, **rates)
