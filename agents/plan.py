"""The typed plan as models write it: flat and small, every field there; it becomes a definition of build_query."""

from typing import Any

from core.errors import Conflict

OPERATORS = ["eq", "ne", "lt", "le", "gt", "ge", "in", "not_in", "like", "ilike", "is_null", "not_null", "between"]
AGGREGATES = ["count", "sum", "avg", "min", "max", "median", "stddev"]
TEXT = {"type": "string", "maxLength": 200}


def _shape(**properties: Any) -> dict[str, Any]:
    """An object with exactly these fields, as strict JSON schemas want it."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _list(items: dict[str, Any], most: int) -> dict[str, Any]:
    return {"type": "array", "items": items, "maxItems": most}


FILTER = _shape(column=TEXT, operator={"type": "string", "enum": OPERATORS}, value=TEXT)
ORDER = _shape(name=TEXT, direction={"type": "string", "enum": ["asc", "desc"]})
PLAN_SCHEMA = _shape(
    **{"missing": TEXT, "from": TEXT},
    joins=_list(_shape(table=TEXT, left=TEXT, right=TEXT), 6),
    show=_list(TEXT, 12),
    grain=_shape(column=TEXT, unit={"type": "string", "enum": ["", "day", "week", "month", "quarter", "year"]}),
    measures=_list(
        _shape(aggregate={"type": "string", "enum": AGGREGATES}, column=TEXT, distinct={"type": "boolean"}, alias=TEXT),
        6,
    ),
    filters=_list(FILTER, 10),
    having=_list(FILTER, 4),
    order=_list(ORDER, 4),
    limit={"type": "integer", "minimum": 0, "maximum": 10_000},
)
SQL_SCHEMA = _shape(tables=_list(TEXT, 12), sql={"type": "string", "maxLength": 4000})
METRIC_SCHEMA = _shape(
    missing=TEXT,
    metrics=_list(TEXT, 6),
    dimensions=_list(TEXT, 6),
    filters=_list(FILTER, 8),
    grain={"type": "string", "enum": ["", "day", "week", "month", "quarter", "year"]},
    order=_list(ORDER, 3),
    limit={"type": "integer", "minimum": 0, "maximum": 10_000},
)


def read_plan(said: Any) -> dict[str, Any]:
    """A model's plan as a definition. Raises Conflict, which says what is wrong with it."""
    try:
        return _definition(said)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise Conflict("The plan is not of the form that was asked for.", hint="Give every field.") from None


def _definition(said: Any) -> dict[str, Any]:
    select: list[Any] = [str(column) for column in said["show"] if column]
    grain = said["grain"]
    if grain["unit"] and grain["column"]:
        unit = {"function": "date_trunc", "args": [{"value": grain["unit"]}, {"column": grain["column"]}]}
        select.insert(0, {**unit, "alias": grain["unit"]})
    definition: dict[str, Any] = {
        "table": str(said["from"]),
        "joins": [_join(item) for item in said["joins"]],
        "select": select,
        "measures": [_measure(item) for item in said["measures"]],
        "filters": [condition(item) for item in said["filters"]],
        "having": [condition(item) for item in said["having"]],
        "order": [{"column": item["name"], "direction": item["direction"]} for item in said["order"]],
    }
    if said["limit"]:
        definition["limit"] = int(said["limit"])
    return {name: value for name, value in definition.items() if value}


def _join(said: Any) -> dict[str, Any]:
    return {"table": str(said["table"]), "on": [{"left": str(said["left"]), "right": str(said["right"])}]}


def _measure(said: Any) -> dict[str, Any]:
    measure: dict[str, Any] = {"aggregate": said["aggregate"]}
    if said["column"] not in ("", "*"):
        measure |= {"column": str(said["column"]), "distinct": bool(said["distinct"])}
    return measure | ({"alias": str(said["alias"])} if said["alias"] else {})


def condition(said: Any) -> dict[str, Any]:
    """A filter of a plan as a definition has it: lists are written with commas or bars."""
    kept = {"column": str(said["column"]), "operator": str(said["operator"])}
    if kept["operator"] in ("is_null", "not_null"):
        return kept
    value = str(said["value"])
    if kept["operator"] in ("in", "not_in", "between"):
        parts = value.strip("[]()").split("|" if "|" in value else ",")
        return {**kept, "value": [part.strip().strip("'\"") for part in parts if part.strip()]}
    return {**kept, "value": value}
