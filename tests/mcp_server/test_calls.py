"""Calls: values, errors, progress, jobs and what `_meta` can ask for."""

import json
import time
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastmcp import Client
from fastmcp.exceptions import ToolError

from tests.mcp_server.conftest import LEGACY, Face


def test_a_call_answers_with_the_models_json(face: Face) -> None:
    result = face.call("get_thing", {"thing_id": "x"})
    assert result["structuredContent"] == {"thing_id": "x", "name": "thing x", "made_at": "2026-01-02T00:00:00Z"}
    assert not result["isError"]
    assert face.gate.records[-1].tool == "get_thing"
    assert face.gate.records[-1].face == "mcp"
    assert face.gate.records[-1].request_id == result["_meta"]["headwater/request_id"]


def test_arguments_reach_the_gate_as_they_are(face: Face) -> None:
    sent = {"thing_id": "x", "count": 3, "raw": "AAE=", "colour": "blue", "labels": {"a": "b"}, "cell": [1, None]}
    echoed = face.call("echo_thing", sent)["structuredContent"]
    assert {key: echoed[key] for key in sent} == sent
    refused = face.call("echo_thing", {"thing_id": "x", "count": "many", "colur": "blue"})
    error = refused["structuredContent"]["error"]
    assert refused["isError"]
    assert error["code"] == "INVALID_ARGUMENT"
    assert "count" in error["message"] and "colur" in error["message"]
    assert face.gate.records[-1].code == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("kind", "code"),
    [("conflict", "CONFLICT"), ("not_found", "NOT_FOUND"), ("rate", "RATE_LIMITED"), ("crash", "INTERNAL")],
)
def test_errors_can_be_read_and_acted_on(face: Face, kind: str, code: str) -> None:
    result = face.call("fail_thing", {"kind": kind})
    error = result["structuredContent"]["error"]
    assert result["isError"]
    assert set(error) == {"code", "message", "hint", "request_id"}
    assert error["code"] == code == face.gate.records[-1].code
    assert error["request_id"] == face.gate.records[-1].request_id
    assert result["content"][0]["text"].startswith(f"{code}: {error['message']}")
    assert "secret" not in json.dumps(result)


def test_a_limited_caller_learns_when_to_come_back(face: Face) -> None:
    result = face.call("fail_thing", {"kind": "rate"})
    assert result["_meta"]["headwater/retry_after_s"] == 7
    assert "Retry after 7 s." in result["content"][0]["text"]


def test_an_unknown_tool_is_not_found_and_audited(face: Face) -> None:
    result = face.call("no_such_tool", {"a": 1})
    assert result["structuredContent"]["error"]["code"] == "NOT_FOUND"
    assert face.gate.records[-1].code == "NOT_FOUND"


def test_a_known_tool_without_the_permission_is_unauthorized_and_audited(face: Face) -> None:
    result = face.call("create_thing", {"name": "a"}, token="viewer-token")
    assert result["structuredContent"]["error"]["code"] == "UNAUTHORIZED"
    assert (face.gate.records[-1].subject, face.gate.records[-1].decision) == ("vic", "refused")


def test_a_tool_outside_the_toolset_can_still_be_called(face: Face) -> None:
    result = face.call("get_thing", {"thing_id": "x"}, path="/mcp?toolsets=chatgpt")
    assert result["structuredContent"]["thing_id"] == "x"


def test_hostile_arguments_get_clear_errors(face: Face) -> None:
    deep: Any = "end"
    for _ in range(80):
        deep = [deep]
    for arguments in ({"thing_id": "a\0b"}, {"thing_id": "x", "cell": deep}, {"thing_id": "x" * 65}):
        assert face.call("echo_thing", arguments)["structuredContent"]["error"]["code"] == "INVALID_ARGUMENT"
    assert face.post("tools/call", params={"name": "echo_thing", "arguments": ["a"]}).json()["error"]["code"] == -32602


