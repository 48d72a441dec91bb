"""What masks promise, written again in Python from their description, without looking at the SQL that makes them."""

from datetime import date, datetime, time
from decimal import Decimal

from engine.policy.rules import Mask
from tests.differential.choices import Choices
from tests.differential.worlds import Column, Value


def random_mask(choices: Choices, column: Column, dialect: str) -> Mask | None:
    """A mask that suits the column's type."""
    makers = {"text": [_constant, _partial], "int": [_number], "dec": [_number], "date": [_date], "ts": [_date]}
    return choices.pick([_null, *makers.get(column.family, [])])(choices)


def _null(choices: Choices) -> Mask:
    return Mask("null")


def _constant(choices: Choices) -> Mask:
    return Mask("constant", (("value", "O'**"),))


def _partial(choices: Choices) -> Mask:
    """Which of two is the stricter is only told where they do not keep equally much."""
    first, last = choices.pick([(0, 0), (0, 1), (2, 0), (2, 1), (0, 4)])
    return Mask("partial", (("keep_first", str(first)), ("keep_last", str(last))))


def _date(choices: Choices) -> Mask:
    return Mask("date", (("grain", choices.pick(["year", "quarter", "month", "day"])),))


def _number(choices: Choices) -> Mask:
    return Mask("number", (("step", choices.pick(["2", "5", "10", "100"])),))


def masked_column(column: Column, mask: Mask, dialect: str) -> Column:
    return column


def masked_value(column: Column, mask: Mask, value: Value) -> Value:
    if mask.kind == "null" or value is None:
        return None
    if mask.kind == "constant":
        return mask.option("value")
    if mask.kind == "partial":
        return _partly(value, int(mask.option("keep_first", "0")), int(mask.option("keep_last", "0")))
    if mask.kind == "date":
        return _coarse(value, mask.option("grain"))
    step = Decimal(mask.option("step"))
    floored = (Decimal(value) // step - (1 if Decimal(value) % step < 0 else 0)) * step
    return type(value)(floored)


def _partly(text: str, first: int, last: int) -> str:
    hidden = len(text) - first - last
    if hidden <= 0:
        return "*" * len(text)
    return text[:first] + "*" * hidden + text[len(text) - last :]


def _coarse(value: date, grain: str) -> date:
    months = {"year": 1, "quarter": (value.month - 1) // 3 * 3 + 1}.get(grain, value.month)
    day = value.day if grain == "day" else 1
    if isinstance(value, datetime):
        return datetime.combine(date(value.year, months, day), time())
    return date(value.year, months, day)
