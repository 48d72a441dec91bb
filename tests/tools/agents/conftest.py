"""A platform without faces, and one agent of others as a real server, for all tests of these tools."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.gateway.hostile_agents import Received, Scripted, Write, mcp_agent, result, scripted
from tests.gateway.worlds import Desk, desk


@dataclass
class Bench:
    """Where tools are called, and who can be reached."""

    desk: Desk
    scripted: Scripted


async def answer(received: Received, write: Write) -> None:
    given = received.rpc["params"].get("arguments", {})
    await write(result(received, {"content": [{"type": "text", "text": str(given)}], "isError": False}))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def bench(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bench]:
    async with desk(tmp_path_factory.mktemp("agents") / "home") as opened, scripted() as agents:
        yield Bench(opened, agents)


@pytest_asyncio.fixture(loop_scope="session")
async def them(bench: Bench) -> str:
    """An agent that was just registered, by an id of its own."""
    agent_id = f"them-{len(bench.scripted.behaviours)}"
    url = bench.scripted.agent(agent_id, mcp_agent(answer))
    await bench.desk.register(url, "MCP", agent_id)
    return agent_id
