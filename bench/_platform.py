"""The real platform around the tools of the benchmarks: identity, limits, audit and store as `serve` has them."""

import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from sqlalchemy import update

from bench._tools import generated_tools
from core.registry import Registry
from core.settings import Settings
from engine.store.tables import tenants
from headwater.build import TOOL_PACKAGES, Platform, build
from headwater.settings import read_settings

TENANT = "bench"
LIMIT_PER_MINUTE = 10_000_000  # a limit, so that its leased blocks are used, which no benchmark reaches
FREE_PORTS = dict.fromkeys(("rest_port", "grpc_web_port", "mcp_port", "grpc_port", "admin_port"), 0)


def registry_of(kind: str, count: str = "0") -> Registry:
    if kind == "generated":
        return Registry(generated_tools(int(count)))
    return Registry.walk([*TOOL_PACKAGES, "bench._tools"])


def settings_of(folder: Path) -> Settings:
    """A home of its own, and beside it a folder `data` that file connections may read."""
    data = folder / "data"
    data.mkdir()
    return read_settings(folder / "home", server=FREE_PORTS, query={"allowed_roots": [str(data)]})


async def caller(platform: Platform) -> str:
    """The token of an editor of a tenant that has a limit."""
    directory = platform.engine.identity.directory
    tenant = await directory.create_tenant("bench", tenant_id=TENANT, tier="enterprise")
    change = update(tenants).where(tenants.c.tenant_id == tenant).values(max_requests_per_minute=LIMIT_PER_MINUTE)
    await platform.engine.store.write(lambda connection: connection.execute(change))
    return await platform.engine.identity.mint(role="admin", tenant=tenant)


@contextlib.asynccontextmanager
async def in_process() -> AsyncIterator[tuple[Platform, str]]:
    """A platform without faces, and a token."""
    with tempfile.TemporaryDirectory() as folder:
        platform = await build(settings_of(Path(folder)), registry=registry_of("tools"))
        try:
            yield platform, await caller(platform)
        finally:
            await platform.close()
