"""Whatever another tenant has does not exist: for every tool and every argument that names something, on every face."""

import json
import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event
from starlette.routing import Route

from api.cli import Options
from api.protolock import shipped_lock
from api.rpc import build_rpcs
from core.context import Principal
from core.dispatch import is_permitted
from core.pages import Window
from core.portable import plain_type
from core.tool import Tool
from engine.store.db import Store
from headwater.build import Platform, build
from headwater.faces import rest_face
from headwater.listeners import Ports
from headwater.local import call_once
from headwater.serve import serving
from tests.faces.answers import normal
from tests.faces.clients import Answer, FaceClient, GrpcClient, GrpcWebClient, McpClient, RestClient
from tests.faces.owned import CANARY, NOT_YET, REGISTRY, SQL_FIELDS, Tenancy, fill, kind_of, nowhere
from tests.faces.world import settings_of

BACKGROUND = re.compile(r"^BEGIN|audit|\.due_at <= |\.next_at <= ")
"""What is no part of a call: its record, written a moment later, and workers that look for work."""

FACES = ("rest", "mcp", "grpc", "grpc_web")
TRIES = 8  # what else the process does beside the call, such as looking whether rights have changed, comes and goes

NARROWS_TO_NOTHING = {
    ("list_agent_runs", "session_id"),
    ("list_queries", "project_id"),
    ("list_query_jobs_by_query", "query_id"),
    ("search_audit", "user_id"),
    ("search_audit", "table"),
    ("search_audit", "connection_id"),
    ("search_audit", "request_id"),
}
"""Lists that an unknown id leaves empty, as one that names nothing of the caller's does."""

JUDGES = {"validate_query", "test_policy"}
"""Tools that answer what running the statement would."""

KEEPS_UNREAD = {
    ("create_query", "query_text"),
    ("update_query", "query_text"),
    ("create_query", "project_id"),
    ("update_query", "project_id"),
    ("set_agent_credential", "user_id"),
    ("set_agent_credential", "client_id"),
}
"""What is kept as it was given: text that is looked at when it runs, and names that nothing is looked up by."""

BESIDE: dict[tuple[str, str], dict[str, Any]] = {
    ("create_policy", "table"): {"tag": "", "columns": ["*"]},
    ("rollback_table", "snapshot_id"): {"timestamp": None},
    ("create_verified_query", "query_id"): {"connection_id": "lakehouse", "sql": "SELECT 1 AS one"},
    ("get_agent_history", "session_id"): {"agent_id": "chat"},
    ("delete_agent_session", "session_id"): {"agent_id": "chat"},
}
"""What the sample must say besides, for the field to be read."""

ONE_FOR_ALL = {("create_client", "client_id")}
"""Ids that are chosen among those of all tenants, for signing in names no tenant: taken ones are taken."""

