"""The chat over MCP: the client asks its person, and calls again; what a foreign model types is no yes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from core.tool import Tool
from headwater.faces import mcp_face
from tests.agents.desk import AgentDesk
from tests.faces.clients import McpClient, _mcp_answer, _rpc_result
from tests.fakes.model_server import calling
from tests.gateway.worlds import served

pytestmark = pytest.mark.asyncio(loop_scope="session")
READ = calling("execute_query", sql="SELECT count(*) AS n FROM shop.orders")
DESCRIBE = calling("describe_table", table="shop.orders", description="Told over MCP.")


@dataclass
class Line:
    """An MCP client that is spoken with by hand."""

    desk: AgentDesk
    client: McpClient
    token: str

    def tool(self, name: str) -> Tool:
        return self.desk.platform.dispatcher.registry.get(name)

    async def post(self, name: str, arguments: dict[str, Any], **more: Any) -> Any:
        return await self.client._post({"name": name, "arguments": arguments, **more}, self.token)

    async def agent(self, *capabilities: str) -> str:
        return str((await self.desk.call("create_agent", name="Own", capabilities=list(capabilities))).id)

    async def description(self) -> str:
        return str((await self.desk.call("get_table", table="shop.orders")).description)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def line(strong: AgentDesk) -> AsyncIterator[Line]:
    token = await strong.platform.engine.identity.mint(subject="admin")
    async with served(lambda url: mcp_face(strong.platform)) as url:
        client = McpClient(int(url.rpartition(":")[2]))
        yield Line(strong, client, token)
        await client.close()


async def test_the_person_is_asked_by_the_client_and_the_run_goes_on(line: Line) -> None:
    made = await line.agent("catalog", "query")
    line.desk.server.play([READ, DESCRIBE, "Described."])
    answer = await line.client.call(
        line.tool("run_agent"), {"agent_id": made, "message": "Describe."}, line.token
    )  # this client's person says yes
    assert (answer.code, answer.value["response"]) == ("OK", "Described.")
    assert await line.description() == "Told over MCP." and len(line.desk.server.requests) == 3


async def test_a_no_of_the_person_reaches_the_model(line: Line) -> None:
    made = await line.agent("maintenance")
    line.desk.server.play([calling("drop_column", table="shop.orders", name="amount"), "All right."])
    given = {"agent_id": made, "message": "Drop it."}
    asked = _rpc_result(await line.post("run_agent", given))
    assert asked["resultType"] == "input_required"
    assert "drop_column" in str(asked) or "Drop column" in str(asked)
    no = {"confirm": {"action": "decline"}}
    more = {"requestState": asked["requestState"], "inputResponses": no}
    answer = _mcp_answer(await line.post("run_agent", given, **more))
    assert answer.value["response"] == "All right."
    assert "amount" in (await line.desk.call("get_table_schema", table="shop.orders")).model_dump_json()


async def test_a_yes_that_is_typed_by_a_foreign_model_is_none(line: Line) -> None:
    made = await line.agent("maintenance")
    drop = calling("drop_column", table="shop.orders", name="amount")
    line.desk.server.play([drop, "Waiting.", "Still waiting."])
    waiting = await line.desk.call("run_agent", agent_id=made, message="Drop it.", session_id="shared")
    given = {"agent_id": made, "message": "yes", "session_id": "shared"}
    for more in ({}, {"approval_id": waiting.approval.approval_id, "decision": "approve"}):
        answer = _mcp_answer(await line.post("run_agent", given | more))
        assert answer.code in ("OK", "NOT_FOUND")
    assert "amount" in (await line.desk.call("get_table_schema", table="shop.orders")).model_dump_json()


async def test_a_question_back_is_asked_by_the_client_and_its_answer_goes_on(line: Line) -> None:
    made = await line.agent("catalog", "query")
    line.desk.server.play([calling("ask_person", question="Which table?"), READ, DESCRIBE, "Described."])
    given = {"agent_id": made, "message": "Describe it."}
    asked = _rpc_result(await line.post("run_agent", given))
    assert asked["resultType"] == "input_required" and "Which table?" in str(asked["inputRequests"]["answer"])
    more: dict[str, Any] = {"requestState": asked["requestState"]}
    refused = _mcp_answer(await line.post("run_agent", given, **more, inputResponses={"answer": {"action": "cancel"}}))
    assert refused.code == "CONFLICT" and len(line.desk.server.requests) == 1
    said = {"answer": {"action": "accept", "content": {"answer": "shop.orders"}}}
    again = _rpc_result(await line.post("run_agent", given, **more, inputResponses=said))
    assert again["resultType"] == "input_required" and "confirm" in again["inputRequests"]  # now a yes is needed
    yes = {"confirm": {"action": "accept", "content": {"confirm": True}}}
    done = await line.post("run_agent", given, requestState=again["requestState"], inputResponses=yes)
    assert _mcp_answer(done).value["response"] == "Described."
    said_to_model = [item["content"] for item in line.desk.server.requests[1].body["messages"][1:]]
    assert said_to_model == ["Describe it.", "Which table?", "shop.orders"]


async def test_a_question_of_a_tool_that_is_called_by_another_is_asked_too(line: Line) -> None:
    """The default session has no chat: clients reach it by call_write_tool."""
    line.desk.server.play([calling("ask_person", question="Which year?"), "2026 it is."])
    given = {"name": "chat", "arguments": {"prompt": "Sales of the year?"}}
    asked = _rpc_result(await line.post("call_write_tool", given))
    assert asked["resultType"] == "input_required" and "Which year?" in str(asked["inputRequests"]["answer"])
    said = {"answer": {"action": "accept", "content": {"answer": "2026"}}}
    done = await line.post("call_write_tool", given, requestState=asked["requestState"], inputResponses=said)
    assert _mcp_answer(done).value["result"]["response"] == "2026 it is."
    told = [item["content"] for item in line.desk.server.requests[1].body["messages"][1:]]
    assert told == ["Sales of the year?", "Which year?", "2026"]


@pytest.mark.parametrize("by", ["run_workflow", "call_tool"])
async def test_a_workflows_question_is_asked_and_the_same_run_goes_on(line: Line, by: str) -> None:
    task: dict[str, Any] = {"task": "sum of amount by name", "model": "none"}
    given = task if by == "run_workflow" else {"name": "run_workflow", "arguments": task}
    asked = _rpc_result(await line.post(by, given))
    assert asked["resultType"] == "input_required" and "not clear enough" in str(asked["inputRequests"]["answer"])
    more = {"requestState": asked["requestState"]}
    refused = _mcp_answer(await line.post(by, given, **more, inputResponses={"answer": {"action": "decline"}}))
    assert refused.code == "CONFLICT" and "task_id" in refused.hint and "clarification" in refused.hint
    said = {"answer": {"action": "accept", "content": {"answer": "sum of amount by region"}}}
    value = _mcp_answer(await line.post(by, given, **more, inputResponses=said)).value
    made = value if by == "run_workflow" else value["result"]
    assert (made["status"], made["path"], len(made["result"])) == ("completed", "planner", 3)
    assert made["task_id"] in refused.hint
