"""Column types as people write them (SQL, Spark or Iceberg words), made into Iceberg's."""

from itertools import count

from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)
from sqlglot import exp
from sqlglot.errors import SqlglotError

from core.errors import Conflict

_PLAIN: dict[str, IcebergType] = {
    "BOOLEAN": BooleanType(),
    "INT": IntegerType(),
    "SMALLINT": IntegerType(),
    "TINYINT": IntegerType(),
    "BIGINT": LongType(),
    "FLOAT": FloatType(),
    "DOUBLE": DoubleType(),
    "DATE": DateType(),
    "TIME": TimeType(),
    "TIMESTAMP": TimestampType(),
    "TIMESTAMPNTZ": TimestampType(),
    "DATETIME": TimestampType(),
    "TIMESTAMPTZ": TimestamptzType(),
    "TIMESTAMPLTZ": TimestamptzType(),
    "VARCHAR": StringType(),
    "TEXT": StringType(),
    "CHAR": StringType(),
    "UUID": UUIDType(),
    "BINARY": BinaryType(),
    "VARBINARY": BinaryType(),
    "BLOB": BinaryType(),
}
_ICEBERG_WORDS = {"long": "bigint", "string": "varchar", "integer": "int", "list": "array"}
MAX_LENGTH = 2_000
HINT = "For example: string, bigint, decimal(10, 2), date, timestamptz, array<int>, struct<a: int>, map<string, int>."


def parse_type(text: str) -> IcebergType:
    """The type; ids inside nested ones are only placeholders. Raises Conflict for a type that tables cannot hold."""
    word = _ICEBERG_WORDS.get(text.strip().lower(), text.strip())
    if len(word) <= MAX_LENGTH:
        for dialect in ("spark", "duckdb"):
            try:
                return _convert(exp.DataType.build(word, dialect=dialect), count(1))
            except (SqlglotError, KeyError, ValueError, RecursionError):
                continue
    raise Conflict(f"{text[:80]!r} is not a type that a table can hold.", hint=HINT)


def _convert(kind: exp.Expr, ids: "count[int]") -> IcebergType:
    if not isinstance(kind, exp.DataType):
        raise ValueError(kind)
    name, inner = kind.this.value, kind.expressions
    if name in ("ARRAY", "LIST"):
        return ListType(next(ids), _convert(inner[0], ids), element_required=False)
    if name == "MAP":
        return MapType(next(ids), _convert(inner[0], ids), next(ids), _convert(inner[1], ids), value_required=False)
    if name in ("STRUCT", "OBJECT"):
        return StructType(*(NestedField(next(ids), part.name, _convert(part.kind, ids)) for part in inner))
    if name == "DECIMAL":
        numbers = [int(part.name) for part in inner] or [38, 9]
        precision, scale = numbers[0], numbers[1] if len(numbers) > 1 else 0
        if not 0 <= scale <= precision <= 38:
            raise ValueError(name)
        return DecimalType(precision, scale)
    return _PLAIN[name]
