"""What things must not have, as a condition: no row that belongs to them and meets what is said of it."""

from collections.abc import Callable, Mapping
from typing import Any

from engine.planner.intent import Condition, Lack
from engine.planner.joins import ThroughLink, join_tree
from engine.planner.schema import Column, Schema

Definition = dict[str, Any]


def write_lack(
    lack: Lack, schema: Schema, alias: Mapping[str, str], condition: Callable[[Condition, str], Definition]
) -> Definition | None:
    """The condition, or none where nothing connects the two. `condition` writes one over an alias of its own."""
    refers = any(link.child.table == lack.table.name and link.parent.table in alias for link in schema.links)
    if not lack.conditions and lack.reference is None and not refers:
        for link in schema.links:
            if link.parent.table == lack.table.name and link.child.table in alias:
                return {"column": path(alias[link.child.table], link.child), "operator": "is_null"}
    steps = _steps(lack, schema, alias)
    if steps is None:
        return None
    names = {step[2]: "n" if number == 0 else f"n{number}" for number, step in enumerate(steps)}
    link, source, target = steps[0]
    own, other = (link.child, link.parent) if link.child.table == target else (link.parent, link.child)
    inner = {"column": path("n", own), "operator": "eq", "other": {"column": path(alias[source], other)}}
    query: Definition = {"table": schema.base(target), "alias": "n", "select": [{"value": 1}]}
    if len(steps) > 1:
        query["joins"] = [_join(step, schema, names) for step in steps[1:]]
    query["filters"] = [inner, *(condition(item, names[item.column.table]) for item in lack.conditions)]
    return {"not": {"exists": query}}


def _steps(lack: Lack, schema: Schema, alias: Mapping[str, str]) -> list[ThroughLink] | None:
    """The joins from a table of the query to what is missing, and on to what is said of it."""
    wanted = list(dict.fromkeys([lack.table.name, *(item.column.table for item in lack.conditions)]))
    if lack.reference is not None:
        for link in schema.links:
            if link.child == lack.reference and link.parent.table in alias:
                return [(link, link.parent.table, link.child.table)]
    for name in alias:
        tree = join_tree(schema, [name, *wanted])
        if tree and [step[1] for step in tree].count(name) == 1 and not {step[2] for step in tree} & set(alias):
            return tree
    return None


def _join(step: ThroughLink, schema: Schema, names: Mapping[str, str]) -> Definition:
    link, _, target = step
    ends = {"left": path(names[link.child.table], link.child), "right": path(names[link.parent.table], link.parent)}
    return {"table": schema.base(target), "alias": names[target], "on": [ends]}


def path(alias: str, column: Column) -> str:
    """A column of an alias, as a definition spells it."""
    quoted = column.name.replace('"', '""')
    return f'{alias}."{quoted}"'
