"""Shares: how many of the things are such, `what percentage of orders was cancelled`, `the cancellation rate`."""

from engine.planner.conditions import value_condition
from engine.planner.intent import Condition, Measure
from engine.planner.polarity import flag_at, is_negated
from engine.planner.scene import STRONG, Scene

LEAST_SHARED = 4
"""Letters that `cancellation` and the value cancelled must have in common."""
NOUN_ENDS = ("ation", "tion", "sion", "ion", "ment", "ance", "ence", "ure", "al", "e", "")
VALUE_ENDS = ("ed", "led", "d", "")


def read_share(scene: Scene) -> None:
    """One share: of what `of` is followed by, those that meet what is said after it."""
    for at, element in enumerate(scene.elements):
        if element.is_used:
            continue
        if scene.cue(at, "share") is not None and _share(scene, at):
            return
        if scene.cue(at, "rate") is not None and not _is_named(scene, at) and _rate(scene, at):
            return


def _share(scene: Scene, at: int) -> bool:
    head = scene.following(at + 1, over=("distinct", "group", "aggregates"))
    if head is None or not scene.is_table_first(head):
        return False
    table = scene.table(head)
    found = _conditions_after(scene, head)
    if table is None or not found:
        return False
    scene.use(at)
    scene.use(head)
    scene.intent.entity = None if scene.intent.entity == table else scene.intent.entity
    scene.intent.ratio = (Measure("count", table=table, conditions=tuple(found)), Measure("count", table=table))
    scene.intent.ratio_scale = 100 if "percent" in element_text(scene, at) else 1
    return True


def element_text(scene: Scene, at: int) -> str:
    return scene.elements[at].text.lower()


def _conditions_after(scene: Scene, head: int) -> list[Condition]:
    """What is said of the things, without what they are grouped by."""
    found: list[Condition] = []
    grouped = False
    for place in range(head + 1, len(scene.elements)):
        element = scene.elements[place]
        if element.sign in ("?", ".", ";", ":"):
            break
        if scene.cue(place, "group") is not None:
            grouped = True
        elif element.is_schema and grouped and flag_at(scene, place) is None:
            grouped = False
        elif element.values and not _is_named(scene, place):
            found.append(value_condition(scene, place))
            element.is_used = True
        elif (column := flag_at(scene, place)) is not None:
            found.append(Condition(column, "eq", not is_negated(scene, place)))
            element.is_used = True
    return found


def _is_named(scene: Scene, at: int) -> bool:
    element = scene.elements[at]
    return element.is_schema and element.quoted is None and max(item.score for item in element.candidates) >= STRONG


def _rate(scene: Scene, at: int) -> bool:
    """`the return rate`: those that were returned, of all."""
    if at == 0:
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
