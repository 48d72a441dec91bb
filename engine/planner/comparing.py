"""Periods side by side: `this year compared with last year`, `growth from Q1 to Q2`, `the change month over month`."""

from collections.abc import Sequence
from dataclasses import replace

from engine.dates.calendar import Unit, shifted
from engine.dates.ranges import Range
from engine.planner.calculations import Calculation
from engine.planner.formulas import Value
from engine.planner.intent import Condition, Dimension, Measure
from engine.planner.scene import Scene
from engine.planner.times import grain_column, time_column

Pair = tuple[Range, Range]
PERCENT = ("percent", "percentage", "%", "pct", "percentages", "percentwise")


def free_percent(scene: Scene) -> None:
    """The percent of a growth is no share of anything."""
    times = [item for item in scene.elements if item.date is not None]
    is_pair = len(times) > 1 or scene.dates.compares is not None or any(item.date.versus for item in times if item.date)
    if is_pair and _says(scene, "growing"):
        for element in scene.elements:
            if set(element.text.lower().split()) & set(PERCENT):
                element.cues = {}
                element.is_used = True


def read_comparing(scene: Scene) -> None:
    """Measures of two periods beside each other, with their difference or growth where that is asked for."""
    found = _pair(scene)
    if found is None:
        _over_time(scene)
        return
    pair, places = found
    base = _measured(scene)
    column = time_column(scene, places[0]) if base else None
    if column is None:
        return
    if column.family == "number" and pair[0].grain != "year":
        return
    scene.is_compared = True
    for place in places:
        scene.elements[place].is_used = True
    wants_rows = _wants_rows(scene, pair)
    _use_words(scene)
    if wants_rows:
        unit = None if column.family == "number" else pair[0].unit
        scene.intent.dimensions.append(Dimension(column, unit))
        options = tuple(_during(column, each) for each in pair)
        scene.intent.conditions.append(Condition(column, "or", options=options, at=places[0]))
        return
    if not _is_listed(scene) and all(item.column or item.table for item in base):
        scene.intent.entity = None  # what is compared is no list of things
        scene.intent.dimensions = []
    made = [_beside(scene, measure, column, pair) for measure in base]
    scene.intent.measures = [item for group in made for item in group]
    _rerank(scene, base, made)


def _pair(scene: Scene) -> tuple[Pair, list[int]] | None:
    """The two periods, the later last, and where they are said."""
    said = [p for p, item in enumerate(scene.elements) if item.date is not None and not item.is_used]
    ranges = [item.range for p in said if (item := scene.elements[p].date) is not None]
    if not said or any(item.start is None or item.end is None for item in ranges):
        return None
    mention = scene.elements[said[0]].date
    if len(said) == 1 and mention is not None and mention.versus is not None:
        return _sorted(mention.range, mention.versus), said
    is_asked = _says(scene, "comparing") or _says(scene, "changing")
    if len(said) == 2 and (is_asked or _are_joined(scene, said)):
        return _sorted(ranges[0], ranges[1]), said
    if len(said) == 1 and (is_asked or _is_apart(scene)) and (ends := _ends(scene, said[0], ranges[0])) is not None:
        return ends, said
    return None


def _sorted(one: Range, other: Range) -> Pair:
    is_first = one.start is not None and other.start is not None and one.start <= other.start
    return (one, other) if is_first else (other, one)


def _ends(scene: Scene, at: int, whole: Range) -> Pair | None:
    """`from 2025 to 2026` are two years that are compared, not one time of two years."""
    joints = {"to", "until", "-", "and", "with", "&"}
    if joints.isdisjoint(scene.word(at).split()) or whole.grain == "day":
        return None
    assert whole.start is not None and whole.end is not None
    first = replace(whole, end=shifted(whole.start, whole.unit, 1))
    last = replace(whole, start=shifted(whole.end, whole.unit, -1))
    return (first, last) if first.end is not None and last.start is not None and first.end <= last.start else None


def _are_joined(scene: Scene, said: Sequence[int]) -> bool:
    """`in 2025 and in 2026 respectively`"""
    between = [scene.word(p) for p in range(said[0] + 1, said[1])]
    return _is_apart(scene) and "and" in between


def _is_apart(scene: Scene) -> bool:
    return any(scene.word(p) in ("respectively", "separately") for p in range(len(scene.elements)))


def _says(scene: Scene, kind: str) -> bool:
    return any(_is_word(scene, p, kind) for p in range(len(scene.elements)))


def _is_word(scene: Scene, at: int, kind: str) -> bool:
    words = scene.cues.sets[kind]
    is_named = scene.elements[at].is_schema and not scene.elements[at].is_used
    return not is_named and (scene.word(at) in words or f"{scene.word(at)} {scene.word(at + 1)}" in words)


