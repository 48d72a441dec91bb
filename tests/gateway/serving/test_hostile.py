"""What strangers, agents and liars try on our own agents: on each binding and method the same refusal."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from a2a.client import Client
from a2a.client.errors import A2AClientError
from a2a.types import (
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTasksRequest,
    Part,
    Role,
    SendMessageRequest,
    SubscribeToTaskRequest,
    TaskPushNotificationConfig,
)
from a2a.utils.errors import A2AError, ContentTypeNotSupportedError, InvalidParamsError, TaskNotFoundError

from core.errors import Conflict
from tests.gateway.serving.conftest import BINDINGS, Served, asking, send
from tests.gateway.serving.test_bindings import S

pytestmark = pytest.mark.asyncio(loop_scope="session")
PUBLIC = "https://example.com/hook"


async def get_raw(served: Served, body: bytes, metadata: Any = ()) -> bytes:
    """GetTask over gRPC with any bytes."""
    call: Any = served.channel().unary_unary(
        "/lf.a2a.v1.A2AService/GetTask", request_serializer=None, response_deserializer=None
    )
    return bytes(await call(body, metadata=metadata))


async def _subscribe(client: Client, task: str) -> Any:
    return await anext(aiter(client.subscribe(SubscribeToTaskRequest(id=task))))


METHODS: dict[str, Callable[[Client, str], Any]] = {
    "get": lambda client, task: client.get_task(GetTaskRequest(id=task)),
    "cancel": lambda client, task: client.cancel_task(CancelTaskRequest(id=task)),
    "subscribe": _subscribe,
    "message": lambda client, task: send(client, asking("more", task_id=task)),
    "push create": lambda client, task: client.create_task_push_notification_config(
        TaskPushNotificationConfig(task_id=task, id="c", url=PUBLIC)
    ),
    "push get": lambda client, task: client.get_task_push_notification_config(
        GetTaskPushNotificationConfigRequest(task_id=task, id="c")
    ),
    "push list": lambda client, task: client.list_task_push_notification_configs(
        ListTaskPushNotificationConfigsRequest(task_id=task)
    ),
    "push delete": lambda client, task: client.delete_task_push_notification_config(
        DeleteTaskPushNotificationConfigRequest(task_id=task, id="c")
    ),
}


@asynccontextmanager
async def waiting_task(served: Served, binding: str, **more: Any) -> AsyncIterator[Any]:
    """A task of vera's that runs until the block is left."""
    plain, client = await served.client(binding, streams=False), await served.client(binding)
    served.told.begun.clear()
    request = asking("wait", **more)
    request.configuration.return_immediately = True
    task = (await send(plain, request))[0].task
    await served.told.begun.wait()
    yield task
    await client.cancel_task(CancelTaskRequest(id=task.id))


@pytest.mark.parametrize("binding", BINDINGS)
@pytest.mark.parametrize("who", ["stranger", "viewer"])
async def test_somebody_elses_task_does_not_exist_for_any_method(served: Served, binding: str, who: str) -> None:
    client = await served.client(binding, who)
    async with waiting_task(served, binding) as task:
        for name, method in METHODS.items():
            with pytest.raises(TaskNotFoundError):
                await method(client, task.id)
                pytest.fail(name)
        assert task.id not in [each.id for each in (await client.list_tasks(ListTasksRequest())).tasks]
        mine = await (await served.client(binding)).get_task(GetTaskRequest(id=task.id))
    assert mine.status.state == S.TASK_STATE_WORKING or mine.status.state == S.TASK_STATE_SUBMITTED


@pytest.mark.parametrize("binding", BINDINGS)
async def test_somebody_elses_conversation_is_not_joined_or_listed(served: Served, binding: str) -> None:
    context = f"talk-{binding}"
    await send(await served.client(binding, streams=False), asking("hello", context_id=context))
    other = await served.client(binding, "viewer", streams=False)
    with pytest.raises((TaskNotFoundError, InvalidParamsError)):
        await send(other, asking("hello", context_id=context))
    with pytest.raises((TaskNotFoundError, InvalidParamsError)):
        await other.list_tasks(ListTasksRequest(context_id=context))


