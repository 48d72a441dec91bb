"""`shop`: a whole platform over a small SQLite database, with workers, people of two tenants, and the REST face."""

import asyncio
import functools
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.context import Principal
from core.dispatch import Call
from headwater.build import Platform, build
from headwater.faces import rest_face
from headwater.settings import read_settings

FREE = {"rest_port": 0, "grpc_web_port": 0, "mcp_port": 0, "grpc_port": 0, "admin_port": 0}
PEOPLE = {"ada": ("default", "editor"), "cora": ("default", "admin"), "olga": ("other", "admin")}
ENDLESS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) AS n FROM r"


@dataclass
class Shop:
    """What a test may use or look into."""

    platform: Platform
    data: Path

    @cached_property
    def _rest(self) -> Any:
        return rest_face(self.platform)

    async def who(self, name: str) -> Principal:
        return await self.platform.engine.identity.principal_of(PEOPLE[name][0], name, "user")

    async def call(
        self, tool: str, /, *, by: str = "ada", wait_s: float | None = None, key: str = "", **arguments: Any
    ) -> Any:
        asked = Call(tool, arguments, "test", "r1", principal=await self.who(by), wait_s=wait_s, idempotency_key=key)
        return await self.platform.dispatcher.call(asked)

    async def give(self, name: str, *roles: str) -> None:
        """Change somebody's roles, as if the two seconds for which rights are remembered were over."""
        identity = self.platform.engine.identity
        await identity.directory.set_user_roles(PEOPLE[name][0], name, list(roles))
        identity._rights._tenants.clear()

    async def run(self, sql: str, **arguments: Any) -> str:
        """A query job that has ended; its id."""
        started = await self.call("run_query", query_text=sql, connection_id="shop", **arguments)
        return await self.ended(str(started.job_id))

    async def ended(self, job_id: str) -> str:
        async for _ in self.platform.engine.jobs.follow("default", job_id, timeout_s=20):
            pass
        return job_id

    def stored(self) -> list[str]:
        """The files in the store of results."""
        folder = self.platform.settings.home / "results-store"
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())

    async def get(self, url: str, method: str = "GET", **headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(self._rest, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, url, headers=headers)


@functools.cache
def _template() -> Path:
    folder = Path(tempfile.mkdtemp())
    asyncio.run(_fill(folder / "home"))
    return folder / "home"


async def _fill(home: Path) -> None:
    platform = await build(read_settings(home, server=FREE))
    directory = platform.engine.identity.directory
    await directory.create_tenant("Other", tenant_id="other", tier="enterprise")
    for name, (tenant, role) in PEOPLE.items():
        await directory.create_user(tenant, user_id=name, roles=[role])
    await platform.close()


@asynccontextmanager
async def opened_shop(template: Path, folder: Path, **settings: Any) -> AsyncIterator[Shop]:
    """A platform on a copy of the template's home."""
    data, home = folder / "data", folder / "home"
    data.mkdir(exist_ok=True)
    if not home.exists():
        await asyncio.to_thread(shutil.copytree, template, home)
    with sqlite3.connect(data / "shop.db") as database:
        database.executescript(
            "CREATE TABLE IF NOT EXISTS item (id INTEGER, name TEXT); DELETE FROM item;"
            "INSERT INTO item VALUES (1, 'a'), (2, NULL), (3, ''), (4, '=1+1'), (5, 'ö\"\n,');"
        )
    found = read_settings(home, server=FREE, query={"allowed_roots": [str(data)]}, **settings)
    platform = await build(found)
    shop = Shop(platform, data)
    options = {"path": str(data / "shop.db")}
    connections = platform.engine.catalog.connections
    await connections.create("default", connection_id="shop", name="Shop", kind="sqlite", options=options)
    await platform.start_workers()
    try:
        yield shop
    finally:
        await platform.close()


@pytest.fixture(scope="session")
def shop_template() -> Path:
    return _template()


@pytest.fixture
async def shop(shop_template: Path, tmp_path: Path) -> AsyncIterator[Shop]:
    async with opened_shop(shop_template, tmp_path) as made:
        yield made
