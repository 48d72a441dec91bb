"""Which door you use never changes what you may see: one table of calls, five doors, equal answers."""

import json
import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from api.cli import Options
from api.protolock import shipped_lock
from api.rpc import build_rpcs
from core.registry import Registry
from core.tool import Tool
from headwater.build import TOOL_PACKAGES
from headwater.local import call_once
from tests.faces.arguments import Case, cases
from tests.faces.clients import Answer, FaceClient, GrpcClient, GrpcWebClient, McpClient, RestClient
from tests.faces.world import IDS, World, make_home, worlds

FACES = ("rest", "mcp", "grpc", "grpc_web", "cli")
TYPED = ("grpc", "grpc_web")
VOLATILE_KEYS = re.compile(r"(^|_)(at|ms|id|token|since|time|version|plan|uptime_s|now|url|text|hash|secret)$")
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


def table(tokens: dict[str, str | None], data: str) -> list[Row]:
    """Every tool; what is refused before rights matter is tried as one principal only."""
    return [
        Row(principal, tool, case)
        for tool in REGISTRY
        for case in cases(tool, IDS, data)
        for principal in tokens
        if principal == "admin" or not case.is_admin_only
    ]


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


def normal(tool: Tool, answer: Answer) -> Any:
    """What must be equal: code, message and hint of a refusal; the value of a success without what is new each time."""
    if answer.code != "OK":
        return answer.code, answer.message, answer.hint
    value = answer.value
    if value and set(tool.result.model_fields) >= set(value) and "data" not in tool.result.model_fields:
        value = json.loads(tool.result.model_validate(value).model_dump_json())
    return "OK", _steady(value)


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        items = {key: _steady(item) for key, item in value.items() if not VOLATILE_KEYS.search(key)}
        return {key: item for key, item in items.items() if item not in (None, [], {}, "")}
    if isinstance(value, list):
        return [_steady(item) for item in value]
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        return int(value)  # protobuf's JSON writes 64-bit integers as text
    return value


async def audited(world: World, tenants: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """What the audit of one face's world says, without what differs by nature."""
    await world.platform.engine.audit.close()
    found: list[tuple[Any, ...]] = []
    for tenant in tenants:
        entries = await world.platform.engine.audit.read(tenant, limit=100_000)
        records = [entry.record for entry in entries if entry.record is not None and entry.record.face != "job"]
        found += [
            (item.tenant, item.subject, item.tool, item.effect, item.decision, item.code, item.argument_digest)
            for item in records
        ]
    return found


async def test_every_door_decides_alike(tmp_path: Path) -> None:
    base, data = tmp_path / "base", tmp_path / "data"
    tokens = await make_home(base, data)
    rows = table(tokens, str(data))
    answers: dict[str, dict[str, Any]] = {face: {} for face in FACES}
    async with worlds(base, data, tmp_path, FACES) as opened:
        doors = clients(opened)
        for face, door in doors.items():
            for row in rows:
                if sends(face, row):
                    answer = await door.call(row.tool, row.case.arguments, tokens[row.principal])
                    answers[face][str(row)] = normal(row.tool, answer)
            await door.close()
        trails = {face: await audited(opened[face], ("", "default", "other")) for face in FACES}
    assert differences(rows, answers) == []
    comparable = {
        face: [item for item in trail if is_common(item)] for face, trail in trails.items() if face not in TYPED
    }
    assert comparable["rest"] == comparable["cli"]
    assert comparable["mcp"] == comparable["rest"]
    assert len(tokens) >= 10
    assert {row.tool.name for row in rows} == {tool.name for tool in REGISTRY}


def is_common(record: tuple[Any, ...]) -> bool:
    """Records of tools that every face serves; what only MCP has is not in the others' trails."""
    name = record[2]
    return name not in REGISTRY or not REGISTRY.get(name).mcp_only


def differences(rows: list[Row], answers: dict[str, dict[str, Any]]) -> list[str]:
    found = []
    for row in rows:
        seen = {face: answers[face][str(row)] for face in FACES if sends(face, row)}
        if len({json.dumps(value, sort_keys=True, default=str) for value in seen.values()}) > 1:
            found.append(f"{row}: {seen}")
    return found
