"""What things must not have: orders that were never made, a rating that nobody holds, a kind that is not among them."""

from engine.planner.intent import Condition, Lack
from engine.planner.joins import join_tree, multiplies
from engine.planner.scene import Scene
from engine.planner.schema import Column
from engine.planner.words import lemma_of

JOINTS = ("and", "but", ",", "who", "that", "which", ".", "?")
NEAR = 5


def read_missing(scene: Scene) -> None:
    """`customers who have not made any transactions`, `cars without sales`."""
    for at in range(len(scene.elements)):
        if scene.cue(at, "missing") is None or scene.elements[at].is_used:
            continue
        place = scene.following(at + 1, over=("distinct", "missing", "count"))
        if (verb := _verb_after(scene, at)) is not None:
            _lack(scene, Lack(scene.elements[verb].related[0], at=at), at, verb)
        elif (role := _role_after(scene, at)) is not None:
            verb, reference = role
            _lack(scene, Lack(scene.schema.tables[reference.table], at=at, reference=reference), at, verb)
        elif place is None or (scene.elements[at].text.lower() == "not" and _is_value(scene, at + 1)):
            _of_value(scene, at)
        else:
            table = scene.table(place)
            if table is not None and scene.intent.entity is not None and table.name != scene.intent.entity.name:
                _lack(scene, Lack(table, at=at), *range(at, place + 1))


def _lack(scene: Scene, lack: Lack, *places: int) -> None:
    scene.intent.missing.append(lack)
    scene.use(*places)


def _verb_after(scene: Scene, at: int) -> int | None:
    """`rooms that have never been booked`"""
    entity = scene.intent.entity
    for place in range(at + 1, min(at + 4, len(scene.elements))):
        related = scene.elements[place].related
        if related:
            column = scene.column(place)
            is_own = entity is None or entity.name in (related[0].name, column.table if column else "")
            return None if is_own else place
        if not scene.elements[place].is_ignored:
            return None
    return None


def _role_after(scene: Scene, at: int) -> tuple[int, Column] | None:
    """`who never sent anything`: the verb, and the reference whose role it makes."""
    entity = scene.intent.entity
    for place in range(at + 1, min(at + 4, len(scene.elements))):
        verb = lemma_of(scene.elements[place].text)
        agents = {verb + "er", verb + "or", verb.rstrip("e") + "er", verb.rstrip("e") + "or"}
        for base, role, reference in scene.schema.roles.values():
            if entity is not None and base == entity.name and set(role) & agents:
                return place, reference
        if not scene.elements[place].is_ignored:
            return None
    return None


def _is_value(scene: Scene, at: int) -> bool:
    return at < len(scene.elements) and bool(scene.elements[at].values) and not scene.elements[at].is_schema


def _of_value(scene: Scene, at: int) -> None:
    """`who do not hold a pilot's license`: a value of things that there are several of."""
    entity = scene.intent.entity
    place = next((p for p in range(at + 1, min(at + NEAR, len(scene.elements))) if _is_value(scene, p)), None)
    if entity is None or place is None:
        return
    name = scene.value_of(place).column.table
    tree = join_tree(scene.schema, [entity.name, name]) if name != entity.name else None
    if tree and multiplies(tree, entity.name) and all(table.name != name for table in scene.kinds.values()):
        _lack(scene, Lack(scene.schema.tables[name], at=at), at)


def scope_missing(scene: Scene) -> None:
    """`no cancelled orders`: conditions on what is missing say which rows are."""
    intent = scene.intent
    intent.missing = list({item.table.name: item for item in reversed(intent.missing)}.values())
    for lack in intent.missing:
        lack.conditions = [item for item in intent.conditions if _is_said_of(scene, item, lack)]
        intent.conditions = [item for item in intent.conditions if item not in lack.conditions]
        there = {lack.table.name, *(item.column.table for item in lack.conditions)}
        intent.joined = [table for table in intent.joined if table.name not in there]
        if any(item.column.table == lack.table.name for item in intent.dimensions):
            intent.doubt(f"something of {lack.table.name} is to be shown, but there is none", 0.5)
    entity = intent.entity.name if intent.entity else ""
    if intent.missing and any(item.column.table != entity for item in intent.conditions):
        intent.doubt("what is missing may be meant otherwise", 0.7)


def _is_said_of(scene: Scene, item: Condition, lack: Lack) -> bool:
    """Whether a condition is on what is missing: on its table, or on others that are named right after it."""
    entity = scene.intent.entity
    if item.column.table == lack.table.name:
        return True
    if entity is None or item.column.table == entity.name or item.at <= lack.at or lack.at < 0:
        return False
    return all(element.text.lower() not in JOINTS for element in scene.elements[lack.at : item.at])
