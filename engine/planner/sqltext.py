"""Scraps of SQL in texts that people write: `count(distinct order_id)`, `status = 'active'`. Read, never run.

Only names that the schema has are taken, and only plain comparisons; all else is no SQL."""

import re
from collections.abc import Mapping

from engine.planner.formulas import Formula, Value
from engine.planner.intent import Condition, Measure
from engine.planner.schema import Column, Schema

_CALL = re.compile(
    r"^(?P<name>count|sum|avg|min|max|median)\s*\(\s*(?P<distinct>distinct\b\s*)?\(?\s*"
    r"(?P<column>\*|[\w.\"`]+(?:\s*[-+*/]\s*[\w.\"`]+)?)\s*\)?\s*\)"
    r"(?:\s*(?:\.\.\.)?\s*(?:filter\s*\(\s*)?where\s+(?P<where>.+?)\)?)?\s*$",
    re.I,
)
_COMPARISON = re.compile(
    r"(?P<column>[A-Za-z_][\w.]*)\s*(?P<operator>=|==|!=|<>|>=|<=|>|<|\bis not\b|\bis\b)\s*"
    r"(?P<value>'[^'\n]{0,100}'|\"[^\"\n]{0,100}\"|-?\d+(?:\.\d+)?\b|true\b|false\b|null\b)",
    re.I,
)
_AMONG = re.compile(
    r"(?P<column>[A-Za-z_][\w.]*)\s+(?P<not>not\s+)?in\s*\((?P<values>(?:\s*(?:'[^'\n]{0,100}'|-?\d+(?:\.\d+)?)\s*,?){1,50})\)",
    re.I,
)
_BETWEEN_COLUMNS = re.compile(
    r"(?P<column>[A-Za-z_][\w.]*)\s*(?P<operator>=|==|!=|<>|>=|<=|>|<)\s*(?P<other>[A-Za-z_][\w.]*)\b(?!\s*\()", re.I
)
_OF_ROW = re.compile(r"^(?P<one>[\w.\"`]+)\s*(?P<operator>[-+*/])\s*(?P<other>[\w.\"`]+)$")
_ANY_OF = re.compile(
    r"(?P<column>[A-Za-z_][\w.]*)\s*(?:=|\b(?:is|are)(?: either| one of)?\b)\s*"
    r"(?P<values>'[^'\n]{0,100}'(?:\s*(?:,\s*or|,|or)\s*'[^'\n]{0,100}'){1,50})",
    re.I,
)
_VALUE = re.compile(r"'([^']*)'|(-?\d+(?:\.\d+)?)")
_OPERATORS = {"=": "eq", "==": "eq", "!=": "ne", "<>": "ne", ">=": "ge", "<=": "le", ">": "gt", "<": "lt"}


def read_call(text: str, schema: Schema, named: Mapping[str, float]) -> Measure | None:
    """An aggregate call over a column of the schema; None for anything else."""
    match = _CALL.match(text.strip())
    if match is None:
        return None
    aggregate = match["name"].lower()
    conditions, rest = read_conditions(match["where"] or "", schema, named)
    if rest.strip(" ()"):
        return None
    column = None if match["column"] == "*" else _value(match["column"], schema, named)
    if column is None:
        if match["column"] != "*" or aggregate != "count":
            return None
        return Measure("count", conditions=tuple(conditions))  # of which table, the rest says
    if aggregate not in ("count", "min", "max") and column.family != "number":
        return None
    is_distinct = bool(match["distinct"])
    return Measure(aggregate, column, is_distinct=is_distinct, conditions=tuple(conditions))  # type: ignore[arg-type]


