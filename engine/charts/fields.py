"""What the columns of a result are for a chart: time, a measure, or a category."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["time", "measure", "category", "other"]

_TIME = re.compile(r"^(date|timestamp)")
_NUMBER = re.compile(r"^(u?(tiny|small|big|huge)?int(eger)?|u?bigint|real|double|decimal)")
_YEAR = re.compile(r"(^|_)(year|yr)$", re.IGNORECASE)
_KEY = re.compile(r"(^|_)(id|key|code|zip|number|no)$", re.IGNORECASE)
_PART = re.compile(r"(share|percent|pct|proportion|fraction)", re.IGNORECASE)
_NOT_ADDITIVE = re.compile(
    r"(avg|average|mean|median|min|max|rate|ratio|price|pct|percent|share|per_|stddev|rank|quantile)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Field:
    """One column: what it is for a chart, and its values as JSON."""

    name: str
    role: Role
    values: Sequence[Any]

    @property
    def is_part_of_whole(self) -> bool:
        return bool(_PART.search(self.name))

    @property
    def is_additive(self) -> bool:
        """Whether the sum of some values means something; by the column's name, when in doubt yes."""
        return not _NOT_ADDITIVE.search(self.name)


def read_field(name: str, type_name: str, values: Sequence[Any]) -> Field:
    return Field(name, _role(name, type_name, values), values)


def _role(name: str, type_name: str, values: Sequence[Any]) -> Role:
    if type_name.endswith("]"):  # a list of times is no time
        return "other"
    if _TIME.match(type_name):
        return "time"
    if _NUMBER.match(type_name) and "[" not in type_name and "(" not in type_name.partition("decimal(")[0]:
        if _YEAR.search(name) and all(value is None or 1000 <= value <= 2999 for value in values):
            return "time"
        is_key = _KEY.search(name) and all(value is None or float(value).is_integer() for value in values)
        return "category" if is_key else "measure"
    return "category" if type_name.startswith(("varchar", "boolean", "uuid", "enum", "time")) else "other"
