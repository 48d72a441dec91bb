"""Joins that texts tell of: columns to join on, tables that belong together, what a number is the id of."""

from collections.abc import Sequence
from dataclasses import replace

from engine.planner.linking import Linker
from engine.planner.rules import Filtering, Joining, Rules, tables_in
from engine.planner.schema import GUESSED, Column, Link, Schema, Table

CLOSER = 0.4
"""What a join that a text names costs, of what it cost."""


def with_joins(schema: Schema, rules: Rules, named: Sequence[str], linker: Linker) -> Schema:
    """The schema with the joins that texts name; those between what a question speaks of cost less."""
    closer: set[frozenset[str]] = set()
    added: list[Link] = []
    for rule in rules.joining:
        names = [table.name for table in rule.tables]
        if len(set(names) & set(named)) < min(2, len(named)):
            continue
        closer |= {frozenset((one, other)) for one in names for other in names if one != other}
        if len(names) == 2 and not _is_linked(schema, names[0], names[1]):
            added += _between(schema, rule)
    for told in rules.filtering:
        added += _kinds(schema, told, linker)
    if not closer and not added:
        return schema
    links = [
        replace(link, cost=link.cost * CLOSER) if frozenset((link.child.table, link.parent.table)) in closer else link
        for link in schema.links
    ]
    return replace(schema, links=[*links, *added])


def _is_linked(schema: Schema, one: str, other: str) -> bool:
    return any({link.child.table, link.parent.table} == {one, other} for link in schema.links)


def _between(schema: Schema, rule: Joining) -> list[Link]:
    """Two tables on the column that is named, else on the first id of one that is nobody's yet."""
    one, other = rule.tables
    names = {column.name.lower() for table in rule.tables for column in table.columns}
    if rule.column.lower() in names:
        return _on(one, other, rule.column)
    for child, parent in ((one, other), (other, one)):
        free = [column for column in _free_ids(schema, child) if _fits(column, parent)]
        if free:
            return [Link(free[0], parent.key[0], GUESSED)]
    return []


def _on(one: Table, other: Table, name: str) -> list[Link]:
    """On a column that both have, or that one has for the other's key."""
    first, second = (
        next((item for item in table.columns if item.name.lower() == name.lower()), None) for table in (one, other)
    )
    if first is not None and second is not None:
        if first.family != second.family:
            return []
        return [Link(second, first) if first in one.key else Link(first, second)]
    if first is not None and _fits(first, other):
        return [Link(first, other.key[0])]
    return [Link(second, one.key[0])] if second is not None and _fits(second, one) else []


def _kinds(schema: Schema, rule: Filtering, linker: Linker) -> list[Link]:
    """`owner_type = 1 for shops`: the owner_id is then a shop's."""
    found = []
    for condition in rule.conditions:
        column = condition.column
        if not isinstance(column, Column) or column.words[-1:] not in (("type",), ("kind",)) or len(column.words) < 2:
            continue
        table = schema.tables[column.table]
        wanted = (*column.words[:-1], "id")
        own = next((item for item in table.columns if item.words == wanted), None)
        others = [item for item in tables_in(rule.text, linker) if item.name != table.name]
        if own is not None and len(others) == 1 and _fits(own, others[0]):
            is_known = any(link.child == own and link.parent.table == others[0].name for link in schema.links)
            found += [] if is_known else [Link(own, others[0].key[0])]
    return found


def _free_ids(schema: Schema, table: Table) -> list[Column]:
    linked = {link.child for link in schema.links}
    return [item for item in table.columns if item.is_id and item not in linked and item not in table.key]


def _fits(column: Column, table: Table) -> bool:
    return len(table.key) == 1 and table.key[0].family == column.family
