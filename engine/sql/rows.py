"""Arrow batches as JSON rows and as IPC streams."""

import base64
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from core.portable import Rows, RowsColumn, RowsPreview
from engine.connectors.ipc import CHUNK_MAX_BYTES, CHUNK_MIN_BYTES, Regrouped, ipc_stream, unique_names
from engine.results.profile import profile

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "CHUNK_MAX_BYTES",
    "CHUNK_MIN_BYTES",
    "chunks",
    "ipc_stream",
    "make_rows",
    "records",
    "sliced",
    "type_name",
    "unique_names",
]


def make_rows(
    schema: "pa.Schema",
    batches: "Sequence[pa.RecordBatch]",
    *,
    privacy: Mapping[str, str] | None = None,
    result_id: str = "",
) -> Rows:
    """All forms of a result, each made when a face asks for it."""
    named, private = unique_names(schema), privacy or {}
    preview = RowsPreview(
        row_count=sum(batch.num_rows for batch in batches),
        columns=[RowsColumn(field.name, type_name(field.type), private.get(field.name, "public")) for field in named],
        slice=lambda offset, count: records(named, sliced(batches, offset, count)),
        profile=lambda: profile(named, batches, private, cells),
        result_id=result_id,
    )
    return Rows(lambda: records(named, batches), lambda compression: ipc_stream(named, batches, compression), preview)


def sliced(batches: "Sequence[pa.RecordBatch]", offset: int, count: int) -> "list[pa.RecordBatch]":
    """`count` rows from `offset` on."""
    found = []
    for batch in batches:
        if count > 0 and offset < batch.num_rows:
            part = batch.slice(offset, count)
            found.append(part)
            count -= part.num_rows
        offset = max(0, offset - batch.num_rows)
    return found


async def chunks(
    schema: "pa.Schema", batches: "AsyncIterator[pa.RecordBatch]"
) -> "AsyncIterator[list[pa.RecordBatch]]":
    """Batches regrouped by size: gRPC messages want one or two megabytes, whatever the width of a row."""
    groups, is_first = Regrouped(), True
    async for batch in batches:
        for group in groups.add(batch):
            yield group
            is_first = False
    if (rest := groups.rest()) or is_first:
        yield rest


def records(schema: "pa.Schema", batches: "Sequence[pa.RecordBatch]") -> list[dict[str, Any]]:
    """JSON-ready dicts, one per row."""
    names = schema.names
    rows: list[dict[str, Any]] = []
    for batch in batches:
        columns = [cells(column) for column in batch.columns]
        rows.extend(dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True))
    return rows


def cells(column: Any) -> list[Any]:
    """A column's values as JSON can hold them."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_string(kind):
        values: list[Any] = column.to_pylist()
        return values
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        column = column.cast(pa.timestamp("us", kind.tz), safe=False)
    convert = _converter(column.type)
    try:
        return [None if value is None else convert(value) for value in column.to_pylist()]
    except (ValueError, OverflowError):  # dates that Python cannot hold, such as infinity
        return list(column.cast(pa.string()).to_pylist())


def _converter(kind: "pa.DataType") -> Callable[[Any], Any]:
    """How a non-null value of this type becomes JSON."""
    import pyarrow as pa

    if pa.types.is_floating(kind):
        return lambda value: value if math.isfinite(value) else None
    if isinstance(kind, (pa.Decimal128Type, pa.Decimal256Type)) and kind.scale <= 0:
        return int
    if isinstance(kind, pa.MapType):
        key, item = _converter(kind.key_type), _converter(kind.item_type)
        return lambda pairs: {str(key(name)): None if value is None else item(value) for name, value in pairs}
    if isinstance(kind, (pa.ListType, pa.LargeListType, pa.FixedSizeListType)):
        inner = _converter(kind.value_type)
        return lambda items: [None if item is None else inner(item) for item in items]
    if isinstance(kind, pa.StructType):
        members = {kind.field(number).name: _converter(kind.field(number).type) for number in range(kind.num_fields)}
        return lambda value: {
            name: None if value[name] is None else member(value[name]) for name, member in members.items()
        }
    return plain


def plain(value: Any) -> Any:
    """One value of any type as JSON can hold it."""
    if isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, tuple) and hasattr(value, "nanoseconds"):
        return _interval(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _interval(value: Any) -> str:
    """An interval in ISO 8601: months, days and seconds do not convert into each other."""
    seconds = Decimal(value.nanoseconds) / 1_000_000_000
    time = f"T{seconds.normalize():f}S" if seconds else ""
    months = f"{value.months}M" if value.months else ""
    days = f"{value.days}D" if value.days else ""
    return f"P{months}{days}{time}" if months or days or time else "PT0S"


def type_name(kind: "pa.DataType") -> str:
    """An Arrow type in the words of SQL."""
    import pyarrow as pa

    if isinstance(kind, (pa.Decimal128Type, pa.Decimal256Type)):
        return f"decimal({kind.precision},{kind.scale})"
    if isinstance(kind, (pa.ListType, pa.LargeListType, pa.FixedSizeListType)):
        return f"{type_name(kind.value_type)}[]"
    if isinstance(kind, pa.MapType):
        return f"map({type_name(kind.key_type)}, {type_name(kind.item_type)})"
    if isinstance(kind, pa.StructType):
        fields = (kind.field(number) for number in range(kind.num_fields))
        return f"struct({', '.join(f'{field.name} {type_name(field.type)}' for field in fields)})"
    if isinstance(kind, pa.DictionaryType):
        return type_name(kind.value_type)
    if isinstance(kind, pa.TimestampType):
        return "timestamp with time zone" if kind.tz else "timestamp"
    text = str(kind)
    return _NAMES.get(text, _NAMES.get(text.partition("[")[0], text))


_NAMES = {
    "bool": "boolean",
    "int8": "tinyint",
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
    "uint8": "utinyint",
    "uint16": "usmallint",
    "uint32": "uinteger",
    "uint64": "ubigint",
    "float": "real",
    "halffloat": "real",
    "double": "double",
    "string": "varchar",
    "large_string": "varchar",
    "string_view": "varchar",
    "binary": "blob",
    "large_binary": "blob",
    "date32": "date",
    "date64": "date",
    "time32": "time",
    "time64": "time",
    "month_day_nano_interval": "interval",
    "duration": "interval",
    "null": "null",
}
