"""Values that are none of their column's type, and how that is told: which record, which column, what was expected."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from core.errors import Conflict

MAX_TOLD = 5
_NUMBER = re.compile(r"[+-]?\d{1,400}(\.\d{1,400})?([eE][+-]?\d{1,3})?", re.ASCII)


class Misfit(ValueError):
    """A value is not what it should be; the text says what that is."""


class Column(Protocol):
    """A column as values are made for it."""

    @property
    def name(self) -> str: ...

    @property
    def is_required(self) -> bool: ...

    def fit(self, value: Any) -> Any:
        """The value as it is written. Raises Misfit."""
        ...


@dataclass(slots=True)
class Misfits:
    """Collects what is wrong with many values, to tell of the first few."""

    told: list[str]
    count: int = 0

    def add(self, where: str, wanted: str) -> None:
        self.count += 1
        if len(self.told) < MAX_TOLD:
            self.told.append(f"{where} must be {wanted}")

    def check(self) -> None:
        """Raises Conflict when there was anything."""
        if self.count:
            more = f" And {self.count - len(self.told)} more." if self.count > len(self.told) else ""
            raise Conflict(
                f"Values do not fit their columns: {'; '.join(self.told)}.{more}"[:2000],
                hint="list_columns shows the types; nothing was written.",
            )


def fit_all(
    records: Sequence[Mapping[str, Any]], columns: Iterable[Column], *, label: str = "records"
) -> dict[str, list[Any]]:
    """Values by column, None where a record has none. Raises Conflict that names records and columns.

    `label` says how the caller's own field is called; without an index where there is only one."""
    misfits = Misfits([])
    found = {column.name: _fit_column(records, column, label, misfits) for column in columns}
    misfits.check()
    return found


def _fit_column(records: Sequence[Mapping[str, Any]], column: Column, label: str, misfits: Misfits) -> list[Any]:
    values = []
    for number, record in enumerate(records):
        value = record.get(column.name)
        try:
            if value is None and column.is_required:
                raise Misfit("a value: the column may not be null")
            values.append(column.fit(value))
        except Misfit as misfit:
            place = f"{label}[{number}]" if label == "records" else label
            misfits.add(f"{place}.{column.name[:80]}", str(misfit))
            values.append(None)
    return values


def checked_text(value: Any) -> str:
    """Raises Misfit for what is no text, or one that no file could hold."""
    if not isinstance(value, str):
        raise Misfit("a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Misfit("a text of whole characters") from None
    return value


def number_text(value: Any, wanted: str = "a number") -> str:
    """The number's digits. Raises Misfit."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Misfit(wanted)
    text = repr(value)
    if not _NUMBER.fullmatch(text):
        raise Misfit(wanted if isinstance(value, int) else f"{wanted}; send NaN and Infinity as texts")
    return text
