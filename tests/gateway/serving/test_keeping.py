"""Tasks outlive processes: followed, cancelled and ended from elsewhere; and addresses are told of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from a2a.types import (
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    SubscribeToTaskRequest,
    TaskPushNotificationConfig,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core.context import Principal
from engine.store.tables import served_pushes, served_tasks
from gateway.serving.asks import Visit
from gateway.serving.host import Host
from gateway.serving.requests import LOOK_S
from gateway.serving.sdk import context_of
from tests.gateway.serving.conftest import BINDINGS, Served, asking, send
from tests.gateway.serving.scripted import Told
from tests.gateway.serving.test_bindings import S
from tests.gateway.worlds import served as serve

pytestmark = pytest.mark.asyncio(loop_scope="session")
AWAY = "https://93.184.216.34/"  # nobody is called there


async def begin(served: Served, text: str = "wait") -> Any:
    """A task of vera's that runs in the house."""
    served.told.begun.clear()
    request = asking(text)
    request.configuration.return_immediately = True
    task = (await send(await served.client("JSONRPC", streams=False), request))[0].task
    await asyncio.wait_for(served.told.begun.wait(), 5)
    return task


@pytest_asyncio.fixture(loop_scope="session")
async def elsewhere(served: Served) -> AsyncIterator[Host]:
    """Another process on the same store."""
    host = Host(served.own.agents, Told(), served.own.extended_card)
    yield host
    await host.close()


async def vera(served: Served) -> Any:
    principal: Principal = await served.own.dispatcher.authenticate(served.house.tokens["vera"], "a2a/headwater")
    return context_of(Visit(principal, "headwater", "r1", "http://x"), {"a2a-version": "1.0"}, set())


async def test_a_task_that_runs_elsewhere_is_followed_in_the_store(served: Served, elsewhere: Host) -> None:
    task, context = await begin(served), await vera(served)
    following: Any = elsewhere.handler.on_subscribe_to_task(SubscribeToTaskRequest(id=task.id), context)
    first = await anext(following)
    await (await served.client("JSONRPC")).cancel_task(CancelTaskRequest(id=task.id))
    last = [event async for event in following][-1]
    assert first.id == task.id and last.status.state == S.TASK_STATE_CANCELED


async def test_a_task_that_runs_elsewhere_is_cancelled_there_too(served: Served, elsewhere: Host) -> None:
    served.told.stopped.clear()
    task, context = await begin(served), await vera(served)
    cancelled = await elsewhere.handler.on_cancel_task(CancelTaskRequest(id=task.id), context)
    for _ in range(2):  # what the beat does every few seconds
        served.host.stop_what_ended_elsewhere(await served.own.agents.served.hold(served.host.holder))
    await asyncio.wait_for(served.told.stopped.wait(), 5)
    assert cancelled is not None and cancelled.status.state == S.TASK_STATE_CANCELED


async def test_a_task_whose_process_is_gone_has_failed_for_whoever_reads_it(served: Served, elsewhere: Host) -> None:
    context = await vera(served)
    request = asking("wait")
    request.configuration.return_immediately = True
    task: Any = await elsewhere.handler.on_message_send(request, context)
    await elsewhere.close()
    found = await (await served.client("GRPC")).get_task(GetTaskRequest(id=task.id))
    assert found.status.state == S.TASK_STATE_FAILED
    assert "has stopped" in found.status.message.parts[0].text


async def test_a_question_is_answered_in_another_process(served: Served, elsewhere: Host) -> None:
    asked = (await send(await served.client("JSONRPC", streams=False), asking("ask")))[0].task
    more = asking("EU", task_id=asked.id)
    answered: Any = await elsewhere.handler.on_message_send(more, await vera(served))
    assert answered.id == asked.id and answered.status.message.parts[0].text == "region: EU"


