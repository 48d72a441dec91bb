"""Values on their way into a column's type: in full or not at all. DuckDB's own cast would round 1.5 to 2."""

from collections.abc import Mapping

from engine.connectors.duck import quote
from engine.transfer.types import kept_type

INTEGERS = frozenset({"INTEGER", "BIGINT"})
_NATURAL = frozenset({"VARCHAR", "FLOAT", "DOUBLE"})  # to be inexact is in the nature of the last two


def read_as(wanted: str) -> str:
    """The type that a column of text is read with: integers come as text, so that a fraction is seen."""
    return "VARCHAR" if wanted in INTEGERS else wanted


def fitted(value: str, found: str, wanted: str, formats: Mapping[str, str] | None = None) -> str:
    """The value as `wanted`, NULL where it does not fit. `formats` are those of dates and times, as SQL literals."""
    if found == "VARCHAR":
        return _from_text(value, wanted, formats or {})
    cast = f"TRY_CAST({value} AS {wanted})"
    if _is_plain(found, wanted):
        return cast
    return f"CASE WHEN TRY_CAST({cast} AS {found}) IS NOT DISTINCT FROM {value} THEN {cast} END"


def demanded(value: str, found: str, wanted: str, name: str) -> str:
    """The value as `wanted`; DuckDB raises where it does not fit."""
    cast = f"CAST({value} AS {wanted})"
    if found == "VARCHAR" and wanted in INTEGERS:
        whole = f"TRY_CAST({value} AS DOUBLE) % 1 = 0"
        suspect = " OR ".join(f"contains({value}, {sign})" for sign in ("'.'", "'e'", "'E'"))
        return f"CASE WHEN ({suspect}) AND NOT coalesce({whole}, false) THEN {_raise(name, wanted)} ELSE {cast} END"
    if found == "VARCHAR" or _is_plain(found, wanted):
        return cast
    fits = f"TRY_CAST(TRY_CAST({value} AS {wanted}) AS {found}) IS NOT DISTINCT FROM {value}"
    return f"CASE WHEN {fits} THEN {cast} ELSE {_raise(name, wanted)} END"


def _from_text(value: str, wanted: str, formats: Mapping[str, str]) -> str:
    if wanted in INTEGERS:
        return f"CASE WHEN TRY_CAST({value} AS DOUBLE) % 1 = 0 THEN TRY_CAST({value} AS {wanted}) END"
    if wanted in formats:
        return f"CAST(try_strptime({value}, {formats[wanted]}) AS {wanted})"
    return f"TRY_CAST({value} AS {wanted})"


def _is_plain(found: str, wanted: str) -> bool:
    """Whether nothing can get lost, or only what no table can hold."""
    is_nested = any(sign in found + wanted for sign in "[(") and "DECIMAL" not in found + wanted
    return wanted in _NATURAL or wanted == kept_type(found) or is_nested


def _raise(name: str, wanted: str) -> str:
    return f"CAST(error({quote(f'{name} does not fit')}) AS {wanted})"
