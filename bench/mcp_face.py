"""CPU of the serving process per MCP tools/call (2026-07-28, raw HTTP), with 10, 54 and 200 tools.

Run: python -m bench.mcp_face [calls]. Budget: 1.5 ms per call, and as much with 200 tools as with 10."""

import asyncio
import os
import socket
import sys
import time
from pathlib import Path

import httpx
import uvicorn

from core.registry import Registry
from core.settings import ServerSettings
from mcp_server.server import mcp_app
from tests.fakes.gate import dispatcher_over
from tests.mcp_server.generated import generated_tools

BUDGET_MS = 1.5
SIZES = (10, 54, 200)
ROUNDS = 5


def serve(size: int) -> None:
    """Serve `size` tools on a free port, which is printed."""
    dispatcher, _ = dispatcher_over(Registry(generated_tools(size)))
    # asyncio turns Nagle off only for sockets that name TCP; without that each answer waits 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(listener.getsockname()[1], flush=True)
    app = mcp_app(dispatcher, settings=ServerSettings(), version="bench")
    config = uvicorn.Config(app, log_level="error", access_log=False, lifespan="on")
    asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


def body(method: str, **params: object) -> dict[str, object]:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    }
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}


def headers(method: str, name: str = "") -> dict[str, str]:
    found = {
        "accept": "application/json, text/event-stream",
        "authorization": "Bearer viewer-token",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": method,
    }
    return {**found, "mcp-name": name} if name else found


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(size: int, calls: int) -> tuple[float, float, float]:
    """CPU ms per call and per listing of all tools, and calls per second, against a server of its own."""
    command = [sys.executable, "-m", "bench.mcp_face", "serve", str(size)]
    server = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    if server.stdout is None:
        raise RuntimeError("no pipe")
    name = f"get_generated_{size - 1}"
    call = body("tools/call", name=name, arguments={"name": "x", "count": 3, "tags": ["a", "b"]})
    try:
        port = int(await server.stdout.readline())
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            await repeat(client, call, headers("tools/call", name), 100)
            rounds = [await timed(client, server.pid, call, headers("tools/call", name), calls) for _ in range(ROUNDS)]
            listing, _ = await timed(client, server.pid, body("tools/list"), headers("tools/list"), 100)
    finally:
        server.terminate()
        await server.wait()
    return min(used for used, _ in rounds), listing, max(rate for _, rate in rounds)


async def timed(
    client: httpx.AsyncClient, pid: int, message: dict[str, object], sent: dict[str, str], times: int
) -> tuple[float, float]:
    start, began = cpu_s(pid), time.perf_counter()
    await repeat(client, message, sent, times)
    return (cpu_s(pid) - start) / times * 1000, times / (time.perf_counter() - began)


async def repeat(client: httpx.AsyncClient, message: dict[str, object], sent: dict[str, str], times: int) -> None:
    for _ in range(times):
        answer = (await client.post("/mcp?toolsets=all", json=message, headers=sent)).json()
        if answer.get("result", {}).get("isError", False) or "error" in answer:
            raise RuntimeError(str(answer)[:500])


async def main(calls: int) -> int:
    print(f"MCP tools/call, 2026-07-28, server CPU; least of {ROUNDS} rounds of {calls}; budget {BUDGET_MS} ms, flat")
    print(f"{'tools':>6} {'call ms':>8} {'list ms':>8} {'calls/s, one client':>20}")
    found = []
    for size in SIZES:
        call_ms, list_ms, rate = await measure(size, calls)
        found.append(call_ms)
        print(f"{size:>6} {call_ms:>8.2f} {list_ms:>8.2f} {rate:>20.0f}", flush=True)
    is_met = max(found) <= BUDGET_MS
    print(f"budget {'met' if is_met else 'NOT met'}; 200 tools cost {found[-1] / found[0]:.2f}x of 10")
    return 0 if is_met else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]))
    else:
        sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)))