BY_DESIGN = {
    ("request_project_tenant", "tenant_id"),
    ("request_project_dataset", "dataset_id"),
    ("request_project_dataset", "owner_tenant_id"),
    ("request_password_reset", "tenant_id"),
    ("request_access", "table"),
    ("run_workflow", "task_id"),  # free to everyone, as an idempotency key is
}
"""Answer the same whether or not it exists: that somebody was asked."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One call of a stranger's, with an id that is real elsewhere and with one that is nowhere."""

    tool: Tool
    name: str
    real: dict[str, Any]
    nowhere: dict[str, Any]
    ids: tuple[str, str]

    def __str__(self) -> str:
        return f"{self.tool.name}.{self.name}"

    @property
    def is_chosen(self) -> bool:
        """Whether the field is the id that the caller gives to what it makes: free to everyone."""
        noun = self.name.removesuffix("_id")
        return self.tool.name.startswith("create_") and self.tool.name.endswith(noun) and bool(noun)

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The two calls; names of things that are made must differ."""
        named = {"name": "made_{}_{}", "email": "made_{}_{}@example.com"} if self.is_chosen else {}
        fields = {name: text for name, text in named.items() if name in self.tool.request.model_fields}
        return [
            {**given, **{name: text.format(self.tool.name, number) for name, text in fields.items()}}
            for number, given in enumerate((self.real, self.nowhere))
        ]

    @property
    def codes(self) -> set[str]:
        """What the answer may be."""
        is_open = self.is_chosen or (self.tool.name, self.name) in NARROWS_TO_NOTHING
        if (
            is_open
            or (self.tool.name, self.name) in BY_DESIGN
            or (self.tool.name in JUDGES and self.name in SQL_FIELDS)
        ):
            return {"OK"}
        if self.name in ("table", "tables", *SQL_FIELDS) and self.tool.domain in ("query", "records", "semantic"):
            return {"QUERY_UNAUTHORIZED", "NOT_FOUND"}
        return {"NOT_FOUND"}


@dataclass(frozen=True, slots=True)
class Street:
    """Two tenants on one served platform: whatever `theirs` has, `ours` asks for."""

    platform: Platform
    ports: Ports
    doors: dict[str, FaceClient]
    theirs: Tenancy
    ours: Tenancy
    data: str


class Inside:
    """The command line's own executor, on the platform that is open."""

    def __init__(self, platform: Platform):
        self._platform = platform

    async def call(self, tool: Tool, arguments: dict[str, Any], token: str | None) -> Answer:
        found = await call_once(self._platform, token or "", tool.name, arguments, Options(output="/dev/null"))
        if found.error is not None:
            return Answer(found.error.code, None, found.error.message, found.error.hint, found.request_id)
        return Answer("OK", found.result)

    async def close(self) -> None:
        return None


@asynccontextmanager
async def street(tmp_path: Path) -> AsyncIterator[Street]:
    """The same subject, an administrator in both tenants: nothing but the tenant tells one from the other."""
    data, home = tmp_path / "data", tmp_path / "home"
    data.mkdir()
    home.mkdir()
    (home / "headwater.toml").write_text(f"[query]\nallowed_roots = ['{data}']\n")
    with sqlite3.connect(data / "side.sqlite") as side:
        side.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)")
    platform = await build(settings_of(home))
    try:
        await platform.start_workers()
        identity = platform.engine.identity
        await identity.directory.create_tenant("Other", tenant_id="other", tier="enterprise")
        tenancies: list[Tenancy] = []
        for tenant in ("default", "other"):
            await identity.directory.create_user(tenant, user_id="twin", roles=["admin"])
            token = await identity.mint(subject="twin", tenant=tenant)
            tenancies.append(await fill(platform, tenant, token, str(data)))
    finally:
        await platform.close()
    async with serving(settings_of(home, edge={"isolation": "thread"})) as (platform, ports):
        methods: Any = build_rpcs(REGISTRY, shipped_lock()).by_tool
        doors: dict[str, FaceClient] = {
            "inside": Inside(platform),
            "rest": RestClient(ports.rest),
            "mcp": McpClient(ports.mcp),
            "grpc": GrpcClient(ports.grpc, methods),
            "grpc_web": GrpcWebClient(ports.grpc_web, methods),
        }
        yield Street(platform, ports, doors, tenancies[0], tenancies[1], str(data))
        for door in doors.values():
            await door.close()


def pairs(town: Street) -> Iterator[Pair]:
    """Every field of every tool that names something. Raises LookupError for a kind that is not made."""
    for tool in REGISTRY:
        sample = town.ours.sample(tool, town.data)
        for name in tool.request.model_fields:
            kind = kind_of(tool, name)
            is_made = kind not in NOT_YET or kind in town.theirs.ids
            if kind is not None and is_made and (tool.name, name) not in KEEPS_UNREAD | ONE_FOR_ALL:
                ids = _ids(town, tool, kind, sample)
                real, none = [{**sample, **_given(tool, name, item)} for item in ids]
                yield Pair(tool, name, real, none, ids)


def _given(tool: Tool, name: str, item: str) -> dict[str, Any]:
    """The field, and what it takes for it to be read: tables are those of the lakehouse."""
    as_list = plain_type(tool.request.model_fields[name].annotation)[1]
    in_lakehouse = name in ("table", "tables", *SQL_FIELDS) and "connection_id" in tool.request.model_fields
    where = {"connection_id": "lakehouse"} if in_lakehouse else {}
    return {name: [item] if as_list else item, **where, **BESIDE.get((tool.name, name), {})}


