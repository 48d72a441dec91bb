"""Destroying something needs a person's yes, bound to exactly that call."""

from typing import Any

import pytest
from fastmcp import Client
from fastmcp.client.elicitation import ElicitResult

from core.registry import Registry
from tests.mcp_server.conftest import PACKAGES, Face, running
from tests.mcp_server.sample_catalog import DROPPED

CAN_ASK: dict[str, Any] = {"elicitation": {"form": {}}}
YES = {"confirm": {"action": "accept", "content": {"confirm": True}}}
THING = {"thing_id": "x"}


def ask(face: Face, tool: str = "delete_thing", arguments: dict[str, Any] = THING, **more: Any) -> str:
    """Make the first round of a call; the sealed state."""
    asked = face.call(tool, arguments, capabilities=CAN_ASK, **more)
    assert asked["resultType"] == "input_required", asked
    return str(asked["requestState"])


def answer(face: Face, state: str, tool: str = "delete_thing", arguments: dict[str, Any] = THING, **more: Any) -> Any:
    params = {"name": tool, "arguments": arguments, "requestState": state, "inputResponses": more.pop("answers", YES)}
    return face.post("tools/call", params=params, capabilities=CAN_ASK, **more).json()


def runs(face: Face, tool: str = "delete_thing") -> int:
    return sum(record.tool == tool and record.code == "OK" for record in face.gate.records)


def test_the_person_is_asked_before_anything_is_destroyed(face: Face) -> None:
    asked = face.call("delete_thing", THING, capabilities=CAN_ASK)
    question = asked["inputRequests"]["confirm"]
    assert question["method"] == "elicitation/create"
    assert 'Delete thing: Delete a thing.\nArguments: {"thing_id": "x"}' in question["params"]["message"]
    assert runs(face) == 0
    assert answer(face, asked["requestState"])["result"]["structuredContent"] == {}
    assert runs(face) == 1


@pytest.mark.parametrize(
    "answers",
    [
        {"confirm": {"action": "decline"}},
        {"confirm": {"action": "cancel"}},
        {"confirm": {"action": "accept", "content": {"confirm": False}}},
        {"confirm": {"action": "accept", "content": {"confirm": "true"}}},
        {"confirm": {"action": "accept"}},
    ],
)
def test_anything_but_a_yes_destroys_nothing(face: Face, answers: Any) -> None:
    refused = answer(face, ask(face), answers=answers)["result"]
    assert refused["structuredContent"]["error"]["code"] == "UNAUTHORIZED"
    assert runs(face) == 0


def test_a_yes_to_another_question_is_no_yes(face: Face) -> None:
    again = answer(face, ask(face), answers={"other": {"action": "accept", "content": {"confirm": True}}})["result"]
    assert again["resultType"] == "input_required"
    assert runs(face) == 0


def test_a_yes_without_a_question_is_asked_for(face: Face) -> None:
    params = {"name": "delete_thing", "arguments": THING, "inputResponses": YES}
    result = face.post("tools/call", params=params, capabilities=CAN_ASK).json()["result"]
    assert result["resultType"] == "input_required"
    assert runs(face) == 0


def test_a_changed_state_is_refused(face: Face) -> None:
    state = ask(face)
    flipped = state[:40] + ("A" if state[40] != "A" else "B") + state[41:]
    for forged in (flipped, state[:-4], "v1.", "", "{}", state + "A"):
        assert "error" in answer(face, forged)
    assert runs(face) == 0


def test_a_yes_holds_for_its_arguments_only(face: Face) -> None:
    assert "error" in answer(face, ask(face), arguments={"thing_id": "y"})
    assert runs(face) == 0


def test_a_yes_holds_for_its_tool_only(face: Face) -> None:
    state = ask(face, "call_write_tool", {"tool": "delete_thing", "arguments": THING})
    assert "error" in answer(face, state)
    assert runs(face) == 0


def test_a_yes_holds_for_its_principal_only(face: Face) -> None:
    state = ask(face, "call_write_tool", {"tool": "delete_thing", "arguments": THING})
    arguments = {"tool": "delete_thing", "arguments": THING}
    assert "error" in answer(face, state, "call_write_tool", arguments, token="viewer-token")
    assert "error" in answer(face, ask(face), token="viewer-token")
    assert runs(face) == 0


def test_a_second_use_of_the_same_yes_runs_nothing_again(face: Face) -> None:
    DROPPED.clear()
    table = {"table": "hr.salaries"}
    state = ask(face, "drop_table", table)
    assert DROPPED == []
    for meta in ({}, {"headwater/idempotency_key": "another"}, {}):
        assert answer(face, state, "drop_table", table, meta=meta)["result"]["structuredContent"] == {}
    assert DROPPED == ["hr.salaries"]


def test_the_clients_own_idempotency_key_lasts_through_the_question(face: Face) -> None:
    state = ask(face, meta={"headwater/idempotency_key": "mine"})
    answer(face, state)
    assert ("acme", "ada", "delete_thing", "mine") in face.gate.results


def test_a_call_inside_a_call_is_asked_about_by_its_own_name(face: Face) -> None:
    arguments = {"tool": "delete_thing", "arguments": THING}
    asked = face.call("call_write_tool", arguments, capabilities=CAN_ASK)
    assert "Delete thing" in asked["inputRequests"]["confirm"]["params"]["message"]
    assert runs(face) == 0
    answer(face, asked["requestState"], "call_write_tool", arguments)
    assert runs(face) == 1


def test_a_writing_call_inside_a_call_is_not_asked_about(face: Face) -> None:
    result = face.call("call_write_tool", {"tool": "create_thing", "arguments": {"name": "a"}})
    assert not result["isError"]


def test_a_client_that_cannot_ask_is_told_another_way(face: Face) -> None:
    result = face.call("delete_thing", THING)
    error = result["structuredContent"]["error"]
    assert error["code"] == "UNAUTHORIZED"
    assert "headwater call delete_thing" in error["hint"]
    assert runs(face) == 0


def test_permission_and_arguments_are_judged_before_anyone_is_asked(face: Face) -> None:
    refused = face.call("delete_thing", THING, token="viewer-token", capabilities=CAN_ASK)
    assert refused["structuredContent"]["error"]["message"] == "delete_thing needs the permission catalog.manage."
    wrong = face.call("delete_thing", {"thing": 1}, capabilities=CAN_ASK)
    assert wrong["structuredContent"]["error"]["code"] == "INVALID_ARGUMENT"


def test_replicas_share_a_key_and_strangers_do_not() -> None:
    registry = Registry.walk(PACKAGES)
    with running(registry, state_key=b"k" * 32) as one, running(registry, state_key=b"k" * 32) as two:
        state = ask(one)
        assert "result" in answer(two, state)
    with running(registry, state_key=b"o" * 32) as other:
        assert "error" in answer(other, state)


@pytest.mark.parametrize("says_yes", [True, False])
async def test_the_python_client_asks_its_person(face: Face, says_yes: bool) -> None:
    async def person(message: str, response_type: Any, params: Any, context: Any) -> Any:
        return ElicitResult(action="accept", content={"confirm": True}) if says_yes else ElicitResult(action="decline")

    async with Client(face.url, auth="admin-token", elicitation_handler=person) as client:
        result = await client.call_tool("delete_thing", THING, raise_on_error=False)
    assert result.is_error is not says_yes
    assert runs(face) == int(says_yes)
