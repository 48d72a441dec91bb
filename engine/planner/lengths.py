"""Conditions on how long something took, or how long ago it was: `lasted longer than a week`, `closed within 2 days`,
`returned after the due date`, `hired more than 20 years ago`, `older than 40`, `in the same month`."""

import re
from dataclasses import replace
from datetime import datetime
from typing import Any

from engine.dates.calendar import Unit, shifted
from engine.planner.computing import SECONDS
from engine.planner.formulas import Formula
from engine.planner.intent import Condition
from engine.planner.moments import begin_of, due_of, end_of, main_time, moment_at, moments_at, roles_of, times_of
from engine.planner.scene import NEAR, Scene
from engine.planner.schema import Column, Table
from engine.planner.spans import is_outcome, size_s, span
from engine.planner.words import NUMBER_WORDS

OPPOSITE = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}
BACK = 5
AGO = re.compile(r"(\d+|[a-z]+) (second|minute|hour|day|week|month|quarter|year)s? (ago|back|earlier)$")


def read_lengths(scene: Scene) -> None:
    """All conditions of this kind, each where it stands."""
    for read in (_ago, _same, _long, _late, _against):
        for at, element in enumerate(scene.elements):
            if not element.is_used:
                read(scene, at)
    _settle(scene)


def _settle(scene: Scene) -> None:
    """What has not ended yet has lasted until today."""
    open_ends = {item.column for item in scene.intent.conditions if item.operator == "is_null"}

    def settled(value: Any) -> Any:
        if not isinstance(value, Formula) or value.operator != "span" or value.parts[1] not in open_ends:
            return value
        return replace(value, parts=(value.parts[0], scene.now.date()))

    intent = scene.intent
    intent.dimensions = [replace(item, column=settled(item.column)) for item in intent.dimensions]
    intent.measures = [replace(item, column=settled(item.column)) for item in intent.measures]
    intent.sorts = [replace(item, by=replace(item.by, column=settled(item.by.column))) for item in intent.sorts]


def _require(scene: Scene, condition: Condition, *places: int) -> None:
    if condition not in scene.intent.conditions:
        scene.intent.conditions.append(replace(condition, at=places[0]))
    for place in places:
        scene.elements[place].is_used = True


def _before(scene: Scene, at: int) -> tuple[int, Column] | None:
    """The nearest moment before a place: the verb or column that is spoken of."""
    for place in range(at - 1, max(-1, at - BACK), -1):
        if scene.elements[place].sign in ("?", ".", ";", ","):
            return None
        if scene.is_table_first(place):
            continue
        column = moment_at(scene, place)
        if column is not None:
            return place, column
    return None


# How long ago, and for how long


def _ago(scene: Scene, at: int) -> None:
    """`hired more than 20 years ago`: before that day; `less than a year ago`: after it."""
    element = scene.elements[at]
    said = AGO.fullmatch(element.text.lower().removeprefix("a ")) if element.date is not None else None
    operator = _comparing(scene, at - 1) or _comparing(scene, at - 2)
    if said is None or operator not in OPPOSITE:
        return
    found = _before(scene, at)
    column = found[1] if found else _begin(scene)
    moment = _earlier(scene.now, said.group(1), said.group(2))
    if column is None or moment is None:
        return
    if found is None:
        scene.intent.doubt("what was then is not said", 0.85)
    comparing = at - 1 if _comparing(scene, at - 1) else at - 2
    _require(scene, _than(column, OPPOSITE[operator], moment), at, comparing, *([found[0]] if found else []))


def _earlier(now: datetime, count: str, unit: str) -> datetime | None:
    number = int(count) if count.isdigit() else 1 if count in ("a", "an") else NUMBER_WORDS.get(count)
    day = now if unit in ("hour", "minute", "second") else now.replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        return None if number is None else shifted(day, Unit(unit), -number)  # type: ignore[arg-type]
    except (OverflowError, ValueError):
        return None


