"""What the gate itself costs: CPU of one call of a trivial tool, with everything that stands at the gate.

The caller is known by a token that was verified before (the verifier's cache holds it for 2 s), the
tenant has a limit, the audit is on. Compared in the same run with calling the function directly."""

import asyncio
import tempfile
import time
from pathlib import Path

from core.dispatch import Call
from core.tool import Empty
from headwater.build import Platform, build
from headwater.settings import read_settings
from tools.system.health import ping

CALLS = 5_000
BUDGET_US = 100


async def calls(platform: Platform, token: str) -> float:
    started = time.process_time()
    for number in range(CALLS):
        await platform.dispatcher.call(Call("list_lakehouse_tables", {}, "bench", f"req_{number}", token=token))
    return (time.process_time() - started) / CALLS * 1e6


async def pings(platform: Platform) -> float:
    started = time.process_time()
    for number in range(CALLS):
        await platform.dispatcher.call(Call("ping", {}, "bench", f"req_{number}"))
    return (time.process_time() - started) / CALLS * 1e6


async def bare(platform: Platform) -> float:
    started = time.process_time()
    for _ in range(CALLS):
        await ping(None, Empty())  # type: ignore[arg-type]
    return (time.process_time() - started) / CALLS * 1e6


async def run(home: Path) -> None:
    platform = await build(read_settings(home))
    tenant = await platform.engine.identity.directory.create_tenant("bench", tenant_id="bench", tier="enterprise")
    await platform.engine.identity.directory.create_user(tenant, user_id="viewer", roles=["viewer"])
    token = await platform.engine.identity.mint(role="viewer", tenant=tenant)
    try:
        for _ in range(3):
            print(f"function alone            {await bare(platform):7.1f} us CPU")
            print(f"gate, nobody, ping        {await pings(platform):7.1f} us CPU")
            print(f"gate, token, listing      {await calls(platform, token):7.1f} us CPU (budget {BUDGET_US})")
    finally:
        await platform.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
