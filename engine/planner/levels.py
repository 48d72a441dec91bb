"""Things beside the average of all: `products that cost more than average`, `clients with more orders than average`."""

from engine.planner.amounts import amounts_of
from engine.planner.formulas import Value
from engine.planner.intent import Condition, Having, Level, Measure
from engine.planner.ranking import natural_of
from engine.planner.scene import NEAR, Scene
from engine.planner.schema import Column, Table
from engine.planner.subjects import thing_at

OPERATORS = ("gt", "ge", "lt", "le")
LIGHT = ("the", "an", "a", "overall", "general", "their", "its")
COSTS = ("cost", "costs", "worth")
THEIR = ("their", "its", "his", "her", "own")


def read_levels(scene: Scene) -> None:
    """Comparisons with an average, each where it stands."""
    for at, element in enumerate(scene.elements):
        operator = scene.cue(at, "compare")
        if operator not in OPERATORS or element.is_used:
            continue
        average = next((p for p in range(at + 1, at + 4) if scene.word(p) not in LIGHT), at + 1)
        if scene.cue(average, "aggregates") != "avg" or scene.elements[average].is_used:
            continue
        if _read(scene, at, average, operator or ""):
            for place in range(at, average + 1):
                scene.elements[place].is_used = True
            _doubt_groups(scene, average)


def _read(scene: Scene, at: int, average: int, operator: str) -> bool:
    entity = scene.intent.entity
    is_count = scene.cue(average + 1, "count") is not None
    noun = _noun(scene, average + 1 + is_count)
    if is_count:
        table = thing_at(scene, noun) if noun is not None else None
        if table is None or entity is None or table == entity:
            return False
        _count(scene, table, entity, operator, [average + 1, *([noun] if noun is not None else [])])
        return True
    value: Value | None = None
    if noun is not None and not scene.is_table_first(noun):
        value = scene.column(noun, "number")
    places = [noun] if value is not None and noun is not None else []
    if value is None:
        value, places = _said_before(scene, at, entity)
        places = [*places, *([noun] if noun is not None and thing_at(scene, noun) == entity else [])]
    if value is None:
        counted = _counted_before(scene, at, entity)
        if counted is None or entity is None:
            return False
        _count(scene, counted[1], entity, operator, [counted[0]])
        return True
    kinds = [scene.value_of(noun)] if noun is not None and _is_kind(scene, noun) else []
    places += [noun] if kinds and noun is not None else []
    level = Level("avg", value, conditions=tuple(kinds), within=_own_group(scene, average, value))
    _compare(scene, level, operator, places)
    return True


def _noun(scene: Scene, start: int) -> int | None:
    for place in range(start, min(start + 3, len(scene.elements))):
        element = scene.elements[place]
        if element.is_schema or _is_kind(scene, place):
            return place
        if element.sign or not element.is_ignored:
            return None
    return None


def _is_kind(scene: Scene, place: int) -> bool:
    """`the average movie`, of things that are called titles."""
    entity, element = scene.intent.entity, scene.elements[place]
    held = {column.table for column, _ in element.values}
    return entity is not None and not element.is_schema and entity.name in held


def _said_before(scene: Scene, at: int, entity: Table | None) -> tuple[Value | None, list[int]]:
    """`tickets that cost more than`, `agents that earn more than`, `movies longer than`."""
    for place in range(at - 1, max(-1, at - NEAR), -1):
        element = scene.elements[place]
        amounts = amounts_of(scene.schema, entity) if entity is not None and scene.word(place) in COSTS else []
        if amounts and not element.is_schema:
            return amounts[0].value, [place]
        if not element.is_schema or element.is_used or scene.is_table_first(place):
            continue
        column = scene.column(place, "number")
        if column is not None and not column.is_id:
            return _own_amount(scene, place, column, entity), [place]
    if entity is None:
        return None, []
    word = scene.word(at).split()[0]
    is_plain = word in ("more", "less", "over", "above", "below", "under")
    return (None if is_plain else natural_of(scene, entity, word)), []


def _own_amount(scene: Scene, place: int, column: Column, entity: Table | None) -> Value:
    """`visits that cost more` is about their own fee, rather than about a price elsewhere."""
    if entity is None or column.table == entity.name or scene.word(place) not in COSTS:
        return column
    amounts = amounts_of(scene.schema, entity)
    return amounts[0].value if amounts else column


def _counted_before(scene: Scene, at: int, entity: Table | None) -> tuple[int, Table] | None:
    """`clients with more rentals than average`"""
    for place in range(at - 1, max(-1, at - NEAR), -1):
        table = thing_at(scene, place)
        if table is not None and table != entity:
            return place, table
    return None


def _count(scene: Scene, table: Table, owner: Table, operator: str, places: list[int]) -> None:
    scene.intent.havings.append(Having(Measure("count", table=table), operator, Level("avg", table=table, owner=owner)))
    scene.intent.doubt("those that have none may count for the average too", 0.9)
    for place in places:
        scene.elements[place].is_used = True


def _compare(scene: Scene, level: Level, operator: str, places: list[int]) -> None:
    value = level.column
    if value is None:
        return
    if scene.intent.entity is None:
        scene.set_entity(scene.schema.tables[value.table])
    entity = scene.intent.entity
    if entity is not None and value.table != entity.name:
        scene.intent.havings.append(Having(Measure("avg", value), operator, level))
    else:
        scene.intent.conditions.append(Condition(value, operator, other=level))
    for place in places:
        scene.elements[place].is_used = True


def _own_group(scene: Scene, average: int, value: Value) -> Column | None:
    """`than the average of their team`, `for its species`: the column that says whose average is meant."""
    for place in range(average + 1, min(average + 6, len(scene.elements) - 1)):
        if scene.word(place) not in THEIR:
            continue
        group = place + 1 + (scene.word(place + 1) == "own")
        element = scene.elements[group] if group < len(scene.elements) else None
        if element is None or not element.is_schema:
            return None
        own = [item.column for item in element.candidates if item.column and item.column.table == value.table]
        table = scene.table(group)
        links = [link.child for link in scene.schema.links if table and link.parent.table == table.name]
        found = next(iter([*own, *(column for column in links if column.table == value.table)]), None)
        if found is not None:
            for at in range(place, group + 1):
                scene.elements[at].is_used = True
        return found
    return None


def _doubt_groups(scene: Scene, average: int) -> None:
    """The average of the things' own group is another one."""
    for place in range(average + 1, min(average + 6, len(scene.elements))):
        if scene.word(place) in THEIR and not scene.elements[place].is_used:
            scene.intent.doubt("the average of their own group is meant", 0.5)
        if scene.word(place) in ("overall", "all", "everything", "everyone"):
            scene.elements[place].is_used = True
