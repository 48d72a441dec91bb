"""What only MCP has (finding and calling tools by name, search, resources, completion) opens nothing that is closed."""

import asyncio
import json
import re
from typing import Any

import pytest

from engine.identity.roles import BUILT_IN
from tests.faces.served import Served
from tests.hostile.wire import REGISTRY, ROW_VALUE, Doors, Reply

PRINCIPALS = (*BUILT_IN, "roleless", "other")
WORDS = ("connection", "delete", "token", "audit", "query", "schedule", "tag", "config", "job", "table", "user", "list")
UNFIT = ("INVALID_ARGUMENT", "CONFLICT")
PEOPLE = "SELECT * FROM shop.customers"


def permitted(house: Served, principal: str) -> set[str]:
    """The tools that the gate lets a principal call."""
    dispatcher = house.platform.dispatcher
    known = house.run(dispatcher.authenticate(house.tokens[principal]))
    return {tool.name for tool in dispatcher.tools_for(known)}


def call(doors: Doors, house: Served, principal: str, tool: str, **arguments: Any) -> Reply:
    return doors.mcp.call(tool, arguments, house.tokens[principal])


def content(reply: Reply) -> Any:
    assert reply.code == "OK", reply
    return reply.value["structuredContent"]


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_search_tools_finds_only_what_its_caller_may_call(house: Served, doors: Doors, principal: str) -> None:
    allowed = permitted(house, principal)
    hidden = {tool.name for tool in REGISTRY} - allowed
    found: set[str] = set()
    for word in (*WORDS, *sorted(hidden)[:10]):
        reply = call(doors, house, principal, "search_tools", query=word, limit=20)
        found |= {tool["name"] for tool in content(reply)["tools"]}
        names = {tool["name"] for tool in content(reply)["tools"]}
        assert not names & hidden
    assert found <= allowed and not any(REGISTRY.get(name).delegates for name in found)


@pytest.mark.parametrize("toolsets", ["", "all", "default", "admin", "catalog,query,system"])
@pytest.mark.parametrize("principal", PRINCIPALS)
def test_every_toolset_lists_only_what_its_caller_may_call(
    house: Served, doors: Doors, principal: str, toolsets: str
) -> None:
    reply = doors.mcp.ask("tools/list", {}, house.tokens[principal], path=f"/mcp?toolsets={toolsets}")
    if reply.code == "INVALID_ARGUMENT":  # a toolset of which nothing is left is none
        return
    names = {tool["name"] for tool in reply.value["tools"]}
    assert names <= permitted(house, principal)
    assert toolsets != "all" or names == permitted(house, principal)


@pytest.mark.parametrize("principal", ["viewer", "auditor", "roleless", "other"])
@pytest.mark.parametrize("door", ["call_tool", "call_write_tool", "itself"])
def test_tools_that_are_hidden_are_refused_by_every_way(house: Served, doors: Doors, principal: str, door: str) -> None:
    hidden = sorted({tool.name for tool in REGISTRY} - permitted(house, principal))
    # Who may call nothing tries every name at every door; of the others' names every fifth is tried through another.
    for name in hidden if door == "itself" or principal == "roleless" else hidden[::5]:
        if door == "itself":
            reply = call(doors, house, principal, name)
        else:
            reply = call(doors, house, principal, door, name=name, arguments={})
        assert is_refused(reply), (name, reply)


def is_refused(reply: Reply) -> bool:
    return reply.code == "UNAUTHORIZED" and bool(reply.request_id)


def test_call_tool_only_reads_and_call_write_tool_only_writes(house: Served, doors: Doors) -> None:
    change = {"table": "shop.orders", "description": "changed by stealth"}
    assert call(doors, house, "admin", "call_tool", name="describe_table", arguments=change).code in UNFIT
    assert call(doors, house, "admin", "call_write_tool", name="list_tables").code in UNFIT
    for outer in ("call_tool", "call_write_tool"):
        for inner in ("call_tool", "call_write_tool"):
            nested = {"name": "list_tables", "arguments": {}}
            reply = call(doors, house, "admin", outer, name=inner, arguments=nested)
            assert reply.code in UNFIT, (outer, inner)
    table = content(call(doors, house, "admin", "get_table", table="shop.orders"))
    assert table["description"] != "changed by stealth"


