"""What values and references show of a schema: keys, joins, and tables in the roles that references give them."""

from dataclasses import replace

from engine.planner.schema import Column, Link, Schema, Table

LEAST_NAMES, LEAST_USED = 3, 2
CONTAINED, SAME_NAME = 0.9, 0.5
"""The share of texts that must be among those of a key."""
PLAIN = frozenset(["id", "code", "key", "number", "uuid", "ref", "by", "name", "no"])
"""Words of a reference that say nothing of its role."""
ROLE_COST = 0.3


def learn_from_values(schema: Schema) -> None:
    """Keys and joins that values show, and the roles of what they join.

    A text that is another in each row is a key; a column whose texts are nearly all among those of a key refers to
    it."""
    texts: dict[Column, set[str]] = {}
    for text, holders in schema.values.items():
        for column, _ in holders:
            texts.setdefault(column, set()).add(text)
    for column, names in texts.items():
        table = schema.table_of(column)
        is_key = (
            not table.key and len(names) >= LEAST_NAMES and len(names) == table.row_count and column not in table.labels
        )
        if is_key:
            schema.tables[table.name] = replace(table, key=(column,), labels=table.labels or (column,))
    linked = {link.child for link in schema.links}
    for parent, names in texts.items():
        table = schema.table_of(parent)
        is_mere_label = parent in table.labels and bool(table.key) and parent not in table.key
        if is_mere_label or len(names) < LEAST_NAMES or table.row_count != len(names):
            continue
        for child, used in texts.items():
            is_free = child.table != parent.table and child not in linked and len(used) >= LEAST_USED
            least = SAME_NAME if child.name == parent.name else CONTAINED
            if is_free and len(used & names) >= least * len(used) and _is_reference(child, parent, table):
                schema.links.append(Link(child, parent, 1.5))
    add_roles(schema)


def _is_reference(child: Column, parent: Column, table: Table) -> bool:
    """Whether a column may stand for a row of another table: not where both merely list what things are called."""
    return child.name == parent.name or not (set(child.words) & {"name", "title"}) or child.words[:-1] == table.words


def add_roles(schema: Schema) -> None:
    """A table of its own for each reference that is called by what its thing is there for."""
    for link in [item for item in schema.links if item.parent.table not in schema.roles]:
        table = schema.tables[link.parent.table]
        role = _role_of(link, table)
        if not role:
            continue
        name = f"{table.name} as {link.child.table}.{link.child.name}"
        columns = tuple(replace(column, table=name) for column in table.columns)
        by_name = {column.name: column for column in columns}
        schema.tables.roles[name] = Table(
            name,
            (*role, *table.words),
            columns,
            tuple(by_name[column.name] for column in table.key),
            tuple(by_name[column.name] for column in table.labels),
            table.row_count,
        )
        schema.roles[name] = (table.name, role, link.child)
        schema.links.append(Link(link.child, by_name[link.parent.name], link.cost + ROLE_COST))
    schema.links = [item for item in schema.links if item.child.table != item.parent.table]


def _role_of(link: Link, table: Table) -> tuple[str, ...]:
    child, is_self = link.child, link.child.table == table.name
    if child.name == link.parent.name or (len(child.words) == 1 and child.is_id):
        return ()
    role = tuple(word for word in child.words if word not in table.words and word not in PLAIN)
    return role or (child.words[:1] if is_self else ())
