"""A table's columns in DuckDB's words, by field id: how old files are read and new ones written."""

from dataclasses import dataclass

from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.types import (
    DecimalType,
    FixedType,
    IcebergType,
    ListType,
    MapType,
    NestedField,
    PrimitiveType,
    StructType,
    TimestampNanoType,
    TimestamptzNanoType,
    UnknownType,
)

from engine.connectors.duck import quote, quote_name

# DuckDB has no type of its own for these, so the files would not be what the schema says.
_FOREIGN = (FixedType, TimestampNanoType, TimestamptzNanoType, UnknownType)
_NAMES = {
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "long": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
    "string": "VARCHAR",
    "uuid": "UUID",
    "binary": "BLOB",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """`reading` is the `schema` argument of read_parquet, `field_ids` that of COPY."""

    reading: str
    field_ids: str
    columns: tuple[str, ...]


def layout_of(table: Table) -> Layout | None:
    """How DuckDB reads and writes the table's files, or None where it cannot do so faithfully."""
    schema = table.schema()
    if any(_is_foreign(field.field_type) for field in schema.fields):
        return None
    if _has_nested(schema) and len(table.schemas()) > 1:  # columns inside structs are matched by name
        return None
    if table.name_mapping() is not None:  # files without field ids may be there
        return None
    if not all(_can_default(field) for field in schema.fields):
        return None
    reading = ", ".join(
        f"{field.field_id}: {{name: {quote(field.name)}, type: {quote(_type(field.field_type))}, default_value: NULL}}"
        for field in schema.fields
    )
    ids = ", ".join(f"{quote_name(field.name)}: {_ids(field)}" for field in schema.fields)
    return Layout(f"MAP {{{reading}}}", f"{{{ids}}}", tuple(field.name for field in schema.fields))


def _can_default(field: NestedField) -> bool:
    return field.initial_default is None and field.write_default is None


def _has_nested(schema: Schema) -> bool:
    return any(not isinstance(field.field_type, PrimitiveType) for field in schema.fields)


def _is_foreign(kind: IcebergType) -> bool:
    if isinstance(kind, ListType):
        return _is_foreign(kind.element_type)
    if isinstance(kind, MapType):
        return _is_foreign(kind.key_type) or _is_foreign(kind.value_type)
    if isinstance(kind, StructType):
        return any(_is_foreign(field.field_type) for field in kind.fields)
    return isinstance(kind, _FOREIGN) or (not isinstance(kind, DecimalType) and str(kind) not in _NAMES)


def _type(kind: IcebergType) -> str:
    if isinstance(kind, ListType):
        return f"{_type(kind.element_type)}[]"
    if isinstance(kind, MapType):
        return f"MAP({_type(kind.key_type)}, {_type(kind.value_type)})"
    if isinstance(kind, StructType):
        fields = ", ".join(f"{quote_name(field.name)} {_type(field.field_type)}" for field in kind.fields)
        return f"STRUCT({fields})"
    if isinstance(kind, DecimalType):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    return _NAMES[str(kind)]


def _ids(field: NestedField) -> str:
    return _nested_ids(field.field_id, field.field_type)


def _nested_ids(field_id: int, kind: IcebergType) -> str:
    inner: list[tuple[str, int, IcebergType]]
    if isinstance(kind, ListType):
        inner = [("element", kind.element_id, kind.element_type)]
    elif isinstance(kind, MapType):
        inner = [("key", kind.key_id, kind.key_type), ("value", kind.value_id, kind.value_type)]
    elif isinstance(kind, StructType):
        inner = [(child.name, child.field_id, child.field_type) for child in kind.fields]
    else:
        return str(field_id)
    listed = ", ".join(f"{quote_name(name)}: {_nested_ids(number, child)}" for name, number, child in inner)
    return f"{{__duckdb_field_id: {field_id}, {listed}}}"
