"""Figures along time and in order: running totals, moving averages, and ranks that are shown."""

from dataclasses import replace

from engine.dates.calendar import Unit
from engine.planner.calculations import Calculation
from engine.planner.intent import Measure, Sort
from engine.planner.scene import Scene

RUNNING = ("running", "cumulative", "cumulated", "accumulated", "rolling total")
MOVING = ("moving", "rolling")
SUMS = ("total", "sum", "count", "totals", "tally", "number of", "balance")
RANKING = ("rank", "ranking", "ranked", "ranks")
AT_TOP = ("top", "best", "most popular", "highest", "biggest", "largest", "seller", "first", "most")


def read_trends(scene: Scene) -> None:
    """What is said about how figures go on, before its words are taken for something else."""
    for at, element in enumerate(scene.elements):
        after = scene.word(at + 1)
        if element.is_used or element.is_schema:
            continue
        if scene.word(at) in RUNNING and (scene.word(at) != "running" or after in SUMS or after.startswith("total")):
            scene.trend = "running"
            element.is_used, element.cues = True, {}
            place = scene.following(at + 2)
            if after == "total" and place is not None and scene.is_table_first(place):
                scene.elements[at + 1].cues = {"count": "phrases"}  # of things, not of what they are worth
        elif scene.word(at) in MOVING and after in ("average", "mean"):
            scene.trend = "moving"
            scene.window = _window(scene, at)
            element.is_used = scene.elements[at + 1].is_used = True
        elif scene.word(at) in RANKING and (at == 0 or scene.word(at) == "ranking"):
            scene.trend = "rank"
            element.is_used, element.cues = True, {}


def _window(scene: Scene, at: int) -> int:
    """The 3 of `3-month moving average`; the unit is what it goes by where no other is said."""
    for place in range(max(0, at - 3), at):
        number = scene.elements[place].number
        if isinstance(number, int) and 1 < number <= 1000:
            scene.elements[place].is_used = True
            unit = next((scene.unit(p) for p in range(place + 1, at) if scene.unit(p)), "")
            for other in range(place + 1, at):
                scene.elements[other].is_used = True
            if unit and scene.grain is None:
                scene.grain = Unit(unit)  # type: ignore[arg-type]
            return number
    return 0


def settle_trends(scene: Scene) -> None:
    """Puts a measure beside what it adds up to, or things in the order of their ranks."""
    intent = scene.intent
    if not scene.trend or intent.ratio is not None:
        return
    if scene.trend == "rank":
        _rank(scene)
        return
    if len(intent.measures) != 1:
        intent.doubt("what goes on along time is not clear", 0.6)
    if not intent.measures:
        return
    if all(item.unit is None for item in intent.dimensions):
        intent.doubt("the steps along time are not said", 0.5)
        return
    measure = intent.measures[0]
    parts = (measure, scene.window) if scene.trend == "moving" else (measure,)
    if scene.trend == "moving" and not scene.window:
        intent.doubt("how many periods are averaged is not said", 0.5)
        return
    name = "running_total" if scene.trend == "running" else "moving_average"
    made = Calculation("running" if scene.trend == "running" else "moving", parts, name)
    intent.measures = [measure, Measure("sum", calculation=made, table=measure.table), *intent.measures[1:]]


def _rank(scene: Scene) -> None:
    """`rank the plans by their number of subscriptions, most popular at the top`"""
    intent = scene.intent
    sorts = intent.sorts or ([Sort(intent.measures[0], True)] if intent.measures else [])
    if not sorts:
        intent.doubt("what ranks go by is not read", 0.5)
        return
    intent.sorts = [replace(sorts[0], is_descending=sorts[0].is_descending or not intent.sorts)]
    by = intent.sorts[0].by
    if any(scene.cue(p, "group") and scene.word(p).split()[-1] == "each" for p in range(len(scene.elements))):
        intent.doubt("ranks within groups are not made", 0.5)
    if isinstance(by, Measure):
        rank = Calculation("rank", (by,), "rank", intent.sorts[0].is_descending)
        intent.measures.append(Measure("sum", calculation=rank, table=by.table))
    for at, element in enumerate(scene.elements):
        is_top = scene.word(at) in AT_TOP and not element.is_schema
        element.is_used = element.is_used or is_top