def _than(column: Column, operator: str, moment: datetime) -> Condition:
    is_day = column.family == "date" or moment == moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return Condition(
        column, operator, f"{moment:%Y-%m-%d}" if is_day else moment.isoformat(sep=" ", timespec="seconds")
    )


def _comparing(scene: Scene, at: int) -> str:
    return scene.cue(at, "compare") or ""


def _begin(scene: Scene) -> Column | None:
    entity = scene.intent.entity
    return begin_of(entity, scene.cues) if entity is not None else None


# The same month


def _same(scene: Scene, at: int) -> None:
    """`in the same month as they signed up`: two moments in one period."""
    unit = scene.unit(at + 1)
    if scene.word(at) != "same" or not unit:
        return
    if _both_same(scene, at, unit):
        return
    after = [
        (place, column)
        for place in range(at + 2, min(at + 2 + NEAR + 2, len(scene.elements)))
        if (column := moment_at(scene, place)) is not None
    ]
    before = _before(scene, at)
    for place, column in after:
        other = before[1] if before else _other_main(scene, column)
        if other is not None and other != column:
            first, second = (Formula("trunc", (item,), (unit,), unit, "date") for item in (other, column))
            _require(scene, Condition(first, "eq", other=second), at, at + 1, place, *([before[0]] if before else []))
            return


def _both_same(scene: Scene, at: int, unit: str) -> bool:
    """`issued and paid in the same month`"""
    found = [(p, item) for p in range(max(0, at - BACK - 1), at) if (item := moment_at(scene, p)) is not None]
    pairs = [(one, two) for one in found for two in found if one[0] < two[0] and one[1] != two[1]]
    joined = [pair for pair in pairs if "and" in [scene.word(p) for p in range(pair[0][0], pair[1][0])]]
    if not joined or scene.word(at + 2) in ("as", "that"):
        return False
    one, two = joined[-1]
    first, second = (Formula("trunc", (item[1],), (unit,), unit, "date") for item in (one, two))
    _require(scene, Condition(first, "eq", other=second), at, at + 1, one[0], two[0])
    return True


def _other_main(scene: Scene, column: Column) -> Column | None:
    """The time of what else is spoken of."""
    tables = [scene.schema.tables[name] for name in scene.named if name != column.table]
    found = [item for table in tables if (item := main_time(table, scene.cues)) is not None]
    return found[0] if len(found) == 1 else None


# Late, and one date against another


def _late(scene: Scene, at: int) -> None:
    """`returned late`, `on time`: the end against what it was due at."""
    if scene.word(at) == "overdue":
        _overdue_now(scene, at)
        return
    is_late = scene.word(at) in scene.cues.spans["late"]
    is_timely = scene.word(at) == "on" and scene.word(at + 1) == "time"
    if not (is_late or is_timely) or scene.elements[at].is_schema:
        return
    found = _overdue(scene, at)
    if found is not None:
        due, end, places = found
        places = [at, *([at + 1] if is_timely else []), *places]
        _require(scene, Condition(end, "gt" if is_late else "le", other=due), *places)


def _overdue_now(scene: Scene, at: int) -> None:
    """`overdue`: due, and not done yet."""
    element = scene.elements[at]
    for table in _things(scene, None):
        due, end = due_of(table, scene.cues), end_of(table, scene.cues)
        if element.values or due is None or end is None:
            continue
        today = Condition(due, "lt", f"{scene.now:%Y-%m-%d}")
        scene.intent.conditions.append(Condition(end, "is_null"))
        _require(scene, today, at)
        return


def _overdue(scene: Scene, at: int) -> tuple[Column, Column, list[int]] | None:
    """When something was due, and when it was done."""
    before = _before(scene, at)
    for table in _things(scene, before):
        due = due_of(table, scene.cues)
        end = before[1] if before and before[1].table == table.name else end_of(table, scene.cues)
        if due is not None and end is not None and due != end:
            return due, end, [before[0]] if before else []
    return None


