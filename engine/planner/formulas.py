"""What is computed of a row and used as a column is: days between two dates, the hour of a time, price times amount."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from engine.planner.schema import Column, Family

Operator = Literal["+", "-", "*", "/", "span", "part", "trunc", "shift"]
"""`span` is how many units lie between two times, `part` the hour or weekday of one, `trunc` the beginning of its
month, `shift` a time so many units later."""
TIMES = ("date", "time")


@dataclass(frozen=True, slots=True)
class Formula:
    """Two values and what is done with them; a `span` or `part` has a unit. It goes by its words."""

    operator: Operator
    parts: "tuple[Column | Formula | date | int | float, ...]"
    words: tuple[str, ...]
    unit: str = ""
    family: Family = "number"

    @property
    def name(self) -> str:
        return "_".join(self.words)

    @property
    def table(self) -> str:
        """The table of its first column: where there are several, that whose rows it is of."""
        return columns_of(self)[0].table

    @property
    def is_id(self) -> bool:
        return False


Value = Column | Formula


def columns_of(value: Any) -> tuple[Column, ...]:
    """The columns that a value is made of."""
    if isinstance(value, Column):
        return (value,)
    if isinstance(value, Formula):
        return tuple(column for part in value.parts for column in columns_of(part))
    return ()
