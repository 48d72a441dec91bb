"""MCP tools/call (2026-07-28, raw HTTP): CPU of the serving process, with 10, 54 and 200 tools.

The server is `headwater serve` as it is; only its tools are generated, to have as many as are wanted."""

import asyncio
from contextlib import ExitStack

import httpx

from bench._measure import Process, show, verdict

BUDGET_MS, FLAT = 1.5, 1.25  # flat: 200 tools cost at most a quarter more than 10, which is noise
SIZES = (10, 54, 200)
ROUNDS, CALLS, LISTS = 5, 300, 40


def body(method: str, **params: object) -> dict[str, object]:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    }
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}


def headers(token: str, method: str, name: str = "") -> dict[str, str]:
    found = {
        "accept": "application/json, text/event-stream",
        "authorization": f"Bearer {token}",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": method,
    }
    return {**found, "mcp-name": name} if name else found


async def cost_ms(server: Process, message: dict[str, object], sent: dict[str, str], times: int) -> float:
    """CPU of the server per request."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.facts['mcp']}", timeout=60) as client:
        started = server.cpu_s()
        for _ in range(times):
            answer = (await client.post("/mcp?toolsets=all", json=message, headers=sent)).json()
            if answer.get("result", {}).get("isError", False) or "error" in answer:
                raise SystemExit(str(answer)[:500])
        return (server.cpu_s() - started) / times * 1e3


async def call_ms(server: Process, size: int) -> float:
    name = f"get_generated_{size - 1}"
    call = body("tools/call", name=name, arguments={"name": "x", "count": 3, "tags": ["a", "b"]})
    return await cost_ms(server, call, headers(server.facts["token"], "tools/call", name), CALLS)


async def list_ms(server: Process) -> float:
    return await cost_ms(server, body("tools/list"), headers(server.facts["token"], "tools/list"), LISTS)


async def main() -> None:
    with ExitStack() as stack:
        servers = {size: stack.enter_context(Process("bench._server", "generated", str(size))) for size in SIZES}
        calls: dict[int, list[float]] = {size: [] for size in SIZES}
        for number in range(ROUNDS + 1):
            for size, server in servers.items():
                cost = await call_ms(server, size)
                calls[size] += [cost] if number else []
        lists = {size: [await list_ms(server) for _ in range(3)][1:] for size, server in servers.items()}
    for size in SIZES:
        show(f"tools/call of {size} tools: server CPU", "ms", calls[size], BUDGET_MS)
    ratio = min(calls[SIZES[-1]]) / min(calls[SIZES[0]])
    print(f"{'200 tools beside 10':56} {ratio:8.2f} x  {verdict(ratio, FLAT)}")
    for size in SIZES:
        show(f"tools/list of {size} tools: server CPU", "ms", lists[size])


if __name__ == "__main__":
    asyncio.run(main())
