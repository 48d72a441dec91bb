"""Ratios: of two things, or of those things that are such: `what percentage of orders was cancelled`."""

from dataclasses import replace

from engine.planner.intent import Condition, Measure
from engine.planner.scene import STRONG, Scene
from engine.planner.subjects import thing_at

JOINTS = ("to", "per", "over", "and", "versus", "vs")
LEAST_SHARED = 4
"""Letters that `cancellation` and the value cancelled must have in common."""
NOUN_ENDS = ("ation", "tion", "sion", "ion", "ment", "ance", "ence", "ure", "al", "e", "")
VALUE_ENDS = ("ed", "led", "d", "")


def read_ratio(scene: Scene) -> None:
    """`ratio of publications to authors`, `ratio of the length of the Rhine to the length of the Rhone`."""
    for at in range(len(scene.elements)):
        if scene.cue(at, "ratio") is None:
            continue
        joint = next((p for p in range(at + 1, len(scene.elements)) if scene.elements[p].text.lower() in JOINTS), None)
        if joint is None:
            return
        sides = range(at + 1, joint), range(joint + 1, _end(scene, joint))
        first, second = (_divided(scene, side) for side in sides)
        second, first = second or first, first or second
        if first and second:
            scene.intent.ratio, scene.sides = (first, second), sides
            scene.use(at, joint)
        return


def read_share(scene: Scene) -> None:
    """One share: of what `of` is followed by, those that meet what is said after it."""
    for at, element in enumerate(scene.elements):
        if element.is_used:
            continue
        if (
            scene.cue(at, "share") is not None
            and not element.is_schema
            and scene.intent.ratio is None
            and _share(scene, at)
        ):
            return
        if scene.cue(at, "rate") is not None and _rate(scene, at):
            return


def close_ratio(scene: Scene) -> None:
    """What was read of each side says which of the things are meant."""
    intent = scene.intent
    if intent.ratio is None or not scene.sides:
        return
    said = [[item for item in intent.conditions if item.at in side] + _partners(scene, side) for side in scene.sides]
    if len(scene.sides) == 1:  # a time is rather said of all
        timeless = [item for item in said[0] if item.range is None]
        said = [timeless or said[0], []]
    above, below = intent.ratio
    intent.conditions = [item for item in intent.conditions if all(item not in side for side in said)]
    intent.ratio = replace(above, conditions=tuple(said[0])), replace(below, conditions=tuple(said[1]))
    if intent.ratio[0] == intent.ratio[1]:
        intent.ratio = None
        intent.doubt("what the share is of is not said", 0.5)
    elif intent.havings or intent.missing:
        intent.doubt("what is counted of each may be meant of the share", 0.6)
    for at, element in enumerate(scene.elements):  # said again: `and show that share`
        if scene.cue(at, "share") or scene.cue(at, "ratio") or element.text.lower() == "ratio":
            element.is_used = True


def _partners(scene: Scene, side: range) -> list[Condition]:
    """`publications in journals`: those that have one."""
    heads = [item.table.name for item in scene.intent.ratio or () if item.table is not None]
    found = []
    for place in side:
        other = None if scene.elements[place].is_used or len(scene.sides) < 2 else thing_at(scene, place)
        links = [
            link
            for link in scene.schema.links
            if other is not None and link.parent.table == other.name and link.child.table in heads
        ]
        if len(links) == 1 and other is not None and other.name not in heads:
            found.append(Condition(links[0].child, "not_null", at=place))
            scene.elements[place].is_used = True
    return found


def _end(scene: Scene, at: int) -> int:
    """Where what is said from a place on ends."""
    for place in range(at + 1, len(scene.elements)):
        if scene.elements[place].sign in ("?", ".", ",", ";") or scene.cue(place, "group") is not None:
            return place
    return len(scene.elements)


def _divided(scene: Scene, side: range) -> Measure | None:
    """A count or an aggregate that a phrase stands for; what it says more is read as conditions."""
    for place in side:
        if scene.elements[place].values and not scene.elements[place].is_schema and place not in scene.kinds:
            continue
        measure = _measured(scene, place, scene.cue(place - 1, "aggregates") if place - 1 in side else None)
        if measure is not None:
            before = [p for p in range(side.start, place) if {"aggregates", "count", "distinct"} & set(_cues(scene, p))]
            scene.use(*before, *([] if place in scene.kinds else [place]))
            return measure
    kinds = [column for place in side for column, _ in scene.elements[place].values]
    tables = {column.table for column in kinds}
    return Measure("count", table=scene.schema.tables[tables.pop()]) if len(tables) == 1 else None


