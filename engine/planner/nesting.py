"""Queries over the rows of a query: the first of each group, how many groups there are, averages of their sums."""

from typing import Any

from engine.planner.intent import Nested

Definition = dict[str, Any]
PLACE = "place"


def names_of(definition: Definition) -> list[str]:
    """What the columns of a definition are called."""
    return [item["alias"] for item in (*definition.get("select", ()), *definition.get("measures", ()))]


def first_of_each(definition: Definition, nested: Nested, within: list[Definition], by: Definition) -> Definition:
    """The rows that come first in each group; those that are level all do."""
    order = {"expression": by, "direction": "desc" if nested.is_descending else "asc", "nulls": "last"}
    names = names_of(definition)
    alias = _free(PLACE, names)
    place = {"function": "rank", "over": {"partition_by": within, "order": [order]}, "alias": alias}
    inner = {key: value for key, value in definition.items() if key not in ("order", "limit", "distinct")}
    inner["select"] = [*inner.get("select", ()), place]
    chosen = {"column": _of(alias), "operator": "le", "value": nested.count}
    return {"subquery": inner, "alias": "r", "select": [_column(name) for name in names], "filters": [chosen]}


def over_groups(definition: Definition, nested: Nested, outer: list[str], measure: str) -> Definition:
    """How many groups there are, or an aggregate of what each group has."""
    inner = {key: value for key, value in definition.items() if key not in ("order", "limit")}
    made: Definition = {"subquery": inner, "alias": "r", "select": [_column(name) for name in outer]}
    if nested.kind == "count":
        return {**made, "measures": [{"aggregate": "count", "alias": measure}]}
    name = f"{nested.aggregate}_{measure}"
    return {**made, "measures": [{"aggregate": nested.aggregate, "column": _of(measure), "alias": name}]}


def average_count(table: str, owner: str) -> Definition:
    """How many rows of a table an owner has on average."""
    counted = {"aggregate": "count", "alias": "count"}
    inner = {"table": table, "alias": "a", "select": [{"column": owner, "alias": "owner"}], "measures": [counted]}
    inner["filters"] = [{"column": owner, "operator": "not_null"}]
    return {"subquery": inner, "alias": "r", "measures": [{"aggregate": "avg", "column": _of("count")}]}


def _column(name: str) -> dict[str, Any]:
    return {"column": _of(name), "alias": name}


def _of(name: str) -> str:
    quoted = name.replace('"', '""')
    return f'r."{quoted}"'


def _free(name: str, taken: list[str]) -> str:
    return next(made for number in range(1, 100) if (made := name if number == 1 else f"{name}_{number}") not in taken)
