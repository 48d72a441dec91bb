"""A whole platform with a governed table, and calls of its tools as different people."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.context import Principal
from core.dispatch import Call
from engine.identity.roles import BUILT_IN
from engine.lake.warehouse import TABLE_DEFAULTS
from headwater.build import Platform, build
from tests.faces.world import settings_of
from tests.settled import settle

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog

ADMIN = Principal("admin", "default", frozenset({"admin"}), BUILT_IN["admin"])
VIC = Principal("vic", "default", frozenset({"viewer"}), BUILT_IN["viewer"], attributes={"region": "eu"})
LEAD = Principal("lee", "default", frozenset({"lead_data_engineer"}), BUILT_IN["lead_data_engineer"])
STRANGER = replace(ADMIN, tenant="other")


@dataclass
class PolicyDesk:
    platform: Platform

    async def call(self, tool: str, by: Principal = ADMIN, **arguments: Any) -> Any:
        asked = Call(tool, arguments, face="test", request_id="r1", principal=by)
        return await self.platform.dispatcher.call(asked)

    async def rows(self, sql: str, by: Principal = VIC, **arguments: Any) -> list[dict[str, Any]]:
        answer = await self.call("execute_query", by, sql=sql, **arguments)
        found: list[dict[str, Any]] = answer.data.records()
        return found

    async def alter(self, table: str, change: Any) -> None:
        """Change a table's schema behind our back, as another engine would."""

        def work(catalog: "SqlCatalog") -> None:
            with catalog.load_table(table).update_schema() as schema:
                change(schema)

        await self.platform.engine.lake.commit("default", work)


def load_staff(platform: Platform) -> None:
    """Six people in two regions; what begins with `canary` may not be seen."""
    import pyarrow as pa

    staff = pa.table(
        {
            "id": pa.array([1, 2, 3, 4, 5, 6], pa.int64()),
            "name": ["Ada", "Bob", "Cyd", "canary-dan", "canary-eve", "canary-fay"],
            "email": ["ada@x.org", "bob@x.org", "cyd@x.org", "canary-d", "canary-e", "canary-f"],
            "region": ["eu", "eu", "eu", "us", "us", "us"],
            "ssn": ["canary-1", "canary-2", "canary-3", "canary-4", "canary-5", "canary-6"],
            "pay": pa.array([10, 20, 30, 40, 50, 60], pa.int64()),
        }
    )
    teams = pa.table({"team": ["a", "b"], "boss_id": pa.array([1, 4], pa.int64())})

    def work(catalog: "SqlCatalog") -> None:
        catalog.create_namespace_if_not_exists("hr")
        catalog.create_namespace_if_not_exists("vault")
        tables = {"hr.staff": staff, "hr.teams": teams, "vault.staff": staff, "vault.canary": teams}
        for name, rows in tables.items():
            catalog.create_table(name, schema=rows.schema, properties=TABLE_DEFAULTS).append(rows)

    platform.engine.lake.commit_now("default", work)


@asynccontextmanager
async def opened_desk(home: Path) -> AsyncIterator[PolicyDesk]:
    home.mkdir()
    platform = await build(settings_of(home))
    await settle(platform, VIC, LEAD, STRANGER)
    await asyncio.to_thread(load_staff, platform)
    yield PolicyDesk(platform)
    await platform.close()


async def govern_staff(desk: PolicyDesk) -> None:
    """The caller's region only; e-mail addresses in part, no social security numbers, and no vault at all."""
    staff: dict[str, Any] = {"table": "hr.staff", "except_for": {"roles": ["admin"]}}
    await desk.call("create_policy", name="own", kind="row_filter", filter="region = principal.region", **staff)
    mask = {"kind": "partial", "keep_first": 1}
    await desk.call("create_policy", name="mail", kind="column", columns=["email"], mask=mask, **staff)
    await desk.call("create_policy", name="ssn", kind="column", columns=["ssn"], privacy="hidden", **staff)
    for table in ("vault.staff", "vault.canary"):
        rule: dict[str, Any] = {**staff, "table": table, "privacy": "hidden"}
        await desk.call("create_policy", name=table, kind="column", columns=["*"], **rule)
