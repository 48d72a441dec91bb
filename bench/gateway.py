"""A message through the gateway beside the same message to the agent itself: CPU and waiting time.

Authentication, limits and the audit are on. The agents are the samples of `examples/agents`, with their real SDKs.
IBM's ContextForge stands before the same MCP server in the same run, and limits are counted in four processes."""

import asyncio
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx

from bench import _contextforge
from bench._contextforge import Missing, Peer, rss_mb
from bench._measure import Process, show

BUDGET_MS = 3.0
TIMES_CHEAPER, TIMES_SMALLER = 5.0, 2.0
ROUNDS, CALLS, WARM = 5, 200, 30
PEER_ROUNDS, PEER_CALLS = 3, 100
MODERN, LEGACY = "2026-07-28", "2025-11-25"
CLIENT = {"name": "bench", "version": "1"}
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": CLIENT,
}
MESSAGE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "SendMessage",
    "params": {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "hello"}]}},
}
ACCEPT = {"accept": "application/json, text/event-stream"}


@dataclass(frozen=True, slots=True)
class Way:
    """How a message is sent, and the CPU seconds of who works for it so far."""

    name: str
    url: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    cpu_s: Callable[[], float]


@dataclass(slots=True)
class Measured:
    """CPU per call of each round, and how long each call took, in ms."""

    cpu: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)


