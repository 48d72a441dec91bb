"""A process that calls an agent through a home's store until told otherwise: `python -m ... HOME TIMES`."""

import asyncio
import sys
from pathlib import Path

from core.errors import RateLimited
from core.registry import Registry
from headwater.build import build
from tests.gateway.worlds import VIEWER, Desk, gateway_settings


async def main(home: str, times: int) -> None:
    platform = await build(gateway_settings(Path(home)), registry=Registry.walk(["tools.agents"]))
    passed = 0
    sys.stdin.readline()
    for _ in range(times):
        try:
            await Desk(platform).call("route_to_agent", by=VIEWER, agent_id="them", message={"name": "look"})
            passed += 1
        except RateLimited:
            continue
    sys.stdout.write(str(passed))
    await platform.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
