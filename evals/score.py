"""Whether an answer's rows are right: strict, or as people see it, with columns to spare."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import islice, product
from typing import Any, Literal

Row = Sequence[Any]
DIGITS = 4
MAX_PAIRINGS = 500


def is_equal(gold: Sequence[Row], answer: Sequence[Row]) -> bool:
    """Strict execution accuracy: the same rows in any order, equal rows counted."""
    return Counter(map(_plain_row, gold)) == Counter(map(_plain_row, answer))


def is_subset(gold: Sequence[Row], answer: Sequence[Row]) -> bool:
    """Whether each gold column is found among the answer's columns, row by row, in any order of rows and columns.

    An answer may show more columns than were asked for, not more rows. After Defog's sql-eval."""
    if len(gold) != len(answer):
        return False
    if not gold:
        return True
    wanted, given = list(zip(*map(_plain_row, gold), strict=True)), list(zip(*map(_plain_row, answer), strict=True))
    places = [[at for at, column in enumerate(given) if Counter(column) == Counter(want)] for want in wanted]
    rows = Counter(map(_plain_row, gold))
    return any(
        Counter(tuple(column) for column in zip(*(given[at] for at in pairing), strict=True)) == rows
        for pairing in islice(product(*places), MAX_PAIRINGS)
    )


def is_same_set(gold: Sequence[Row], answer: Sequence[Row]) -> bool:
    """BIRD's execution accuracy to the letter: the same set of rows, equal rows counted once."""
    return set(map(_plain_row, gold)) == set(map(_plain_row, answer))


def what_differs(gold: Sequence[Row], answer: Sequence[Row]) -> Literal["columns", "rows", "values"]:
    """The first thing in which a wrong answer differs: too few columns, another number of rows, or values."""
    if gold and answer and len(answer[0]) < len(gold[0]):
        return "columns"
    return "rows" if len(gold) != len(answer) else "values"


def _plain_row(row: Row) -> tuple[Any, ...]:
    return tuple(map(_plain, row))


def _plain(value: Any) -> Any:
    """Numbers to four digits, whatever their type; a date as its midnight."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float, Decimal)):
        return round(float(value), DIGITS)
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat()
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day).isoformat()
    text = str(value)
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None).isoformat() if text[4:5] == "-" else text
    except ValueError:
        return text
