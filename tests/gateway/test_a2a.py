"""An A2A agent through its gateway_url, with the SDK's own client and byte by byte."""

import json
from typing import Any

import httpx
import pytest
from a2a.client import ClientConfig
from a2a.client.card_resolver import A2ACardResolver
from a2a.client.client_factory import ClientFactory
from a2a.types import GetTaskRequest, Message, Part, Role, SendMessageRequest, StreamResponse, TaskState

from tests.gateway.conftest import House

pytestmark = pytest.mark.asyncio(loop_scope="session")


def message(text: str, **more: Any) -> dict[str, Any]:
    return {"message": {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": text}], **more}}


def rpc(method: str, params: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}


async def ask(house: House, body: Any, who: str = "viewer", agent: str = "echo") -> tuple[int, dict[str, Any]]:
    async with house.client(who) as client:
        answer = await client.post(f"/a2a/{agent}/", json=body)
    return answer.status_code, answer.json()


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
async def test_the_sdks_client_streams_a_task_through_the_gateway(house: House, binding: str) -> None:
    async with house.client() as client:
        card = await A2ACardResolver(client, f"{house.rest}/a2a/echo").get_agent_card()
        config = ClientConfig(httpx_client=client, supported_protocol_bindings=[binding], streaming=True)
        sent = Message(message_id="m", role=Role.ROLE_USER, parts=[Part(text="task one")])
        chosen = ClientFactory(config).create(card)
        events = [event.WhichOneof("payload") async for event in chosen.send_message(SendMessageRequest(message=sent))]
    assert events == ["task", "status_update", "artifact_update", "status_update"]


@pytest.mark.parametrize("streaming", [True, False])
async def test_the_sdks_client_of_the_older_version_is_served_too(house: House, streaming: bool) -> None:
    async with house.client() as client:
        card = await A2ACardResolver(client, f"{house.rest}/a2a/echo").get_agent_card()
        older = [each for each in card.supported_interfaces if each.protocol_version.startswith("0.3")]
        del card.supported_interfaces[:]
        card.supported_interfaces.extend(older)
        chosen = ClientFactory(ClientConfig(httpx_client=client, streaming=streaming)).create(card)
        sent = Message(message_id="m", role=Role.ROLE_USER, parts=[Part(text="task two")])
        events = [event async for event in chosen.send_message(SendMessageRequest(message=sent))]
        task = await chosen.get_task(GetTaskRequest(id=_task_of(events)))
    assert task.status.state == TaskState.TASK_STATE_COMPLETED
    assert task.artifacts[0].parts[0].text == "echo: task two"


def _task_of(events: list[StreamResponse]) -> str:
    return next(event.task.id or event.status_update.task_id for event in events)


async def test_messages_of_both_versions_reach_the_agent(house: House) -> None:
    _, new = await ask(house, rpc("SendMessage", message("hi")))
    old_parts = [{"kind": "text", "text": "hi"}]
    old_message = {"message": {"messageId": "m", "kind": "message", "role": "user", "parts": old_parts}}
    _, old = await ask(house, rpc("message/send", old_message))
    assert new["result"]["message"]["parts"] == [{"text": "echo: hi"}]
    assert old["result"]["parts"] == [{"kind": "text", "text": "echo: hi"}]


async def test_the_card_names_our_addresses_and_our_sign_in(house: House) -> None:
    async with house.client() as client:
        card = (await client.get("/a2a/echo/.well-known/agent-card.json")).json()
        again = await client.get("/a2a/echo/.well-known/agent-card.json", headers={"if-none-match": "x"})
    http = [each["url"] for each in card["supportedInterfaces"] if each["protocolBinding"] != "GRPC"]
    assert set(http) == {f"{house.rest}/a2a/echo/", f"{house.rest}/a2a/echo"}
    assert list(card["securitySchemes"]) == ["headwater"]
    assert again.headers["etag"].startswith("W/")


async def test_a_task_belongs_to_who_began_it(house: House) -> None:
    _, made = await ask(house, rpc("SendMessage", message("task mine")))
    task = made["result"]["task"]
    _, own = await ask(house, rpc("GetTask", {"id": task["id"]}))
    assert own["result"]["id"] == task["id"]
    for params in (rpc("GetTask", {"id": task["id"]}), rpc("CancelTask", {"id": task["id"]})):
        _, refused = await ask(house, params, "vera")
        assert refused["error"]["code"] == -32001
    for more in ({"taskId": task["id"]}, {"contextId": task["contextId"]}, {"referenceTaskIds": [task["id"]]}):
        _, refused = await ask(house, rpc("SendMessage", message("task theirs", **more)), "vera")
        assert refused["error"]["code"] == -32001


async def test_a_list_of_tasks_shows_the_callers_own_alone(house: House) -> None:
    _, mine = await ask(house, rpc("SendMessage", message("task listed")), "vera")
    _, listed = await ask(house, rpc("ListTasks", {}), "vera")
    assert mine["result"]["task"]["id"] in [task["id"] for task in listed["result"]["tasks"]]
    _, others = await ask(house, rpc("ListTasks", {}), "admin")
    assert others["result"]["tasks"] == []


async def test_an_agent_that_asks_back_is_answered_in_its_task(house: House) -> None:
    _, asked = await ask(house, rpc("SendMessage", message("task: ask me")))
    task = asked["result"]["task"]
    assert task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    more = {"taskId": task["id"], "contextId": task["contextId"]}
    _, done = await ask(house, rpc("SendMessage", message("task the second", **more)))
    assert done["result"]["task"]["status"]["state"] == "TASK_STATE_COMPLETED"


REFUSALS: dict[str, tuple[str, Any, str, int, str]] = {
    "no token": ("", rpc("SendMessage", message("x")), "echo", 401, "UNAUTHENTICATED"),
    "no permission": ("auditor", rpc("SendMessage", message("x")), "echo", 403, "UNAUTHORIZED"),
    "another tenant's": ("stranger", rpc("SendMessage", message("x")), "echo", 200, "NOT_FOUND"),
    "no agent": ("viewer", rpc("SendMessage", message("x")), "nobody", 200, "NOT_FOUND"),
    "another protocol": ("viewer", rpc("SendMessage", message("x")), "weather", 200, "NOT_FOUND"),
    "no method": ("viewer", rpc("DropTables", {}), "echo", 200, "INVALID_ARGUMENT"),
    "no envelope": ("viewer", [1, 2], "echo", 200, "INVALID_ARGUMENT"),
    "a notification inside": (
        "viewer",
        rpc(
            "SendMessage", {**message("x"), "configuration": {"taskPushNotificationConfig": {"url": "http://10.0.0.1"}}}
        ),
        "echo",
        403,
        "UNAUTHORIZED",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_refusals_have_the_protocols_shape_and_our_code(house: House, name: str) -> None:
    who, body, agent, status, code = REFUSALS[name]
    found, answer = await ask(house, body, who, agent)
    detail = answer["error"]["data"][0]
    assert (found, detail["reason"], detail["metadata"]["code"]) == (status, code, code)
    assert detail["metadata"]["request_id"]


async def test_every_passed_message_is_in_the_audit(house: House) -> None:
    await ask(house, rpc("SendMessage", message("audited")), "vera")
    audit = house.desk.platform.engine.audit
    entries = [entry.record for entry in await audit.read("default", limit=10_000) if entry.record]
    last = [record for record in entries if record.face == "a2a" and record.subject == "vera"][-1]
    assert (last.tool, last.code, last.resources) == ("send_to_agent", "OK", ("agent:echo", "SendMessage"))
    assert last.argument_digest


async def test_rest_refusals_have_the_shape_of_rest(house: House) -> None:
    async with house.client("vera") as client:
        answer = await client.get("/a2a/echo/tasks/no-such-task")
        wrong: httpx.Response = await client.post("/a2a/echo/message:explode", json={})
    assert answer.status_code == 404 and answer.json()["error"]["details"][0]["reason"] == "TASK_NOT_FOUND"
    assert wrong.status_code == 404 and json.loads(wrong.content)["error"]["status"] == "NOT_FOUND"
