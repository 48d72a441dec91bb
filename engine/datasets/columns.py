"""Columns as callers write them: in the forms that are in use for schemas."""

from collections.abc import Mapping
from typing import Any

from pydantic import JsonValue

from core.errors import Conflict

MAX_COLUMNS = 5_000
MAX_NAME = 255
HINT = 'Give a list of columns: [{"name": "id", "type": "bigint", "nullable": false, "description": "Key."}].'
_WORDS = {"int64": "bigint", "float64": "double", "bool": "boolean", "bytes": "binary", "numeric": "decimal(38, 9)"}

Column = Mapping[str, Any]
"""`name`, `type`, `nullable`, `description`."""


def read_columns(schema: JsonValue) -> list[Column]:
    """The columns of a schema: a list, or an object with `fields` or `columns`, or one of names and types.

    Null and empty ones have none. Raises Conflict."""
    if isinstance(schema, dict):
        inner = schema.get("fields", schema.get("columns"))
        schema = inner if isinstance(inner, list) else [{"name": name, "type": kind} for name, kind in schema.items()]
    if schema is None:
        return []
    if not isinstance(schema, list) or len(schema) > MAX_COLUMNS:
        raise Conflict("The schema is not a list of columns, or too long.", hint=HINT)
    columns = [_column(item) for item in schema]
    names = [column["name"].lower() for column in columns]
    for name in names:
        if names.count(name) > 1:
            raise Conflict(f"The schema names the column {name[:80]!r} twice.", hint="Names differ not only by case.")
    return columns


def _column(item: JsonValue) -> Column:
    if not isinstance(item, dict):
        raise Conflict("A column of the schema is not an object.", hint=HINT)
    name, kind = item.get("name"), item.get("type", "string")
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME or not name.isprintable() or not name.strip():
        raise Conflict("A column of the schema has no usable name.", hint=HINT)
    if not isinstance(kind, str):
        raise Conflict(f"The type of {name[:80]!r} is not a text.", hint=HINT)
    description = item.get("description", item.get("comment", item.get("doc"))) or ""
    return {
        "name": name,
        "type": _WORDS.get(kind.strip().lower(), kind),
        "nullable": _is_nullable(item),
        "description": str(description)[:2000],
    }


def _is_nullable(item: Mapping[str, JsonValue]) -> bool:
    if str(item.get("mode", "")).upper() == "REQUIRED" or item.get("required") is True:
        return False
    return item.get("nullable", True) is not False
