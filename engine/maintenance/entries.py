"""What a table's manifests list, read by DuckDB straight from the Avro files: 100,000 entries take a second."""

import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from core.errors import Unauthorized, Unavailable
from engine.connectors.duck import Duck, DuckPlan, quote
from engine.lake.storage import ANYWHERE, Storage

MEMORY_MB = 256
_MANIFESTS = """
SELECT DISTINCT manifest_path, partition_spec_id, content, sequence_number, manifest_length, added_snapshot_id,
    coalesce(added_files_count, 0) + coalesce(existing_files_count, 0) FROM read_avro({lists})"""
# The entry's own sequence number is left out where it is that of its manifest.
_ENTRIES = """
SELECT {spec} AS spec_id, data_file.content AS content, data_file.file_path AS path,
    data_file.file_size_in_bytes AS size_bytes, data_file.record_count AS row_count,
    coalesce(sequence_number, numbers.number) AS sequence_number,
    coalesce(to_json(data_file.partition)::VARCHAR, '') AS partition, numbers.place AS manifest
FROM read_avro([{paths}], filename = true)
JOIN (VALUES {numbers}) AS numbers(file, number, place) ON filename = numbers.file
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
    file: str = ""
    """Where it is read: the same file, or a copy."""


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

    def __init__(self, location: str, storage: Storage = ANYWHERE):
        self._storage = storage
        self._closing = ExitStack()
        self._desk = self._closing.enter_context(storage.desk(location))
        self._duck = Duck(DuckPlan(directories=[self._desk.folder], extensions=["avro"], memory_mb=MEMORY_MB))

    def __enter__(self) -> "ManifestReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._duck.close()
        self._closing.close()

    def manifests(self, *manifest_lists: str) -> list[Manifest]:
        """The manifests of the snapshots with those lists, each once. Raises Unavailable when one cannot be read."""
        if not manifest_lists:
            return []
        listed = ", ".join(quote(str(path)) for path in self._files(manifest_lists))
        rows = self._duck.rows(_MANIFESTS.format(lists=f"[{listed}]"))
        files = self._files([row[0] for row in rows])
        spelled = self._storage.spelled
        return [
            Manifest(spelled(row[0]), row[1], row[2] == 1, row[3], row[4], row[5], row[6], str(file))
            for row, file in zip(rows, files, strict=True)
        ]

    def _files(self, locations: Sequence[str]) -> list[Path]:
        """Raises Unavailable for what does not lie in the lakehouse, and when its store does not answer."""
        try:
            return self._desk.files(locations)
        except (Unauthorized, OSError) as error:
            raise Unavailable("The table's metadata cannot be read.", hint="Retry in a moment.") from error

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
        paths=", ".join(quote(manifest.file) for manifest in listed),
        numbers=", ".join(
            f"({quote(manifest.file)}, {manifest.sequence_number}, {quote(manifest.path)})" for manifest in listed
        ),
    )


def partition_values(partition: str) -> dict[str, object]:
    """The fields of a partition, by name; empty for a table without partitions."""
    found = json.loads(partition) if partition else None
    return found if isinstance(found, dict) else {}
