"""Which masks fit which types: a type in a source's own words belongs to one family."""

import re
from datetime import datetime
from typing import Literal

from engine.policy.rules import Mask

Family = Literal["text", "integer", "decimal", "float", "date", "timestamp", "other"]

_FAMILIES: tuple[tuple[str, Family], ...] = (
    (r"(var|n?)char|character|text|string|bpchar|nvarchar|clob|name$", "text"),
    (r"(big|small|tiny|medium|huge|u\w*)?int(eger)?\d*$|long$|serial|bigserial", "integer"),
    (r"decimal|numeric", "decimal"),
    (r"real|double|float", "float"),
    (r"date$", "date"),
    (r"timestamp|datetime", "timestamp"),
)
FITTING: dict[str, frozenset[str]] = {
    "partial": frozenset({"text", "integer", "decimal"}),
    "date": frozenset({"date", "timestamp"}),
    "number": frozenset({"integer", "decimal", "float"}),
}
"""The families that a kind of mask works on; kinds that are not here work on every one."""


def family_of(data_type: str) -> Family:
    """The family of a type; nested and unusual types are `other`."""
    word = data_type.strip().lower()
    if word.endswith("]") or word.startswith(("struct", "map", "list")):
        return "other"
    word = re.sub(r"\(.*?\)", "", word).strip()
    return next((family for pattern, family in _FAMILIES if re.match(pattern, word)), "other")


def fits(mask: Mask, data_type: str) -> bool:
    """Whether the mask can be made of values of this type, and hides anything of them."""
    families, family = FITTING.get(mask.kind), family_of(data_type)
    if families is not None and family not in families:
        return False
    if mask.kind == "constant":
        return _is_of(mask.option("value"), family)
    if mask.kind == "date":
        return family != "date" or mask.option("grain", "year") not in ("day", "hour")
    if mask.kind == "number":
        return family != "integer" or "." not in mask.option("step", "1")
    return True


def is_number(text: str) -> bool:
    """Whether the text is a plain decimal number."""
    return re.fullmatch(r"-?[0-9]{1,18}([.][0-9]{1,18})?", text) is not None


def _is_of(value: str, family: Family) -> bool:
    if family in ("integer", "decimal", "float"):
        return is_number(value) and (family != "integer" or "." not in value)
    if family in ("date", "timestamp"):
        try:
            datetime.fromisoformat(value)
        except ValueError:
            return False
    return family != "other"


def masked_type(mask: Mask | None, data_type: str) -> str:
    """The type that a masked column has, for those who only read about it."""
    if mask is None or mask.kind not in ("hash", "partial") or not fits(mask, data_type):
        return data_type
    family = family_of(data_type)
    if family == "text":
        return data_type
    return "bigint" if mask.kind == "hash" and family == "integer" else "varchar"
