"""Masks as SQL: what a query reads in the place of a masked column's values."""

from collections.abc import Callable, Mapping

from engine.policy.families import family_of, fits, is_number
from engine.policy.rules import Mask

SQLITE_HASH = "headwater_hash"
"""A function of our own on SQLite's connections; queries cannot call it, because no list names it."""

_SQLITE_DATES = {
    "year": "%Y-01-01",
    "month": "%Y-%m-01",
    "day": "%Y-%m-%d",
    "hour": "%Y-%m-%d %H:00:00",
}


def mask_sql(column: str, mask: Mask, data_type: str, dialect: str, key: str) -> str:
    """An expression of the column's type, where that is possible. A mask that does not fit gives nulls."""
    if not fits(mask, data_type) or not (key or mask.kind != "hash"):
        return _null(column)
    return _KINDS[mask.kind](column, mask, data_type, dialect, key)


def text_literal(value: str, dialect: str) -> str:
    """The value as a literal of the dialect."""
    escaped = value.replace("\\", "\\\\") if dialect == "spark" else value
    return "'" + (escaped.replace("'", "\\'") if dialect == "spark" else escaped.replace("'", "''")) + "'"


def _null(column: str) -> str:
    # A null of the column's own type, without a word for that type.
    return f"CASE WHEN FALSE THEN {column} END"


def _constant(column: str, mask: Mask, data_type: str, dialect: str, key: str) -> str:
    value = mask.option("value")
    is_plain = family_of(data_type) in ("integer", "decimal", "float") and is_number(value)
    literal = value if is_plain else text_literal(value, dialect)
    return f"CASE WHEN FALSE THEN {column} ELSE {literal} END"


def _hash(column: str, mask: Mask, data_type: str, dialect: str, key: str) -> str:
    secret, is_integer = text_literal(key, dialect), family_of(data_type) == "integer"
    if dialect == "sqlite":
        return f"{SQLITE_HASH}({secret}, {column})"
    if dialect == "postgres":
        digest = f"encode(sha256(convert_to({secret} || CAST({column} AS text), 'UTF8')), 'hex')"
        return f"CAST(CAST('x' || substr({digest}, 1, 15) AS bit(60)) AS bigint)" if is_integer else digest
    if dialect == "spark":
        digest = f"sha2(concat({secret}, CAST({column} AS string)), 256)"
        return f"CAST(conv(substr({digest}, 1, 15), 16, 10) AS bigint)" if is_integer else digest
    digest = f"sha256({secret} || CAST({column} AS varchar))"
    return f"CAST('0x' || substr({digest}, 1, 15) AS bigint)" if is_integer else digest


def _partial(column: str, mask: Mask, data_type: str, dialect: str, key: str) -> str:
    first, last = int(mask.option("keep_first", "0")), int(mask.option("keep_last", "0"))
    word = {"postgres": "text", "sqlite": "text", "spark": "string"}.get(dialect, "varchar")
    text = f"CAST({column} AS {word})"
    hidden = _stars(f"length({text}) - {first + last}", dialect)
    if dialect == "sqlite":
        kept = [f"substr({text}, 1, {first})"] if first else []
        ends = [f"substr({text}, -{last})"] if last else []
    else:
        kept, ends = [f"left({text}, {first})"], [f"right({text}, {last})"]
    shown = " || ".join([*kept, hidden, *ends])
    masked = f"CASE WHEN length({text}) > {first + last} THEN {shown} ELSE {_stars(f'length({text})', dialect)} END"
    # In SQLite no length gives no stars, where elsewhere it gives a null.
    return f"CASE WHEN {column} IS NOT NULL THEN {masked} END" if dialect == "sqlite" else masked


def _stars(count: str, dialect: str) -> str:
    return f"replace(hex(zeroblob({count})), '00', '*')" if dialect == "sqlite" else f"repeat('*', {count})"


def _date(column: str, mask: Mask, data_type: str, dialect: str, key: str) -> str:
    grain = mask.option("grain", "year")
    if dialect == "sqlite":
        written = _SQLITE_DATES.get(grain)
        return f"strftime('{written}', {column})" if written else _null(column)
    cut = f"date_trunc('{grain}', {column})"
    return f"CAST({cut} AS date)" if family_of(data_type) == "date" else cut


def _number(column: str, mask: Mask, data_type: str, dialect: str, key: str) -> str:
    """Rounded towards zero, which never leaves the range of the type."""
    step = mask.option("step", "1")
    if dialect == "sqlite":
        return f"CAST({column} / {float(step)!r} AS integer) * {step}"
    if family_of(data_type) == "float":
        cut = "CAST({0} AS bigint)" if dialect == "spark" else "trunc({0})"
        return f"{cut.format(f'{column} / {step}')} * {step}"
    return f"({column} - {column} % {step})"


_KINDS: Mapping[str, Callable[[str, Mask, str, str, str], str]] = {
    "null": lambda column, mask, data_type, dialect, key: _null(column),
    "constant": _constant,
    "hash": _hash,
    "partial": _partial,
    "date": _date,
    "number": _number,
}
