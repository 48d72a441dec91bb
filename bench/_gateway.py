"""`headwater serve` with the two sample agents registered, for `bench.gateway`: their URLs come as arguments."""

import asyncio
import json
import sys
import tempfile
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path

from core.context import Principal
from core.registry import Registry
from engine.agents.limits import RateLimit
from engine.agents.registry import Draft
from headwater.loops import run_fast
from headwater.serve import serving
from headwater.settings import read_settings

FREE = {"rest_port": 0, "grpc_web_port": 0, "mcp_port": 0, "grpc_port": 0, "admin_port": 0}
LIMIT = RateLimit("", Decimal(10_000), Decimal(600_000), Decimal(36_000_000))  # counted, and never reached


async def serve(a2a: str, mcp: str) -> None:
    """Serve until the process that asked for it is gone."""
    with tempfile.TemporaryDirectory() as folder:
        egress = {"allowed_private_hosts": ["127.0.0.1"]}
        settings = read_settings(Path(folder), server=FREE, egress=egress)
        async with serving(settings, registry=Registry.walk(["tools.agents", "tools.system"])) as (platform, ports):
            agents, by = platform.engine.agents, Principal("admin", "default")
            await platform.engine.desk.projects.create(by, "Bench", project_id="bench")
            for agent_id, protocol, url in (("echo", "A2A", a2a), ("weather", "MCP", mcp)):
                draft = Draft(name=agent_id, protocol=protocol, endpoint_url=url)
                await agents.registry.create(by, draft, project_id="bench", agent_id=agent_id)
                await agents.limits.set("default", agent_id, LIMIT)
            token = await platform.engine.identity.mint(role="viewer")
            print(json.dumps({**asdict(ports), "token": token}), flush=True)
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    run_fast(serve(*sys.argv[1:]))
