"""JSON values as SQL literals of the type that they are compared with."""

import re
from datetime import datetime, time
from typing import Literal

from pydantic import JsonValue
from sqlglot import exp

from core.errors import Conflict

Family = Literal["number", "text", "boolean", "time", "clock", "any"]
MAX_PATTERN = 1000
_NUMBER = re.compile(r"[+-]?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,3})?")
_FAMILIES: tuple[tuple[Family, str], ...] = (
    ("number", r"(u?(tiny|small|big|huge)?int(eger|[0-9]+)?|decimal|numeric|real|double( precision)?|float[0-9]*)"),
    ("text", r"(var)?char(acter)?( varying)?|text|string|bpchar|name|clob|n?varchar"),
    ("boolean", r"bool(ean)?"),
    ("time", r"date|datetime|timestamp(tz|_s|_ms|_ns)?( with(out)? time zone)?"),
    ("clock", r"timetz|time( with(out)? time zone)?"),
)
_EXPECTED = {
    "number": "Send a number, or its digits as a text.",
    "text": "Send a text.",
    "boolean": "Send true or false.",
    "time": "Send a text such as 2026-01-31 or 2026-01-31T12:00:00Z.",
    "clock": "Send a text such as 12:00:00.",
    "any": "Send a text, a number, true or false.",
}


def family(data_type: str) -> Family:
    """What kind of value a type holds; `any` where that is not sure."""
    plain = re.sub(r"\([^)]*\)", "", data_type.lower()).strip()
    return next((name for name, pattern in _FAMILIES if re.fullmatch(pattern, plain)), "any")


def literal(value: JsonValue, data_type: str, where: str) -> exp.Expr:
    """The value as a literal. Raises Conflict when it is none of that type; `data_type` may be empty."""
    made = _made(value, family(data_type))
    if made is None:
        kind = f"its type, {data_type[:64]}" if data_type else "a query"
        raise Conflict(f"The value for {where[:80]!r} does not fit {kind}.", hint=_EXPECTED[family(data_type)])
    return made


def pattern(value: JsonValue, where: str) -> exp.Expr:
    """The right side of LIKE. Raises Conflict."""
    if not isinstance(value, str) or len(value) > MAX_PATTERN:
        raise Conflict(
            f"The pattern for {where[:80]!r} is no text of at most {MAX_PATTERN} characters.",
            hint="In a pattern % stands for any text and _ for one character.",
        )
    return exp.Literal.string(value)


def _made(value: JsonValue, wanted: Family) -> exp.Expr | None:
    if isinstance(value, bool):
        return exp.Boolean(this=value) if wanted in ("boolean", "any") else None
    if isinstance(value, (int, float)):
        return _number(repr(value)) if wanted in ("number", "any") else None
    if not isinstance(value, str):
        return None
    if wanted == "number":
        return _number(value.strip())
    if wanted == "boolean" or (wanted in ("time", "clock") and not _is_time(value, wanted)):
        return None
    return exp.Literal.string(value)


def _number(text: str) -> exp.Expr | None:
    if not _NUMBER.fullmatch(text) or not text.isascii():
        return None
    digits = exp.Literal.number(text.lstrip("+-"))
    return exp.Neg(this=digits) if text.startswith("-") else digits


def _is_time(value: str, wanted: Family) -> bool:
    try:
        _ = time.fromisoformat(value) if wanted == "clock" else datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