def _ids(town: Street, tool: Tool, kind: str, sample: dict[str, Any]) -> tuple[str, str]:
    if kind == "sql":
        table = town.theirs.ids["table"]
        return f"SELECT * FROM {table}", f"SELECT * FROM {nowhere(table)}"
    if kind == "page_token":
        return _page_token(town, tool, sample)
    real = town.theirs.ids[kind]
    return real, nowhere(real)


def _page_token(town: Street, tool: Tool, sample: dict[str, Any]) -> tuple[str, str]:
    request: Any = tool.request.model_validate(sample)
    by = Principal("twin", town.theirs.tenant)
    real = town.platform.engine.pages.next_token(tool.name, request, by, Window(0, 1), 10) or ""
    return real, nowhere(real)


def plain(answer: Answer, ids: tuple[str, str]) -> Any:
    """An answer without the id that was asked for and what is new each time."""
    text = re.sub(r"(made_[a-z_]+_)\d", r"\1", json.dumps(normal(answer), default=str))
    for item in sorted({*ids, *(name.rpartition("/")[2] for name in ids)}, key=len, reverse=True):
        text = text.replace(json.dumps(item)[1:-1], "<id>")
    return text


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """What is asked of the platform's store."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if not BACKGROUND.search(statement):
            seen.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(store.engine, "before_cursor_execute", note)


async def asked(town: Street, pair: Pair, arguments: dict[str, Any]) -> tuple[Answer, list[str]]:
    with statements(town.platform.engine.store) as seen:
        answer = await town.doors["inside"].call(pair.tool, arguments, town.ours.token)
    return answer, seen


async def difference(town: Street, pair: Pair) -> str:
    """How the two answers differ, or their work in the store; empty when nobody can tell them apart."""
    told = ""
    for _ in range(TRIES):
        (real, first), (none, second) = [await asked(town, pair, item) for item in pair.calls]
        if plain(real, pair.ids) != plain(none, pair.ids):
            return f"{pair}: {real} / {none}"
        if real.code not in pair.codes:
            return f"{pair}: {real.code} {real.message}"
        if pair.is_chosen or pair.tool.job or sorted(first) == sorted(second):
            return ""
        told = f"{pair}: statements {first} / {second}"
    return told


@pytest.mark.parametrize("doors", [1, pytest.param(len(FACES), marks=pytest.mark.slow)])
async def test_what_another_tenant_has_does_not_exist_on_any_face(tmp_path: Path, doors: int) -> None:
    """Each at the gate, and at one door by turns: that doors tell a foreign id alike is test_parity.py's."""
    async with street(tmp_path) as town:
        ours = await town.platform.engine.identity.verify(town.ours.token)
        asked_for = [pair for pair in pairs(town) if is_permitted(pair.tool, ours)]
        assert len(asked_for) > 100
        found = await leaks(town)
        found += await mistaken(town, asked_for)
        looking = [pair for pair in asked_for if not pair.is_chosen]
        found += [told for pair in looking if (told := await difference(town, pair))]
        for number, pair in enumerate(looking):
            turns = {"mcp"} if pair.tool.mcp_only else {FACES[(number + step) % len(FACES)] for step in range(doors)}
            found += [told for name in sorted(turns) if (told := await difference_at(town, name, pair))]
        found += await difference_at_other_doors(town)
        making = [pair for pair in asked_for if pair.is_chosen]  # last: these ids are our own from here on
        found += [told for pair in making if (told := await difference(town, pair))]
        assert not found, "\n".join(found)


async def difference_at(town: Street, face: str, pair: Pair) -> str:
    """How one face tells the two apart; empty when it does not."""
    door = town.doors[face]
    real, none = [await door.call(pair.tool, item, town.ours.token) for item in (pair.real, pair.nowhere)]
    is_same = plain(real, pair.ids) == plain(none, pair.ids) and real.code in pair.codes
    return "" if is_same else f"{face} {pair}: {real} / {none}"


