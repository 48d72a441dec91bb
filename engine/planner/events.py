"""Things that only a time tells: `number of check-ins` is how many rows have a time at which somebody checked in."""

from engine.planner.formulas import TIMES
from engine.planner.intent import Measure
from engine.planner.moments import says, times_of
from engine.planner.scene import Scene
from engine.planner.schema import Column


def read_events(scene: Scene) -> None:
    """Counts what happened, where no table is called so."""
    for at in range(len(scene.elements) - 1):
        if scene.cue(at, "count") is None or scene.elements[at].is_used:
            continue
        place = next((p for p in range(at + 1, at + 4) if not _is_light(scene, p)), len(scene.elements))
        column = _event(scene, place) if place < len(scene.elements) else None
        if column is None:
            continue
        scene.add(Measure("count", table=scene.schema.table_of(column)))
        scene.intent.doubt(f"{scene.elements[place].text} is read as having {' '.join(column.words)}", 0.9)
        scene.elements[at].is_used = scene.elements[place].is_used = True
        if scene.intent.entity is None:
            scene.set_entity(scene.schema.table_of(column))


def _is_light(scene: Scene, at: int) -> bool:
    return at < len(scene.elements) and scene.elements[at].is_ignored and not scene.elements[at].values


def _event(scene: Scene, at: int) -> Column | None:
    """The one time in all tables that a noun in the plural is of."""
    element, word = scene.elements[at], scene.word(at)
    if element.is_used or element.values or element.date or not word.endswith("s"):
        return None
    if element.is_schema:
        columns = [item.column for item in element.candidates]
        times = [column for column in columns if column is not None and column.family in TIMES]
        return times[0] if len(columns) == len(times) == 1 else None
    found = [item for table in scene.schema.tables.values() for item in times_of(table) if says(item, word, scene.cues)]
    return found[0] if len(found) == 1 else None
