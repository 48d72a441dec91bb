"""What A2A 1.0 says that a server MUST do, where the other tests here do not show it, on each binding."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from a2a.client import Client
from a2a.types import (
    GetTaskRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageRequest,
    SubscribeToTaskRequest,
)
from a2a.utils.errors import InvalidParamsError, TaskNotFoundError, UnsupportedOperationError
from google.protobuf.json_format import MessageToDict

from gateway.serving.host import Host
from tests.gateway.serving.conftest import BINDINGS, Served, send
from tests.gateway.serving.scripted import Suite
from tests.gateway.serving.test_bindings import S

pytestmark = pytest.mark.asyncio(loop_scope="session")
each_binding = pytest.mark.parametrize("binding", BINDINGS)


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def suite(served: Served) -> AsyncIterator[None]:
    """Headwater's agent answers message ids, until these tests are over."""
    host = Host(served.own.agents, served.told, served.own.extended_card, executor=Suite(served.told))
    served.own.use(host)
    yield
    served.own.use(served.host)
    await host.close()


def saying(message_id: str, **more: Any) -> SendMessageRequest:
    parts = [Part(text="Hello from the suite")]
    return SendMessageRequest(message=Message(message_id=message_id, role=Role.ROLE_USER, parts=parts, **more))


async def answer(client: Client, request: SendMessageRequest) -> Any:
    return (await send(client, request))[-1]


@each_binding
async def test_a_message_is_answered_by_a_task_or_a_message(served: Served, binding: str) -> None:
    client = await served.client(binding, streams=False)
    task = (await answer(client, saying("tck-complete-task-1"))).task
    said = (await answer(client, saying("tck-message-response-1"))).message
    assert task.status.state == S.TASK_STATE_COMPLETED and task.id and task.context_id
    assert said.role == Role.ROLE_AGENT and said.message_id and said.parts[0].text == "Direct message response"


@each_binding
async def test_a_stream_of_a_message_holds_just_that(served: Served, binding: str) -> None:
    events = await send(await served.client(binding), saying("tck-message-response-2"))
    assert [event.WhichOneof("payload") for event in events] == ["message"]


@each_binding
async def test_a_stream_of_a_task_begins_with_it_and_ends_with_its_end(served: Served, binding: str) -> None:
    events = await send(await served.client(binding), saying("tck-stream-artifact-text"))
    assert events[0].WhichOneof("payload") == "task"
    assert events[-1].status_update.status.state == S.TASK_STATE_COMPLETED


@each_binding
async def test_a_rejected_message_is_an_error(served: Served, binding: str) -> None:
    with pytest.raises(UnsupportedOperationError):
        await answer(await served.client(binding, streams=False), saying("tck-reject-task-1"))


@each_binding
@pytest.mark.parametrize("kind", ["text", "file", "file-url", "data"])
async def test_artifacts_of_every_kind_come_through(served: Served, binding: str, kind: str) -> None:
    client = await served.client(binding, streams=False)
    task = (await answer(client, saying(f"tck-artifact-{kind}-1"))).task
    part = MessageToDict(task.artifacts[0])["parts"][0]
    wanted = {"text": "text", "file": "raw", "file-url": "url", "data": "data"}[kind]
    assert wanted in part and task.artifacts[0].artifact_id


@each_binding
async def test_ids_are_made_and_kept_as_the_protocol_has_it(served: Served, binding: str) -> None:
    client = await served.client(binding, streams=False)
    first = (await answer(client, saying("tck-complete-task-a"))).task
    second = (await answer(client, saying("tck-complete-task-b"))).task
    own = (await answer(client, saying("tck-complete-task-c", context_id=f"mine-{binding}"))).task
    assert first.id != second.id and first.context_id != second.context_id
    assert own.context_id == f"mine-{binding}"


@each_binding
async def test_a_context_is_inferred_from_its_task_and_must_fit_it(served: Served, binding: str) -> None:
    client = await served.client(binding, streams=False)
    task = (await answer(client, saying("tck-input-required-1"))).task
    with pytest.raises(InvalidParamsError):
        await answer(client, saying("tck-input-required-done", task_id=task.id, context_id="another"))
    with pytest.raises(TaskNotFoundError):
        await answer(client, saying("tck-complete-task", task_id="nobodys"))
    done = (await answer(client, saying("tck-input-required-done", task_id=task.id))).task
    assert done.context_id == task.context_id and done.status.state == S.TASK_STATE_COMPLETED


@each_binding
async def test_history_never_exceeds_what_is_asked_and_is_in_order(served: Served, binding: str) -> None:
    client = await served.client(binding, streams=False)
    task = (await answer(client, saying("tck-input-required-2"))).task
    await answer(client, saying("tck-input-required-done-2", task_id=task.id))
    whole = await client.get_task(GetTaskRequest(id=task.id))
    one = await client.get_task(GetTaskRequest(id=task.id, history_length=1))
    assert [each.message_id for each in whole.history] == ["tck-input-required-2", "tck-input-required-done-2"]
    assert len(one.history) == 1


@each_binding
async def test_lists_refuse_pages_that_are_none(served: Served, binding: str) -> None:
    client = await served.client(binding, streams=False)
    for request in (
        ListTasksRequest(page_size=101),
        ListTasksRequest(page_size=-1),
        ListTasksRequest(page_token="nonsense"),
        ListTasksRequest(history_length=-1),
    ):
        with pytest.raises(InvalidParamsError):
            await client.list_tasks(request)