def read_conditions(text: str, schema: Schema, named: Mapping[str, float]) -> tuple[list[Condition], str]:
    """The comparisons in a text with columns of the schema, all of which must hold, and the text without them."""
    found: list[Condition] = []
    if re.search(r"'\s+or\s+\w+\s*(?:=|in\b|like\b)|\d\s+or\s+\w+\s*(?:=|in\b)", text, re.I):
        return [], text  # which of them holds is not told by a list

    def take(match: re.Match[str]) -> str:
        made = _condition(match, schema, named)
        if made is None:
            return match.group()
        found.append(made)
        return "\x00"

    rest = _BETWEEN_COLUMNS.sub(take, _COMPARISON.sub(take, _AMONG.sub(take, _ANY_OF.sub(take, text))))
    rest = re.sub(r"(?:\s*\b(?:and|where|with|whose|having)\b)?\s*(?:\b(?:the|a|an|their|its)\b\s*)?\x00", " ", rest)
    if found:
        rest = re.sub(r"\s+(?:whose|with|where|that|which|who|having)(?:\s+\w+){0,2}\s*$", "", rest)
    return found, " ".join(rest.split())


def _value(text: str, schema: Schema, named: Mapping[str, float]) -> Value | None:
    """A column, or two numbers of a row and what is done with them."""
    both = _OF_ROW.match(text.strip())
    if both is None:
        return find_column(text, schema, named)
    one, other = find_column(both["one"], schema, named), find_column(both["other"], schema, named)
    if one is None or other is None or {one.family, other.family} != {"number"}:
        return None
    return Formula(both["operator"], (one, other), (*one.words, *other.words))  # type: ignore[arg-type]


def _condition(match: re.Match[str], schema: Schema, named: Mapping[str, float]) -> Condition | None:
    column = find_column(match["column"], schema, named)
    if column is None or not column.is_readable:
        return None
    groups = match.groupdict()
    if groups.get("other") is not None:
        other = find_column(groups["other"], schema, named)
        is_alike = other is not None and other.family == column.family and other != column
        return Condition(column, _OPERATORS[match["operator"]], other=other) if is_alike else None
    if groups.get("values") is not None:
        values = [text or _number(number) for text, number in _VALUE.findall(groups["values"])]
        return (
            Condition(column, "not_in" if groups.get("not") else "in", tuple(values)) if _fits(column, values) else None
        )
    operator, value = " ".join(match["operator"].lower().split()), match["value"]
    if value.lower() == "null":
        return Condition(column, "not_null" if operator in ("is not", "!=", "<>") else "is_null")
    if value.lower() in ("true", "false"):
        is_true = (value.lower() == "true") == (operator in ("is", "=", "=="))
        return Condition(column, "eq", is_true) if column.family == "boolean" else None
    if operator in ("is", "is not"):
        operator = "=" if operator == "is" else "!="
    plain = value[1:-1] if value[0] in "'\"" else _number(value)
    return Condition(column, _OPERATORS[operator], plain) if _fits(column, [plain]) else None


def find_column(name: str, schema: Schema, named: Mapping[str, float]) -> Column | None:
    """The column of that very name; of several those of tables that are spoken of."""
    parts = name.replace('"', "").replace("`", "").split(".")
    found = [
        column
        for table in schema.tables.values()
        for column in table.columns
        if column.name.lower() == parts[-1].lower()
    ]
    if len(parts) > 1:
        own = [item for item in found if item.table.rpartition(".")[2].strip('"').lower() == parts[-2].lower()]
        found = own or (found if len(parts[-2]) <= 2 else [])  # an alias such as `t` says nothing
    best = max(found, key=lambda item: named.get(item.table, 0.0), default=None)
    if best is None or not best.is_readable:
        return None
    is_open = any(item != best and named.get(item.table, 0.0) == named.get(best.table, 0.0) for item in found)
    return None if is_open else best


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text)


def _fits(column: Column, values: list[str | int | float]) -> bool:
    """Whether values are of a column's kind, so that comparing them is no error of the source's."""
    kinds = {"number": (int, float), "text": (str,), "date": (str,), "time": (str,)}.get(column.family, ())
    return bool(values) and all(isinstance(value, kinds) for value in values)
