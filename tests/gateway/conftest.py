"""One platform with all its faces, and the two sample agents behind it, for all tests of the gateway."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from core.registry import Registry
from examples.agents import a2a_agent, mcp_tools
from headwater.serve import serving
from tests.gateway.hostile_agents import Scripted, scripted
from tests.gateway.worlds import ADMIN, VIEWER, Desk, gateway_settings, make_projects, served
from tests.settled import settle


@dataclass
class House:
    """Where everything is, and who may call."""

    desk: Desk
    rest: str
    mcp: str
    tokens: dict[str, str]
    scripted: Scripted

    def client(self, who: str = "viewer") -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {self.tokens[who]}"} if who else {}
        return httpx.AsyncClient(headers=headers, timeout=20, base_url=self.rest)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    home: Path = tmp_path_factory.mktemp("gateway") / "home"
    registry = Registry.walk(["tools.agents", "tools.system", "tools.query"])
    async with (
        serving(gateway_settings(home), registry=registry) as (platform, ports),
        served(a2a_agent.app) as echo,
        served(lambda url: mcp_tools.app()) as weather,
        scripted() as hostile,
    ):
        identity = platform.engine.identity
        await identity.directory.create_tenant("Other", tenant_id="other", tier="enterprise")
        await identity.directory.create_user("other", user_id="olga", roles=["admin"])
        await identity.directory.create_user("default", user_id="vera", roles=["viewer"])
        desk = Desk(platform)
        await settle(platform, ADMIN, VIEWER)
        await make_projects(platform)
        await desk.register(echo, "A2A", "echo", name="Echo")
        await desk.register(f"{weather}/mcp", "MCP", "weather", name="Weather")
        tokens = {role: await identity.mint(role=role) for role in ("viewer", "admin", "auditor")}
        tokens["vera"] = await identity.mint(subject="vera")
        tokens["stranger"] = await identity.mint(subject="olga", tenant="other")
        rest, mcp = (f"http://127.0.0.1:{port}" for port in (ports.rest, ports.mcp))
        yield House(desk, rest, mcp, tokens, hostile)
