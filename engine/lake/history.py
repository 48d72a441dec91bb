"""A table's past and its names: snapshots, branches, tags and specs, as its metadata file lists them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import Unavailable
from engine.lake.storage import ANYWHERE, Storage

MAIN = "main"


@dataclass(frozen=True, slots=True)
class SnapshotEntry:
    """One snapshot. `at` is UTC seconds since the epoch; `summary` holds Iceberg's own counters as text."""

    snapshot_id: int
    parent_id: int | None
    sequence_number: int
    at: float
    operation: str
    manifest_list: str
    summary: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ref:
    """A branch or a tag, and how long it and what it names are kept."""

    name: str
    kind: str  # branch or tag
    snapshot_id: int
    max_age_ms: int | None = None
    min_snapshots: int | None = None
    max_snapshot_age_ms: int | None = None


@dataclass(frozen=True, slots=True)
class History:
    """All that a metadata file says about a table beside its columns."""

    location: str
    uuid: str
    format_version: int
    default_spec_id: int
    partition_fields: tuple[str, ...]
    current_id: int | None
    snapshots: Mapping[int, SnapshotEntry]
    refs: Mapping[str, Ref]
    metadata_log: tuple[str, ...]
    statistics: tuple[str, ...]
    properties: Mapping[str, str]
    storage: Storage = field(default=ANYWHERE, repr=False, compare=False)
    """Where its files are read."""

    @property
    def current(self) -> SnapshotEntry | None:
        return None if self.current_id is None else self.snapshots.get(self.current_id)

    def lineage(self, snapshot_id: int | None) -> list[SnapshotEntry]:
        """The snapshot and its ancestors that are still there, newest first."""
        found: list[SnapshotEntry] = []
        while snapshot_id is not None and (entry := self.snapshots.get(snapshot_id)) is not None:
            found.append(entry)
            snapshot_id = entry.parent_id
        return found


def read_history(metadata_location: str, storage: Storage = ANYWHERE) -> History:
    """Raises Unavailable when the file is not there or is not a table's metadata."""
    try:
        return _interpret(json.loads(storage.read(metadata_location)), storage)
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise Unavailable(
            "A table's metadata cannot be read.", hint="`headwater doctor` checks the lakehouse."
        ) from error


def _interpret(raw: dict[str, Any], storage: Storage) -> History:
    spec = next(item for item in raw["partition-specs"] if item["spec-id"] == raw["default-spec-id"])
    current = raw.get("current-snapshot-id")
    snapshots = {item["snapshot-id"]: _snapshot(item) for item in raw.get("snapshots") or []}
    refs = {name: _ref(name, item) for name, item in (raw.get("refs") or {}).items()}
    if MAIN not in refs and current is not None and current in snapshots:
        refs[MAIN] = Ref(MAIN, "branch", current)
    return History(
        location=raw["location"],
        uuid=raw.get("table-uuid", ""),
        format_version=raw["format-version"],
        default_spec_id=raw["default-spec-id"],
        partition_fields=tuple(field["name"] for field in spec["fields"]),
        current_id=current if current in snapshots else None,
        snapshots=snapshots,
        refs=refs,
        metadata_log=tuple(item["metadata-file"] for item in raw.get("metadata-log") or []),
        statistics=tuple(
            item["statistics-path"] for kind in ("statistics", "partition-statistics") for item in raw.get(kind) or []
        ),
        properties=raw.get("properties") or {},
        storage=storage,
    )


def _snapshot(raw: dict[str, Any]) -> SnapshotEntry:
    summary = dict(raw.get("summary") or {})
    return SnapshotEntry(
        snapshot_id=raw["snapshot-id"],
        parent_id=raw.get("parent-snapshot-id"),
        sequence_number=raw.get("sequence-number", 0),
        at=raw["timestamp-ms"] / 1000,
        operation=summary.pop("operation", ""),
        manifest_list=raw.get("manifest-list", ""),
        summary=summary,
    )


def _ref(name: str, raw: dict[str, Any]) -> Ref:
    return Ref(
        name,
        raw["type"],
        raw["snapshot-id"],
        raw.get("max-ref-age-ms"),
        raw.get("min-snapshots-to-keep"),
        raw.get("max-snapshot-age-ms"),
    )
