"""One real object of every kind in a tenant, made through the front door; and ids that name nothing anywhere."""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from sqlalchemy import select

from core.dispatch import Call
from core.portable import plain_type
from core.registry import Registry
from core.tool import Tool
from engine.identity.sessions import SignIn
from engine.lake.warehouse import TABLE_DEFAULTS
from engine.store.tables import jobs
from headwater.build import TOOL_PACKAGES, Platform
from tests.faces.arguments import sample
from tests.faces.world import IDS

REGISTRY = Registry.walk(TOOL_PACKAGES)
ID_SHAPED = re.compile(r"(^|_)(ids?|table|tables|page_token|handle)$")
SQL_FIELDS = ("sql", "query_text", "statement")
CANARY = "zebra"

KIND_OF_FIELD = {
    "query_id": "saved_query",
    "table_id": "managed_table",
    "table": "table",
    "tables": "table",
    "id": "document",
    "page_token": "page_token",
    "owner_tenant_id": "tenant",
    **dict.fromkeys(SQL_FIELDS, "sql"),
}
"""What a field names where its name without `_id` does not say it and no `Refers` does."""

KIND_OF_ARGUMENT: dict[tuple[str, str], str | None] = {
    ("get_result", "query_id"): "result",
    **{(tool, "session_id"): "agent_session" for tool in ("get_agent_history", "delete_agent_session")},
    ("list_agent_runs", "session_id"): "agent_session",
    **{(tool, "session_id"): None for tool in ("chat", "run_agent", "run_agent_stream")},  # free to everyone: a new one
    ("run_workflow", "task_id"): None,  # as well
    ("run_eval", "run_id"): None,  # as well
}
"""The same for one tool's field alone."""

NO_IDS = ("identity_provider_id", "request_id")
"""What names no object of a tenant: an issuer of the operator's, and what a caller was told."""

NOT_YET: dict[str, str] = {}
"""Kinds of which there is no object until a tool makes one."""


@dataclass(frozen=True, slots=True)
class Making:
    """How an object comes about: the call, and the field of its answer that holds the id."""

    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    answer: str = ""


MAKING: dict[str, Making] = {
    "connection": Making("create_connection", {"connection_id": "{tenant}-side"}),
    "saved_query": Making("create_query", {"connection_id": "{connection}"}, "id"),
    "result": Making("execute_query", {"sql": "SELECT * FROM {table}"}, "metadata.query_id"),
    "query": Making("execute_query", {"sql": "SELECT * FROM {table}"}, "metadata.query_id"),
    "query_job": Making("run_query", {"query_text": "SELECT * FROM {table}", "connection_id": "lakehouse"}, "job_id"),
    "job": Making("run_query", {"query_text": "SELECT * FROM {table}", "connection_id": "lakehouse"}, "job_id"),
    "tenant_export": Making("export_tenant_data", {"tenant_id": "{tenant}", "include_tables": False}),
    "export": Making("create_export", {"job_id": "{query_job}"}, "id"),
    "dataset": Making("create_dataset", {"name": "{tenant}_set"}, "id"),
    "managed_table": Making(
        "create_managed_table",
        {"dataset_id": "{dataset}", "name": "things", "schema": [{"name": "id", "type": "long"}]},
        "id",
    ),
    "upload": Making("create_upload", {"name": "zebra.csv", "size_bytes": 5}),
    "import_job": Making("create_import_job", {"table_id": "{managed_table}", "upload_id": "{upload}"}, "id"),
    "export_job": Making("create_export_job", {"table_id": "{managed_table}"}, "id"),
    "role": Making("create_role", {"role": "{tenant}-role", "permissions": ["query.run"]}, "role"),
    "own_project": Making("create_project", {"name": "{tenant} own"}, "id"),
    "eval_run": Making(
        "run_eval",
        {"cases": [{"question": "How many?", "gold": ["SELECT count(*) AS n FROM {table}"]}], "workflow": "planner"},
        "run_id",
    ),
    "semantic_model": Making(
        "create_semantic_model",
        {
            "name": "{tenant}_things",
            "table": "{table}",
            "connection_id": "lakehouse",
            "entities": [],
            "measures": [{"name": "{tenant}_rows", "agg": "sum", "expr": "1"}],
        },
        "name",
    ),
    "metric": Making(
        "create_metric",
        {
            "name": "{semantic_model}_count",
            "type_params": {"measure": "{tenant}_rows"},
            "connection_id": "lakehouse",
        },
        "name",
    ),
    "verified_query": Making(
        "create_verified_query",
        {"question": "What things?", "sql": "SELECT * FROM {table}", "connection_id": "lakehouse", "query_id": None},
    ),
    "knowledge": Making("create_knowledge", {"knowledge_id": None}),
    "own_agent": Making("create_agent", {"agent_id": None}, "id"),
    "model": Making("create_model", answer="name"),
    "workflow_run": Making("run_workflow", {"task": "How many?"}, "task_id"),
    "feedback": Making("submit_feedback", {"task_id": "{workflow_run}", "corrected_sql": "SELECT 1"}),
    "agent_run": Making("chat", answer="run_id"),
    "agent_session": Making("chat", answer="session_id"),
    "approval": Making("request_access", {"connection_id": "lakehouse", "table": "{table}", "reason": "zebra"}, "id"),
    "snapshot": Making("list_snapshots", {"table": "{table}"}, "snapshots.0.snapshot_id"),
}
"""Kinds that `create_KIND` with its own sample does not make, or that need another one first."""