def test_calling_by_name_meets_the_same_errors(house: Served, doors: Doors) -> None:
    table: list[tuple[str, dict[str, Any], str]] = [
        ("no_such_tool", {}, "NOT_FOUND"),
        ("list_tables", {"connection_id": "theirs"}, "NOT_FOUND"),
        ("list_tables", {"page_size": -1}, "INVALID_ARGUMENT"),
        ("list_tables", {"page_size": "1"}, "INVALID_ARGUMENT"),
        ("execute_query", {"sql": "SELECT * FROM theirs.people"}, "QUERY_UNAUTHORIZED"),
        ("get_job", {"job_id": "x"}, "NOT_FOUND"),
    ]
    for name, arguments, code in table:
        inner = call(doors, house, "viewer", "call_tool", name=name, arguments=arguments)
        assert inner.code == code, (name, inner)
        assert inner.code == call(doors, house, "viewer", name, **arguments).code


def test_writing_by_name_asks_the_person_first_and_runs_nothing_without_an_answer(house: Served, doors: Doors) -> None:
    made = {"name": "shortlived", "kind": "sqlite", "connection_id": "shortlived", "options": side_options(house)}
    assert doors.rest.call("create_connection", made, house.tokens["admin"]).code == "OK"
    for name, arguments in (
        ("delete_connection", {"connection_id": "shortlived"}),
        ("call_write_tool", {"name": "delete_connection", "arguments": {"connection_id": "shortlived"}}),
    ):
        asked = call(doors, house, "admin", name, **arguments)
        assert asked.code == "OK" and asked.value["resultType"] == "input_required"
        assert doors.rest.call("get_connection", {"connection_id": "shortlived"}, house.tokens["admin"]).code == "OK"


def test_an_answer_of_another_person_or_for_another_call_confirms_nothing(house: Served, doors: Doors) -> None:
    arguments = {"connection_id": "gone"}
    asked = call(doors, house, "admin", "delete_connection", **arguments)
    state, yes = asked.value["requestState"], {"confirm": {"action": "accept", "content": {"confirm": True}}}
    tries: list[tuple[str, str, dict[str, str], str]] = [
        ("mallory", "delete_connection", arguments, state),
        ("admin", "delete_connection", {"connection_id": "broken"}, state),
        ("admin", "delete_connection", arguments, state[:-4] + "AAAA"),
        ("admin", "delete_connection", arguments, "x"),
    ]
    for principal, tool, given, sent in tries:
        params = {"name": tool, "arguments": given, "requestState": sent, "inputResponses": yes}
        reply = doors.mcp.ask("tools/call", params, house.tokens[principal])
        is_asking = reply.code == "OK" and reply.value.get("resultType") == "input_required"
        assert is_asking or reply.code != "OK", (principal, given)
    for connection in ("gone", "broken"):
        kept = doors.rest.call("get_connection", {"connection_id": connection}, house.tokens["admin"])
        assert kept.code == "OK", connection


def side_options(house: Served) -> dict[str, str]:
    return {"path": f"{house.platform.settings.query.allowed_roots[0]}/side.sqlite"}


# Search, fetch, resources, completion


def test_search_and_fetch_know_nothing_of_other_tenants(house: Served, doors: Doors) -> None:
    for query in ("customers", "people", "shop", "orders", "a", "name id"):
        mine = content(call(doors, house, "viewer", "search", query=query))
        theirs = content(call(doors, house, "other", "search", query=query))
        assert not {item["id"] for item in mine["results"]} & {item["id"] for item in theirs["results"]}
        assert "shop" not in json.dumps(theirs)
    for document in ("lakehouse/shop.customers", "side/people", "dead/people", "lakehouse/../side/people"):
        assert call(doors, house, "other", "fetch", id=document).code == "NOT_FOUND", document
    assert call(doors, house, "viewer", "fetch", id="theirs/people").code == "NOT_FOUND"
    assert call(doors, house, "roleless", "search", query="customers").code == "UNAUTHORIZED"
    assert call(doors, house, "roleless", "fetch", id="lakehouse/shop.customers").code == "UNAUTHORIZED"