async def follow(client: Client, task_id: str, events: list[Any], *, leaves: bool = False) -> None:
    async for event in client.subscribe(SubscribeToTaskRequest(id=task_id)):
        events.append(event)
        if leaves:
            return


@each_binding
async def test_every_stream_of_a_task_tells_the_same_whoever_leaves(served: Served, binding: str) -> None:
    client, plain = await served.client(binding), await served.client(binding, streams=False)
    task = (await answer(plain, saying("tck-input-required-s"))).task
    told: list[list[Any]] = [[], [], []]
    following = [asyncio.create_task(follow(client, task.id, told[n], leaves=n == 0)) for n in range(3)]
    async with asyncio.timeout(10):
        await following[0]
        while not all(told):
            await asyncio.sleep(0.01)
        await answer(plain, saying("tck-artifact-text-s", task_id=task.id))
        await asyncio.gather(*following)
    assert len(told[0]) == 1 and told[1] == told[2] and len(told[1]) > 2
    assert told[1][0].task.id == task.id
    assert told[1][-1].status_update.status.state == S.TASK_STATE_COMPLETED


@each_binding
async def test_who_asks_for_it_is_answered_while_the_task_still_runs(served: Served, binding: str) -> None:
    client = await served.client(binding, streams=False)
    request = saying("tck-delayed-complete-1")
    request.configuration.return_immediately = True
    task = (await answer(client, request)).task
    assert task.status.state in (S.TASK_STATE_SUBMITTED, S.TASK_STATE_WORKING)


async def rest(served: Served, method: str, path: str, body: Any = None, **headers: str) -> Any:
    return await served.web().request(method, f"/a2a/headwater{path}", json=body, headers=headers)


async def test_errors_of_rest_have_the_shape_of_aip_193(served: Served) -> None:
    answered = await rest(served, "GET", "/tasks/nobodys")
    error = answered.json()["error"]
    assert answered.status_code == 404 and error["code"] == 404 and error["status"] == "NOT_FOUND"
    assert error["details"][0] == {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "TASK_NOT_FOUND",
        "domain": "a2a-protocol.org",
        "metadata": {},
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/message:send", {}, 400),
        ("POST", "/message:send", [], 400),
        ("POST", "/tasks/nobodys:cancel", {}, 404),
        ("GET", "/tasks?pageSize=1000", None, 400),
        ("GET", "/nothing", None, 404),
        ("GET", "/tasks/nobodys:subscribe", None, 404),
    ],
)
async def test_rest_answers_with_the_status_of_the_error(
    served: Served, method: str, path: str, body: Any, status: int
) -> None:
    answered = await rest(served, method, path, body)
    assert answered.status_code == status, answered.text


@pytest.mark.parametrize("path", ["/message:send", "/message:stream"])
async def test_a_version_that_is_not_spoken_is_refused(served: Served, path: str) -> None:
    body = MessageToDict(saying("tck-complete-task-v"))
    answered = await rest(served, "POST", path, body, **{"a2a-version": "99.0"})
    assert answered.status_code == 400 and "VERSION_NOT_SUPPORTED" in answered.text
    call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": body}
    told = await served.web().post("/a2a/headwater/", json=call, headers={"a2a-version": "99.0"})
    assert told.json()["error"]["code"] == -32009


async def test_json_is_camel_case_with_named_states_and_times_in_utc(served: Served) -> None:
    body = MessageToDict(saying("tck-complete-task-j"))
    task = (await rest(served, "POST", "/message:send", body)).json()["task"]
    assert task["status"]["state"] == "TASK_STATE_COMPLETED" and "contextId" in task
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", task["status"]["timestamp"])


async def test_a_final_page_says_that_it_is_the_last(served: Served) -> None:
    found = (await rest(served, "GET", "/tasks?pageSize=100&contextId=nothing-here")).json()
    assert found["nextPageToken"] == "" and found["tasks"] == [] and found["totalSize"] == 0


async def test_json_rpc_repeats_the_id_and_streams_events_of_its_shape(served: Served) -> None:
    params = MessageToDict(saying("tck-stream-001"))
    call = {"jsonrpc": "2.0", "id": "my-id", "method": "SendStreamingMessage", "params": params}
    async with served.web().stream("POST", "/a2a/headwater", json=call) as answered:
        assert answered.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in answered.aiter_lines() if line.startswith("data:")]
    events = [json.loads(line.removeprefix("data:")) for line in lines]
    assert {event["id"] for event in events} == {"my-id"} and {event["jsonrpc"] for event in events} == {"2.0"}
    assert list(events[0]["result"]) == ["task"] and list(events[-1]["result"]) == ["statusUpdate"]


async def test_the_card_has_all_that_a_card_must_have(served: Served) -> None:
    card = (await served.web().get("/a2a/headwater/.well-known/agent-card.json")).json()
    for name in ("name", "description", "version", "supportedInterfaces", "capabilities", "skills"):
        assert card[name], name
    assert card["defaultInputModes"] and card["defaultOutputModes"]
    for skill in card["skills"]:
        assert skill["id"] and skill["name"] and skill["description"] and skill["tags"]
    for each in card["supportedInterfaces"]:
        assert each["url"] and each["protocolBinding"] in BINDINGS and each["protocolVersion"]
    assert {each["url"] for each in card["supportedInterfaces"] if each["protocolBinding"] == "GRPC"} == {
        served.grpc_at
    }
