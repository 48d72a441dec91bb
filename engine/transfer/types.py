"""Types on their way: DuckDB's word for an Iceberg type, and the type of a table for what DuckDB finds in a file."""

import re

from pyiceberg.types import DecimalType, IcebergType, ListType, MapType, StructType

from engine.connectors.duck import quote_name

_DUCK = {
    "boolean": "BOOLEAN",
    "int": "INTEGER",
    "long": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMPTZ",
    "uuid": "UUID",
    "string": "VARCHAR",
}
# What no table can hold becomes the next type that can.
_KEPT = {
    "UTINYINT": "INTEGER",
    "USMALLINT": "INTEGER",
    "UINTEGER": "BIGINT",
    "UBIGINT": "DECIMAL(20, 0)",
    "HUGEINT": "DECIMAL(38, 0)",
    "UHUGEINT": "DECIMAL(38, 0)",
    "BIGNUM": "VARCHAR",
    "JSON": "VARCHAR",
    "INTERVAL": "VARCHAR",
    "BIT": "VARCHAR",
    "TIMESTAMP_NS": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
    "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ",
    "TIME WITH TIME ZONE": "VARCHAR",
    "TIMETZ": "VARCHAR",
    "TIME_NS": "TIME",
    "NULL": "VARCHAR",
    '"NULL"': "VARCHAR",
}
_WORDS = re.compile("|".join(rf"(?<![\w\"]){re.escape(word)}(?!\w)" for word in sorted(_KEPT, key=len, reverse=True)))
_ENUM = re.compile(r"ENUM\((?:'(?:[^']|'')*'(?:, )?)*\)")


def duck_type(kind: IcebergType) -> str:
    """The type as DuckDB writes it."""
    if isinstance(kind, DecimalType):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    if isinstance(kind, ListType):
        return f"{duck_type(kind.element_type)}[]"
    if isinstance(kind, MapType):
        return f"MAP({duck_type(kind.key_type)}, {duck_type(kind.value_type)})"
    if isinstance(kind, StructType):
        return (
            f"STRUCT({', '.join(f'{quote_name(field.name)} {duck_type(field.field_type)}' for field in kind.fields)})"
        )
    return _DUCK.get(str(kind), "BLOB")


def kept_type(found: str) -> str:
    """The type that a table gives a column of this DuckDB type."""
    return _WORDS.sub(lambda match: _KEPT[match[0]], _ENUM.sub("VARCHAR", found))