def test_a_tables_resource_is_read_by_those_who_see_the_table(house: Served, doors: Doors) -> None:
    uri = {"uri": "headwater://tables/shop.customers"}
    assert doors.mcp.ask("resources/read", uri, house.tokens["viewer"]).code == "OK"
    assert doors.mcp.ask("resources/read", uri, house.tokens["other"]).code == "NOT_FOUND"
    assert doors.mcp.ask("resources/read", uri, house.tokens["roleless"]).code == "UNAUTHORIZED"
    listed = doors.mcp.ask("resources/templates/list", {}, house.tokens["roleless"])
    assert "headwater://tables/" not in listed.text


def test_completion_names_only_tables_that_the_caller_sees(house: Served, doors: Doors) -> None:
    params = {
        "ref": {"type": "ref/resource", "uri": "headwater://tables/{table}"},
        "argument": {"name": "table", "value": "shop"},
    }
    seen = {
        principal: doors.mcp.ask("completion/complete", params, house.tokens[principal]).value["completion"]["values"]
        for principal in ("viewer", "other", "roleless")
    }
    assert seen == {"viewer": ["shop.customers", "shop.orders", "shop.returns"], "other": [], "roleless": []}


@pytest.fixture(scope="module")
def handle(house: Served, doors: Doors) -> str:
    """The handle of a result of `viewer` that was cut."""
    reply = call(doors, house, "viewer", "execute_query", sql=PEOPLE)
    found = re.search(r"headwater://results/[\w-]+", reply.text)
    assert found is not None, reply
    return found[0]


def test_a_results_handle_is_read_by_its_owner_alone(house: Served, doors: Doors, handle: str) -> None:
    own = doors.mcp.ask("resources/read", {"uri": handle}, house.tokens["viewer"])
    assert own.code == "OK" and ROW_VALUE in own.text
    namesake = house.run(house.platform.engine.identity.mint(role="viewer", tenant="other"))
    strangers = {name: house.tokens[name] for name in PRINCIPALS if name != "viewer"} | {"namesake": namesake}
    for name, token in strangers.items():
        for uri in (handle, f"{handle}?offset=10", handle.replace("results/", "results/%2e/")):
            reply = doors.mcp.ask("resources/read", {"uri": uri}, token)
            assert reply.code == "NOT_FOUND" and ROW_VALUE not in reply.text, name


def test_a_results_handle_closes_when_its_owner_loses_the_permission(house: Served, doors: Doors) -> None:
    identity = house.platform.engine.identity
    house.run(identity.directory.create_user("default", user_id="demoted", roles=["viewer"]))
    token = house.run(identity.mint(subject="demoted"))
    reply = doors.mcp.call("execute_query", {"sql": PEOPLE}, token)
    uri = re.search(r"headwater://results/[\w-]+", reply.text)
    assert uri is not None
    house.run(identity.directory.set_user_roles("default", "demoted", ["auditor"]))
    house.run(asyncio.sleep(2.1))  # roles may be as old as two seconds
    refused = doors.mcp.ask("resources/read", {"uri": uri[0]}, token)
    assert refused.code in ("NOT_FOUND", "UNAUTHORIZED") and ROW_VALUE not in refused.text


def test_queries_jobs_and_schedules_of_others_do_not_exist(house: Served, doors: Doors) -> None:
    ran = content(call(doors, house, "editor", "execute_query", sql="SELECT 1 AS one"))["metadata"]["query_id"]
    made = doors.rest.send(
        "POST", "/v1/catalog/schemas/lakehouse/refresh?wait_s=5", b"{}", house.tokens["admin"], headers={}
    )
    assert made.code == "OK"
    job = doors.rest.call("list_jobs", {"page_size": 1}, house.tokens["admin"]).value["jobs"][0]["job_id"]
    table = [("get_query_status", {"query_id": ran}), ("cancel_query", {"query_id": ran})]
    table += [("get_job", {"job_id": job}), ("cancel_job", {"job_id": job}), ("watch_job", {"job_id": job})]
    for principal in ("viewer", "other"):
        for tool, arguments in table:
            direct = call(doors, house, principal, tool, **arguments)
            assert direct.code == "NOT_FOUND", (principal, tool, direct)
            if REGISTRY.get(tool).effect == "read":
                by_name = call(doors, house, principal, "call_tool", name=tool, arguments=arguments)
                assert by_name.code == "NOT_FOUND", (principal, tool, by_name)
