"""Values from JSON as a database's columns take them: texts for PostgreSQL, SQLite's own kinds for SQLite."""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal
from typing import Any

from engine.connectors.connector import ColumnInfo
from engine.records.misfits import Misfit, checked_text, number_text
from engine.sql.literals import family

_WHOLE = re.compile(r"(u?(tiny|small|medium|big)?int(eger)?\d*|(small|big)?serial)", re.IGNORECASE)
_SCALED = re.compile(r"(?:numeric|decimal)\((\d+),(-?\d+)\)")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_LONG_FRACTION = re.compile(r"\.\d{7}", re.ASCII)
_ENDLESS = ("nan", "infinity", "-infinity")
_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class DatabaseColumn:
    """A column of a database's table; the database itself knows defaults and what may be null."""

    column: ColumnInfo
    dialect: str

    @property
    def name(self) -> str:
        return self.column.name

    @property
    def is_required(self) -> bool:
        return False

    def fit(self, value: Any) -> Any:
        """The value to bind. Raises Misfit."""
        if value is None:
            return None
        kind = self.column.data_type.lower()
        made = _plain(value, kind) if self.dialect == "sqlite" else _text(value, kind)
        if isinstance(made, str) and "\0" in made and self.dialect != "sqlite":
            raise Misfit("a text without NUL characters")
        return made


def _text(value: Any, kind: str) -> str:
    """As PostgreSQL reads it, which knows the column's type."""
    if kind.endswith("[]"):
        return _array(value, kind[:-2])
    if kind in ("json", "jsonb"):
        return _json(value)
    if kind == "bytea":
        return "\\x" + _bytes(value).hex()
    found = family(kind)
    if found == "boolean":
        return "true" if _boolean(value) else "false"
    if found == "number":
        return _number(value, kind)
    if found in ("time", "clock"):
        return _time(value, found, kind)
    if found == "any" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return number_text(value)
    return checked_text(value)


def _plain(value: Any, kind: str) -> Any:
    """As SQLite keeps it; columns of no type keep what they are given."""
    found = family(kind)
    if kind == "blob":
        return _bytes(value)
    if "json" in kind:
        return _json(value)
    if found == "boolean":
        return int(_boolean(value))
    if found in ("time", "clock"):
        return _time(value, found, kind)
    if found == "text":
        return checked_text(value)
    if found == "number":
        return _sqlite_number(value, kind)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)):
        return _sqlite_number(value, kind)
    return checked_text(value)


def _sqlite_number(value: Any, kind: str) -> Any:
    """Digits as a text become a number by the column's affinity, exactly where that is possible."""
    text = number_text(value)
    number = int(value) if isinstance(value, float) and value.is_integer() and _WHOLE.fullmatch(kind) else value
    is_whole = isinstance(number, int) or (isinstance(number, str) and text.lstrip("+-").isdigit())
    if _WHOLE.fullmatch(kind) and not is_whole:
        raise Misfit("a whole number")
    if is_whole and not -_INT64 <= int(number) < _INT64:
        raise Misfit("a whole number of 64 bits")
    return int(number) if is_whole else number


def _number(value: Any, kind: str) -> str:
    if isinstance(value, str) and value.lower() in _ENDLESS and not _WHOLE.fullmatch(kind):
        return value
    text = number_text(value)
    if _WHOLE.fullmatch(kind):
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        if not text.lstrip("+-").isdigit():
            raise Misfit("a whole number")
    scaled = _SCALED.fullmatch(kind)
    if scaled is not None and _places(text) > int(scaled[2]):
        raise Misfit(f"a number with at most {scaled[2]} digits after the point")
    return text


def _places(text: str) -> int:
    """Digits after the point that are not just zeros: what a database would round away unasked."""
    exponent = Decimal(text).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Misfit("true or false")
    return value


def _time(value: Any, found: str, kind: str) -> str:
    """Exactly: a database would cut hours off a date and an offset off a time that takes none."""
    text = checked_text(value)
    if kind == "date":
        wanted, is_exact = "a date such as 2026-01-31", bool(_DATE.fullmatch(text))
    elif found == "clock":
        wanted, is_exact = "a time such as 12:00:00", True
    else:
        wanted, is_exact = "a time such as 2026-01-31T12:00:00", True
    try:
        moment = time.fromisoformat(text) if found == "clock" else datetime.fromisoformat(text)
    except ValueError:
        raise Misfit(wanted) from None
    if moment.tzinfo is not None and "without time zone" in kind:
        raise Misfit(f"{wanted}, without an offset")
    if not is_exact or _LONG_FRACTION.search(text):
        raise Misfit(f"{wanted}, with microseconds at most" if is_exact else wanted)
    return text


def _bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(checked_text(value), validate=True)
    except (binascii.Error, ValueError):
        raise Misfit("bytes in base64") from None


def _json(value: Any) -> str:
    try:
        return checked_text(json.dumps(value, allow_nan=False))
    except ValueError:
        raise Misfit("JSON without NaN and Infinity") from None


def _array(value: Any, kind: str) -> str:
    """A list as PostgreSQL writes one: every item in quotes, for they may hold commas and braces."""
    if not isinstance(value, list):
        raise Misfit("a list")
    items = []
    for item in value:
        if isinstance(item, list):
            items.append(_array(item, kind))
        elif item is None:
            items.append("NULL")
        else:
            items.append('"' + _text(item, kind).replace("\\", "\\\\").replace('"', '\\"') + '"')
    return "{" + ",".join(items) + "}"