def test_garbage_is_refused_without_a_trace(face: Face) -> None:
    headers = {"authorization": "Bearer admin-token", "accept": "application/json, text/event-stream"}
    for body in (b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"jsonrpc":"2.0","id":1}'):
        for version in ("2026-07-28", LEGACY):
            sent = {**headers, "content-type": "application/json", "mcp-protocol-version": version}
            answer = face.http.post(face.url, content=body, headers=sent)
            assert answer.status_code == 400, (version, body[:20], answer.status_code)
            assert "Traceback" not in answer.text


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: {")]


def test_progress_is_streamed_when_a_token_asks_for_it(face: Face) -> None:
    params = {"name": "count_things", "arguments": {"to": 3}}
    answer = face.post("tools/call", params=params, meta={"progressToken": "p"})
    found = events(answer.text)
    assert [event["params"]["progress"] for event in found[:-1]] == [1, 2, 3]
    assert found[0]["params"] == {"progressToken": "p", "progress": 1.0, "total": 3.0, "message": "at 0"}
    assert found[-1]["result"]["structuredContent"] == {"total": 3}


def test_without_a_token_the_answer_is_plain_json(face: Face) -> None:
    answer = face.post("tools/call", params={"name": "count_things", "arguments": {"to": 3}})
    assert answer.headers["content-type"] == "application/json"
    params = {"name": "get_thing", "arguments": {"thing_id": "x"}}
    json_only = face.post("tools/call", params=params, headers={"accept": "application/json"})
    assert json_only.json()["result"]["structuredContent"]["thing_id"] == "x"


def test_an_accepted_job_is_the_answer(face: Face) -> None:
    result = face.call("rebuild_things", {"to": 2}, meta={"headwater/wait_s": 0})
    assert result["structuredContent"]["job_id"] == "j1"
    assert result["structuredContent"]["status"] == "running"


def test_a_jobs_progress_is_streamed_while_it_is_awaited(face: Face) -> None:
    params = {"name": "rebuild_things", "arguments": {}}
    found = events(face.post("tools/call", params=params, meta={"progressToken": 1}).text)
    assert found[0]["params"]["message"] == "half"
    assert found[-1]["result"]["structuredContent"]["job_id"] == "j1"


def test_an_idempotency_key_reaches_the_gate(face: Face) -> None:
    for _ in range(2):
        face.call("create_thing", {"name": "a"}, meta={"headwater/idempotency_key": "k1"})
    assert ("acme", "ada", "create_thing", "k1") in face.gate.results


@pytest.mark.parametrize(
    "meta",
    [
        {"headwater/wait_s": "soon"},
        {"headwater/token_budget": True},
        {"headwater/idempotency_key": 7},
        {"headwater/idempotency_key": "k" * 300},
        {"headwater/token_budget": [1]},
    ],
)
def test_meta_of_the_wrong_type_is_named(face: Face, meta: dict[str, Any]) -> None:
    result = face.call("get_thing", {"thing_id": "x"}, meta=meta)
    assert result["structuredContent"]["error"]["code"] == "INVALID_ARGUMENT"
    assert "_meta headwater/" in result["structuredContent"]["error"]["message"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_python_client_works_in_both_eras(face: Face, mode: Any) -> None:
    async with Client(face.url, auth="admin-token", mode=mode) as client:
        assert {tool.name for tool in await client.list_tools()} >= {"list_lakehouse_tables"}
        result = await client.call_tool("get_thing", {"thing_id": "x"})
        assert result.structured_content == {"thing_id": "x", "name": "thing x", "made_at": "2026-01-02T00:00:00Z"}
        heard: list[float] = []

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            heard.append(progress)

        await client.call_tool("count_things", {"to": 3}, progress_handler=hear)
        assert heard == [1, 2, 3]
        with pytest.raises(ToolError, match="CONFLICT: It is there already"):
            await client.call_tool("fail_thing", {"kind": "conflict"})
        assert (await client.call_tool("rebuild_things", {})).structured_content["job_id"] == "j1"
        assert await client.list_prompts() == []


def test_an_old_client_is_answered_with_plain_json(face: Face) -> None:
    body = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "ping", "arguments": {}}}
    headers = {"authorization": "Bearer viewer-token", "accept": "application/json, text/event-stream"}
    answer = face.http.post(face.url, json=body, headers={**headers, "mcp-protocol-version": LEGACY})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["result"]["structuredContent"] == {"total": 1}


def test_a_client_that_leaves_cancels_its_call(face: Face) -> None:
    hasty = replace(face, http=httpx.Client(timeout=0.3))
    with pytest.raises(httpx.ReadTimeout):
        hasty.call("fail_thing", {"kind": "sleep"})
    hasty.http.close()
    until = time.monotonic() + 1.5
    while not face.gate.records and time.monotonic() < until:
        time.sleep(0.02)
    assert [record.code for record in face.gate.records] == ["CANCELLED"]
