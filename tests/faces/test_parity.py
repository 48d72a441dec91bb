"""Which door you use never changes what you may see: one table of calls, five doors, equal answers."""

import asyncio
import json
import subprocess
import sys
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import select

from api.cli import Options
from api.protolock import shipped_lock
from api.rpc import build_rpcs
from core.registry import Registry
from core.tool import Tool
from engine.identity.roles import BUILT_IN
from engine.store.tables import jobs
from headwater.build import TOOL_PACKAGES
from headwater.local import call_once, opened
from tests.faces.answers import normal, steady
from tests.faces.arguments import Case, cases, sample
from tests.faces.clients import Answer, FaceClient, GrpcClient, GrpcWebClient, McpClient, RestClient
from tests.faces.world import IDS, World, make_home, settings_of, worlds
from tests.headwater.processes import headwater

FACES = ("rest", "mcp", "grpc", "grpc_web", "cli")
TYPED = ("grpc", "grpc_web")
Tokens = dict[str, str | None]
STRANGERS = ("nobody_at_all", "forged", "expired")
LOOKERS = ("viewer", "client", "without_roles")
SEATED = (*LOOKERS, "editor", "auditor", "data_engineer", "lead_data_engineer")
REGISTRY = Registry.walk(TOOL_PACKAGES)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: who calls what, with which arguments."""

    principal: str
    tool: Tool
    case: Case

    def __str__(self) -> str:
        return f"{self.principal} {self.tool.name} {self.case.name}"


class CliClient:
    """The command line's own executor, on a platform that is already open."""

    def __init__(self, world: World):
        self._world = world

    async def call(self, tool: Tool, arguments: dict[str, Any], token: str | None) -> Answer:
        found = await call_once(self._world.platform, token or "", tool.name, arguments, Options(output="/dev/null"))
        if found.error is not None:
            return Answer(found.error.code, None, found.error.message, found.error.hint, found.request_id)
        return Answer("OK", found.result)

    async def close(self) -> None:
        return None


def table(tokens: Tokens, data: str) -> list[Row]:
    """Every tool; a call that cannot be read is tried by one who may call every tool."""
    return [
        Row(principal, tool, case)
        for number, tool in enumerate(REGISTRY)
        for case in cases(tool, IDS, data)
        for principal in tokens
        if principal in callers(case, tool, number)
    ]


def callers(case: Case, tool: Tool, number: int) -> set[str]:
    """Who tries a case. Whom a tool admits is in test_permissions.py; here, how each door says it, by turns.

    What nobody has is missing for all alike; and where an admin may call, the super administrator does no other."""
    if case.is_admin_only:
        return {"super_admin"}
    if case.name == "invisible":
        return {"admin"}
    if case.name == "foreign":
        return {"admin", "other_tenant", LOOKERS[number % len(LOOKERS)]}
    turns = {names[number % len(names)] for names in (STRANGERS, SEATED)}
    return {"admin", "other_tenant", *turns, *(() if tool.needs in BUILT_IN["admin"] else ("super_admin",))}


def clients(opened: dict[str, World]) -> dict[str, FaceClient]:
    methods: Any = build_rpcs(REGISTRY, shipped_lock()).by_tool
    return {
        "rest": RestClient(opened["rest"].ports.rest),
        "mcp": McpClient(opened["mcp"].ports.mcp),
        "grpc": GrpcClient(opened["grpc"].ports.grpc, methods),
        "grpc_web": GrpcWebClient(opened["grpc_web"].ports.grpc_web, methods),
        "cli": CliClient(opened["cli"]),
    }


def sends(face: str, row: Row) -> bool:
    """Whether a face can put this call on the wire at all."""
    if row.tool.mcp_only:
        return face in ("mcp", "cli")
    return row.case.is_typed or face not in TYPED


Record = tuple[str, str, str, str, str, str, str]


async def audited(world: World) -> list[Record]:
    """What the audit of one face's world says, without what differs by nature."""
    audit = world.platform.engine.audit
    while audit.backlog:
        await asyncio.sleep(0.02)
    found: list[Record] = []
    for tenant in ("", "default", "other"):
        entries = await audit.read(tenant, limit=100_000)
        found += [
            (kept.tenant, kept.subject, kept.tool, kept.effect, kept.decision, kept.code, kept.argument_digest)
            for entry in entries
            if (kept := entry.record) is not None and kept.face != "job"
        ]
    return found


