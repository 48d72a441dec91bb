"""Texts within names, and one of two conditions: `has 'M5' in its serial number`, `starts with A or ends with B`."""

from itertools import pairwise

from engine.planner.intent import Condition
from engine.planner.scene import Scene
from engine.planner.schema import Column

OWN = ("its", "their", "the", "his", "her", "a", "any")
ENDS = (".", "?", ";", "!")


def read_within(scene: Scene) -> None:
    """A quoted text that is said to be in a column is a part of it."""
    for at, element in enumerate(scene.elements):
        if element.quoted is None or element.is_used or scene.word(at + 1) != "in":
            continue
        place = next((p for p in range(at + 2, min(at + 5, len(scene.elements))) if scene.word(p) not in OWN), None)
        column = _text_column(scene, place) if place is not None else None
        if place is None or column is None:
            continue
        text = element.quoted.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        scene.intent.conditions.append(Condition(column, "ilike", f"%{text}%", at=at))
        element.is_used = True
        scene.use(*range(at + 1, place + 1))
        if scene.cue(place + 1, "names") is not None:
            scene.use(place + 1)


def _text_column(scene: Scene, place: int) -> Column | None:
    element = scene.elements[place]
    if not element.is_schema:
        return None
    column = scene.column(place, "text")
    table = scene.table(place)
    if column is None and table is not None and table.labels and table.labels[0].family == "text":
        return table.labels[0]
    return column if isinstance(column, Column) else None


def read_either(scene: Scene) -> None:
    """Two conditions on texts with `or` between them: one is enough."""
    texts = [item for item in scene.intent.conditions if item.operator == "ilike" and item.at >= 0]
    texts.sort(key=lambda item: item.at)
    for first, second in pairwise(texts):
        between = [scene.word(place) for place in range(first.at + 1, second.at)]
        if "or" not in between or set(between) & {"and", *ENDS} or first not in scene.intent.conditions:
            continue
        conditions = [item for item in scene.intent.conditions if item is not first and item is not second]
        either = Condition(first.column, "or", options=(first, second), at=second.at)
        scene.intent.conditions = [*conditions, either]
