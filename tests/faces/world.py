"""Equal worlds for the faces: one home with people and keys, copied for each face, each with its own lakehouse."""

import asyncio
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.context import Principal
from core.settings import Settings
from engine.agents.registry import Draft as AgentDraft
from engine.documents.assets import Draft as AssetDraft
from engine.identity.roles import BUILT_IN
from engine.lake.warehouse import TABLE_DEFAULTS
from engine.queries import Draft
from engine.semantic.store import Change
from headwater.build import Platform, build
from headwater.listeners import Ports
from headwater.serve import serving
from headwater.settings import read_settings
from tests.fixtures_store import migrated
from tests.hostile.forged_tokens import Forge

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog

FREE = {"rest_port": 0, "grpc_web_port": 0, "mcp_port": 0, "grpc_port": 0, "admin_port": 0}
IDS = {
    "connection": "side",
    "job": "no-such-id",
    "schedule": "no-such-id",
    "query": "no-such-id",
    "saved_query": "kept",
    "agent": "analyst",
    "own_agent": "analyst",
    "agent_run": "no-such-id",
    "query_job": "no-such-id",
    "export": "no-such-id",
    "dataset": "no-such-id",
    "managed_table": "no-such-id",
    "upload": "no-such-id",
    "asset": "manual",
    "import_job": "no-such-id",
    "export_job": "no-such-id",
    "tenant": "default",
    "user": "spare",
    "role": "spare-role",
    "client": "spare-client",
    "session": "no-such-id",
    "approval": "no-such-id",
    "notice_destination": "no-such-id",
    "project": "atlas",
    "own_project": "atlas",
    "share": "no-such-id",
    "tenant_export": "no-such-id",
    "metric": "people_count",
    "semantic_model": "people",
    "verified_query": "kept",
    "knowledge": "kept",
    "eval_run": "no-such-id",
    "model": "no-such-id",
    "workflow_run": "no-such-id",
    "feedback": "no-such-id",
}


def settings_of(home: Path, **changes: Any) -> Settings:
    return read_settings(migrated(home), server=FREE, **changes)


async def make_home(home: Path, data: Path) -> dict[str, str | None]:
    """A home with two tenants and every role. Returns a token for each principal of the parity table."""
    data.mkdir(exist_ok=True)
    home.mkdir()
    (home / "headwater.toml").write_text(f"[query]\nallowed_roots = ['{data}']\n")
    with sqlite3.connect(data / "side.sqlite") as side:
        side.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)")
        side.execute("INSERT INTO people VALUES (1, 'Ada'), (2, 'Bob')")
    platform = await build(settings_of(home))
    try:
        return await _fill(platform, data)
    finally:
        await platform.close()


async def _fill(platform: Platform, data: Path) -> dict[str, str | None]:
    identity, connections = platform.engine.identity, platform.engine.catalog.connections
    options = {"path": str(data / "side.sqlite")}
    await identity.directory.create_tenant("Other", tenant_id="other", tier="enterprise")
    await identity.directory.create_user("other", user_id="olga", roles=["admin"])
    await identity.directory.create_user("default", user_id="nobody", roles=[])
    await identity.directory.create_user("default", user_id="spare", roles=["viewer"])
    await identity.directory.create_client("default", client_id="spare-client", name="Spare", roles=["viewer"])
    for tenant in ("default", "other"):
        await identity.directory.define_role(tenant, "spare-role" if tenant == "default" else "foreign-role", [])
    await identity.directory.create_user("other", user_id="foreign-user", roles=["viewer"])
    await identity.directory.create_client("other", client_id="foreign-client", roles=["viewer"])
    await connections.create("default", name="Side", kind="sqlite", options=options, connection_id="side")
    await connections.create("other", name="Theirs", kind="sqlite", options=options, connection_id="foreign-connection")
    projects = platform.engine.desk.projects
    await projects.create(Principal("editor", "default"), "Atlas", project_id="atlas")
    await projects.create(Principal("olga", "other"), "Theirs", project_id="foreign-project")
    for tenant, asset_id in (("default", "manual"), ("other", "foreign-asset")):
        manual = AssetDraft(name="Manual", tags=["orders"])
        await platform.engine.documents.assets.create(Principal("editor", tenant), manual, asset_id=asset_id)
    draft = Draft(query_text="SELECT name FROM people", connection_id="side")
    for subject, tenant, query_id in (("viewer", "default", "kept"), ("olga", "other", "foreign-saved_query")):
        await platform.engine.saved.create(Principal(subject, tenant), draft, query_id=query_id)
    for tenant, agent_id in (("default", "analyst"), ("other", "foreign-agent")):
        by, role = Principal("viewer", tenant), AgentDraft(name="Analyst", system_prompt="Answer.")
        await platform.engine.agents.registry.create(by, role, project_id=None, agent_id=agent_id)
    await _define(platform)
    client = await identity.directory.create_client("default", name="robot", roles=["editor"])
    issued = await identity.issue_token(client.client_id, client.client_secret)
    tokens: dict[str, str | None] = {role: await identity.mint(role=role) for role in BUILT_IN}
    good, now = tokens["viewer"] or "", int(time.time())
    forge = Forge(platform.engine.store, platform.engine.vault)
    return {
        "nobody_at_all": "",
        "forged": good[:-8] + ("AAAAAAAA" if not good.endswith("AAAAAAAA") else "BBBBBBBB"),
        "expired": forge.token(sub="viewer", iat=now - 7200, nbf=now - 7200, exp=now - 3600),
        **tokens,
        "client": issued.access_token,
        "without_roles": await identity.mint(subject="nobody"),
        "other_tenant": await identity.mint(subject="olga", tenant="other"),
    }


