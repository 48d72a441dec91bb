"""A table as it was: which snapshot somebody means, and the columns that it had.

A snapshot is meant by its id, by the name of a branch or tag, or by a time, in this order. Its columns are those of
the schema that it was written with, so that a renamed column has the name of then and the identity of always."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.errors import Conflict, NotFound, Unavailable
from engine.lake.metadata import TableColumn, read_columns, read_identifier, read_totals
from engine.lake.storage import ANYWHERE, Storage

AS_OF = r"^[^\x00-\x1f\x7f]*$"
MAX_AS_OF = 255
AS_OF_TEXT = (
    "Read lakehouse tables as they were: a snapshot id, the name of a branch or tag, or a time such as "
    "2026-01-31T12:00:00Z. Empty: as they are."
)


@dataclass(frozen=True, slots=True)
class PastTable:
    """One snapshot of a table."""

    snapshot_id: int
    columns: tuple[TableColumn, ...]
    row_count: int | None
    size_bytes: int | None
    identifier: tuple[str, ...]


def read_past(metadata_location: str, as_of: str, *, table: str, storage: Storage = ANYWHERE) -> PastTable:
    """The table at the snapshot that `as_of` means. Raises NotFound, Conflict, Unavailable."""
    try:
        raw = json.loads(storage.read(metadata_location))
        return _interpret(raw, as_of, table)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unavailable(
            "A table's metadata cannot be read.", hint="`headwater doctor` checks the lakehouse."
        ) from error


def _interpret(raw: dict[str, Any], as_of: str, table: str) -> PastTable:
    snapshots = {item["snapshot-id"]: item for item in raw.get("snapshots") or []}
    snapshot = snapshots[_find(raw, snapshots, as_of, table)]
    schema = _schema(raw, snapshot, table)
    rows, size = read_totals(snapshot.get("summary") or {})
    return PastTable(snapshot["snapshot-id"], read_columns(schema), rows, size, read_identifier(schema))


def _find(raw: dict[str, Any], snapshots: dict[int, Any], as_of: str, table: str) -> int:
    if as_of.isascii() and as_of.isdigit() and int(as_of) in snapshots:
        return int(as_of)
    current, refs = raw.get("current-snapshot-id"), raw.get("refs") or {}
    meant = refs[as_of]["snapshot-id"] if as_of in refs else current if as_of == "main" else None
    if meant in snapshots:
        return int(meant)
    time = _time(as_of)
    if time is None:
        raise NotFound(
            f"{table} has no snapshot, branch or tag {as_of[:80]!r}: there was none, or it has expired.",
            hint="list_snapshots shows those that there are; a time is written like 2026-01-31T12:00:00Z.",
        )
    return _at(raw, snapshots, time, table)


def _time(text: str) -> datetime | None:
    """The time, if the text is one with an offset: without it, nobody knows which hour is meant."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if time.tzinfo is None else time


def _at(raw: dict[str, Any], snapshots: dict[int, Any], time: datetime, table: str) -> int:
    """What was the table's current snapshot then; the log knows of rollbacks, which the snapshots' own times do not."""
    until_ms = time.timestamp() * 1000
    log = [(item["timestamp-ms"], item["snapshot-id"]) for item in raw.get("snapshot-log") or []]
    passed = [snapshot_id for at_ms, snapshot_id in sorted(log, key=lambda item: item[0]) if at_ms <= until_ms]
    if passed and passed[-1] in snapshots:
        return int(passed[-1])
    raise NotFound(
        f"{table} has no snapshot of {time.isoformat()}: it was empty, not there yet, or that snapshot has expired.",
        hint="list_snapshots shows those that there are, with their times.",
    )


def _schema(raw: dict[str, Any], snapshot: dict[str, Any], table: str) -> dict[str, Any]:
    schemas: list[dict[str, Any]] = raw["schemas"]
    found = [schema for schema in schemas if schema["schema-id"] == snapshot.get("schema-id")]
    if not found and "schema-id" not in snapshot and len(schemas) == 1:
        return schemas[0]
    if not found:  # policies go by a column's identity: without the schema nobody knows what would be shown
        raise Conflict(
            f"Which columns {table} had in snapshot {snapshot['snapshot-id']} is not recorded.",
            hint="Choose another snapshot; list_snapshots shows them.",
        )
    return found[0]
