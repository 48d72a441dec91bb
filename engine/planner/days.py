"""Days of the week and hours of the day: `on weekends`, `by weekday`, `on Mondays`, `between 10 pm and 6 am`."""

from engine.dates.calendar import Unit
from engine.planner.formulas import Formula
from engine.planner.intent import Condition, Dimension, Measure, TimePart
from engine.planner.scene import Scene
from engine.planner.schema import Column
from engine.planner.subjects import thing_at
from engine.planner.times import time_column

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
HOURS = {"midnight": 0, "noon": 12, "midday": 12}
TIMES_OF_DAY = {"morning": (6, 12), "afternoon": (12, 18), "evening": (18, 24)}
ASKING = ("which", "what")
BUSIEST = ("busiest", "best", "worst", "slowest", "quietest", "strongest", "weakest", "top", "peak")
GROUPING = ("by", "per", "each", "every", "for each", "of each", "across", "in each")


def read_days(scene: Scene) -> None:
    """Notes what is said of days and hours, before their words are taken for something else."""
    at = 0
    while at < len(scene.elements):
        after = at + 1
        if not scene.elements[at].is_used or scene.grain is not None:
            after = _grouped(scene, at) or _on_days(scene, at) or _at_hours(scene, at) or after
        at = after


def _note(scene: Scene, said: TimePart, after: int) -> int:
    scene.days.append(said)
    for place in range(said.at, after):
        scene.elements[place].is_used = True
        scene.elements[place].date = None
    return after


def _grouped(scene: Scene, at: int) -> int | None:
    """`which day of the week`, `by weekday`, `per hour of the day`, `which month`."""
    unit, after = _part(scene, at)
    if not unit:
        return None
    before = scene.word(at - 1)
    is_asked = before in (*ASKING, *BUSIEST)
    if not (is_asked or before in GROUPING or (unit in ("weekday", "hour") and after > at + 1)):
        return None
    is_first = "superlatives" in (scene.elements[at - 1].cues if at else {}) or before in BUSIEST
    if (is_asked or is_first) and scene.intent.limit is None and not scene.word(at).endswith("s"):
        scene.intent.limit = 1
    start = at - 1 if before in GROUPING else at
    if scene.elements[at].is_used or scene.elements[start].is_used:  # `each day` of `each day of the week`
        scene.grain = None
    return _note(scene, TimePart(start, unit), after)


def _part(scene: Scene, at: int) -> tuple[str, int]:
    """The unit of a part of time, and the element after it."""
    word, plain = scene.word(at), scene.word(at).removesuffix("s")
    following = [scene.word(p) for p in range(at + 1, at + 4)]
    if plain == "weekday":
        return "weekday", at + 1
    if plain == "time" and following[:2] == ["of", "day"]:
        return "hour", at + 3
    if plain in ("day", "hour", "month") and following[:1] in (["of"], ["in"]):
        skip = 3 if following[1:2] == ["the"] else 2
        of = scene.word(at + skip)
        if (plain, of) in (("day", "week"), ("hour", "day"), ("month", "year")):
            return {"day": "weekday"}.get(plain, plain), at + skip + 1
    is_asked = scene.word(at - 1) in ASKING and any("superlatives" in item.cues for item in scene.elements)
    is_asked = is_asked or scene.word(at - 1) in BUSIEST
    if is_asked and plain in ("hour", "month", "year", "quarter", "day", "week") and not scene.elements[at].is_schema:
        return f"whole {plain}", at + 1
    return ("", at) if word != "time of day" else ("hour", at + 1)


def _on_days(scene: Scene, at: int) -> int | None:
    """`on weekends`, `on weekdays`, `on a Sunday`, `on Mondays and Fridays`."""
    word = scene.word(at)
    if scene.elements[at].is_used:
        return None
    if word.removesuffix("s") == "weekend":
        return _note(scene, TimePart(at, "weekday", (6, 7)), at + 1)
    if word == "weekdays" or (word == "weekday" and scene.word(at - 1) in ("a", "any")):
        return _note(scene, TimePart(at, "weekday", (1, 2, 3, 4, 5)), at + 1)
    days, after = [], at
    is_led = scene.word(at - 1) in ("a", "any", "every", "each")
    while (name := scene.word(after).removesuffix("s")) in WEEKDAYS and (is_led or scene.word(after).endswith("s")):
        days.append(WEEKDAYS.index(name) + 1)
        is_more = scene.word(after + 1) in ("and", "or", ",") and scene.word(after + 2).removesuffix("s") in WEEKDAYS
        after += 2 if is_more else 1
        if not is_more:
            break
    return _note(scene, TimePart(at, "weekday", tuple(days)), after) if days else None