async def _define(platform: Platform) -> None:
    """A model with a metric, a verified query and a text, of each tenant."""
    model: dict[str, Any] = {
        "name": "people",
        "table": "people",
        "entities": [{"name": "person", "type": "primary", "expr": "id"}],
        "dimensions": [{"name": "name", "type": "categorical"}],
        "measures": [{"name": "people_count", "agg": "sum", "expr": "1"}],
    }
    metric: dict[str, Any] = {"name": "people_count", "type": "simple", "type_params": {"measure": "people_count"}}
    query: dict[str, Any] = {
        "question": "Who is there?",
        "sql": "SELECT name FROM people",
        "parameters": [],
        "other_questions": [],
    }
    text: dict[str, Any] = {"title": "Person", "text": "Somebody.", "tables": [], "synonyms": []}
    for tenant, subject in (("default", "viewer"), ("other", "olga")):
        names = {"model": "people", "metric": "people_count", "verified_query": "kept", "knowledge": "kept"}
        if tenant == "other":
            names = {kind: f"foreign-{kind}" for kind in names} | {"model": "foreign-semantic_model"}
        changes = [
            Change("model", names["model"], model, "side"),
            Change("metric", names["metric"], metric, "side"),
            Change("verified_query", names["verified_query"], {**query, "description": ""}, "side"),
            Change("knowledge", names["knowledge"], text),
        ]
        await platform.engine.semantic.items.put(Principal(subject, tenant), changes)


def load_shop(platform: Platform) -> None:
    """Two small tables in the lakehouse of the default tenant."""
    import pyarrow as pa

    orders = pa.table(
        {
            "id": pa.array([1, 2, 3, 4], pa.int64()),
            "region": ["eu", "us", "eu", None],
            "amount": pa.array(["10.50", "20.25", "3.00", "7.75"]).cast(pa.decimal128(9, 2)),
            "ordered_on": [date(2026, 1, day) for day in (1, 2, 3, 4)],
        }
    )
    customers = pa.table({"id": pa.array([1, 2], pa.int64()), "name": ["Ada", "Bob"]})

    def work(catalog: "SqlCatalog") -> None:
        catalog.create_namespace_if_not_exists("shop")
        for name, rows in (("orders", orders), ("customers", customers)):
            catalog.create_table(f"shop.{name}", schema=rows.schema, properties=TABLE_DEFAULTS).append(rows)

    platform.engine.lake.commit_now("default", work)


@dataclass(frozen=True, slots=True)
class World:
    """One face's copy of everything."""

    platform: Platform
    ports: Ports


@asynccontextmanager
async def worlds(base: Path, folder: Path, names: tuple[str, ...]) -> AsyncIterator[dict[str, World]]:
    """A served copy of the base home for every name; the first with a data plane, whose answers are no others."""
    async with AsyncExitStack() as stack:
        opened: dict[str, World] = {}
        for name in names:
            home, edge = folder / name, {"isolation": "process" if name == names[0] else "thread"}
            await asyncio.to_thread(shutil.copytree, base, home)
            platform, ports = await stack.enter_async_context(serving(settings_of(home, edge=edge)))
            await asyncio.to_thread(load_shop, platform)
            opened[name] = World(platform, ports)
        yield opened
