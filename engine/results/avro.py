"""Avro files by fastavro: one record a row, every column nullable."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.results.formats import Compression, Growing, without_intervals

if TYPE_CHECKING:
    import pyarrow as pa

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CODECS = {"NONE": "null", "DEFLATE": "deflate"}

Convert = Callable[[Any], Any]


class AvroEncoder:
    """Writes blocks of records. Names that Avro does not take are changed; `doc` keeps the original."""

    def __init__(self, schema: "pa.Schema", compression: Compression):
        from fastavro.write import Writer

        fitted = without_intervals(schema.empty_table()).schema
        self._names = avro_names(fitted.names)
        record = {
            "type": "record",
            "name": "Row",
            "fields": [
                _field(name, field.name, field.type, f"Row_{name}")
                for name, field in zip(self._names, fitted, strict=True)
            ],
        }
        self._sink = Growing()
        level = 1 if compression == "DEFLATE" else None
        file: Any = self._sink
        self._writer = Writer(file, record, _CODECS[compression], compression_level=level)

    def add(self, table: "pa.Table") -> bytes:
        columns = [_values(column) for column in without_intervals(table).columns]
        for row in zip(*columns, strict=True):
            self._writer.write(dict(zip(self._names, row, strict=True)))
        return self._sink.take()

    def end(self) -> bytes:
        self._writer.flush()
        return self._sink.take()


def avro_names(names: list[str]) -> list[str]:
    """Names of letters, digits and underscores, all different."""
    found: list[str] = []
    for name in names:
        plain = name if _NAME.fullmatch(name) else re.sub(r"[^A-Za-z0-9_]", "_", name) or "_"
        plain = plain if not plain[0].isdigit() else f"_{plain}"
        number, unique = 1, plain
        while unique in found or (unique != name and unique in names):
            number += 1
            unique = f"{plain}_{number}"
        found.append(unique)
    return found


def _field(name: str, original: str, kind: "pa.DataType", path: str) -> dict[str, Any]:
    doc = {} if name == original else {"doc": original}
    return {"name": name, "type": _nullable(kind, path), "default": None, **doc}


def _nullable(kind: "pa.DataType", path: str) -> Any:
    found = avro_type(kind, path)
    return "null" if found == "null" else ["null", found]


def avro_type(kind: "pa.DataType", path: str) -> Any:
    """The Avro type for an Arrow type; `path` names records, which must differ."""
    import pyarrow as pa

    types = pa.types
    if isinstance(kind, pa.DictionaryType):
        return avro_type(kind.value_type, path)
    if isinstance(kind, pa.MapType):
        return {"type": "map", "values": _nullable(kind.item_type, f"{path}_value")}
    if isinstance(kind, (pa.ListType, pa.LargeListType, pa.FixedSizeListType)):
        return {"type": "array", "items": _nullable(kind.value_type, f"{path}_item")}
    if isinstance(kind, pa.StructType):
        names = avro_names([kind.field(at).name for at in range(kind.num_fields)])
        fields = [
            _field(name, kind.field(at).name, kind.field(at).type, f"{path}_{name}") for at, name in enumerate(names)
        ]
        return {"type": "record", "name": path, "fields": fields}
    if types.is_timestamp(kind):
        return {"type": "long", "logicalType": "timestamp-micros" if kind.tz else "local-timestamp-micros"}
    if types.is_decimal(kind) or types.is_uint64(kind):
        precision, scale = (20, 0) if types.is_uint64(kind) else (kind.precision, max(0, kind.scale))
        return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
    return _plain_type(kind)


def _plain_type(kind: "pa.DataType") -> Any:
    import pyarrow as pa

    types = pa.types
    for is_it, found in (
        (types.is_boolean, "boolean"),
        (types.is_float64, "double"),
        (types.is_floating, "float"),
        (types.is_integer, "long"),
        (types.is_date, {"type": "int", "logicalType": "date"}),
        (types.is_time, {"type": "long", "logicalType": "time-micros"}),
        (types.is_null, "null"),
    ):
        if is_it(kind):
            return found
    is_bytes = types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    return "bytes" if is_bytes or kind == pa.binary_view() else "string"


def _values(column: Any) -> list[Any]:
    """Values as fastavro takes them; whole columns of times become numbers at once."""
    import pyarrow as pa

    kind, types = column.type, pa.types
    if types.is_timestamp(kind):
        return _list(column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64()))
    if types.is_date(kind):
        return _list(column.cast(pa.date32()).cast(pa.int32()))
    if types.is_time(kind):
        return _list(column.cast(pa.time64("us"), safe=False).cast(pa.int64()))
    convert = _converter(kind)
    if convert is None:
        return _list(column)
    return [None if value is None else convert(value) for value in column.to_pylist()]


def _list(column: Any) -> list[Any]:
    values: list[Any] = column.to_pylist()
    return values


def _converter(kind: "pa.DataType") -> Convert | None:
    """How a value becomes what fastavro takes; None where it already is."""
    import pyarrow as pa

    if pa.types.is_uint64(kind):
        from decimal import Decimal

        return Decimal
    if isinstance(kind, pa.MapType):
        item = _converter(kind.item_type) or _same
        return lambda pairs: {str(key): None if value is None else item(value) for key, value in pairs}
    if isinstance(kind, (pa.ListType, pa.LargeListType, pa.FixedSizeListType)):
        inner = _converter(kind.value_type) or _same
        return lambda items: [None if value is None else inner(value) for value in items]
    if isinstance(kind, pa.StructType):
        originals = [kind.field(at).name for at in range(kind.num_fields)]
        names = avro_names(originals)
        converts = [_converter(kind.field(at).type) or _same for at in range(kind.num_fields)]
        members = list(zip(names, originals, converts, strict=True))
        return lambda value: {
            name: None if value[original] is None else convert(value[original]) for name, original, convert in members
        }
    if pa.types.is_interval(kind) or pa.types.is_duration(kind):
        return str
    return None


def _same(value: Any) -> Any:
    return value
