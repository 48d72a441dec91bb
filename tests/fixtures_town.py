"""`town`: a whole platform with people of three tenants, and a governed dataset that one of them may share."""

import asyncio
import functools
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from core.context import Principal
from core.dispatch import Call
from engine.approvals.approval import LASTS_S
from engine.store.db import Store
from engine.store.tables import approvals
from headwater.build import Platform, build
from tests.faces.world import settings_of

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog

PEOPLE = {
    "ada": ("default", "editor"),
    "cora": ("default", "admin"),
    "carl": ("default", "admin"),
    "vic": ("default", "viewer"),
    "lea": ("default", "lead_data_engineer"),
    "root": ("default", "super_admin"),
    "olga": ("other", "admin"),
    "otto": ("other", "editor"),
    "tess": ("third", "admin"),
}


@dataclass
class Town:
    """Calls tools as its people."""

    platform: Platform

    async def who(self, name: str) -> Principal:
        return await self.platform.engine.identity.principal_of(PEOPLE[name][0], name, "user")

    async def call(self, tool: str, /, by: str = "cora", via: str = "user", **arguments: Any) -> Any:
        principal = replace(await self.who(by), via=via)
        return await self.platform.dispatcher.call(Call(tool, arguments, "test", "r1", principal=principal))

    async def rows(self, connection_id: str, sql: str, by: str = "otto") -> list[dict[str, Any]]:
        answer = await self.call("execute_query", by, connection_id=connection_id, sql=sql)
        found: list[dict[str, Any]] = answer.data.records()
        return found

    async def dataset(self, name: str = "hr") -> str:
        """Id of a dataset of the default tenant, which is made with its tables."""
        if not self.platform.engine.lake.namespaces("default"):
            await asyncio.to_thread(load_people, self.platform)
        found = (await self.call("list_datasets")).datasets
        return str(next(item.id for item in found if item.name == name))

    async def shared(self, name: str = "hr") -> str:
        """A dataset shared with the other tenant, and the connection that reads it there."""
        await self.call("create_project", "otto", name="Atlas", project_id="atlas")
        asked = await self.call(
            "request_project_dataset", "otto", project_id="atlas", dataset_id=await self.dataset(name)
        )
        await self.call("approve_request", approval_id=asked.id)
        [share] = (await self.call("list_shares", "otto")).shares
        return str(share.id)

    @contextmanager
    def later(self, seconds: float = LASTS_S) -> Iterator[None]:
        """As if that time were over: approvals and what hangs on them look at a clock that is ahead."""
        desk = self.platform.engine.desk
        parts: list[Any] = [desk.approvals, desk.access, self.platform.engine.catalog]
        for part in parts:
            part._clock = lambda: time.time() + seconds
        yield
        for part in parts:
            part._clock = time.time


async def count_pending(store: Store) -> int:
    query = approvals.select().where(approvals.c.status == "pending")
    return len(await store.read(lambda connection: connection.execute(query).all()))


@functools.cache
def _template() -> Path:
    home = Path(tempfile.mkdtemp()) / "home"
    home.mkdir()
    asyncio.run(_fill(home))
    return home


async def _fill(home: Path) -> None:
    platform = await build(settings_of(home))
    directory = platform.engine.identity.directory
    for tenant in ("other", "third"):
        await directory.create_tenant(tenant.title(), tenant_id=tenant, tier="enterprise")
    for name, (tenant, role) in PEOPLE.items():
        await directory.create_user(tenant, user_id=name, roles=[role], email=f"{name}@example.org", name=name.title())
    await platform.close()


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    template = await asyncio.to_thread(_template)
    await asyncio.to_thread(shutil.copytree, template, tmp_path / "home")
    platform = await build(settings_of(tmp_path / "home"))
    yield Town(platform)
    await platform.close()


def load_people(platform: Platform) -> None:
    """A dataset with two tables, and one that is nobody's business; tables know where they are, so none is copied."""
    import pyarrow as pa

    from engine.lake.warehouse import TABLE_DEFAULTS

    staff = pa.table(
        {
            "id": pa.array([1, 2, 3, 4, 5, 6], pa.int64()),
            "name": ["Ada", "Bob", "Cyd", "canary-dan", "canary-eve", "canary-fay"],
            "email": ["ada@x.org", "bob@x.org", "cyd@x.org", "canary-d", "canary-e", "canary-f"],
            "region": ["eu", "eu", "eu", "us", "us", "us"],
            "ssn": [f"canary-{number}" for number in range(6)],
            "pay": pa.array([10, 20, 30, 40, 50, 60], pa.int64()),
        }
    )
    teams = pa.table({"team": ["a", "b"], "boss_id": pa.array([1, 4], pa.int64())})

    def work(catalog: "SqlCatalog") -> None:
        for name, rows in {"hr.staff": staff, "hr.teams": teams, "vault.staff": teams}.items():
            catalog.create_namespace_if_not_exists(name.split(".")[0])
            catalog.create_table(name, schema=rows.schema, properties=TABLE_DEFAULTS).append(rows)

    platform.engine.lake.commit_now("default", work)
