"""Agents of others as real servers on 127.0.0.1, and a platform that may call them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from core.context import Principal
from core.dispatch import Call
from core.registry import Registry
from core.settings import Settings
from engine.identity.roles import BUILT_IN
from headwater.build import Platform, build
from headwater.settings import read_settings
from tests.fixtures_store import migrated
from tests.settled import settle

ADMIN = Principal("ada", "default", frozenset({"admin"}), BUILT_IN["admin"])
VIEWER = Principal("vic", "default", frozenset({"viewer"}), BUILT_IN["viewer"])
AUDITOR = Principal("aud", "default", frozenset({"auditor"}), BUILT_IN["auditor"])
STRANGER = Principal("olga", "other", frozenset({"admin"}), BUILT_IN["admin"])
FREE = {"rest_port": 0, "grpc_web_port": 0, "mcp_port": 0, "grpc_port": 0, "admin_port": 0}


@asynccontextmanager
async def served(make_app: Callable[[str], Any]) -> AsyncIterator[str]:
    """An ASGI app on a free port of 127.0.0.1, in this event loop; gives its URL."""
    opened = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{opened.getsockname()[1]}"
    config = uvicorn.Config(make_app(url), log_config=None, access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    server.capture_signals = _no_signals  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve(sockets=[opened]))
    while not server.started:
        await asyncio.sleep(0.002)
    try:
        yield url
    finally:
        server.should_exit = True
        server.force_exit = True
        await task
        opened.close()


def _no_signals() -> Any:
    import contextlib

    return contextlib.nullcontext()


@dataclass
class Desk:
    """A platform without faces: tools are called through its gate."""

    platform: Platform
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def call(self, tool: str, *, by: Principal = ADMIN, **arguments: Any) -> Any:
        return await self.platform.dispatcher.call(
            Call(tool=tool, arguments=arguments, face="test", request_id="r1", principal=by)
        )

    async def register(self, url: str, protocol: str = "MCP", agent_id: str = "them", **more: Any) -> Any:
        given = {"name": "Them", "project_id": "p1", "agent_id": agent_id, "protocol": protocol, "endpoint_url": url}
        return await self.call("create_agent", **(given | more))


async def make_projects(platform: Platform) -> None:
    """p1 to p9."""
    for number in range(1, 10):
        await platform.engine.desk.projects.create(ADMIN, f"Project {number}", project_id=f"p{number}")


def gateway_settings(home: Path, **changes: Any) -> Settings:
    egress = {"allowed_private_hosts": ["127.0.0.1", "localhost"], **changes.pop("egress", {})}
    return read_settings(migrated(home), server=FREE, egress=egress, jobs={"embedded_workers": 0}, **changes)


@asynccontextmanager
async def desk(home: Path, **changes: Any) -> AsyncIterator[Desk]:
    platform = await build(gateway_settings(home, **changes), registry=Registry.walk(["tools.agents"]))
    await settle(platform, ADMIN, VIEWER, AUDITOR, STRANGER)
    await make_projects(platform)
    try:
        yield Desk(platform)
    finally:
        await platform.close()