def _cues(scene: Scene, at: int) -> dict[str, str]:
    return scene.elements[at].cues


def _measured(scene: Scene, at: int, aggregate: str | None) -> Measure | None:
    table = thing_at(scene, at)
    if table is not None:
        return Measure("count", table=table, is_distinct=at not in scene.kinds)
    column = scene.column(at, "number") if scene.elements[at].is_schema else None
    if column is not None and not column.is_id and scene.score(at, column) >= 0.6:
        return Measure(aggregate or "sum", column)  # type: ignore[arg-type]
    return None


def _share(scene: Scene, at: int) -> bool:
    is_before = "of" not in scene.elements[at].stems
    places = range(at - 1, -1, -1) if is_before else range(at + 1, len(scene.elements))
    whole, head = _whole(scene, places)
    if whole is None:
        return False
    end = _sentence_end(scene, at)
    verbs = [p for p in range(head + 1, end) if scene.elements[p].text.lower() in scene.cues.sets["predicates"]]
    start = at + 1 if is_before else verbs[-1] + 1 if verbs else head + 1
    scene.use(at)
    scene.elements[head].is_used = head not in scene.kinds
    if whole.table is not None and scene.intent.entity == whole.table:
        scene.intent.entity = None
    scene.sides = (range(start, end),)
    scene.intent.ratio = (whole, whole)
    scene.intent.ratio_scale = 100 if "percent" in scene.elements[at].text.lower() else 1
    return True


def _whole(scene: Scene, places: range) -> tuple[Measure | None, int]:
    """What a share is of, and where it is named: the nearest thing after, the farthest before."""
    found: tuple[Measure | None, int] = None, -1
    for place in places:
        if scene.elements[place].sign in (".", "?", ";"):
            break
        measure = _measured(scene, place, None)
        if measure is None or scene.cue(place - 1, "group") is not None:
            continue
        found = replace(measure, is_distinct=False), place
        if places.step > 0:
            if measure.column is not None and scene.cue(place - 1, "aggregates") == "sum":
                scene.use(place - 1)
            break
    return found


def _sentence_end(scene: Scene, at: int) -> int:
    return next(
        (p for p in range(at, len(scene.elements)) if scene.elements[p].sign in ("?", ".", ";", ":")),
        len(scene.elements),
    )


def _is_named(scene: Scene, at: int) -> bool:
    element = scene.elements[at]
    return element.is_schema and element.quoted is None and max(item.score for item in element.candidates) >= STRONG


def _rate(scene: Scene, at: int) -> bool:
    """`the return rate`: those that were returned, of all."""
    if at == 0 or _is_named(scene, at):
        return False
    word = scene.elements[at - 1]
    options = list(word.values) or (_relatives(scene, word.stems[-1]) if not word.is_schema else [])
    if not options:
        return False
    column, value = max(options, key=lambda item: scene.value_fit(at, item[0]))
    if len({item[0] for item in options}) > 1:
        scene.intent.doubt(f"several columns hold {word.text}", 0.8)
    table = scene.schema.table_of(column)
    scene.elements[at - 1].is_used = True
    scene.use(at)
    if scene.intent.entity == table:
        scene.intent.entity = None
    such = Measure("count", table=table, conditions=(Condition(column, "eq", value),))
    scene.intent.ratio = (such, Measure("count", table=table))
    return True


def _relatives(scene: Scene, noun: str) -> list[tuple]:  # type: ignore[type-arg]
    """Values that a noun is made of: cancelled of cancellation, approved of approval."""
    roots = {noun[: len(noun) - len(end)] for end in NOUN_ENDS if noun.endswith(end)}
    roots |= {root[:-1] for root in roots if root[-2:-1] == root[-1:]}
    values = scene.schema.values
    return [
        item
        for root in sorted(roots)
        if len(root) >= LEAST_SHARED
        for end in VALUE_ENDS
        for item in values.get(root + end, ())
    ]