def mcp_way(name: str, url: str, cpu_s: Callable[[], float], *, tool: str = "echo", token: str = "") -> Way:
    """A call of `echo` in the newer era of MCP."""
    params = {"name": tool, "arguments": {"text": "hello"}, "_meta": META}
    headers = {**ACCEPT, "mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": tool}
    headers |= {"authorization": f"Bearer {token}"} if token else {}
    return Way(name, url, {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, headers, cpu_s)


async def legacy_way(name: str, url: str, cpu_s: Callable[[], float], *, tool: str, token: str) -> Way:
    """A call of `echo` in the older era, in a session that is begun once, where the server keeps any."""
    headers = {**ACCEPT, "mcp-protocol-version": LEGACY, "authorization": f"Bearer {token}"}
    hello = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": CLIENT}
    async with httpx.AsyncClient(timeout=60, headers=headers) as client:
        answer = await client.post(url, json={"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello})
        if session := answer.headers.get("mcp-session-id"):
            headers["mcp-session-id"] = session
            note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            await client.post(url, json=note, headers={"mcp-session-id": session})
    params = {"name": tool, "arguments": {"text": "hello"}}
    return Way(name, url, {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, headers, cpu_s)


async def measure(way: Way, times: int) -> tuple[float, list[float]]:
    """CPU per call, in ms, and how long each call took."""
    waited = []
    async with httpx.AsyncClient(timeout=60) as client:
        for _ in range(WARM):
            await _send(client, way)
        before = way.cpu_s()
        for _ in range(times):
            started = time.perf_counter()
            await _send(client, way)
            waited.append((time.perf_counter() - started) * 1e3)
        return (way.cpu_s() - before) / times * 1e3, waited


async def _send(client: httpx.AsyncClient, way: Way) -> None:
    answer = await client.post(way.url, json=way.body, headers=dict(way.headers))
    if answer.status_code != 200 or b'"result"' not in answer.content or b"hello" not in answer.content:
        raise SystemExit(f"{way.name}: {answer.status_code} {answer.text[:500]}")


async def measure_all(ways: list[Way], rounds: int, times: int) -> dict[str, Measured]:
    """Each way in each round, one after the other, so that all of them meet the same disturbances."""
    found = {way.name: Measured() for way in ways}
    for number in range(rounds):
        for way in ways if number % 2 == 0 else ways[::-1]:
            spent, waited = await measure(way, times)
            found[way.name].cpu.append(spent)
            found[way.name].waited += waited
    return found


async def compare_ways(direct: Way, routed: Way) -> None:
    """Both ways by turns; the gateway's own CPU is what it adds, for the agent's is spent either way."""
    found = await measure_all([direct, routed], ROUNDS, CALLS)
    show(f"{direct.name}: CPU of the agent", "ms", found[direct.name].cpu)
    show(f"{routed.name}: CPU that the gateway adds", "ms", found[routed.name].cpu, BUDGET_MS)
    for name, measured in found.items():
        cuts = statistics.quantiles(measured.waited, n=100)
        middle = statistics.median(measured.waited)
        print(f"{name + ': waiting time':56} p50 {middle:.2f} ms, p99 {cuts[98]:.2f} ms", flush=True)


async def beside_direct(a2a: Process, mcp: Process, gate: Process, token: str) -> None:
    """What a call costs more than the same call to the agent."""
    rest, tools = (f"http://127.0.0.1:{gate.facts[face]}" for face in ("rest", "mcp"))
    version = {"a2a-version": "1.0"}
    proof = {"authorization": f"Bearer {token}"}
    direct = mcp_way("MCP call, direct", mcp.facts["url"], mcp.cpu_s)
    await compare_ways(
        Way("A2A message, direct", a2a.facts["url"], MESSAGE, version, a2a.cpu_s),
        Way("A2A message, routed", f"{rest}/a2a/echo/", MESSAGE, version | proof, gate.cpu_s),
    )
    await compare_ways(direct, mcp_way("MCP call, routed", f"{tools}/mcp/agents/weather", gate.cpu_s, token=token))
    by_project = partial(mcp_way, tool="weather__echo", token=token)
    await compare_ways(direct, by_project("MCP call, by project", f"{tools}/mcp/projects/bench", gate.cpu_s))


async def beside_contextforge(upstream: str, gate: Process, alone: Process, token: str) -> None:
    """Calls per CPU second and memory, each through its own MCP endpoint, over the same server and in one run."""
    with ExitStack() as stack:
        peers = {
            "as it comes": stack.enter_context(_contextforge.running(upstream, keeps_sessions=False)),
            "keeping sessions": stack.enter_context(_contextforge.running(upstream, keeps_sessions=True)),
        }
        ways = [
            mcp_way(f"{name}, {era}", _address(process), process.cpu_s, token=token)
            if era == MODERN
            else await legacy_way(f"{name}, {era}", _address(process), process.cpu_s, tool="echo", token=token)
            for name, process in (("every face", gate), ("gateway alone", alone))
            for era in (MODERN, LEGACY)
        ]
        ways += [await _peer_way(name, peer) for name, peer in peers.items()]
        found = await measure_all(ways, PEER_ROUNDS, PEER_CALLS)
        memory = {"every face": rss_mb(gate.pid), "gateway alone": rss_mb(alone.pid)}
        memory |= {f"ContextForge, {name}": rss_mb(peer.pid) for name, peer in peers.items()}
    _tell_peers(found, memory)


def _address(process: Process) -> str:
    return f"http://127.0.0.1:{process.facts['mcp']}/mcp/agents/weather"


async def _peer_way(name: str, peer: Peer) -> Way:
    return await legacy_way(f"ContextForge, {name}", peer.url, peer.cpu_s, tool=peer.tool, token=peer.token)


def _tell_peers(found: Mapping[str, Measured], memory: Mapping[str, float]) -> None:
    """The worst of ours beside the best of theirs decides."""
    for name, measured in found.items():
        spent = min(measured.cpu)
        print(f"{name + ', MCP call: CPU':56} {spent:8.2f} ms, {1000 / spent:.0f} calls a CPU second", flush=True)
    for name, size in memory.items():
        print(f"{name + ': resident memory':56} {size:8.0f} MB", flush=True)
    theirs = min(min(each.cpu) for name, each in found.items() if name.startswith("ContextForge"))
    ours = max(min(each.cpu) for name, each in found.items() if not name.startswith("ContextForge"))
    smaller = min(size for name, size in memory.items() if name.startswith("ContextForge")) / memory["gateway alone"]
    _tell_times("calls a CPU second, beside ContextForge", theirs / ours, TIMES_CHEAPER)
    _tell_times("memory, ContextForge beside the gateway alone", smaller, TIMES_SMALLER)


def _tell_times(what: str, times: float, wanted: float) -> None:
    print(f"{what:56} {times:8.1f}x  at least {wanted:g}  {'ok' if times >= wanted else 'OVER'}", flush=True)


def count_limits() -> None:
    """Of more calls in four processes than the window has, how many passed."""
    test = "tests/gateway/test_endurance.py::test_of_more_calls_in_four_processes_exactly_the_limit_passes"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    verdict_ = "ok" if done.returncode == 0 else f"OVER\n{done.stdout[-2000:]}"
    print(f"{'of 240 calls in 4 processes and a limit of 150, passed':56} exactly 150  {verdict_}", flush=True)


async def main() -> None:
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory())
        a2a, mcp = (stack.enter_context(Process("bench._agents", which)) for which in ("a2a", "mcp"))
        with Process("bench._gateway", "prepare", home, a2a.facts["url"], mcp.facts["url"]) as made:
            token = str(made.facts["token"])
        gate = stack.enter_context(Process("bench._gateway", "whole", home))
        await beside_direct(a2a, mcp, gate, token)
        alone = stack.enter_context(Process("bench._gateway", "alone", home))
        try:
            await beside_contextforge(mcp.facts["url"], gate, alone, token)
        except Missing as missing:
            print(f"{'beside ContextForge':56} not measured: {missing}", flush=True)
    count_limits()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started here ends too
    asyncio.run(main())