def _at_hours(scene: Scene, at: int) -> int | None:
    """`between 10 pm and 6 am`, `after 6 pm`, `before noon`, `in the morning`."""
    word = scene.word(at)
    if scene.elements[at].is_used:
        return None
    if word in ("between", "from") and (first := _hour(scene, at + 1)) is not None:
        second = _hour(scene, first[1] + 1) if scene.word(first[1]) in ("and", "to", "until", "-") else None
        if second is not None and (first[2] or second[2]):
            return _note(scene, TimePart(at, "hour", hours=(first[0], second[0])), second[1])
    if (
        word in ("after", "before", "from", "until", "since")
        and (found := _hour(scene, at + 1)) is not None
        and found[2]
    ):
        hours = (found[0], 24) if word in ("after", "from", "since") else (0, found[0])
        return _note(scene, TimePart(at, "hour", hours=hours), found[1])
    if word in ("in", "for", "during") and scene.word(at + 1) == "the" and scene.word(at + 2) in TIMES_OF_DAY:
        scene.intent.doubt(f"which hours are the {scene.word(at + 2)} is not said", 0.85)
        return _note(scene, TimePart(at, "hour", hours=TIMES_OF_DAY[scene.word(at + 2)]), at + 3)
    return None


def _hour(scene: Scene, at: int) -> tuple[int, int, bool] | None:
    """An hour at a place, what follows it, and whether it is plainly one."""
    word = scene.word(at)
    if word in HOURS:
        return HOURS[word], at + 1, True
    element = scene.elements[at] if at < len(scene.elements) else None
    half = next((end for end in ("am", "pm") if word.endswith(end) and word.removesuffix(end).isdigit()), "")
    if half:
        return _on_the_clock(int(word.removesuffix(half)), half), at + 1, True
    number = element.number if element is not None else None
    if not isinstance(number, int) or not 0 <= number <= 24:
        return None
    if scene.word(at + 1) == ":" and scene.word(at + 2) in ("00", "0"):
        at += 2
        if scene.word(at + 1) not in ("am", "pm"):
            return number, at + 1, True
    after = scene.word(at + 1)
    if after in ("am", "pm"):
        return _on_the_clock(number, after), at + 2, True
    if (after, scene.word(at + 2)) == ("o'clock", "") or after == "o'clock":
        return number, at + 2, True
    if (after, scene.word(at + 2)) == ("in", "the") and scene.word(at + 3) in TIMES_OF_DAY:
        is_late = scene.word(at + 3) in ("afternoon", "evening")
        return _on_the_clock(number, "pm" if is_late else "am"), at + 4, True
    return number, at + 1, False


def _on_the_clock(number: int, half: str) -> int:
    return number % 12 + (12 if half == "pm" else 0)


def settle_days(scene: Scene) -> None:
    """Puts what was noted where it belongs, when it is known what is counted."""
    for said in scene.days:
        column = time_column(scene, said.at)
        if column is None or column.family == "number" or (said.unit == "hour" and column.family == "date"):
            scene.elements[said.at].is_used = False
            scene.intent.doubt("nothing holds the day or hour that is meant", 0.5)
        elif said.days or said.hours:
            scene.intent.conditions.append(_condition(column, said))
        else:
            _group(scene, column, said)


def _condition(column: Column, said: TimePart) -> Condition:
    part = Formula("part", (column,), (said.unit,), said.unit)
    if len(said.days) == 1:
        return Condition(part, "eq", said.days[0], at=said.at)
    if said.days:
        return Condition(part, "in", said.days, at=said.at)
    assert said.hours is not None
    start, end = said.hours
    ends = (Condition(part, "ge", start), Condition(part, "lt", end))
    return Condition(part, "or" if start > end else "and", options=ends, at=said.at)


def _group(scene: Scene, column: Column, said: TimePart) -> None:
    intent = scene.intent
    intent.is_grouped = True
    if said.unit.startswith("whole "):
        made = [Dimension(column, Unit(said.unit.removeprefix("whole ")))]  # type: ignore[arg-type]
    elif said.unit == "weekday":
        name = Formula("part", (column,), ("weekday",), "dayname", "text")
        made = [Dimension(name), Dimension(Formula("part", (column,), ("weekday", "number"), "weekday"))]
    else:
        made = [Dimension(Formula("part", (column,), (said.unit,), said.unit))]
    intent.dimensions = [*made, *intent.dimensions]
    if not intent.measures and intent.ratio is None:
        _count(scene, said)
    if intent.measures and not intent.sorts and intent.limit is not None:
        scene.rank(intent.measures[0], True)


def _count(scene: Scene, said: TimePart) -> None:
    """`on which weekday do most visits happen`: the days are in the order of how many there are."""
    tables = [table for p in range(len(scene.elements)) if (table := thing_at(scene, p)) is not None]
    table = tables[0] if tables else scene.intent.entity
    if table is None:
        return
    measure = Measure("count", table=table)
    scene.add(measure)
    for place, element in enumerate(scene.elements):
        order = scene.cue(place, "superlatives")
        if order is not None:
            element.is_used = True
            scene.intent.sorts = []
            scene.rank(measure, order == "desc")
            return
