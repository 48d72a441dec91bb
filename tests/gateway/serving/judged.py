"""A server to be judged by programs that others wrote: it starts, runs a command with its address and a token, ends.

usage: python -m tests.gateway.serving.judged suite|told COMMAND...     (BASE_URL and TOKEN are added to the command)

`suite`: Headwater's agent answers the message ids of A2A's conformance suite; `told`: it does as texts say.
Both are agents of tests: nothing that an operator can set makes a server answer like this."""

import asyncio
import sys
import tempfile
from pathlib import Path

from core.registry import Registry
from engine.egress.resolver import resolve
from examples.agents import a2a_agent
from gateway.serving.host import Host
from headwater.serve import serving
from tests.gateway.serving.scripted import Suite, Told
from tests.gateway.worlds import ADMIN, VIEWER, Desk, gateway_settings, make_projects, served
from tests.settled import settle


async def resolve_example(host: str, port: int) -> list[str]:
    """The suite gives addresses at example.com, which has none where there is no internet."""
    return ["93.184.216.34"] if host == "example.com" else await resolve(host, port)


async def judged(mode: str, command: list[str]) -> int:
    """Run a command against a server of its own; its exit code."""
    registry = Registry.walk(["tools.agents", "tools.system", "tools.query"])
    with tempfile.TemporaryDirectory() as folder:
        settings = gateway_settings(Path(folder) / "home")
        async with serving(settings, registry=registry) as (platform, ports), served(a2a_agent.app) as echo:
            await settle(platform, ADMIN, VIEWER)
            await make_projects(platform)
            await Desk(platform).register(echo, "A2A", "echo", name="Echo")
            platform.engine.egress._resolve = resolve_example
            own, told = platform.own_agents, Told()
            if own is None:
                raise RuntimeError("our own agents are not served")
            executor = Suite(told) if mode == "suite" else None
            own.use(Host(own.agents, told, own.extended_card, executor=executor))
            token = await platform.engine.identity.mint(role="admin")
            base = f"http://127.0.0.1:{ports.rest}"
            running = await asyncio.create_subprocess_exec(*command, base, token)
            return await running.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(judged(sys.argv[1], sys.argv[2:])))
