"""A message through the gateway beside the same message to the agent itself: CPU and waiting time.

Authentication, limits and the audit are on. The agents are the samples of `examples/agents`, with their real SDKs."""

import asyncio
import statistics
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx

from bench._measure import Process, show

BUDGET_MS = 3.0
ROUNDS, CALLS, WARM = 5, 200, 30
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
}
MESSAGE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "SendMessage",
    "params": {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hello"}]}},
}
CALL = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "echo", "arguments": {"text": "hello"}, "_meta": META},
}
MCP_HEADERS = {
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "echo",
}


@dataclass(frozen=True, slots=True)
class Way:
    """How a message is sent, and who works for it."""

    name: str
    url: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    server: Process


async def measure(way: Way, times: int) -> tuple[float, list[float]]:
    """CPU of the server per call, in ms, and how long each call took."""
    waited = []
    async with httpx.AsyncClient(timeout=30) as client:
        for _ in range(WARM):
            await _send(client, way)
        before = way.server.cpu_s()
        for _ in range(times):
            started = time.perf_counter()
            await _send(client, way)
            waited.append((time.perf_counter() - started) * 1e3)
        return (way.server.cpu_s() - before) / times * 1e3, waited


async def _send(client: httpx.AsyncClient, way: Way) -> None:
    answer = await client.post(way.url, json=way.body, headers=dict(way.headers))
    if answer.status_code != 200 or "result" not in answer.json():
        raise SystemExit(f"{way.name}: {answer.status_code} {answer.text[:500]}")


async def main() -> None:
    with ExitStack() as stack:
        a2a, mcp = (stack.enter_context(Process("bench._agents", which)) for which in ("a2a", "mcp"))
        gate = stack.enter_context(Process("bench._gateway", a2a.facts["url"], mcp.facts["url"]))
        token = {"authorization": f"Bearer {gate.facts['token']}"}
        rest, tools = (f"http://127.0.0.1:{gate.facts[face]}" for face in ("rest", "mcp"))
        version = {"a2a-version": "1.0"}
        pairs = [
            (
                Way("A2A message, direct", a2a.facts["url"], MESSAGE, version, a2a),
                Way("A2A message, routed", f"{rest}/a2a/echo/", MESSAGE, version | token, gate),
            ),
            (
                Way("MCP call, direct", mcp.facts["url"], CALL, MCP_HEADERS, mcp),
                Way("MCP call, routed", f"{tools}/mcp/agents/weather", CALL, MCP_HEADERS | token, gate),
            ),
            (
                Way("MCP call, direct", mcp.facts["url"], CALL, MCP_HEADERS, mcp),
                Way(
                    "MCP call, by project",
                    f"{tools}/mcp/projects/bench",
                    CALL | {"params": CALL["params"] | {"name": "weather__echo"}},  # type: ignore[operator]
                    MCP_HEADERS | {"mcp-name": "weather__echo"} | token,
                    gate,
                ),
            ),
        ]
        for direct, routed in pairs:
            await compare_ways(direct, routed)


async def compare_ways(direct: Way, routed: Way) -> None:
    """Both in turns, so that both meet the same disturbances."""
    cpu: dict[str, list[float]] = {direct.name: [], routed.name: []}
    waited: dict[str, list[float]] = {direct.name: [], routed.name: []}
    for _ in range(ROUNDS):
        for way in (direct, routed):
            spent, each = await measure(way, CALLS)
            cpu[way.name].append(spent)
            waited[way.name] += each
    show(f"{direct.name}: CPU of the agent", "ms", cpu[direct.name])
    show(f"{routed.name}: CPU that the gateway adds", "ms", cpu[routed.name], BUDGET_MS)
    for name, each in waited.items():
        cuts = statistics.quantiles(each, n=100)
        print(f"{name + ': waiting time':56} p50 {statistics.median(each):.2f} ms, p99 {cuts[98]:.2f} ms", flush=True)
    ratio = statistics.median(waited[routed.name]) / statistics.median(waited[direct.name])
    print(f"{routed.name + ': beside direct, p50':56} ratio {ratio:.2f}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
