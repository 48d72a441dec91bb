"""`desk`: one platform with workers for all tests of table care; each test makes tables of its own."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from core.dispatch import Call
from headwater.build import Platform, build
from tests.engine.maintenance.tables import Tables
from tests.faces.world import settings_of

PEOPLE = {
    "eng": ("default", "data_engineer"),
    "vic": ("default", "viewer"),
    "boss": ("default", "admin"),
    "olga": ("other", "admin"),
}


@dataclass
class CareDesk:
    """Runs calls on a loop of its own, so that the platform outlives a test."""

    platform: Platform
    tables: Tables
    loop: asyncio.AbstractEventLoop

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def call(self, tool: str, *, by: str = "eng", wait_s: float | None = None, **arguments: Any) -> Any:
        return self.run(self._call(tool, by, wait_s, arguments))

    async def _call(self, tool: str, by: str, wait_s: float | None, arguments: dict[str, Any]) -> Any:
        tenant, subject = PEOPLE[by][0], by
        principal = await self.platform.engine.identity.principal_of(tenant, subject, "user")
        asked = Call(tool, arguments, "test", "r1", principal=principal, wait_s=wait_s)
        return await self.platform.dispatcher.call(asked)

    def details(self, tool: str, **arguments: Any) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.call(tool, **arguments).details_json)
        return found

    def rows(self, table: str, by: str = "eng") -> int:
        answer = self.call("execute_query", by=by, sql=f"SELECT count(*) AS n FROM {table}")
        return int(answer.data.records()[0]["n"])


@pytest.fixture(scope="package")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CareDesk]:
    home = tmp_path_factory.mktemp("care")
    loop = asyncio.new_event_loop()
    platform = loop.run_until_complete(_open(home))
    yield CareDesk(platform, Tables(platform.engine.lake), loop)
    loop.run_until_complete(platform.close())
    loop.close()


async def _open(home: Any) -> Platform:
    platform = await build(settings_of(home))
    directory = platform.engine.identity.directory
    await directory.create_tenant("Other", tenant_id="other", tier="enterprise")
    for name, (tenant, role) in PEOPLE.items():
        await directory.create_user(tenant, user_id=name, roles=[role])
    platform.engine.lake.create_namespace("default", "shop")
    await platform.start_workers()
    return platform


async def end(desk: CareDesk, job_id: str) -> str:
    """How a job ended."""
    async for _ in desk.platform.engine.jobs.follow("default", job_id, timeout_s=20):
        pass
    principal = await desk.platform.engine.identity.principal_of("default", "eng", "user")
    return (await desk.platform.engine.jobs.get(principal, job_id)).status
