"""One agent of ours over three bindings: what it answers, asks, keeps, shows and stops is the same on each."""

import asyncio
from typing import Any

import pytest
from a2a.types import (
    CancelTaskRequest,
    GetExtendedAgentCardRequest,
    GetTaskRequest,
    ListTasksRequest,
    SendMessageConfiguration,
    SubscribeToTaskRequest,
    TaskState,
)
from a2a.utils.errors import TaskNotCancelableError, UnsupportedOperationError
from google.protobuf.json_format import MessageToDict

from tests.gateway.serving.conftest import BINDINGS, Served, asking, send

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.parametrize("binding", BINDINGS)]
S = TaskState


async def test_a_message_is_streamed_from_task_to_last_word(served: Served, binding: str) -> None:
    events = await send(await served.client(binding), asking("hello"))
    assert [event.WhichOneof("payload") for event in events] == [
        "task",
        "status_update",
        "artifact_update",
        "artifact_update",
        "artifact_update",
        "status_update",
    ]
    assert events[-1].status_update.status.message.parts[0].text == "headwater: hello"


async def test_an_answer_without_a_stream_holds_text_sql_and_rows(served: Served, binding: str) -> None:
    task = (await send(await served.client(binding, streams=False), asking("hello")))[0].task
    found = {each.name: MessageToDict(each)["parts"] for each in task.artifacts}
    assert task.status.state == S.TASK_STATE_COMPLETED
    assert found["sql"] == [{"text": "SELECT 1", "mediaType": "application/sql"}]
    assert [part["data"]["rows"][0]["n"] for part in found["rows"]] == [1, str(2**60)]


async def test_a_question_waits_for_its_answer_and_is_then_gone_on_with(served: Served, binding: str) -> None:
    client = await served.client(binding, streams=False)
    asked = (await send(client, asking("ask")))[0].task
    said = MessageToDict(asked.status.message)["parts"]
    answered = (await send(client, asking("EU", task_id=asked.id, context_id=asked.context_id)))[0].task
    assert asked.status.state == S.TASK_STATE_INPUT_REQUIRED
    assert said[0]["text"] == "Which region?" and said[1]["data"] == {"choices": ["EU", "US"]}
    assert answered.id == asked.id and answered.status.state == S.TASK_STATE_COMPLETED
    assert answered.status.message.parts[0].text == "region: EU"


async def test_a_running_task_is_cancelled_and_its_work_ends(served: Served, binding: str) -> None:
    client = await served.client(binding)
    served.told.begun.clear()
    served.told.stopped.clear()
    now = SendMessageConfiguration(return_immediately=True)
    request = asking("wait")
    request.configuration.CopyFrom(now)
    plain = await served.client(binding, streams=False)
    task = (await send(plain, request))[0].task
    async with asyncio.timeout(5):
        await served.told.begun.wait()
        cancelled = await client.cancel_task(CancelTaskRequest(id=task.id))
        await served.told.stopped.wait()
    assert cancelled.status.state == S.TASK_STATE_CANCELED
    with pytest.raises(TaskNotCancelableError):
        await client.cancel_task(CancelTaskRequest(id=task.id))


async def test_a_task_is_followed_by_a_second_stream(served: Served, binding: str) -> None:
    client, plain = await served.client(binding), await served.client(binding, streams=False)
    served.told.begun.clear()
    request = asking("wait")
    request.configuration.return_immediately = True
    task = (await send(plain, request))[0].task
    await served.told.begun.wait()
    following = aiter(client.subscribe(SubscribeToTaskRequest(id=task.id)))
    first = await anext(following)
    await client.cancel_task(CancelTaskRequest(id=task.id))
    rest = [event async for event in following]
    assert first.task.id == task.id
    assert not rest or rest[-1].status_update.status.state == S.TASK_STATE_CANCELED


async def test_tasks_are_listed_newest_first_a_page_at_a_time(served: Served, binding: str) -> None:
    client = await served.client(binding, streams=False)
    made = [(await send(client, asking("hello", context_id=f"list-{binding}")))[0].task.id for _ in range(3)]
    first = await client.list_tasks(ListTasksRequest(context_id=f"list-{binding}", page_size=2))
    rest = await client.list_tasks(
        ListTasksRequest(context_id=f"list-{binding}", page_size=2, page_token=first.next_page_token)
    )
    assert [task.id for task in [*first.tasks, *rest.tasks]] == made[::-1]
    assert first.total_size == 3 and not rest.next_page_token and not first.tasks[0].artifacts


async def test_history_is_cut_where_that_is_asked(served: Served, binding: str) -> None:
    client = await served.client(binding, streams=False)
    task = (await send(client, asking("hello")))[0].task
    whole = await client.get_task(GetTaskRequest(id=task.id))
    none = await client.get_task(GetTaskRequest(id=task.id, history_length=0))
    assert whole.history[0].parts[0].text == "hello" and not none.history


async def test_a_task_that_has_ended_takes_no_message_and_no_follower(served: Served, binding: str) -> None:
    client = await served.client(binding, streams=False)
    task = (await send(client, asking("hello")))[0].task
    with pytest.raises(UnsupportedOperationError):
        await send(client, asking("again", task_id=task.id))
    with pytest.raises(UnsupportedOperationError):
        await anext(aiter((await served.client(binding)).subscribe(SubscribeToTaskRequest(id=task.id))))


async def test_a_failure_says_what_was_wrong_and_what_to_do(served: Served, binding: str) -> None:
    task = (await send(await served.client(binding, streams=False), asking("fail")))[0].task
    said: Any = MessageToDict(task.status.message)["parts"]
    assert task.status.state == S.TASK_STATE_FAILED
    assert said[0]["text"] == "The source is down. Try again later."
    assert said[1]["data"]["error"]["code"] == "UNAVAILABLE"


async def test_the_extended_card_leads_to_the_tenants_own_agents(served: Served, binding: str) -> None:
    await served.house.desk.call("create_agent", name="Helper", agent_id=f"own-{binding[:4].lower()}", project_id="p1")
    card = await (await served.client(binding)).get_extended_agent_card(GetExtendedAgentCardRequest())
    skills = [skill.id for skill in card.skills]
    assert skills[:4] == ["nl2sql", "fixed", "reflection", "metric_to_sql"]
    assert f"agent:own-{binding[:4].lower()}" in skills
    assert {each.protocol_binding for each in card.supported_interfaces} == set(BINDINGS)


async def test_a_tenants_own_agent_has_an_address_of_its_own(served: Served, binding: str) -> None:
    agent = f"mine-{binding[:4].lower()}"
    await served.house.desk.call("create_agent", name="Mine", agent_id=agent, project_id="p1")
    client = await served.client(binding, agent=agent, streams=False)
    task = (await send(client, asking("hello")))[0].task
    elsewhere = await served.client(binding, streams=False)
    assert task.status.message.parts[0].text == f"{agent}: hello"
    assert task.id not in [each.id for each in (await elsewhere.list_tasks(ListTasksRequest())).tasks]
