"""The cheapest tree of joins between the tables that a query needs."""

from collections import defaultdict
from heapq import heappop, heappush

from engine.planner.formulas import columns_of
from engine.planner.intent import Intent
from engine.planner.schema import BY_LABEL, GUESSED, Link, Schema

ThroughLink = tuple[Link, str, str]
"""A link, the table that it is followed from and the one it leads to."""


def join_tree(schema: Schema, wanted: list[str]) -> list[ThroughLink] | None:
    """Links that connect all tables, from the first one on; None when there is no way."""
    found = _tree(schema, wanted)
    return None if found is None else found[0]


def ties(schema: Schema, wanted: list[str]) -> list[str]:
    """The tables that another way of the same cost leads to, over other tables."""
    found = _tree(schema, wanted)
    return [] if found is None else found[1]


def _tree(schema: Schema, wanted: list[str]) -> tuple[list[ThroughLink], list[str]] | None:
    edges: dict[str, list[tuple[str, Link]]] = defaultdict(list)
    for link in schema.links:
        edges[link.child.table].append((link.parent.table, link))
        edges[link.parent.table].append((link.child.table, link))
    tree: list[ThroughLink] = []
    tied: list[str] = []
    joined = [wanted[0]]
    for table in wanted[1:]:
        if table in joined:
            continue
        paths = _paths(edges, joined, table)
        if not paths:
            return None
        if len({tuple(step[2] for step in path) for path in paths}) > 1:
            tied.append(table)
        for step in paths[0]:
            if step[2] not in joined:
                tree.append(step)
                joined.append(step[2])
    return tree, tied


def _paths(edges: dict[str, list[tuple[str, Link]]], sources: list[str], target: str) -> list[list[ThroughLink]]:
    """The cheapest way from some table to another, and the next one if it costs no more."""
    queue: list[tuple[float, int, str, list[ThroughLink]]] = []
    for number, source in enumerate(reversed(sources)):  # of two ways the one from what was named last
        heappush(queue, (0.0, number, source, []))
    seen: set[str] = set()
    found: list[list[ThroughLink]] = []
    least = 0.0
    count = len(sources)
    while queue:
        cost, _, at, path = heappop(queue)
        if found and (cost > least + 0.01 or len(found) > 1):
            break
        if at == target:
            found.append(path)
            least = cost
        elif at not in seen:
            seen.add(at)
            for following, link in edges[at]:
                if following not in seen:
                    count += 1
                    heappush(queue, (cost + link.cost, count, following, [*path, (link, at, following)]))
    return found


def far_values(tree: list[ThroughLink], intent: Intent) -> list[str]:
    """Texts of tables that only another one leads to, of which nothing is said: they may be of something else."""
    if any(factor < 1 for _, factor in intent.doubts):
        return []  # it is not sure anyway
    shown = {column.table for item in intent.measures for column in columns_of(item.column)}
    shown |= {item.column.table for item in intent.dimensions} | {item.name for item in intent.joined}
    shown |= {item.table.name for item in intent.measures if item.table is not None}
    named = {*intent.tables(), *shown}
    far = {target for _, source, target in tree if source not in named} - shown
    found = [item for item in intent.conditions if isinstance(item.value, str) and item.operator == "eq"]
    return [str(item.value) for item in found if item.column.table in far]


def doubts_of(schema: Schema, tree: list[ThroughLink]) -> list[tuple[str, float]]:
    """Joins that might have been others: where two references lead to one table, and where who is who was guessed."""
    found = []
    for link, _, _ in tree:
        same = {item.child for item in schema.links if _ends(item) == _ends(link)}
        if len(same) > 1:
            found.append((f"{link.parent.table} may be there in another role than {' '.join(link.child.words)}", 0.7))
        if GUESSED <= link.cost < BY_LABEL:
            found.append((f"{' '.join(link.child.words)} is taken to be of {schema.base(link.parent.table)}", 0.92))
    return list(dict.fromkeys(found))


def _ends(link: Link) -> tuple[str, str]:
    return link.child.table, link.parent.table


def multiplies(tree: list[ThroughLink], table: str) -> bool:
    """Whether the joins may repeat a table's rows: some step leads from a parent to its children, not into `table`."""
    inward = {table}
    grown = True
    while grown:  # tables that a row of `table` has exactly one of
        grown = False
        for link, source, target in tree:
            one, other = link.child.table, link.parent.table
            if one in inward and other not in inward and {source, target} == {one, other}:
                inward.add(other)
                grown = True
    every = {table} | {name for _, source, target in tree for name in (source, target)}
    return bool(every - inward)
