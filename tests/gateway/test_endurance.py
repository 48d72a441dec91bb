"""Many processes, many dead agents, many calls: limits stay exact, nothing leaks, nothing waits for the dead."""

import asyncio
import gc
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from core.errors import PlatformError
from tests.gateway.hostile_agents import Received, Write, mcp_agent, result, scripted
from tests.gateway.worlds import VIEWER, desk

pytestmark = pytest.mark.slow
CALL = {"name": "look", "arguments": {}}


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


async def test_ten_thousand_calls_leave_nothing_behind(tmp_path: Path) -> None:
    async def sometimes(received: Received, write: Write) -> None:
        if len(agents.received) % 50 == 0:
            raise ConnectionError
        await answer(received, write)

    async with scripted() as agents, desk(tmp_path / "home") as here:
        await here.register(agents.agent("them", mcp_agent(sometimes)), "MCP", "them")
        rates: dict[str, Any] = {
            "max_requests_per_second": 10**6,
            "max_requests_per_minute": 10**7,
            "max_requests_per_hour": 10**8,
        }
        await here.call("update_agent_rate_limit", agent_id="them", **rates)

        async def many(times: int) -> None:
            for _ in range(times):
                try:
                    await here.call("route_to_agent", by=VIEWER, agent_id="them", message=CALL)
                except PlatformError:
                    continue

        await asyncio.gather(*(many(20) for _ in range(10)))
        before = await held()
        await asyncio.gather(*(many(1_000) for _ in range(10)))
        assert agents.open_calls <= 64
        await asyncio.sleep(2)
        after = await held()
        slots = here.platform.engine.agents.limits._slots._held
    assert not any(slots.values())
    assert after[0] <= before[0] + 5 and after[1] <= before[1] + 70


async def held() -> tuple[int, int]:
    """Tasks and open files of this process."""
    gc.collect()
    return len(asyncio.all_tasks()), len(list(Path("/proc/self/fd").iterdir()))
