"""What masks promise, written again in Python from their description.

null: no value. constant: the same for every row, for missing values too. hash: SHA-256 of the tenant's key and the
value as text, in hex; of whole numbers the first 60 bits as a number. partial: so many characters at both ends, the
others as stars; all stars where nothing would be hidden. date: the start of the year, quarter and so on. number: the
nearest multiple of the step towards zero. A mask that does not fit the type gives no value."""

import hashlib
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from engine.policy.rules import Mask
from tests.differential.choices import Choices
from tests.differential.worlds import Column, Value

MASK_KEY = "8f2c" * 16
_WHOLE = ("2", "5", "10", "100")


def random_mask(choices: Choices, column: Column, dialect: str) -> Mask:
    """A mask, which usually suits the column's type."""
    fitting = {
        "text": [_constant, _partial, _partial, _hash],
        "int": [_number, _number, _zero, _partial, _hash],
        "dec": [_number],
        "dbl": [_number],
        "date": [_date, _date],
        "ts": [_date, _date],
    }
    return choices.pick([_null, *fitting.get(column.family, [])])(choices, column)


def _null(choices: Choices, column: Column) -> Mask:
    return Mask("null")


def _constant(choices: Choices, column: Column) -> Mask:
    return Mask("constant", (("value", "O'**"),))


def _zero(choices: Choices, column: Column) -> Mask:
    return Mask("constant", (("value", "0"),))


def _hash(choices: Choices, column: Column) -> Mask:
    return Mask("hash")


def _partial(choices: Choices, column: Column) -> Mask:
    """Which of two is the stricter is only told where they do not keep equally much."""
    first, last = choices.pick([(0, 0), (0, 1), (2, 0), (2, 1), (0, 4)])
    return Mask("partial", (("keep_first", str(first)), ("keep_last", str(last))))


def _date(choices: Choices, column: Column) -> Mask:
    finer = ["day", "hour"] if column.family == "ts" else []
    return Mask("date", (("grain", choices.pick(["year", "quarter", "month", "week", *finer])),))


def _number(choices: Choices, column: Column) -> Mask:
    return Mask("number", (("step", choices.pick(_WHOLE)),))


def masked_column(column: Column, mask: Mask) -> Column:
    """The column with the type it has after the mask."""
    if mask.kind == "partial" and column.family != "text":
        return Column(column.name, "text")
    return Column(column.name, "big") if mask.kind == "hash" and column.family == "int" else column


def masked_value(column: Column, mask: Mask, value: Value) -> Value:
    if mask.kind == "constant":
        return int(mask.option("value")) if column.family == "int" else mask.option("value")
    if mask.kind == "null" or value is None:
        return None
    if mask.kind == "hash":
        digest = hashlib.sha256(f"{MASK_KEY}{value}".encode()).hexdigest()
        return int(digest[:15], 16) if column.family == "int" else digest
    if mask.kind == "partial":
        return _partly(str(value), int(mask.option("keep_first")), int(mask.option("keep_last")))
    if mask.kind == "date":
        return _coarse(value, mask.option("grain"))
    step = int(mask.option("step"))
    return type(value)(int(Decimal(value) / step) * step)


def _partly(text: str, first: int, last: int) -> str:
    hidden = len(text) - first - last
    if hidden <= 0:
        return "*" * len(text)
    return text[:first] + "*" * hidden + text[len(text) - last :]


def _coarse(value: date, grain: str) -> date:
    day = date(value.year, value.month, value.day)
    if grain == "week":
        day -= timedelta(days=day.weekday())
    elif grain in ("year", "quarter", "month"):
        day = day.replace(day=1, month={"year": 1, "quarter": (day.month - 1) // 3 * 3 + 1}.get(grain, day.month))
    if not isinstance(value, datetime):
        return day
    return datetime.combine(day, time(value.hour if grain == "hour" else 0))