async def test_a_follower_goes_along_when_another_process_goes_on(served: Served, elsewhere: Host) -> None:
    asked = (await send(await served.client("JSONRPC", streams=False), asking("ask")))[0].task
    client = await served.client("JSONRPC")
    following = aiter(client.subscribe(SubscribeToTaskRequest(id=asked.id)))
    assert (await anext(following)).task.id == asked.id
    await asyncio.sleep(2 * LOOK_S + 0.2)
    await elsewhere.handler.on_message_send(asking("EU", task_id=asked.id), await vera(served))
    async with asyncio.timeout(3 * LOOK_S):
        last = [event async for event in following][-1]
    assert last.task.status.message.parts[0].text == "region: EU"


async def test_nothing_that_was_asked_or_answered_lies_open_in_the_store(served: Served) -> None:
    client = await served.client("JSONRPC", streams=False)
    task = (await send(client, asking("a very private question")))[0].task
    config = TaskPushNotificationConfig(task_id=task.id, url="https://93.184.216.34/hook-9", token="token-of-vera")
    await client.create_task_push_notification_config(config)
    store = served.house.desk.platform.engine.store
    rows = await store.read(
        lambda connection: [*connection.execute(served_tasks.select()), *connection.execute(served_pushes.select())]
    )
    assert task.id in str(rows)
    for secret in ("private question", "hook-9", "token-of-vera", "SELECT 1"):
        assert secret not in str(rows)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hook() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A server that notifications go to, and what it got."""
    got: list[dict[str, Any]] = []

    async def take(request: Request) -> Response:
        got.append({"body": json.loads(await request.body()), "headers": dict(request.headers)})
        return Response(status_code=204)

    async with serve(lambda url: Starlette(routes=[Route("/hook", take, methods=["POST"])])) as url:
        yield f"{url}/hook", got


@pytest.mark.parametrize("binding", BINDINGS)
async def test_an_address_is_told_of_every_step_in_order(
    served: Served, binding: str, hook: tuple[str, list[dict[str, Any]]]
) -> None:
    url, got = hook
    got.clear()
    request = asking("hello")
    config = TaskPushNotificationConfig(url=url, token="t0ken")
    config.authentication.scheme, config.authentication.credentials = "Bearer", "theirs"
    request.configuration.task_push_notification_config.CopyFrom(config)
    await send(await served.client(binding, streams=False), request)
    async with asyncio.timeout(5):
        while len(got) < 6:
            await asyncio.sleep(0.02)
    assert next(iter(got[0]["body"])) == "task"
    assert got[-1]["body"]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert got[0]["headers"]["x-a2a-notification-token"] == "t0ken"
    assert {each["headers"]["authorization"] for each in got} == {"Bearer theirs"}


@pytest.mark.parametrize("binding", BINDINGS)
async def test_addresses_are_listed_and_forgotten(served: Served, binding: str) -> None:
    client = await served.client(binding, streams=False)
    task = (await send(client, asking("ask")))[0].task
    for number in range(3):
        await client.create_task_push_notification_config(
            TaskPushNotificationConfig(task_id=task.id, id=f"c{number}", url=AWAY)
        )
    gone = DeleteTaskPushNotificationConfigRequest(task_id=task.id, id="c1")
    await client.delete_task_push_notification_config(gone)
    wanted = ListTaskPushNotificationConfigsRequest(task_id=task.id)
    left = await client.list_task_push_notification_configs(wanted)
    assert [config.id for config in left.configs] == ["c0", "c2"]


async def test_a_task_has_twenty_addresses_at_most(served: Served) -> None:
    client = await served.client("JSONRPC", streams=False)
    task = (await send(client, asking("ask")))[0].task
    for number in range(20):
        config = TaskPushNotificationConfig(task_id=task.id, id=f"c{number}", url=AWAY)
        await client.create_task_push_notification_config(config)
    with pytest.raises(Exception, match="at most 20"):
        await client.create_task_push_notification_config(
            TaskPushNotificationConfig(task_id=task.id, id="c20", url=AWAY)
        )
