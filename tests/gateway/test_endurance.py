"""Many processes, many dead agents, many calls: limits stay exact, nothing leaks, nothing waits for the dead."""

import asyncio
import gc
import itertools
import sys
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.errors import PlatformError
from headwater.gateway import serving_agents
from tests.gateway.hostile_agents import Received, Write, mcp_agent, result, scripted
from tests.gateway.test_chaos import NO_LIMIT, call_tool
from tests.gateway.worlds import ADMIN, VIEWER, desk

pytestmark = pytest.mark.slow
CALL = {"name": "look", "arguments": {}}
SHORT = httpx.Limits(keepalive_expiry=1)  # on a busy machine a server may let go of a connection just as it is used


async def answer(received: Received, write: Write) -> None:
    await write(result(received, {"content": [], "isError": False}))


async def test_of_more_calls_in_four_processes_exactly_the_limit_passes(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with scripted() as agents:
        async with desk(home) as here:
            await here.register(agents.agent("them", mcp_agent(answer)), "MCP", "them")
            await here.call("test_agent_connection", agent_id="them")
            rates: dict[str, Any] = {
                "max_requests_per_second": 1000,
                "max_requests_per_minute": 150,
                "max_requests_per_hour": 1000,
            }
            await here.call("update_agent_rate_limit", agent_id="them", **rates)
        command = [sys.executable, "-W", "ignore", "-m", "tests.gateway.limit_worker", str(home), "60"]
        pipe = asyncio.subprocess.PIPE
        workers = [await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe) for _ in range(4)]
        told = await asyncio.gather(*(worker.communicate(b"go\n") for worker in workers))
        calls = [each for each in agents.received if b"tools/call" in each.body]
    assert sum(int(out) for out, _ in told) == 150 == len(calls)


async def test_thirty_dead_agents_of_a_hundred_keep_nobody_waiting(tmp_path: Path) -> None:
    async with scripted() as agents, desk(tmp_path / "home") as here:
        for number in range(100):
            url = "http://127.0.0.1:9/mcp" if number % 10 < 3 else agents.agent(f"a{number}", mcp_agent(answer))
            await here.register(url, "MCP", f"a{number}")
        started = time.monotonic()
        found = await here.call("route_to_project_agents", by=VIEWER, project_id="p1", message=CALL)
    assert time.monotonic() - started < 45
    assert sum(1 for each in found.results if each.result is not None) == 70
    assert {each.error["code"] for each in found.results if each.error} == {"UNAVAILABLE"}


async def test_ten_thousand_calls_leave_nothing_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Half of them through the gateway's address, half by the tool; one in fifty is cut off by the agent."""

    numbers = itertools.count()

    async def sometimes(received: Received, write: Write) -> None:
        agents.received.clear()  # what the test keeps is no leak of ours
        if next(numbers) % 50 == 0:
            raise ConnectionError
        await answer(received, write)

    async with scripted() as agents, desk(tmp_path / "home") as here, AsyncExitStack() as stack:
        await here.register(agents.agent("them", mcp_agent(sometimes)), "MCP", "them")
        await here.call("update_agent_rate_limit", by=ADMIN, agent_id="them", **NO_LIMIT)
        served, port = await stack.enter_async_context(serving_agents(here.platform.settings))
        token = await here.platform.engine.identity.mint(role="viewer")
        client = await stack.enter_async_context(
            httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}, limits=SHORT)
        )

        async def many(times: int) -> None:
            for _ in range(times):
                with suppress(PlatformError):
                    await here.call("route_to_agent", by=VIEWER, agent_id="them", message=CALL)
                await call_tool(client, f"http://127.0.0.1:{port}/mcp/agents/them", CALL)

        await asyncio.gather(*(many(50) for _ in range(10)))
        before = await held()
        await asyncio.gather(*(many(500) for _ in range(10)))
        most_open = agents.open_calls
        await asyncio.sleep(2)
        after = await held()
        with capsys.disabled():
            sys.stdout.write(f"\n10,000 calls: {before} before, {after} after; {most_open} connections to the agent\n")
        for platform in (here.platform, served):
            assert not any(platform.engine.agents.limits._slots._held.values())
    assert most_open <= 2 * 64
    assert after.tasks <= before.tasks + 5 and after.files <= before.files + 70
    assert after.memory_mb <= before.memory_mb + 12


@dataclass(frozen=True, slots=True)
class Held:
    """What this process holds."""

    tasks: int
    files: int
    memory_mb: int


async def held() -> Held:
    gc.collect()
    memory = int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20
    return Held(len(asyncio.all_tasks()), len(list(Path("/proc/self/fd").iterdir())), memory)
