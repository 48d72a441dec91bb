"""Formulas as expressions of a definition, in what a dialect has for times."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from engine.planner.formulas import Formula, Value
from engine.planner.schema import Column

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
YEAR_DAYS, MONTH_DAYS = 365.25, 30.4375
Expression = dict[str, Any]


class Inexpressible(Exception):
    """What a dialect has nothing for."""


def expression(value: Value, path: Callable[[Column], str], dialect: str) -> Expression:
    """A column or what is computed of columns. Raises Inexpressible."""
    if isinstance(value, Column):
        return {"column": path(value)}
    made = [_part(part, path, dialect) for part in value.parts]
    if value.operator == "span":
        kinds = [part.family if isinstance(part, (Column, Formula)) else "date" for part in value.parts]
        return _span(value.unit, made[0], made[1], kinds, dialect)
    if value.operator == "part":
        return _part_of(value.unit, made[0], dialect)
    if value.operator == "shift":
        return _shift(value.unit, made[0], value.parts[1], dialect)
    if value.operator == "trunc":
        return _trunc(value.unit, made[0], dialect)
    if value.operator == "/":
        made = [{"cast": "double", "args": [made[0]]}, {"function": "nullif", "args": [made[1], {"value": 0}]}]
    return {"operator": value.operator, "args": made}


def _part(part: Any, path: Callable[[Column], str], dialect: str) -> Expression:
    if isinstance(part, date):
        text: Expression = {"value": part.isoformat()}
        return text if dialect == "sqlite" else {"cast": "date", "args": [text]}
    if isinstance(part, (int, float)):
        return {"value": part}
    return expression(part, path, dialect)


def _span(unit: str, start: Expression, end: Expression, kinds: Sequence[str], dialect: str) -> Expression:
    """How many units lie between two times, where the source counts them."""
    if dialect in ("", "duckdb"):
        return _call("date_diff", {"value": unit}, start, end)
    if dialect == "sqlite":
        days = {"operator": "-", "args": [_call("julianday", end), _call("julianday", start)]}
        seconds: Expression = {"operator": "*", "args": [days, {"value": 86_400}]}
    elif dialect == "postgres":
        if unit == "day":
            return {"operator": "-", "args": [_cast("date", end), _cast("date", start)]}
        both = [_call("date_part", {"value": "epoch"}, _cast("timestamp", item)) for item in (end, start)]
        seconds = {"operator": "-", "args": both}
    else:
        raise Inexpressible("nothing of this source counts the time between two dates")
    size = SECONDS.get(unit) or (YEAR_DAYS if unit == "year" else MONTH_DAYS) * SECONDS["day"]
    if unit == "second" or (unit == "day" and kinds == ["date", "date"] and dialect == "sqlite"):
        return _cast("bigint", seconds if unit == "second" else days)
    return _call("floor", {"operator": "/", "args": [seconds, {"value": size}]})


def _part_of(unit: str, moment: Expression, dialect: str) -> Expression:
    """The year, month, hour or weekday of a time; weekdays count from Monday, 1, to Sunday, 7."""
    if dialect in ("", "duckdb", "postgres"):
        if unit == "dayname":
            if dialect == "postgres":
                return _call("to_char", moment, {"value": "FMDay"})
            return _call("dayname", moment)
        return _call("date_part", {"value": "isodow" if unit == "weekday" else unit}, moment)
    formats = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H", "weekday": "%w"}
    if dialect != "sqlite" or unit not in formats:
        raise Inexpressible(f"nothing of this source tells the {unit} of a time")
    number = _cast("integer", _call("strftime", {"value": formats[unit]}, moment))
    if unit != "weekday":
        return number
    sunday = {"case": [{"when": {"expression": number, "operator": "eq", "value": 0}, "then": {"value": 7}}]}
    return {**sunday, "otherwise": number}


def _shift(unit: str, moment: Expression, count: Any, dialect: str) -> Expression:
    """A time so many units later."""
    unit, count = ("month", count * 3) if unit == "quarter" else (unit, count)
    if dialect in ("", "duckdb"):
        return {"operator": "+", "args": [moment, _call(f"to_{unit}s", {"value": count})]}
    if dialect == "sqlite":
        unit, count = ("day", count * 7) if unit == "week" else (unit, count)
        return _call("datetime", moment, {"value": f"+{count} {unit}s"})
    if dialect == "postgres":
        places = ("year", "month", "week", "day", "hour", "minute", "second")
        length = _call("make_interval", *({"value": count if name == unit else 0} for name in places))
        return {"operator": "+", "args": [_cast("timestamp", moment), length]}
    raise Inexpressible("nothing of this source adds to a time")


def _trunc(unit: str, moment: Expression, dialect: str) -> Expression:
    """The beginning of the period that a time is in."""
    if dialect != "sqlite":
        return _call("date_trunc", {"value": unit}, moment)
    patterns = {"day": "%Y-%m-%d", "month": "%Y-%m-01", "year": "%Y-01-01"}
    if unit not in patterns:
        raise Inexpressible("SQLite knows days, months and years to group by")
    return _call("strftime", {"value": patterns[unit]}, moment)


def _call(name: str, *args: Expression) -> Expression:
    return {"function": name, "args": list(args)}


def _cast(kind: str, item: Expression) -> Expression:
    return {"cast": kind, "args": [item]}
