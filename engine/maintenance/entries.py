"""What a table's manifests list, read by DuckDB straight from the Avro files: 100,000 entries take a second."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import Unavailable
from engine.connectors.duck import Duck, DuckPlan, quote
from engine.lake.metadata import local_path

MEMORY_MB = 256
_MANIFESTS = """
SELECT DISTINCT manifest_path, partition_spec_id, content, sequence_number, manifest_length, added_snapshot_id,
    coalesce(added_files_count, 0) + coalesce(existing_files_count, 0) FROM read_avro({lists})"""
# The entry's own sequence number is left out where it is that of its manifest.
_ENTRIES = """
SELECT {spec} AS spec_id, data_file.content AS content, data_file.file_path AS path,
    data_file.file_size_in_bytes AS size_bytes, data_file.record_count AS row_count,
    coalesce(sequence_number, numbers.number) AS sequence_number,
    coalesce(to_json(data_file.partition)::VARCHAR, '') AS partition, filename AS manifest
FROM read_avro([{paths}], filename = true) JOIN (VALUES {numbers}) AS numbers(file, number) ON filename = numbers.file
WHERE status <> {left_out}"""
_DELETED, _NONE = 2, -1  # Iceberg's status of an entry that its snapshot took away; no status at all


@dataclass(frozen=True, slots=True)
class Manifest:
    """One line of a snapshot's manifest list."""

    path: str
    spec_id: int
    is_deletes: bool
    sequence_number: int
    size_bytes: int
    added_snapshot_id: int
    entry_count: int


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One live file of a snapshot. `content`: 0 data, 1 position deletes, 2 equality deletes. `partition`: JSON."""

    spec_id: int
    content: int
    path: str
    size_bytes: int
    row_count: int
    sequence_number: int
    partition: str
    manifest: str


class ManifestReader:
    """Reads the manifests of one table; its DuckDB can open that table's metadata and nothing else. Blocking."""

    def __init__(self, location: str):
        folder = local_path(location)
        self._duck = Duck(DuckPlan(directories=[Path(folder)], extensions=["avro"], memory_mb=MEMORY_MB))

    def __enter__(self) -> "ManifestReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._duck.close()

    def manifests(self, *manifest_lists: str) -> list[Manifest]:
        """The manifests of the snapshots with those lists, each once. Raises Unavailable when one cannot be read."""
        if not manifest_lists:
            return []
        listed = ", ".join(quote(_plain(location)) for location in manifest_lists)
        rows = self._duck.rows(_MANIFESTS.format(lists=f"[{listed}]"))
        return [Manifest(_plain(row[0]), row[1], row[2] == 1, *row[3:]) for row in rows]

    def entries(self, manifests: Sequence[Manifest]) -> list[FileEntry]:
        """Every live file of those manifests."""
        return [FileEntry(*row) for row in self._duck.rows(entries_sql(manifests))] if manifests else []

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """All rows of a statement of our own over `entries_sql`."""
        return self._duck.rows(sql)


def entries_sql(manifests: Sequence[Manifest], *, with_deleted: bool = False) -> str:
    """A SELECT of all live entries, or of those that are no longer live too.

    Partitions of different specs have different columns, so each spec is read alone."""
    by_spec: dict[tuple[int, bool], list[Manifest]] = {}
    for manifest in manifests:
        by_spec.setdefault((manifest.spec_id, manifest.is_deletes), []).append(manifest)
    return "\nUNION ALL BY NAME ".join(
        _one_spec(spec, group, _NONE if with_deleted else _DELETED) for (spec, _), group in by_spec.items()
    )


def _one_spec(spec_id: int, manifests: Iterable[Manifest], left_out: int) -> str:
    listed = list(manifests)
    return _ENTRIES.format(
        spec=spec_id,
        left_out=left_out,
        paths=", ".join(quote(manifest.path) for manifest in listed),
        numbers=", ".join(f"({quote(manifest.path)}, {manifest.sequence_number})" for manifest in listed),
    )


def _plain(location: str) -> str:
    """A path as DuckDB opens it. Raises Unavailable for what is not a file of this machine."""
    if "://" in location and not location.startswith("file://"):
        raise Unavailable("The table's metadata lies in an object store, which is not read here yet.")
    return str(local_path(location))


def partition_values(partition: str) -> dict[str, object]:
    """The fields of a partition, by name; empty for a table without partitions."""
    found = json.loads(partition) if partition else None
    return found if isinstance(found, dict) else {}