def _use_words(scene: Scene) -> None:
    """The words that say how periods are compared are understood."""
    start, end = scene.dates.compares_at
    if _says(scene, "changing"):
        for at in range(len(scene.elements)):
            if (scene.word(at), scene.word(at + 1)) == ("how", "much"):
                scene.use(at, at + 1)
    for at, element in enumerate(scene.elements):
        is_said = any(_is_word(scene, at, kind) for kind in ("comparing", "changing", "growing", "beside"))
        is_within = start <= element.start < end
        if is_said or is_within or scene.word(at) in PERCENT:
            element.is_used = True


def _measured(scene: Scene) -> list[Measure]:
    intent = scene.intent
    if intent.ratio is not None or intent.havings:
        return []
    if not intent.measures and intent.entity is not None and not intent.dimensions:
        intent.measures = [Measure("count", table=intent.entity)]
    return list(intent.measures)


def _wants_rows(scene: Scene, pair: Pair) -> bool:
    """`return the year and the count`: a row for each period."""
    if any(item.grain != pair[0].grain for item in pair) or _says(scene, "changing"):
        return False
    asked = scene.grain is not None and scene.grain.grain == pair[0].grain
    for at in range(len(scene.elements)):
        element = scene.elements[at]
        is_said_of = scene.dates.compares_at[0] <= element.start < scene.dates.compares_at[1]
        if scene.unit(at) == pair[0].grain and not element.is_used and not is_said_of:
            element.is_used = True
            asked = True
    scene.grain = None if asked else scene.grain
    return asked


def _is_listed(scene: Scene) -> bool:
    """Whether things are asked for, or groups of them."""
    entity, shown = scene.intent.entity, [item.column for item in scene.intent.dimensions]
    is_grouped = any(scene.cue(p, "group") and scene.word(p) != "by" for p in range(len(scene.elements)))
    is_asked = any(word in ("which", "who", "list", "show", "what") for word in map(scene.word, range(2)))
    return (
        is_grouped or (bool(shown) and is_asked) or any(entity is None or item not in entity.labels for item in shown)
    )


def _during(column: Value, period: Range) -> Condition:
    if column.family == "number":
        return Condition(column, "eq", period.start.year if period.start else None)
    return Condition(column, "during", range=period)


def _beside(scene: Scene, measure: Measure, column: Value, pair: Pair) -> list[Measure]:
    """A measure in each of two periods, and what became of it between them."""
    if measure.calculation is not None:
        scene.intent.doubt("what is calculated is not compared", 0.6)
        return [measure]
    both = [replace(measure, conditions=(*measure.conditions, _during(column, each))) for each in pair]
    made = [replace(item, label=_label(each)) for item, each in zip(both, pair, strict=True)]
    return [*made, *_changes(scene, made[0], made[1])]


def _label(period: Range) -> str:
    assert period.start is not None
    return f"{period.start:%Y}" if period.grain == "year" else f"{period.start:%Y_%m}"


def _changes(scene: Scene, before: Measure, after: Measure) -> list[Measure]:
    difference = Calculation("-", (after, before), "difference")
    made = []
    if _says(scene, "changing"):
        made.append(Measure("sum", calculation=difference, table=after.table))
    if _says(scene, "growing") or _is_percent(scene):
        growth = Calculation("*", (100, Calculation("/", (difference, before))), "percent_change")
        made.append(Measure("sum", calculation=growth, table=after.table))
    return made


def _is_percent(scene: Scene) -> bool:
    return any(set(item.text.lower().split()) & set(PERCENT) for item in scene.elements)


def _rerank(scene: Scene, base: Sequence[Measure], made: Sequence[Sequence[Measure]]) -> None:
    """Things are put in order by how much changed, where there is an order."""
    for number, sort in enumerate(scene.intent.sorts):
        for measure, group in zip(base, made, strict=True):
            if sort.by == measure:
                scene.intent.sorts[number] = replace(sort, by=group[-1])


def _previous(measure: Measure) -> Measure:
    """A measure in the period before."""
    return Measure("sum", calculation=Calculation("previous", (measure,), "previous"), table=measure.table)


def _over_time(scene: Scene) -> None:
    """`the change month over month`: each period beside the one before."""
    intent = scene.intent
    if scene.dates.compares is None or any(item.date and item.date.versus for item in scene.elements):
        return
    if not _measured(scene) or any(item.calculation for item in intent.measures):
        return
    unit = scene.grain or Unit(scene.dates.compares.grain)
    column = grain_column(scene)
    if column is None or column.family == "number":
        return
    scene.grain = None
    scene.is_compared = True
    intent.dimensions = [Dimension(column, unit), *intent.dimensions]
    _use_words(scene)
    before = [_previous(item) for item in intent.measures]
    for measure, previous in list(zip(intent.measures, before, strict=True)):
        difference = Calculation("-", (measure, previous), "difference")
        growth = Calculation("*", (100, Calculation("/", (difference, previous))), "percent_change")
        intent.measures += [
            previous,
            Measure("sum", calculation=difference, table=measure.table),
            Measure("sum", calculation=growth, table=measure.table),
        ]