@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_task_of_one_agent_is_none_of_anothers(served: Served, binding: str) -> None:
    await served.house.desk.call("create_agent", name="Else", agent_id=f"else-{binding[:4].lower()}", project_id="p1")
    task = (await send(await served.client(binding, streams=False), asking("hello")))[0].task
    other = await served.client(binding, agent=f"else-{binding[:4].lower()}")
    with pytest.raises(TaskNotFoundError):
        await other.get_task(GetTaskRequest(id=task.id))


@pytest.mark.parametrize("binding", BINDINGS)
@pytest.mark.parametrize("who", ["nonsense.token", "auditor"])
async def test_a_wrong_token_and_a_role_that_may_not_ask_get_nothing(served: Served, binding: str, who: str) -> None:
    served.house.tokens.setdefault(who, who)
    before = len(served.told.asked)
    with pytest.raises((A2AError, A2AClientError)):
        await send(await served.client(binding, who, streams=False), asking("hello"))
    assert len(served.told.asked) == before


@pytest.mark.parametrize("binding", BINDINGS)
@pytest.mark.parametrize("part", [Part(url="http://127.0.0.1:9/secret"), Part(raw=b"x", filename="a.txt")])
async def test_files_are_neither_taken_nor_fetched(served: Served, binding: str, part: Part) -> None:
    request = asking("look at this")
    request.message.parts.append(part)
    with pytest.raises(ContentTypeNotSupportedError):
        await send(await served.client(binding, streams=False), request)


@pytest.mark.parametrize("binding", BINDINGS)
@pytest.mark.parametrize(
    "request_of",
    [
        lambda: SendMessageRequest(message={"message_id": "m", "role": Role.ROLE_USER, "parts": []}),
        lambda: asking("x" * 20_001),
        lambda: asking("hello", metadata={"skill": "drop_tables"}),
        lambda: asking("hello", context_id="c" * 256),
        lambda: asking("   "),
    ],
    ids=["no parts", "too long", "no such skill", "long context", "nothing said"],
)
async def test_what_cannot_be_answered_leaves_no_task(served: Served, binding: str, request_of: Any) -> None:
    client = await served.client(binding, streams=False)
    before = (await client.list_tasks(ListTasksRequest())).total_size
    with pytest.raises(InvalidParamsError):
        await send(client, request_of())
    assert (await client.list_tasks(ListTasksRequest())).total_size == before


@pytest.mark.parametrize("binding", BINDINGS)
@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "http://10.0.0.1/", "ftp://x/", "https://u:p@example.com/"]
)
async def test_notifications_lead_to_no_address_inside(served: Served, binding: str, url: str) -> None:
    client = await served.client(binding, streams=False)
    task = (await send(client, asking("ask")))[0].task
    with pytest.raises(InvalidParamsError):
        await client.create_task_push_notification_config(TaskPushNotificationConfig(task_id=task.id, url=url))
    request = asking("hello")
    request.configuration.task_push_notification_config.url = url
    with pytest.raises(InvalidParamsError):
        await send(client, request)


@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_defect_of_ours_tells_nothing_of_our_insides(served: Served, binding: str) -> None:
    client = await served.client(binding, streams=False)
    with pytest.raises(A2AError) as caught:
        await send(client, asking("break"))
    newest = (await client.list_tasks(ListTasksRequest(page_size=1))).tasks[0]
    assert "secret-detail-7" not in f"{caught.value!r} {newest}"
    assert newest.status.state == S.TASK_STATE_FAILED


MALFORMED: list[tuple[bytes, int]] = [
    (b"{", -32700),
    (b"\xff", -32700),
    (b"[]", -32600),
    (b'[{"jsonrpc":"2.0","id":1,"method":"GetTask"}]', -32600),
    (b'{"jsonrpc":"1.0","id":1,"method":"GetTask"}', -32600),
    (b'{"jsonrpc":"2.0","id":{},"method":"GetTask"}', -32600),
    (b'{"jsonrpc":"2.0","id":1,"method":"Nope"}', -32601),
    (b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":[1]}', -32602),
    (b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{}}', -32602),
    (b'{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{"message":7}}', -32602),
    (b'{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{"message":{"role":"ROLE_USER"}}}', -32602),
    (b"[" * 5_000, -32700),
]


@pytest.mark.parametrize(("body", "code"), MALFORMED)
async def test_malformed_json_rpc_is_told_what_is_wrong(served: Served, body: bytes, code: int) -> None:
    headers = {"content-type": "application/json"}
    answer = await served.web().post("/a2a/headwater/", content=body, headers=headers)
    assert answer.json()["error"]["code"] in (code, -32600), answer.text
    assert "Traceback" not in answer.text and "/" not in str(answer.json()["error"].get("message"))[:1]


async def test_a_body_of_another_type_is_none_of_json_rpc(served: Served) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ListTasks"})
    answer = await served.web().post("/a2a/headwater/", content=body, headers={"content-type": "text/plain"})
    assert answer.json()["error"]["code"] == -32005


async def test_bytes_that_are_no_request_are_refused_over_grpc(served: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await get_raw(served, b"\xff\xff\xff")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ((("a2a-version", "99.0"),), grpc.StatusCode.UNIMPLEMENTED),
        ((("headwater-agent", "nobody"),), grpc.StatusCode.NOT_FOUND),
        ((("headwater-agent", "../../etc"),), grpc.StatusCode.NOT_FOUND),
    ],
)
async def test_metadata_that_leads_nowhere_is_refused(served: Served, metadata: Any, code: grpc.StatusCode) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await get_raw(served, GetTaskRequest(id="x").SerializeToString(), metadata)
    assert caught.value.code() is code