async def difference_at_other_doors(town: Street) -> list[str]:
    """The paths that are no tools, and MCP's resources. A new path must be said here."""
    ids = town.theirs.ids
    table = ids["table"]
    namespace, _, name = table.partition(".")
    values = {**ids, "format": "csv", "upload_id": ids["upload"], "export_id": ids["export"], "job_id": ids["job"]}
    values |= {"namespace": namespace, "table": name, "prefix": town.ours.tenant, "view": name, "name": "docs.css"}
    values |= {"item_id": ids["user"], "tenant": town.ours.tenant, "kind": "Users"}
    found = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{town.ports.rest}") as http:
        for method, path in sorted(_paths(town.platform)):
            real = re.sub(r"{(\w+)}", lambda part: values[part[1]], path)
            none = re.sub(r"{(\w+)}", lambda part: _unknown(part[1], values), path)
            answers = [
                await http.request(method, item, headers={"authorization": f"Bearer {town.ours.token}"})
                for item in (real, none)
            ]
            told = [_plain_body(answer, values) for answer in answers]
            if told[0] != told[1]:
                found.append(f"{method} {path}: {told}")
    for uri in (f"headwater://results/{ids['result']}", f"headwater://tables/{table}"):
        real_text, none_text = [await _resource(town, item) for item in (uri, nowhere(uri))]
        if real_text.replace(uri.rpartition("/")[2], "<id>") != none_text.replace(
            nowhere(uri).rpartition("/")[2], "<id>"
        ):
            found.append(f"{uri}: {real_text} / {none_text}")
    return found


def _paths(platform: Platform) -> set[tuple[str, str]]:
    app = rest_face(platform)
    routes = [
        route for route in app.router.routes if isinstance(route, Route) and "{" in route.path and ":" not in route.path
    ]
    paths = {(method, route.path) for route in routes for method in route.methods or () if method != "HEAD"}
    tools = {
        (route.method, f"{prefix}{route.path}")
        for tool in REGISTRY
        for route in tool.routes
        for prefix in ("/v1", "/api", "")
    }
    return (paths - tools) | {("GET", "/v1/jobs/{job_id}/events")}


def _unknown(name: str, values: dict[str, str]) -> str:
    return values[name] if name in ("prefix", "format", "name", "tenant", "kind") else nowhere(values[name])


def _plain_body(answer: httpx.Response, values: dict[str, str]) -> str:
    text = re.sub(r'"(request_id|headwater_request_id)": ?"[^"]*"', "", answer.text)
    text = text.replace(answer.headers.get("x-request-id", "no id"), "")  # SCIM has it in the text
    for item in sorted({*values.values(), *map(nowhere, values.values())}, key=len, reverse=True):
        text = text.replace(item, "<id>") if len(item) > 3 else text
    return f"{answer.status_code} {text}"


async def _resource(town: Street, uri: str) -> str:
    mcp = town.doors["mcp"]
    assert isinstance(mcp, McpClient)
    return re.sub(r'"request_id": ?"[^"]*"', "", await mcp.resource(uri, town.ours.token))


async def mistaken(town: Street, asked_for: list[Pair]) -> list[str]:
    """Reading tools to which the real id is none for its owner either: then this test would show nothing."""
    found = []
    for pair in asked_for:
        if pair.tool.effect == "read" and (pair.tool.name, pair.name) not in NARROWS_TO_NOTHING:
            sample = town.theirs.sample(pair.tool, town.data)
            ids = _page_token(town, pair.tool, sample) if pair.name == "page_token" else pair.ids
            calls = [{**sample, **_given(pair.tool, pair.name, item)} for item in ids]
            real, none = [await town.doors["inside"].call(pair.tool, item, town.theirs.token) for item in calls]
            if plain(real, ids) == plain(none, ids):
                found.append(f"{pair} is nothing to its owner: {real}")
    return found


async def leaks(town: Street) -> list[str]:
    """What lists, searches and histories show of the other tenant."""
    secrets = {*town.theirs.ids.values(), f"{CANARY}-{town.theirs.tenant}"} - {"default", "lakehouse"}
    found = []
    for tool in REGISTRY:
        if tool.effect == "read":
            answer = await town.doors["inside"].call(tool, town.ours.sample(tool, town.data), town.ours.token)
            text = json.dumps([answer.value, answer.message], default=str)
            found += [f"{tool.name} shows {secret}" for secret in sorted(secrets) if secret in text]
    return found
