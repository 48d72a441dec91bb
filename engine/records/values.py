"""Values from JSON as a lakehouse column's own type: exactly, or not at all."""

import base64
import binascii
import math
import re
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, localcontext
from typing import Any
from uuid import UUID

from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from engine.records.misfits import Misfit, checked_text, number_text

_EXACT = 2**53  # beyond it a float no longer tells which whole number was meant
_DATE = r"\d{4}-\d{2}-\d{2}"
_CLOCK = r"\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?"
_MOMENT = re.compile(rf"{_DATE}([T ]{_CLOCK}(Z|[+-]\d{{2}}:?\d{{2}})?)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,30}", re.ASCII)
_ENDLESS = {"nan": math.nan, "infinity": math.inf, "-infinity": -math.inf}


def fit(value: Any, kind: IcebergType) -> Any:
    """The value as pyarrow takes it for the type; None stays None. Raises Misfit."""
    if value is None:
        return None
    made = _KINDS.get(type(kind))
    if made is None:
        raise Misfit(f"nothing: columns of type {kind} cannot be written here")
    return made(value, kind)


def _whole(value: Any, low: int, high: int) -> int:
    wanted = f"a whole number from {low} to {high}"
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        value = int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Misfit(wanted)
    return value


def _floating(value: Any, kind: IcebergType) -> float:
    if isinstance(value, str) and value.lower() in _ENDLESS:
        return _ENDLESS[value.lower()]
    try:
        number = float(number_text(value))
        if isinstance(kind, FloatType):
            struct.pack("<f", number)
    except OverflowError:
        raise Misfit(f"a number within the range of {kind}") from None
    if not math.isfinite(number):
        raise Misfit(f"a number within the range of {kind}")
    return number


def _decimal(value: Any, kind: Any) -> Decimal:
    wanted = f"a number with at most {kind.precision - kind.scale} digits before and {kind.scale} after the point"
    with localcontext() as context:
        context.prec = 100
        number = Decimal(number_text(value, wanted))
        if abs(number) >= Decimal(10) ** (kind.precision - kind.scale):
            raise Misfit(wanted)
        fitted = number.quantize(Decimal(1).scaleb(-kind.scale))
        if fitted != number:
            raise Misfit(wanted)
    return fitted


def _boolean(value: Any, kind: IcebergType) -> bool:
    if not isinstance(value, bool):
        raise Misfit("true or false")
    return value


def _date(value: Any, kind: IcebergType) -> date:
    if not isinstance(value, str) or not re.fullmatch(_DATE, value, re.ASCII):
        raise Misfit("a date such as 2026-01-31")
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise Misfit("a date such as 2026-01-31") from None


def _time(value: Any, kind: IcebergType) -> time:
    wanted = "a time such as 12:00:00, with microseconds at most"
    if not isinstance(value, str) or not re.fullmatch(_CLOCK, value, re.ASCII):
        raise Misfit(wanted)
    try:
        return time.fromisoformat(value)
    except ValueError:
        raise Misfit(wanted) from None


def _timestamp(value: Any, kind: IcebergType) -> datetime:
    wanted = "a time such as 2026-01-31T12:00:00, without an offset"
    moment = _moment(value, wanted)
    if moment.tzinfo is not None:
        raise Misfit(wanted)
    return moment


def _timestamptz(value: Any, kind: IcebergType) -> datetime:
    """A time without an offset is one of UTC, as it is in queries."""
    wanted = "a time such as 2026-01-31T12:00:00Z"
    moment = _moment(value, wanted)
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        raise Misfit(wanted) from None


def _moment(value: Any, wanted: str) -> datetime:
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise Misfit(wanted)
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise Misfit(wanted) from None


def _uuid(value: Any, kind: IcebergType) -> bytes:
    try:
        return UUID(checked_text(value)).bytes
    except ValueError:
        raise Misfit("a UUID") from None


def _binary(value: Any, kind: IcebergType) -> bytes:
    try:
        found = base64.b64decode(checked_text(value), validate=True)
    except (binascii.Error, ValueError):
        raise Misfit("bytes in base64") from None
    if isinstance(kind, FixedType) and len(found) != len(kind):
        raise Misfit(f"{len(kind)} bytes in base64")
    return found


def _list(value: Any, kind: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Misfit("a list")
    if kind.element_required and any(item is None for item in value):
        raise Misfit("a list without nulls")
    return [fit(item, kind.element_type) for item in value]


def _map(value: Any, kind: Any) -> list[tuple[Any, Any]]:
    if not isinstance(value, dict):
        raise Misfit("an object")
    if kind.value_required and any(item is None for item in value.values()):
        raise Misfit("an object without nulls")
    pairs = [(fit(key, kind.key_type), fit(item, kind.value_type)) for key, item in value.items()]
    if len({key for key, _ in pairs}) != len(pairs):
        raise Misfit("an object whose keys differ")
    return pairs


def _struct(value: Any, kind: Any) -> dict[str, Any]:
    names = {field.name for field in kind.fields}
    if not isinstance(value, dict) or not names.issuperset(value):
        raise Misfit(f"an object with {', '.join(sorted(names))[:200]}")
    for field in kind.fields:
        if field.required and value.get(field.name) is None:
            raise Misfit(f"an object whose {field.name[:80]} is not null")
    return {field.name: fit(value.get(field.name), field.field_type) for field in kind.fields}


_KINDS: Mapping[type[Any], Callable[[Any, Any], Any]] = {
    BooleanType: _boolean,
    IntegerType: lambda value, kind: _whole(value, -(2**31), 2**31 - 1),
    LongType: lambda value, kind: _whole(value, -(2**63), 2**63 - 1),
    FloatType: _floating,
    DoubleType: _floating,
    DecimalType: _decimal,
    StringType: lambda value, kind: checked_text(value),
    DateType: _date,
    TimeType: _time,
    TimestampType: _timestamp,
    TimestamptzType: _timestamptz,
    UUIDType: _uuid,
    BinaryType: _binary,
    FixedType: _binary,
    ListType: _list,
    MapType: _map,
    StructType: _struct,
}
