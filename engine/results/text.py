"""Columns of Arrow as lines of CSV and JSON: whole columns at a time, nested values one by one."""

import base64
import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

SPECIAL = r'["\\\x00-\x1f]'
CONTROL = r"[\x00-\x1f]"
FORMULA = r"^[=+\-@\t\r]"
_ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))

Say = Callable[[Any], str]


def csv_lines(table: "pa.Table", *, has_header: bool, is_defused: bool) -> bytes:
    """Lines of CSV: NULL is empty, an empty text is `""`, nested values are JSON, bytes base64."""
    import pyarrow as pa
    import pyarrow.csv as csv

    columns = [_csv_column(_whole(column), is_defused=is_defused) for column in table.columns]
    sink = pa.BufferOutputStream()
    fitted = pa.Table.from_arrays(columns, names=table.column_names)
    csv.write_csv(fitted, sink, csv.WriteOptions(include_header=has_header, quoting_style="needed"))
    return sink.getvalue().to_pybytes()


def json_lines(table: "pa.Table") -> bytes:
    """One JSON object a line. Decimals are numbers with all their digits; NaN and infinities are null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not table.num_rows:
        return b""
    parts: list[Any] = []
    for index, name in enumerate(table.column_names):
        before = ("{" if index == 0 else ",") + json.dumps(name, ensure_ascii=False) + ":"
        parts += [pa.scalar(before), _json_column(_whole(table.column(index)))]
    lines = pc.binary_join_element_wise(*parts, pa.scalar("}\n"), "", null_handling="replace", null_replacement="null")
    return _content(lines)


def _whole(column: Any) -> Any:
    """One array, without dictionaries and views."""
    import pyarrow as pa

    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    if isinstance(array.type, pa.DictionaryType):
        array = array.dictionary_decode()
    if array.type in (pa.string_view(), pa.large_string()):
        return array.cast(pa.string())
    return array.cast(pa.binary()) if array.type == pa.binary_view() else array


def _content(lines: Any) -> bytes:
    """The text of all values of a string array, which stands in one buffer."""
    _, offsets, data = lines.buffers()
    ends = memoryview(offsets).cast("i")
    return bytes(memoryview(data)[ends[lines.offset] : ends[lines.offset + len(lines)]]) if data else b""


def _csv_column(array: Any, *, is_defused: bool) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, types = array.type, pa.types
    if types.is_string(kind):
        if not is_defused:
            return array
        is_formula = pc.match_substring_regex(array, FORMULA)
        return pc.if_else(is_formula, pc.binary_join_element_wise(pa.scalar("'"), array, ""), array)
    if types.is_timestamp(kind) and kind.tz:
        return _instants(array, " ")
    is_plain = types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    if is_plain or types.is_date(kind) or types.is_time(kind) or types.is_timestamp(kind) or types.is_null(kind):
        return array
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return _said(array, lambda value: base64.b64encode(value).decode())
    if types.is_interval(kind) or types.is_duration(kind):
        return _said(array, lambda value: json.loads(_sayer(kind)(value)))
    return _said(array, _sayer(kind))


def _json_column(array: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, types = array.type, pa.types
    if types.is_string(kind):
        return _quoted(_escaped(array))
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_decimal(kind):
        return array.cast(pa.string())
    if types.is_floating(kind):
        return pc.if_else(pc.is_finite(array), array, pa.scalar(None, kind)).cast(pa.string())
    if types.is_timestamp(kind):
        return _quoted(_instants(array, "T"))
    if types.is_date(kind) or types.is_time(kind):
        return _quoted(array.cast(pa.string()))
    if types.is_null(kind):
        return array.cast(pa.string())
    return _said(array, _sayer(kind))


def _instants(array: Any, between: str) -> Any:
    """Timestamps as ISO 8601; those with a zone in UTC, with a Z."""
    import pyarrow as pa
    import pyarrow.compute as pc

    zone = array.type.tz
    # Without its zone Arrow needs no table of zones, which small machines lack; the value is UTC already.
    text = array.cast(pa.timestamp(array.type.unit)).cast(pa.string())
    text = pc.replace_substring(text, " ", "T", max_replacements=1) if between == "T" else text
    return pc.binary_join_element_wise(text, pa.scalar("Z"), "") if zone else text


def _escaped(array: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pc.any(pc.match_substring_regex(array, SPECIAL)).as_py():
        return array
    for plain, escaped in _ESCAPES:
        array = pc.replace_substring(array, plain, escaped)
    if pc.any(pc.match_substring_regex(array, CONTROL)).as_py():
        fix = {number: f"\\u{number:04x}" for number in range(32)}
        texts = [None if text is None else text.translate(fix) for text in array.to_pylist()]
        return pa.array(texts, pa.string())
    return array


def _quoted(array: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.binary_join_element_wise(pa.scalar('"'), array, pa.scalar('"'), "")


def _said(array: Any, say: Say) -> Any:
    import pyarrow as pa

    return pa.array([None if value is None else say(value) for value in array.to_pylist()], pa.string())


def _sayer(kind: "pa.DataType") -> Say:
    """How a non-null value of this type is written in JSON."""
    import pyarrow as pa

    if isinstance(kind, pa.MapType):
        key, item = _sayer(kind.key_type), _or_null(_sayer(kind.item_type))
        return lambda pairs: "{" + ",".join(f"{_name(key(name))}:{item(value)}" for name, value in pairs) + "}"
    if isinstance(kind, (pa.ListType, pa.LargeListType, pa.FixedSizeListType)):
        inner = _or_null(_sayer(kind.value_type))
        return lambda items: "[" + ",".join(inner(value) for value in items) + "]"
    if isinstance(kind, pa.StructType):
        members = {kind.field(at).name: _or_null(_sayer(kind.field(at).type)) for at in range(kind.num_fields)}
        return lambda value: (
            "{" + ",".join(f"{json.dumps(name)}:{say(value[name])}" for name, say in members.items()) + "}"
        )
    return _scalar


def _or_null(say: Say) -> Say:
    return lambda value: "null" if value is None else say(value)


def _name(text: str) -> str:
    """A key of a map, which JSON wants as text."""
    return text if text.startswith('"') else json.dumps(text)


def _scalar(value: Any) -> str:
    if isinstance(value, (bool, int, str)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else "null"
    if isinstance(value, Decimal):
        return str(value) if value.is_finite() else "null"
    if isinstance(value, bytes):
        return f'"{base64.b64encode(value).decode()}"'
    if hasattr(value, "nanoseconds"):
        return f'"{interval_text(value)}"'
    return json.dumps(value.isoformat() if hasattr(value, "isoformat") else str(value))


def interval_text(value: Any) -> str:
    """An interval in ISO 8601: months, days and seconds do not convert into each other."""
    if not hasattr(value, "months"):
        return str(value)
    seconds = Decimal(value.nanoseconds) / 1_000_000_000
    time = f"T{seconds.normalize():f}S" if seconds else ""
    months = f"{value.months}M" if value.months else ""
    days = f"{value.days}D" if value.days else ""
    return f"P{months}{days}{time}" if months or days or time else "PT0S"
