"""A server on a given home that stays until it is killed; its first line tells where it is and a token of vera's.

usage: python -m tests.gateway.serving.standing HOME"""

import asyncio
import json
import sys
from pathlib import Path

from core.registry import Registry
from gateway.serving.host import Host
from headwater.serve import serving
from tests.gateway.serving.scripted import Told
from tests.gateway.worlds import gateway_settings


async def stand(home: Path) -> None:
    registry = Registry.walk(["tools.agents", "tools.system", "tools.query"])
    async with serving(gateway_settings(home), registry=registry) as (platform, ports):
        own, told = platform.own_agents, Told()
        if own is None:
            raise RuntimeError("our own agents are not served")
        own.use(Host(own.agents, told, own.extended_card))
        token = await platform.engine.identity.mint(role="admin")
        sys.stdout.write(json.dumps({"base": f"http://127.0.0.1:{ports.rest}", "token": token}) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(stand(Path(sys.argv[1])))
