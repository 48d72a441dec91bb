"""What a table's metadata file says, read without pyiceberg: its import costs 66 MB that queries do not need."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import Unavailable
from engine.lake.storage import ANYWHERE, Storage, local_path

__all__ = ["TYPE_NAMES", "TableColumn", "TableMetadata", "local_path", "read_columns", "read_identifier",
           "read_metadata", "read_totals", "type_name"]  # fmt: skip

TYPE_NAMES: Mapping[str, str] = {
    "int": "integer",
    "long": "bigint",
    "float": "real",
    "string": "varchar",
    "binary": "blob",
    "timestamptz": "timestamp with time zone",
    "timestamp_ns": "timestamp_ns",
    "timestamptz_ns": "timestamp with time zone",
}


@dataclass(frozen=True, slots=True)
class TableColumn:
    name: str
    data_type: str
    is_required: bool
    field_id: int
    comment: str | None


@dataclass(frozen=True, slots=True)
class TableMetadata:
    """The parts of an Iceberg metadata file that catalog and queries use."""

    metadata_location: str
    location: str
    columns: tuple[TableColumn, ...]
    row_count: int | None
    size_bytes: int | None  # of the data files that a full scan reads
    snapshot_id: int | None
    snapshot_count: int
    properties: Mapping[str, str]
    identifier: tuple[str, ...] = ()  # the columns that name a row, where the table declares them
    table_uuid: str = ""

    @property
    def comment(self) -> str | None:
        return self.properties.get("comment")


def read_metadata(metadata_location: str, storage: Storage = ANYWHERE) -> TableMetadata:
    """Raises Unavailable when the file is not there or is not a table's metadata."""
    try:
        raw = json.loads(storage.read(metadata_location))
        return _interpret(metadata_location, raw)
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        raise Unavailable(
            "A table's metadata cannot be read.", hint="`headwater doctor` checks the lakehouse."
        ) from error


def _interpret(metadata_location: str, raw: dict[str, Any]) -> TableMetadata:
    schema = next(item for item in raw["schemas"] if item["schema-id"] == raw["current-schema-id"])
    snapshots = raw.get("snapshots") or []
    current = raw.get("current-snapshot-id")
    summary = next((item.get("summary", {}) for item in snapshots if item["snapshot-id"] == current), None)
    rows, size = (0, 0) if summary is None else read_totals(summary)
    return TableMetadata(
        metadata_location=metadata_location,
        location=raw["location"],
        columns=read_columns(schema),
        row_count=rows,
        size_bytes=size,
        snapshot_id=current if summary is not None else None,
        snapshot_count=len(snapshots),
        properties=raw.get("properties") or {},
        identifier=read_identifier(schema),
        table_uuid=str(raw.get("table-uuid") or ""),
    )


def read_columns(schema: dict[str, Any]) -> tuple[TableColumn, ...]:
    """The columns of one of a table's schemas."""
    return tuple(_column(field) for field in schema["fields"])


def read_totals(summary: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Rows and bytes of a snapshot, as far as its summary says."""
    size = int(summary["total-files-size"]) if "total-files-size" in summary else None
    # Rows that delete files take away are not in total-records: then the count is unknown.
    has_deletes = int(summary.get("total-delete-files", 0)) > 0
    return None if has_deletes or "total-records" not in summary else int(summary["total-records"]), size


def read_identifier(schema: dict[str, Any]) -> tuple[str, ...]:
    """The identifier fields in column order; none when one of them lies inside a struct."""
    wanted = set(schema.get("identifier-field-ids") or ())
    names = tuple(field["name"] for field in schema["fields"] if field["id"] in wanted)
    return names if len(names) == len(wanted) else ()


def _column(field: dict[str, Any]) -> TableColumn:
    return TableColumn(field["name"], type_name(field["type"]), field["required"], field["id"], field.get("doc"))


def type_name(kind: str | dict[str, Any]) -> str:
    """An Iceberg type in the words of SQL, as DuckDB writes it, in lower case."""
    if isinstance(kind, str):
        return TYPE_NAMES.get(kind, "blob" if kind.startswith("fixed[") else kind)
    if kind["type"] == "list":
        return f"{type_name(kind['element'])}[]"
    if kind["type"] == "map":
        return f"map({type_name(kind['key'])}, {type_name(kind['value'])})"
    fields = ", ".join(f"{field['name']} {type_name(field['type'])}" for field in kind["fields"])
    return f"struct({fields})"
