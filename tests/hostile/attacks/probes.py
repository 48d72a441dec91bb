"""What must not have happened: a canary told, a file or setting changed, a wrong answer afterwards."""

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from sqlalchemy import select

from core.context import Cancellation, Principal
from core.errors import PlatformError
from engine.connectors.connector import QueryLimits
from engine.sql.rows import records, unique_names
from engine.store.tables import metadata
from engine.telemetry.logs import TextLines
from tests.faces.clients import message_to_value
from tests.hostile.attacks.lair import CANARY, CONTROL, CONTROL_ROWS, Lair
from tests.hostile.wire import Doors, Reply, methods

FACES = ("mcp", "rest", "grpc", "cli")
STATE = """
SELECT 'setting ' || name || ' ' || coalesce(setting, '') AS fact FROM pg_catalog.pg_settings
UNION ALL SELECT 'table ' || database_name || '.' || schema_name || '.' || table_name FROM duckdb_tables
UNION ALL SELECT 'view ' || database_name || '.' || view_name FROM duckdb_views
UNION ALL SELECT 'database ' || database_name FROM duckdb_databases
UNION ALL SELECT 'function ' || proname FROM pg_catalog.pg_proc
"""


class Logs(logging.Handler):
    """All that the process logs, as it would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(TextLines())
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@dataclass(frozen=True, slots=True)
class Heard:
    """One door's answer: its code, its rows when there are any, and all of it as text."""

    face: str
    code: str
    text: str
    rows: list[dict[str, Any]] | None


def heard(face: str, tool: str, reply: Reply) -> Heard:
    text = f"{reply.text} {reply.headers}"
    if reply.code != "OK":
        return Heard(face, reply.code, text, None)
    value = _value(face, tool, reply)
    return Heard(face, "OK", f"{text} {json.dumps(value, default=str)}", value.get("data"))


def _value(face: str, tool: str, reply: Reply) -> dict[str, Any]:
    if face == "grpc":
        return message_to_value(methods()[tool].response.FromString(reply.value))
    if face == "mcp":
        found: dict[str, Any] = reply.value.get("structuredContent") or {}
        return found
    return reply.value if isinstance(reply.value, dict) else {}


def told(answer: Heard, statement: str, lair: Lair) -> list[str]:
    """Secrets in an answer, also those that the statement itself held: refusals repeat nothing."""
    shown = answer.text
    if answer.code == "OK" and CANARY in statement:  # a column without a name is called as it was written
        shown = str([list(row.values()) for row in answer.rows or []])
    found = [f"{answer.face} tells {CANARY}"] if CANARY in shown else []
    private = (str(lair.home), "Traceback", "site-packages")
    return found + [f"{answer.face} shows {word}" for word in private if word in answer.text]


def differs(answer: Heard, statement: str, copy: duckdb.DuckDBPyConnection) -> list[str]:
    """Whether an answer is other than what a copy without the secrets gives to the same statement."""
    if answer.code != "OK":
        return []
    try:
        table = copy.execute(statement).to_arrow_table()
    except duckdb.Error as error:
        return [f"{answer.face} answers what the copy cannot: {str(error)[:120]}"]
    expected = records(unique_names(table.schema), table.to_batches())
    if _sorted(answer.rows or []) != _sorted(expected):
        return [f"{answer.face} answers {str(answer.rows)[:200]}, the copy {str(expected)[:200]}"]
    return []


def _sorted(rows: Sequence[dict[str, Any]]) -> list[str]:
    return sorted(" ".join(map(_plain, row.values())) for row in rows)


def _plain(value: Any) -> str:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return f"{float(value):.9g}" if number else json.dumps(value, default=str)


# State


def files(*folders: Path) -> dict[str, str]:
    """Every file below, with its contents' hash."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")) if folder.exists() else []:
            found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
    return found


def outside() -> dict[str, str]:
    """Where DuckDB would write without being told where."""
    here = {str(path): "entry" for path in Path.cwd().iterdir()}
    return files(Path.home() / ".duckdb") | here


def engine_state(lair: Lair) -> list[str]:
    """Settings, tables, databases and functions of the engine that runs the statements."""
    principal = Principal("admin", "default")
    limits = QueryLimits(max_rows=100_000, max_bytes=2**30, timeout_s=10.0)

    async def read() -> list[str]:
        connector = await lair.house.platform.engine.catalog.connector(principal, "wh")
        stream = await connector.execute(STATE, {}, limits=limits, cancelled=Cancellation())
        try:
            return sorted(
                [str(row) for batch in [batch async for batch in stream] for row in batch.column(0).to_pylist()]
            )
        finally:
            await stream.close()

    return lair.house.run(read())


def control(lair: Lair, doors: Doors, caller: str, faces: Iterable[str] = FACES) -> list[str]:
    """Whether the next query is still right, at every door."""
    found = []
    for face in faces:
        answer = heard(face, "execute_query", ask(doors, face, CONTROL, lair.token(caller)))
        if answer.code != "OK" or _sorted(answer.rows or []) != _sorted(CONTROL_ROWS):
            found.append(f"control query over {face}: {answer.code} {answer.text[:200]}")
    return found


def ask(doors: Doors, face: str, sql: str, token: str, tool: str = "execute_query") -> Reply:
    return doors[face].call(tool, {"sql": sql, "connection_id": "wh"}, token)


# What is left behind


def leftovers(lair: Lair, logs: Logs) -> list[str]:
    """Canaries in the log, in any row of the store, in the audit as its reader sees it, in any file of the home."""
    found = [f"log: {line[:200]}" for line in logs.lines if CANARY in line]
    found += [f"store: {row[:200]}" for row in _rows(lair) if CANARY in row]
    found += [f"audit: {row[:200]}" for row in _audit(lair) if CANARY in row]
    for path in lair.home.rglob("*"):
        if path.is_file() and CANARY.encode() in path.read_bytes():
            found.append(f"file: {path.relative_to(lair.home)}")
    return found


def _rows(lair: Lair) -> list[str]:
    store = lair.house.platform.engine.store

    async def read() -> list[str]:
        found: list[str] = []
        for table in metadata.sorted_tables:
            rows = await store.read(lambda connection, table=table: connection.execute(select(table)).all())  # type: ignore[misc]
            found += [f"{table.name} {tuple(row)!r}" for row in rows]
        return found

    return lair.house.run(read())


def _audit(lair: Lair) -> list[str]:
    audit = lair.house.platform.engine.audit

    async def read() -> list[str]:
        try:
            entries = await audit.read("default", limit=100_000)
        except PlatformError as error:
            return [f"unreadable {error}"]
        return [repr(entry.record) for entry in entries]

    return lair.house.run(read(), timeout_s=60)
