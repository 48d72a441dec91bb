"""The gateway with the two sample agents registered, for `bench.gateway`.

`python -m bench._gateway prepare HOME A2A_URL MCP_URL` registers them; `whole HOME` then serves every face with all
tools, and `alone HOME` what `headwater gateway` does."""

import asyncio
import json
import sys
from decimal import Decimal
from pathlib import Path

from core.settings import Settings
from headwater.settings import read_settings

FREE = {"rest_port": 0, "grpc_web_port": 0, "mcp_port": 0, "grpc_port": 0, "admin_port": 0}


def _settings(home: str) -> Settings:
    return read_settings(Path(home), server=FREE, egress={"allowed_private_hosts": ["127.0.0.1"]})


def _tell(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


async def prepare(home: str, a2a: str, mcp: str) -> None:
    """Register both agents in a new home, with limits that are counted and never reached; tells a token."""
    from core.context import Principal
    from core.registry import Registry
    from engine.agents.limits import RateLimit
    from engine.agents.registry import Draft
    from headwater.build import build

    limit = RateLimit("", Decimal(10_000), Decimal(600_000), Decimal(36_000_000))
    platform = await build(_settings(home), registry=Registry.walk(["tools.agents"]))
    agents, by = platform.engine.agents, Principal("admin", "default")
    await platform.engine.desk.projects.create(by, "Bench", project_id="bench")
    for agent_id, protocol, url in (("echo", "A2A", a2a), ("weather", "MCP", mcp)):
        draft = Draft(name=agent_id, protocol=protocol, endpoint_url=url)
        await agents.registry.create(by, draft, project_id="bench", agent_id=agent_id)
        await agents.limits.set("default", agent_id, limit)
    token = await platform.engine.identity.mint(role="viewer")
    await platform.close()
    _tell(token=token)


async def whole(home: str) -> None:
    """Serve until the process that asked for it is gone."""
    from dataclasses import asdict

    from headwater.serve import serving

    async with serving(_settings(home)) as (_, ports):
        _tell(**asdict(ports))
        await asyncio.to_thread(sys.stdin.read)


async def alone(home: str) -> None:
    """Serve agents alone until the process that asked for it is gone."""
    from headwater.gateway import serving_agents

    async with serving_agents(_settings(home)) as (_, port):
        _tell(rest=port, mcp=port)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    from headwater.loops import run_fast

    run_fast({"prepare": prepare, "whole": whole, "alone": alone}[sys.argv[1]](*sys.argv[2:]))  # type: ignore[operator]