def answered(trail: list[Record]) -> list[Record]:
    """The trail without the first rounds of calls that asked the person: the same call follows, and is decided."""
    is_question = [
        record[3] == "destroy"
        and record[5] == "UNAUTHORIZED"
        and record[6] != ""  # a refusal for want of rights comes before the arguments are read
        and (*following[:4], following[6]) == (*record[:4], record[6])
        and following[5] != "UNAUTHORIZED"
        for record, following in pairwise(trail)
    ]
    return [record for record, asked in zip(trail, [*is_question, False], strict=True) if not asked]


def well_formed(trail: list[Record]) -> list[Record]:
    """The trail of calls that every face can put on the wire."""
    return [record for record in trail if record[5] != "INVALID_ARGUMENT"]


async def ask(face: str, door: FaceClient, world: World, rows: list[Row], tokens: Tokens) -> dict[str, Any]:
    """Every answer of one face; each tool finds what the one before it began in the background at its end."""
    found: dict[str, Any] = {}
    for _, asked in groupby(rows, key=lambda row: row.tool.name):
        for row in asked:
            if sends(face, row):
                found[str(row)] = normal(await door.call(row.tool, row.case.arguments, tokens[row.principal]))
        await jobs_end(world)
    return found


async def jobs_end(world: World) -> None:
    unfinished = select(jobs.c.job_id).where(jobs.c.status.in_(("pending", "running"))).limit(1)
    while await world.platform.engine.store.read(lambda connection: connection.execute(unfinished).first()):
        await asyncio.sleep(0.02)


async def test_every_door_decides_alike(tmp_path: Path) -> None:
    base, data = tmp_path / "base", tmp_path / "data"
    tokens = await make_home(base, data)
    rows = table(tokens, str(data))
    everywhere, only_mcp = [row for row in rows if not row.tool.mcp_only], [row for row in rows if row.tool.mcp_only]
    async with worlds(base, tmp_path, FACES) as opened:
        doors = clients(opened)
        answers = {face: await ask(face, door, opened[face], everywhere, tokens) for face, door in doors.items()}
        trails = {face: answered(await audited(opened[face])) for face in FACES}
        for face, door in doors.items():
            answers[face] |= await ask(face, door, opened[face], only_mcp, tokens)
            await door.close()
    assert differences(rows, answers) == []
    assert trails["rest"] == trails["cli"] == trails["mcp"]
    assert trails["grpc"] == trails["grpc_web"]
    assert well_formed(trails["rest"]) == well_formed(trails["grpc"])
    assert len(tokens) >= 10
    assert {row.tool.name for row in rows} == {tool.name for tool in REGISTRY}


def differences(rows: list[Row], answers: dict[str, dict[str, Any]]) -> list[str]:
    found = []
    for row in rows:
        seen = {face: answers[face][str(row)] for face in FACES if sends(face, row)}
        groups = _by_part(seen) if row.tool.emits else [list(seen.values())]
        if any(len({json.dumps(value, sort_keys=True, default=str) for value in group}) > 1 for group in groups):
            found.append(f"{row}: {seen}")
    return found


def _by_part(seen: dict[str, Any]) -> list[list[Any]]:
    """What to compare of a stream: codes, and each part among the faces that carry it (MCP has no raw bytes)."""
    values = [answer[1] for answer in seen.values() if answer[0] == "OK"]
    refusals = [answer for answer in seen.values() if answer[0] != "OK"]
    parts = sorted({name for value in values for name in value})
    codes = [answer[0] for answer in seen.values()]
    return [codes, refusals, *([value[name] for value in values if name in value] for name in parts)]


async def test_the_command_itself_says_the_same(tmp_path: Path) -> None:
    """One command for each domain, beside the same call in this process; the first of each caller in one of its own."""
    data, home = tmp_path / "data", tmp_path / "home"
    tokens = await make_home(home, data)
    principals = ("admin", "forged", "viewer")
    async with opened(settings_of(home)) as platform:
        for number, (_, tools) in enumerate(sorted(REGISTRY.domains().items())):
            tool = next(tool for tool in tools if tool.effect == "read" and not tool.mcp_only)
            arguments, token = sample(tool, IDS, str(data)), tokens[principals[number % len(principals)]] or ""
            command = ["call", tool.name, json.dumps(arguments), "--json", "--home", str(home), "--token", token]
            body = await asyncio.to_thread(_in_a_process if number < len(principals) else _here, command)
            expected = await call_once(platform, token, tool.name, arguments, Options())
            if expected.error is not None:
                assert body["error"]["code"] == expected.error.code
            else:
                assert steady(body) == steady(expected.result)


def _here(command: list[str]) -> Any:
    return headwater(*command).json()


def _in_a_process(command: list[str]) -> Any:
    said = subprocess.run([sys.executable, "-m", "headwater", *command], capture_output=True, check=False)
    return json.loads(said.stdout or said.stderr)