@dataclass(frozen=True, slots=True)
class Tenancy:
    """A tenant, whoever acts there, and one object of each kind."""

    tenant: str
    token: str
    ids: dict[str, str]
    words: Mapping[str, str]  # in samples, to be put in the place of others

    def sample(self, tool: Tool, data: str) -> dict[str, Any]:
        """Arguments that name only what is here."""
        return self.own(sample(tool, {**IDS, **self.ids}, data))

    def own(self, arguments: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(arguments)
        for word, here in self.words.items():
            text = text.replace(word, here)
        found: dict[str, Any] = json.loads(text)
        return found


def kind_of(tool: Tool, name: str) -> str | None:
    """What a field names, or None when it is not shaped like an id."""
    if name in tool.references:
        return tool.references[name]
    if (tool.name, name) in KIND_OF_ARGUMENT:
        return KIND_OF_ARGUMENT[tool.name, name]
    if plain_type(tool.request.model_fields[name].annotation)[0] is not str:
        return None
    if name in NO_IDS or (name not in SQL_FIELDS and not ID_SHAPED.search(name)):
        return None
    return KIND_OF_FIELD.get(name, re.sub(r"_ids?$", "", name))


def kinds() -> set[str]:
    """Every kind that some tool's field names."""
    found = {kind_of(tool, name) for tool in REGISTRY for name in tool.request.model_fields}
    return {kind for kind in found if kind and kind not in ("page_token", "sql")}


async def fill(platform: Platform, tenant: str, token: str, data: str) -> Tenancy:
    """Make everything. Raises LookupError where nobody said how a kind comes about."""
    is_first = tenant == "default"
    orders, people = ("shop.orders", "shop.customers") if is_first else ("yard.things", "yard.people")
    load_tables(platform, tenant, (orders, people))
    words = {"shop.orders": orders, "shop.customers": people, "parity": f"{CANARY}-{tenant}"}
    user = await platform.engine.identity.directory.create_user(tenant, user_id=f"{tenant}-person", roles=["viewer"])
    session = await platform.engine.identity.admin.sessions.open(tenant, user, SignIn("an app"), lifetime_s=3600)
    ids = {
        "session": session.session_id,
        "table": orders,
        "document": f"lakehouse/{orders}",
        "tenant": tenant,
        "user": user,
    }
    here = Tenancy(tenant, token, ids, words)
    ids["own_project"] = await _make(platform, here, "own_project", data)
    ids["share"] = await _share(platform, here)
    for kind in [*MAKING, *sorted(kinds() - set(MAKING))]:
        if kind not in ids and NOT_YET.get(kind, "ping") in REGISTRY:
            ids[kind] = await _make(platform, here, kind, data)
    return here


async def _share(platform: Platform, here: Tenancy) -> str:
    """A project that a third tenant has joined."""
    identity, guest = platform.engine.identity, f"{here.tenant}-guest"
    await identity.directory.create_tenant("Guest", tenant_id=guest, tier="enterprise")
    token = await identity.mint(role="admin", tenant=guest)
    project = here.ids["own_project"]
    approval = await _called(
        platform, "request_project_tenant", here.token, {"project_id": project, "tenant_id": guest}
    )
    await _called(platform, "approve_request", token, {"approval_id": approval["id"], "reason": "yes"})
    return str((await _called(platform, "list_shares", here.token, {}))["shares"][0]["id"])


async def _called(platform: Platform, tool: str, token: str, arguments: dict[str, Any]) -> Any:
    call = Call(tool=tool, arguments=arguments, form="json", face="test", request_id="r", token=token, wait_s=0)
    answer = (await platform.dispatcher.call(call)).model_dump(mode="json")
    await jobs_end(platform)
    return answer


def load_tables(platform: Platform, tenant: str, names: tuple[str, str]) -> None:
    """Two tables of the shop's own columns in a tenant's lakehouse."""
    orders = pa.table({"id": [1, 2], "region": ["eu", "us"], "amount": [1.5, 2.5], "ordered_on": ["a", "b"]})
    people = pa.table({"id": [1, 2], "name": [CANARY, CANARY]})

    def work(catalog: Any) -> None:
        for name, rows in zip(names, (orders, people), strict=True):
            catalog.create_namespace_if_not_exists(name.partition(".")[0])
            catalog.create_table(name, schema=rows.schema, properties=TABLE_DEFAULTS).append(rows)

    platform.engine.lake.commit_now(tenant, work)


async def _make(platform: Platform, here: Tenancy, kind: str, data: str) -> str:
    making = MAKING.get(kind, Making(f"create_{kind}"))
    if making.tool not in REGISTRY:
        raise LookupError(f"Say in tests/faces/owned.py how a {kind} comes about, or which kind its field names.")
    tool = REGISTRY.get(making.tool)
    given = json.loads(_filled(json.dumps(making.arguments), {**here.ids, "tenant": here.tenant}))
    arguments = {**here.sample(tool, data), **given}
    answer = await _called(platform, tool.name, here.token, arguments)
    names = (making.answer, f"{kind}_id", "id", "job_id") if not tool.job else ("job_id",)
    return str(_at(answer, next(name for name in names if name and (name.partition(".")[0] in answer))))


async def jobs_end(platform: Platform) -> None:
    """Wait until nothing runs in the background."""
    unfinished = select(jobs.c.job_id).where(jobs.c.status.in_(("pending", "running"))).limit(1)
    while await platform.engine.store.read(lambda connection: connection.execute(unfinished).first()):
        await asyncio.sleep(0.02)


def _filled(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"{(\w+)}", lambda found: values[found[1]], text)


def _at(value: Any, path: str) -> Any:
    for part in path.split("."):
        value = value[int(part)] if part.isdecimal() else value[part]
    return value


def nowhere(real: str) -> str:
    """An id of the same form that nothing has."""
    if re.fullmatch(r"-?\d+", real):
        return str(int(real) ^ 5)
    return real[:-4] + "zqzq" if len(real) > 4 else "zqzq"[: len(real)]