async def test_two_names_for_the_agent_must_agree(served: Served) -> None:
    request = GetTaskRequest(id="x", tenant="headwater").SerializeToString()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await get_raw(served, request, (("headwater-agent", "echo"),))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_strangers_see_the_public_card_and_nothing_of_any_tenant(served: Served) -> None:
    async with served.house.client("") as nobody:
        card = await nobody.get("/.well-known/agent-card.json")
        own = await nobody.get("/a2a/else-json/.well-known/agent-card.json")
        extended = await nobody.get("/a2a/headwater/extendedAgentCard", headers={"a2a-version": "1.0"})
    assert card.status_code == 200 and "agent:" not in card.text and card.headers["cache-control"].startswith("public")
    assert own.status_code == 401 and extended.status_code == 401


async def test_the_card_is_sent_again_only_where_it_has_changed(served: Served) -> None:
    first = await served.web().get("/a2a/headwater/.well-known/agent-card.json")
    again = await served.web().get(
        "/a2a/headwater/.well-known/agent-card.json", headers={"if-none-match": first.headers["etag"]}
    )
    assert again.status_code == 304 and not again.content and "last-modified" in first.headers


async def test_a_caller_that_leaves_a_stream_leaves_its_task_running(served: Served) -> None:
    served.told.begun.clear()
    served.told.stopped.clear()
    body = {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "wait"}]}}
    async with served.web().stream("POST", "/a2a/headwater/message:stream", json=body) as answer:
        line = await anext(answer.aiter_lines())
    await asyncio.wait_for(served.told.begun.wait(), 5)
    task = json.loads(line.removeprefix("data: "))["task"]["id"]
    client = await served.client("JSONRPC")
    assert (await client.get_task(GetTaskRequest(id=task))).status.state != S.TASK_STATE_FAILED
    await client.cancel_task(CancelTaskRequest(id=task))
    await asyncio.wait_for(served.told.stopped.wait(), 5)


@pytest.mark.parametrize("protocol", [None, "A2A"])
async def test_nobody_takes_headwaters_own_id(served: Served, protocol: str | None) -> None:
    more: Any = {"protocol": protocol, "endpoint_url": "https://93.184.216.34/"} if protocol else {}
    with pytest.raises(Conflict, match="own"):
        await served.house.desk.call("create_agent", name="Me", agent_id="headwater", project_id="p1", **more)


@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_list_of_an_agent_of_others_shows_ones_own_tasks_alone(served: Served, binding: str) -> None:
    task = (await send(await served.client(binding, agent="echo", streams=False), asking("task mine")))[0].task
    mine = await (await served.client(binding, agent="echo")).list_tasks(ListTasksRequest())
    other = await (await served.client(binding, "viewer", "echo")).list_tasks(ListTasksRequest())
    assert task.id in [each.id for each in mine.tasks] and task.id not in [each.id for each in other.tasks]


@pytest.mark.parametrize("binding", BINDINGS)
async def test_a_body_beyond_the_limit_is_refused(served: Served, binding: str) -> None:
    request = SendMessageRequest(
        message={"message_id": "m", "role": Role.ROLE_USER, "parts": [{"raw": b"x" * 17 * 2**20}]}
    )
    with pytest.raises(A2AClientError):
        await send(await served.client(binding, streams=False), request)
