"""stdio: one client, a local principal, both eras; a legacy client is asked over the pipe."""

import sys
from typing import Any

import pytest
from fastmcp import Client
from fastmcp.client.elicitation import ElicitResult
from fastmcp.client.transports import StdioTransport


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_stdio_serves_and_asks_in_both_eras(mode: Any) -> None:
    asked: list[str] = []

    async def person(message: str, response_type: Any, params: Any, context: Any) -> Any:
        asked.append(message)
        return ElicitResult(action="accept", content={"confirm": len(asked) == 1})

    transport = StdioTransport(sys.executable, ["-m", "tests.mcp_server.stdio_server"], keep_alive=False)
    async with Client(transport, mode=mode, elicitation_handler=person) as client:
        assert "list_lakehouse_tables" in {tool.name for tool in await client.list_tools()}
        thing = await client.call_tool("get_thing", {"thing_id": "x"})
        assert thing.structured_content["name"] == "thing x"
        assert (await client.read_resource("headwater://tables/sales.orders"))[0].text.count("int") == 1
        done = await client.call_tool("delete_thing", {"thing_id": "x"}, raise_on_error=False)
        declined = await client.call_tool("delete_thing", {"thing_id": "y"}, raise_on_error=False)
    assert not done.is_error
    assert declined.is_error
    assert 'Arguments: {"thing_id": "x"}' in asked[0]
    assert len(asked) == 2


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_question_of_a_run_is_asked_over_the_pipe(mode: Any) -> None:
    said = iter([ElicitResult(action="accept", content={"answer": "2026"}), ElicitResult(action="decline")])

    async def person(message: str, response_type: Any, params: Any, context: Any) -> Any:
        assert message == "Which year?"
        return next(said)

    transport = StdioTransport(sys.executable, ["-m", "tests.mcp_server.stdio_server"], keep_alive=False)
    async with Client(transport, mode=mode, elicitation_handler=person) as client:
        told = await client.call_tool("run_workflow", {"task": "Sales"})
        left = await client.call_tool("run_workflow", {"task": "Sales"}, raise_on_error=False)
    assert told.structured_content == {"task_id": "t1", "question": "", "answer": "Sales in 2026"}
    assert "t1" in str(left.structured_content)  # with which it goes on, whoever asks the person


async def test_a_legacy_client_that_cannot_ask_is_refused() -> None:
    transport = StdioTransport(sys.executable, ["-m", "tests.mcp_server.stdio_server"], keep_alive=False)
    async with Client(transport, mode="legacy") as client:
        refused = await client.call_tool("delete_thing", {"thing_id": "x"}, raise_on_error=False)
    assert refused.is_error
    assert "cannot ask" in refused.content[0].text
