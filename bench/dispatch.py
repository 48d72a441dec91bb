"""What the gate itself costs: CPU of one call of a trivial tool, with everything that stands at the gate.

Real identity, limits, audit and store. The caller's tenant has a limit, so requests are spent from
leased blocks; its token was verified within the last 2 s, as every token but the first of a caller is.
The audit's writer is counted: each round ends when its records are durable."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from bench._measure import show
from bench._platform import in_process
from bench._tools import GetItem, get_item
from core.arguments import Form
from core.dispatch import Call
from headwater.build import Platform

CALLS, ROUNDS = 4_000, 7
AT_ONCE = 10  # calls between two turns of the event loop: the audit's writer and timers want theirs
BUDGET_US = 100
ARGUMENTS = {"item_id": "i-1"}


async def alone() -> float:
    """The tool as a plain function."""
    started = time.process_time()
    for _ in range(CALLS):
        await get_item(None, GetItem(**ARGUMENTS))  # type: ignore[arg-type]
    return (time.process_time() - started) / CALLS * 1e6


async def gated(platform: Platform, token: str | None, tool: str, arguments: Mapping[str, Any], form: Form) -> float:
    """The tool through the gate."""
    call, audit = platform.dispatcher.call, platform.engine.audit
    started = time.process_time()
    for number in range(CALLS):
        await call(Call(tool, arguments, "bench", f"req_{number}", token=token, form=form))
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
    while audit.backlog:
        await asyncio.sleep(0.01)
    return (time.process_time() - started) / CALLS * 1e6


async def main() -> None:
    async with in_process() as (platform, token):
        rounds: dict[str, list[float]] = {}
        for number in range(ROUNDS + 1):
            found = {
                "function alone": await alone(),
                "gate, typed arguments (gRPC)": await gated(platform, token, "get_item", ARGUMENTS, "typed"),
                "gate, JSON arguments (MCP)": await gated(platform, token, "get_item", ARGUMENTS, "json"),
                "gate, text arguments (REST)": await gated(platform, token, "get_item", ARGUMENTS, "text"),
                "gate, nobody, ping": await gated(platform, None, "ping", {}, "json"),
            }
            if number:  # the first round warms up
                for what, value in found.items():
                    rounds.setdefault(what, []).append(value)
    for what, values in rounds.items():
        show(what, "us CPU", values, BUDGET_US if what.startswith("gate") else None)


if __name__ == "__main__":
    asyncio.run(main())
