"""The agents and the planner as answered over A2A: tools called as the caller, questions, a yes, one conversation."""

import asyncio
import importlib
import uuid
from typing import Any

import pytest
import pytest_asyncio
from a2a.types import GetTaskRequest, Message, Part, Role, SendMessageRequest, TaskState
from a2a.utils.errors import InvalidParamsError
from google.protobuf.json_format import MessageToDict

from gateway.serving.asks import Visit
from gateway.serving.sdk import context_of, value_of
from headwater.gateway import own_agents
from tests.agents.desk import AgentDesk
from tests.agents.test_chat import COUNT, DESCRIBE, agent, results
from tests.fakes.model_server import calling

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def warm() -> None:
    """The model's library is loaded before its five seconds run."""
    await asyncio.to_thread(importlib.import_module, "litellm")


S = TaskState


async def tell(desk: AgentDesk, agent_id: str, text: str, *, by: str = "admin", data: Any = None, **more: Any) -> Any:
    """Send a message through the SDK's handler, behind the gate; the task that it leaves."""
    own = own_agents(desk.platform)
    assert own is not None
    parts = ([Part(text=text)] if text else []) + ([Part(data=value_of(data))] if data is not None else [])
    message = Message(message_id=uuid.uuid4().hex, role=Role.ROLE_USER, parts=parts, **more)
    visit = Visit(await desk.who(by), agent_id, "r1", "http://x")
    context = context_of(visit, {"a2a-version": "1.0"}, set())
    handler = (await own.host()).begin()
    return await handler.on_message_send(SendMessageRequest(message=message), context)


def artifact(task: Any, name: str) -> list[Any]:
    return next(MessageToDict(each)["parts"] for each in task.artifacts if each.name == name)


async def test_headwater_answers_a_question_with_sql_and_rows(strong: AgentDesk) -> None:
    task = await tell(strong, "headwater", "number of orders", data={"model": "none"})
    assert task.status.state == S.TASK_STATE_COMPLETED, MessageToDict(task.status)
    assert "count(*)" in artifact(task, "sql")[0]["text"]
    assert list(artifact(task, "rows")[0]["data"]["rows"][0].values()) == [4]


async def test_a_question_back_is_input_required_and_its_answer_goes_on(strong: AgentDesk) -> None:
    asked = await tell(strong, "headwater", "sum of amount by name", data={"model": "none"})
    assert asked.status.state == S.TASK_STATE_INPUT_REQUIRED
    assert "not clear enough" in asked.status.message.parts[0].text
    told = await tell(strong, "headwater", "sum of amount by region", task_id=asked.id, context_id=asked.context_id)
    assert told.id == asked.id and told.status.state == S.TASK_STATE_COMPLETED, MessageToDict(told.status)
    assert len(artifact(told, "rows")[0]["data"]["rows"]) == 3


async def test_what_the_data_cannot_answer_is_refused_with_the_reason(strong: AgentDesk) -> None:
    task = await tell(strong, "headwater", "zorgle by flumph", metadata={"skill": "fixed"}, data={"model": "none"})
    about = MessageToDict(task.status.message)["parts"][1]["data"]
    assert task.status.state == S.TASK_STATE_FAILED and about["refusal"]["missing"]


async def test_a_tenants_agent_answers_with_its_tools_called(strong: AgentDesk) -> None:
    made = await agent(strong)
    strong.server.play([calling("execute_query", sql=COUNT), "There are 4 orders."])
    task = await tell(strong, made, "How many orders are there?")
    assert task.status.message.parts[0].text == "There are 4 orders."
    assert "".join(part["text"] for part in artifact(task, "answer")) == "There are 4 orders."
    assert artifact(task, "tool_calls")[0]["data"]["tool_calls"][0]["arguments"] == {"sql": COUNT}


async def test_headwater_leads_to_a_tenants_agent_by_its_skill(strong: AgentDesk) -> None:
    made = await agent(strong)
    strong.server.play(["Hello."])
    task = await tell(strong, "headwater", "Hi", metadata={"skill": f"agent:{made}"})
    assert task.status.message.parts[0].text == "Hello."


@pytest.mark.parametrize("answer", [{"text": "yes"}, {"text": "", "data": {"decision": "approve"}}])
async def test_a_call_that_waits_for_a_yes_is_input_required(strong: AgentDesk, answer: dict[str, Any]) -> None:
    made = await agent(strong, capabilities=["catalog", "query"])
    strong.server.play([calling("execute_query", sql=COUNT), DESCRIBE, "Described."])
    asked = await tell(strong, made, "Count and describe.")
    about = MessageToDict(asked.status.message)["parts"][1]["data"]["approval"]
    told = await tell(strong, made, task_id=asked.id, context_id=asked.context_id, **answer)
    assert asked.status.state == S.TASK_STATE_INPUT_REQUIRED
    assert about["tool"] == "describe_table" and about["arguments"]["table"] == "shop.orders"
    assert told.id == asked.id and told.status.state == S.TASK_STATE_COMPLETED
    assert told.status.message.parts[0].text == "Described."


async def test_a_no_is_told_to_the_agent(strong: AgentDesk) -> None:
    made = await agent(strong, capabilities=["maintenance"])
    strong.server.play([calling("drop_column", table="shop.customers", name="name"), "All right."])
    asked = await tell(strong, made, "Drop it.")
    told = await tell(strong, made, "", task_id=asked.id, context_id=asked.context_id, data={"decision": "reject"})
    assert told.status.message.parts[0].text == "All right."
    assert "said no" in results(strong.server.requests[1])[0]


async def test_tasks_of_one_context_are_one_conversation(strong: AgentDesk) -> None:
    made = await agent(strong)
    strong.server.play(["Noted."])
    first = await tell(strong, made, "My colour is teal.")
    strong.server.play(["Teal."])
    second = await tell(strong, made, "Which colour?", context_id=first.context_id)
    assert second.id != first.id
    assert "My colour is teal." in str(strong.server.requests[-1].body["messages"])


async def test_a_refusal_of_the_gate_is_a_task_that_failed(strong: AgentDesk) -> None:
    task = await tell(strong, "headwater", "number of orders", by="vic", data={"connection_id": "nobodys"})
    assert task.status.state == S.TASK_STATE_FAILED
    error = MessageToDict(task.status.message)["parts"][1]["data"]["error"]
    assert error["code"] == "NOT_FOUND" and error["request_id"] == "r1"


async def test_fields_that_nobody_reads_are_refused(strong: AgentDesk) -> None:
    with pytest.raises(InvalidParamsError, match="No field 'sql'"):
        await tell(strong, "headwater", "x", data={"sql": "DROP TABLE t"})


async def test_nobody_else_of_the_tenant_sees_the_task(strong: AgentDesk) -> None:
    own = own_agents(strong.platform)
    assert own is not None
    task = await tell(strong, "headwater", "number of orders")
    context = context_of(Visit(await strong.who("vic"), "headwater", "r1", "http://x"), {}, set())
    with pytest.raises(Exception, match="not found"):
        await (await own.host()).begin().on_get_task(GetTaskRequest(id=task.id), context)