def _things(scene: Scene, before: tuple[int, Column] | None) -> list[Table]:
    names = [before[1].table] if before else []
    names += [scene.intent.entity.name] if scene.intent.entity else []
    return [scene.schema.tables[name] for name in dict.fromkeys([*names, *scene.named])]


def _against(scene: Scene, at: int) -> None:
    """`returned after the due date`, `closed before it was opened`."""
    word = scene.word(at)
    later = word in ("after", "past", "beyond") or (word, scene.word(at + 1)) in (("later", "than"), ("on", "after"))
    sooner = word == "before" or (word, scene.word(at + 1)) in (("earlier", "than"), ("prior", "to"))
    if not (later or sooner):
        return
    before = _before(scene, at)
    for place in range(at + 1, min(at + NEAR, len(scene.elements))):
        if scene.elements[place].date is not None or scene.elements[place].sign:
            return
        column = None if scene.is_table_first(place) else moment_at(scene, place, [before[1].table] if before else [])
        start = before[1] if before else _ended(scene, column)
        if column is not None and any(
            item == Condition(column, "lt", f"{scene.now:%Y-%m-%d}") for item in scene.intent.conditions
        ):
            scene.use(at, place)  # said again of what is overdue
            return
        if column is not None and start is not None and start != column and start.table == column.table:
            second = [at + 1] if word in ("later", "earlier", "prior") else []
            fillers = [p for p in range(at, place) if scene.word(p) in ("its", "date", "time", "being")]
            places = [at, place, *second, *fillers, *([before[0]] if before else [])]
            _require(scene, Condition(start, "gt" if later else "lt", other=column), *places)
            return


def _ended(scene: Scene, column: Column | None) -> Column | None:
    """The end of a thing whose due date is spoken of."""
    if column is None or "due" not in roles_of(column, scene.cues):
        return None
    return end_of(scene.schema.table_of(column), scene.cues)


# Lengths of time


def _long(scene: Scene, at: int) -> None:
    """`took more than 3 days to close`, `lasted a week or longer`, `closed within 24 hours of being opened`."""
    length = _length(scene, at)
    if length is None:
        return
    operator, number, unit, places = length
    if _for_long(scene, places, operator, number, unit):
        return
    is_plain = _before(scene, at) is None and _after(scene, places[-1], []) is None
    if is_plain and _measured(scene, operator, number, unit, places):
        return
    found = _spanned(scene, at, places[-1])
    if found is None:
        return
    start, end, said = found
    _require(scene, _lasts(start, end, operator, number, unit), *places, *said)


def _measured(scene: Scene, operator: str, number: float | int, unit: str, places: list[int]) -> bool:
    """`run longer than two hours` where a column holds minutes."""
    entity = scene.intent.entity
    numbers = [item for item in entity.columns if item.family == "number" and not item.is_id] if entity else []
    held = [(item, size) for item in numbers if (size := size_s(item))]
    if len(held) != 1 or unit not in SECONDS:
        return False
    column, size = held[0]
    before = _lasting_before(scene, places[0])
    factor = SECONDS[unit] / size
    value = number * factor
    _require(scene, Condition(column, operator, int(value) if value == int(value) else value), *places, *before)
    return True


def _lasting_before(scene: Scene, at: int) -> list[int]:
    return [p for p in range(max(0, at - BACK), at) if scene.word(p) in scene.cues.spans["lasting"]]


def _lasts(start: Column, end: Column, operator: str, number: float | int, unit: str) -> Condition:
    """Days between dates are counted; else the end is compared with a moment after the start."""
    is_days = start.family == end.family == "date" and unit in ("day", "week")
    if is_days:
        return Condition(span(start, end, "day"), operator, number * (7 if unit == "week" else 1))
    return Condition(end, operator, other=Formula("shift", (start, number), (unit,), unit, "time"))


