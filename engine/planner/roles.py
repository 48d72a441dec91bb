"""Tables in a role: the airport that a flight goes to, whom a parcel is from, the manager of an employee."""

from collections.abc import Iterator
from dataclasses import replace

from engine.planner.elements import Element
from engine.planner.schema import Column, Schema, Table
from engine.planner.words import Cues, lemma_of

STRONG = 0.85
BACK = 6


def assign_roles(elements: list[Element], schema: Schema, cues: Cues) -> None:
    """What is said of a table that a question speaks of in one role, or in several, is said of that role."""
    for base in {table for table, _, _ in schema.roles.values()}:
        roles = {name: role for name, (table, role, _) in schema.roles.items() if table == base}
        said = {at: name for at, element in enumerate(elements) if (name := _named(element, roles)) is not None}
        verbs = dict(_verbs(elements, roles, cues))
        places = [at for at, element in enumerate(elements) if _is_of(element, base)]
        found = {at: _role_at(elements, at, base, said, verbs, _Sides(roles, cues)) for at in places}
        first = next((found[at] for at in places if _is_table(elements[at], base)), None)
        for at in places:
            if found[at] is None and not _is_table(elements[at], base) and not elements[at].values:
                found[at] = first
            beside = next((p for p in (at - 1, at + 1) if found.get(p) and elements[p].values), None)
            name = found[at if beside is None or elements[at].values else beside]  # `the North region`
            if name is not None:
                _put(elements[at], schema.tables[base], schema.tables[name])
        for at, name in verbs.items():
            if any(_named(element, roles) == name for element in elements):
                elements[at].is_used = True


class _Sides:
    """The roles that things come from and go to."""

    def __init__(self, roles: dict[str, tuple[str, ...]], cues: Cues):
        self.of = {
            side: [name for name, role in roles.items() if any(cues.ends.get(word) == side for word in role)]
            for side in ("to", "from")
        }

    def only(self, side: str | None) -> str | None:
        names = self.of.get(side or "", [])
        return names[0] if len(names) == 1 else None


def _is_of(element: Element, base: str) -> bool:
    named = [item for item in element.candidates if item.score >= STRONG]
    if named:
        return (named[0].table.name if named[0].table else named[0].column.table if named[0].column else "") == base
    return any(column.table == base for column, _ in element.values)


def _named(element: Element, roles: dict[str, tuple[str, ...]]) -> str | None:
    """The role that an element is a word for."""
    for item in element.candidates[:1]:
        name = item.table.name if item.table else item.column.table if item.column else ""
        if name in roles:
            return name
    return None


def _verbs(elements: list[Element], roles: dict[str, tuple[str, ...]], cues: Cues) -> Iterator[tuple[int, str]]:
    """Verbs that say who is in which role: who `lent` is the lender, what `dispatched` the origin."""
    sides = _Sides(roles, cues)
    for at, element in enumerate(elements):
        verb = lemma_of(element.text)
        is_denied = any("missing" in item.cues or "negation" in item.cues for item in elements[max(0, at - 2) : at])
        is_named = any(item.table is not None for item in element.candidates) or element.values
        if is_named or is_denied or verb not in cues.sets["verbs"]:
            continue
        agents = {
            verb,
            verb + "er",
            verb + "or",
            verb.rstrip("e") + "er",
            verb.rstrip("e") + "or",
            verb + verb[-1] + "er",
        }
        own = [name for name, role in roles.items() if set(role) & agents]
        side = next((side for side in ("to", "from") if verb in cues.sets[f"moving_{side}"]), None)
        name = own[0] if len(own) == 1 else sides.only(side)
        if name is not None:
            yield at, name


def _role_at(
    elements: list[Element], at: int, base: str, said: dict[int, str], verbs: dict[int, str], sides: _Sides
) -> str | None:
    for place in range(at - 1, max(-1, at - BACK), -1):  # `to Boston`
        toward = elements[place].cues.get("toward")
        if toward is not None:
            return sides.only(toward)
        if not (elements[place].is_ignored or "distinct" in elements[place].cues or _is_table(elements[place], base)):
            break
    is_table = any(item.table is not None and item.score >= STRONG for item in elements[at].candidates[:1])
    first = next(place for place, element in enumerate(elements) if _is_of(element, base))
    after = [place for place in verbs if place > at]
    if is_table and at == first and after:
        return verbs[after[0]]
    names = set(said.values())
    if len(names) == 1 and not any(_is_table(element, base) for element in elements):
        return names.pop()
    if len(names) == 1 and is_table and at == first and any(_is_as(elements, place) for place in said):
        return names.pop()
    if not names and len(set(verbs.values())) == 1 and not any(_is_table(element, base) for element in elements):
        return verbs[min(verbs)]
    near = [place for place in said if abs(place - at) <= BACK]
    return said[min(near, key=lambda place: abs(place - at))] if near and not is_table else None


def _is_as(elements: list[Element], at: int) -> bool:
    """`as a destination`"""
    return "as" in [element.text.lower() for element in elements[max(0, at - 2) : at]]


def _is_table(element: Element, base: str) -> bool:
    return any(
        item.table is not None and item.table.name == base and item.score >= STRONG for item in element.candidates
    )


def _put(element: Element, base: Table, role: Table) -> None:
    """Let an element speak of a table in a role."""
    own = {column.name: column for column in role.columns}
    element.candidates = [
        replace(item, table=role)
        if item.table is not None and item.table.name == base.name
        else replace(item, column=own[item.column.name])
        if item.column is not None and item.column.table == base.name
        else item
        for item in element.candidates
    ]
    element.values = [(_put_column(column, base, own), value) for column, value in element.values]


def _put_column(column: Column, base: Table, own: dict[str, Column]) -> Column:
    return own[column.name] if column.table == base.name else column
