"""Which columns hold the moments of a thing: when it began, ended, was due, or what a verb says was done to it."""

from collections.abc import Iterable
from itertools import takewhile

from engine.planner.formulas import TIMES
from engine.planner.scene import Scene
from engine.planner.schema import Column, Schema, Table
from engine.planner.words import Cues, stem_of

LEAST_ROOT = 3
LEAST_SHARED = 5
WEAK = frozenset(
    (
        *("arrived", "arrive", "arrival", "cancelled", "canceled", "cancellation", "paid", "received", "posted"),
        *("ship", "shipped", "shipping", "dispatch", "dispatched", "sent", "approved", "approval", "processed"),
        *("reviewed", "checkout", "checkin"),
    )
)
"""Words of times that are an end of one thing and the beginning of another."""
ENDS = ("ations", "ation", "ition", "ment", "ings", "ing", "ion", "als", "al", "ery", "ies", "ed", "er", "es", "e", "y")


def root_of(word: str) -> str:
    """What `delivery`, `delivered` and `deliver` begin with."""
    for end in ENDS:
        if word.endswith(end) and len(word) - len(end) >= LEAST_ROOT:
            word = word[: -len(end)]
            break
    is_doubled = len(word) > LEAST_ROOT and word[-1] == word[-2] and word[-1] not in "aeiousl"
    return word[:-1] if is_doubled else word


def roots_of(word: str) -> set[str]:
    """All that a word may begin with: creat of creation, too."""
    cut = {word[: -len(end)] for end in ENDS if word.endswith(end) and len(word) - len(end) > LEAST_ROOT}
    return {word, root_of(word), *cut}


def is_alike(one: str, other: str) -> bool:
    """Whether two words are forms of one: resolve and resolved, registered and registration."""
    if roots_of(one) & roots_of(other):
        return True
    first, second = root_of(one), root_of(other)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))
    return shared >= max(LEAST_SHARED, min(len(first), len(second)) - 2)


def roles_of(column: Column, cues: Cues) -> frozenset[str]:
    """What a column's words say about its moment: begin, end, due, chore."""
    words = [*column.words, "".join(column.words[:2]), " ".join(column.words[:2])]
    return frozenset(role for word in words for role in cues.lifecycle.get(word, ()))


def times_of(table: Table) -> list[Column]:
    """The columns of a table that hold times, without births."""
    return [
        column
        for column in table.columns
        if column.family in TIMES and column.is_readable and "birth" not in column.words and column.words != ("dob",)
    ]


def begin_of(table: Table, cues: Cues) -> Column | None:
    """When a row's thing began: its start, else when it was ordered, else when it was noted."""
    found = [column for column in times_of(table) if "begin" in roles_of(column, cues)]
    plain = [column for column in found if not roles_of(column, cues) & {"chore", "due"}]
    starts = [column for column in plain if not _names(column) & (cues.spans["orders"] | WEAK)]
    ins = [column for column in plain if "checkin" in _names(column)]
    return next(iter(starts or ins or plain or found), None)


def end_of(table: Table, cues: Cues) -> Column | None:
    """When a row's thing ended; what it was due at is no end."""
    found = [column for column in times_of(table) if "end" in roles_of(column, cues)]
    plain = [column for column in found if not roles_of(column, cues) & {"chore", "due"}]
    begin = begin_of(table, cues)
    plain = [column for column in plain if column != begin or len(plain) == 1]
    strong = [column for column in plain if not _names(column) & WEAK]
    return strong[0] if strong else plain[-1] if plain else None


def _names(column: Column) -> set[str]:
    return {*column.words, "".join(column.words[:2])}


def due_of(table: Table, cues: Cues) -> Column | None:
    """When a row's thing should have ended."""
    return next((column for column in times_of(table) if "due" in roles_of(column, cues)), None)


def main_time(table: Table, cues: Cues) -> Column | None:
    """The one moment of a thing: what is called like it, the only one, or the only one that is no chore."""
    times = times_of(table)
    own = [item for item in times if any(is_alike(word, name) for word in item.words for name in table.words)]
    plain = [item for item in times if not roles_of(item, cues) & {"chore", "due"}]
    for choice in (own, times, plain):
        if len(choice) == 1:
            return choice[0]
    return next((item for item in plain if item.words in (("date",), ("time",), ("day",))), None)


def moment_at(scene: Scene, at: int, near: Iterable[str] = ()) -> Column | None:
    """The time that a word stands for: a column's name, a verb of one, or a thing that has one time.

    `near` are tables that go before others."""
    element = scene.elements[at]
    if element.is_used or element.date is not None or element.quoted is not None:
        return None
    named = [item for item in element.candidates if item.column is not None and item.column.family in TIMES]
    if named:
        return scene.column(at, *TIMES)
    word = element.text.lower()
    tables = _tables(scene, near)
    for table in tables:
        found = [item for item in times_of(table) if says(item, word, scene.cues)]
        if found:
            return _best(found, scene.cues)
    if scene.is_table_first(at):
        thing = scene.table(at)
        return main_time(thing, scene.cues) if thing is not None else None
    return None


def moments_at(scene: Scene, at: int, table: Table) -> list[Column]:
    """All times of a table that a word may stand for."""
    element = scene.elements[at]
    named = {item.column for item in element.candidates}
    return [item for item in times_of(table) if item in named or says(item, element.text.lower(), scene.cues)]


def _tables(scene: Scene, near: Iterable[str]) -> list[Table]:
    names = dict.fromkeys([*near, *scene.named])
    entity = scene.intent.entity
    first = [entity.name] if entity is not None else []
    reach = [*scene.schema.tables] if entity is None else _beside(scene.schema, entity)
    return [scene.schema.tables[name] for name in dict.fromkeys([*names, *first, *reach])]


def _beside(schema: Schema, table: Table) -> list[str]:
    """The tables that one is tied to directly."""
    ends = [(link.child.table, link.parent.table) for link in schema.links]
    return [other for one, other in [*ends, *(end[::-1] for end in ends)] if one == table.name]


def _best(found: list[Column], cues: Cues) -> Column:
    plain = [item for item in found if "due" not in roles_of(item, cues)]
    return (plain or found)[0]


def says(column: Column, word: str, cues: Cues) -> bool:
    """Whether a verb or its noun is what a column's time is of."""
    stem = stem_of(word)
    parts = set(stem.replace("-", " ").split())
    if len(parts) != 1:  # `check-ins`
        parts = {part if part in column.words else part.removesuffix("s") for part in parts}
        return bool(parts) and parts <= set(column.words)
    if len(stem) <= LEAST_ROOT and stem not in column.words:
        return False
    others = [*cues.verbs.get(stem, ()), *cues.happenings.get(stem, ())]
    return any(
        name == each or (len(name) > LEAST_ROOT and is_alike(name, each))
        for name in column.words
        for each in (stem, *others)
    )