def _length(scene: Scene, at: int) -> tuple[str, float | int, str, list[int]] | None:
    """A comparison with a length of time that stands at a place: `longer than a week`, `2 hours or more`."""
    operator, place = _comparing(scene, at), at + 1
    if not operator and scene.word(at) == "within":
        operator = "le"
    if not operator:
        return None
    number: float | int | None = None
    if scene.word(at).startswith("or "):  # `a week or longer`
        place = at - 2
        if not scene.unit(at - 1):
            return None
    while scene.word(place) in ("a", "an", "the", "only", "just"):
        place, number = place + 1, 1
    if place < len(scene.elements) and place >= 0 and scene.elements[place].number is not None:
        number, place = scene.elements[place].number, place + 1
    if number is None or not scene.unit(place):
        return None
    places = list(range(min(at, place - 1), max(at, place) + 1))
    return operator, number, scene.unit(place), places


def _for_long(scene: Scene, places: list[int], operator: str, number: float | int, unit: str) -> bool:
    """`have been with us for more than 10 years`: since before then."""
    column = _begin(scene)
    said = [p for p in range(max(0, places[0] - NEAR), places[0]) if scene.word(p) in ("been", "worked", "working")]
    if scene.word(places[0] - 1) != "for" or not said or column is None or operator not in OPPOSITE:
        return False
    moment = _earlier(scene.now, str(number), unit)
    if moment is None:
        return False
    _require(scene, _than(column, OPPOSITE[operator], moment), *places)
    return True


def _spanned(scene: Scene, first: int, last: int) -> tuple[Column, Column, list[int]] | None:
    """The two moments that a length of time lies between."""
    late = [p for p in (last + 1,) if scene.word(p) in scene.cues.spans["late"]]
    if late and (overdue := _overdue(scene, first)) is not None:
        return overdue[0], overdue[1], [*late, *overdue[2]]
    before = _before(scene, first)
    after = _after(scene, last, [before[1].table] if before else [])
    if before is not None and after is not None:
        before, after = _actual(scene, before, after)
    if before is not None and after is not None and before[1] != after[1]:
        return after[1], before[1], [before[0], after[0], *_light(scene, last, after[0])]
    said = before or after
    if said is not None:
        start = begin_of(scene.schema.table_of(said[1]), scene.cues)
        is_end = "end" in roles_of(said[1], scene.cues)
        return (start, said[1], [said[0]]) if start is not None and is_end and start != said[1] else None
    lasting = _lasting_before(scene, first)
    is_for = scene.word(first - 1) == "for" or scene.word(first).startswith("or ")
    for table in _things(scene, None) if lasting or is_for else []:
        start, end = begin_of(table, scene.cues), end_of(table, scene.cues)
        if start is not None and end is not None and start != end:
            if len(times_of(table)) > 2:
                scene.intent.doubt("other times may be meant", 0.9)
            return start, end, lasting
    return None


def _actual(scene: Scene, one: tuple[int, Column], other: tuple[int, Column]) -> tuple[tuple[int, Column], ...]:
    """`left 15 minutes after the scheduled time`: the actual departure and the scheduled one."""
    table = scene.schema.table_of(other[1])
    pairs = [
        (end, due)
        for end in moments_at(scene, one[0], table)
        for due in moments_at(scene, other[0], table)
        if end != due and "due" in roles_of(due, scene.cues) and is_outcome(due, end, scene)
    ]
    return ((one[0], pairs[0][0]), (other[0], pairs[0][1])) if len(pairs) == 1 else (one, other)


def _after(scene: Scene, last: int, near: list[str]) -> tuple[int, Column] | None:
    """The first moment after a place, in its part of the sentence."""
    for place in range(last + 1, min(last + NEAR, len(scene.elements))):
        if scene.elements[place].sign:
            return None
        column = moment_at(scene, place, near)
        if column is not None:
            return place, column
    return None


def _light(scene: Scene, start: int, end: int) -> list[int]:
    return [
        p for p in range(start + 1, end) if scene.word(p) in ("after", "from", "since", "being", "getting", "their")
    ]
