"""How long something takes: days between two dates, `how long do loans last`, `delivery time in hours`."""

from engine.planner.computing import SECONDS
from engine.planner.formulas import TIMES, Formula, Value
from engine.planner.intent import Aggregate, Dimension, Measure
from engine.planner.moments import begin_of, end_of, moment_at, roles_of, times_of
from engine.planner.scene import Scene
from engine.planner.schema import Column, Table

AHEAD = 10
"""How many elements after `the time` its two ends may stand."""
JOINTS = ("and", "to", "until", "till", "through", "-")
HELD = {"min": "minute", "mins": "minute", "sec": "second", "secs": "second", "hr": "hour", "hrs": "hour"}


def read_spans(scene: Scene) -> None:
    """A span of time that is asked for: summed up, put in order, or shown."""
    if scene.intent.ratio is not None:
        return
    for at in range(len(scene.elements)):
        head = _head(scene, at)
        if head is None:
            continue
        after, unit = head
        if _so_far(scene, at, after):
            return
        held = _held(scene, at, unit)
        if held is not None:
            scene.use(*range(at, after), *_lasting(scene, after))
            _ask(scene, at, after, held)
            return
        found = next((made for read in READERS if (made := read(scene, at, after)) is not None), None)
        if found is None:
            continue
        start, end, places = found
        unit = unit or _said_unit(scene, after)
        formula = span(start, end, unit)
        if not unit and "time" in (start.family, end.family):
            scene.intent.doubt("the unit of time is not said", 0.8)
        scene.use(*range(at, after))
        for place in places:
            scene.elements[place].is_used = True
        _ask(scene, at, after, formula)
        _say_again(scene, after)
        return


def size_s(column: Column) -> int:
    """How many seconds one of what a number holds is, where its name says so: 60 for ride_minutes."""
    return next((size for word in column.words if (size := SECONDS.get(HELD.get(word, word), 0))), 0)


def _held(scene: Scene, at: int, unit: str) -> Value | None:
    """`how long do movies run`: where a column holds their minutes."""
    if (scene.word(at), scene.word(at + 1)) != ("how", "long"):
        return None
    for table in _things(scene, at)[:1]:
        held = [item for item in table.columns if item.family == "number" and not item.is_id and size_s(item)]
        if len(held) == 1:
            factor = size_s(held[0]) / SECONDS.get(unit or "", size_s(held[0]))
            return held[0] if factor == 1 else Formula("*", (held[0], factor), (unit, "count"))
    return None


def span(start: Column, end: Column, unit: str) -> Formula:
    """The time from one moment to another, in days unless said or unless both are times of a day."""
    unit = unit or ("hour" if (start.family, end.family) == ("time", "time") else "day")
    return Formula("span", (start, end), (unit, "count"), unit)


def whole_span(scene: Scene, table: Table) -> Formula | None:
    """All the time of a thing, where it has a beginning and an end."""
    start, end = begin_of(table, scene.cues), end_of(table, scene.cues)
    return span(start, end, "") if start is not None and end is not None and start != end else None


def _head(scene: Scene, at: int) -> tuple[int, str] | None:
    """`how many days`, `how long`, `number of days`, `time`, `duration`: where it ends, and its unit."""
    element = scene.elements[at]
    if element.is_used:
        return None
    if scene.cue(at, "count") is not None and scene.unit(at + 1):
        return at + 2, scene.unit(at + 1)
    if scene.word(at) == "how" and scene.word(at + 1) in ("long", "far"):
        return at + 2, ""
    is_length = element.stems[-1] in scene.cues.spans["lengths"]
    if is_length and not _is_number(scene, at):
        return at + 1, ""
    return None


def _is_number(scene: Scene, at: int) -> bool:
    """`duration` where there is a column duration_min: nothing is to be computed."""
    return any(item.column is not None and item.column.family == "number" for item in scene.elements[at].candidates)


def _between(scene: Scene, at: int, after: int) -> tuple[Column, Column, list[int]] | None:
    """`between being hired and leaving`, `from order to delivery`."""
    begin = next((p for p in _ahead(scene, after) if scene.word(p) in ("between", "from")), None)
    if begin is None:
        return None
    for joint in _ahead(scene, begin + 1):
        if scene.word(joint) not in JOINTS:
            continue
        first = _moments(scene, begin + 1, joint)
        second = _moments(scene, joint + 1, min(joint + 6, len(scene.elements)))
        pairs = [
            (start, end, [begin, joint, place, other])
            for place, start in first
            for other, end in second
            if start != end
        ]
        if pairs:
            start, end, places = max(pairs, key=lambda item: (item[0].table == item[1].table, -item[2][3]))
            return start, end, [*places, *_fillers(scene, begin, places[3]), *_lasting(scene, after)]
    return None


def _ahead(scene: Scene, at: int) -> range:
    """The elements after a place that may belong to it: up to the end of its sentence."""
    stop = min(at + AHEAD, len(scene.elements))
    end = next((p for p in range(at, stop) if scene.elements[p].sign in ("?", ".", ";", ":", "!")), stop)
    return range(at, end)


def _moments(scene: Scene, start: int, end: int) -> list[tuple[int, Column]]:
    near = [item.table.name for p in range(start, end) for item in scene.elements[p].candidates if item.table]
    found = [(place, moment_at(scene, place, near)) for place in range(start, end)]
    return [(place, column) for place, column in found if column is not None]


def _fillers(scene: Scene, start: int, end: int) -> list[int]:
    """Words between the ends of a span that say nothing more: `being`, `getting`."""
    light = ("being", "getting", "its", "date", "time", "having", "becoming", "actual", "when", "becoming")
    return [p for p in range(start, end + 1) if scene.word(p) in light and not scene.elements[p].is_schema]


def _until(scene: Scene, at: int, after: int) -> tuple[Column, Column, list[int]] | None:
    """`how long does it take to resolve a complaint`, `the delivery time`: from the beginning to what is said."""
    to = next((p for p in _ahead(scene, after) if scene.word(p) == "to" and not scene.elements[p].is_used), None)
    choices = [] if to is None else [p for p in (to + 1, to + 2) if p < len(scene.elements)]
    if scene.word(at) == "time" and at > 0:
        choices.append(at - 1)
    for place in choices:
        end = moment_at(scene, place)
        table = scene.schema.tables[end.table] if end is not None else None
        start = begin_of(table, scene.cues) if table is not None else None
        if end is not None and start is not None and start != end and "end" in roles_of(end, scene.cues):
            return start, end, [place, *_lasting(scene, after)]
    return None


def _whole(scene: Scene, at: int, after: int) -> tuple[Column, Column, list[int]] | None:
    """`how long do loans last`, `session duration`, `length of stay`: all of a thing's time."""
    words = _lasting(scene, after)
    is_named = scene.elements[at].stems[-1] in ("duration", "length", "tenure")
    if not (words or is_named or (scene.word(at), scene.word(at + 1)) == ("how", "long")):
        return None
    for table in _things(scene, at):
        start, end = begin_of(table, scene.cues), end_of(table, scene.cues)
        if start is not None and end is not None and start != end:
            if len(times_of(table)) > 2:
                scene.intent.doubt("other times may be meant", 0.9)
            return start, end, words
    return None


def _things(scene: Scene, at: int) -> list[Table]:
    """The tables that a question names, the nearest to a place first, or those of columns named right before it."""
    places = [p for p in range(len(scene.elements)) if scene.elements[p].is_schema and scene.is_table_first(p)]
    places.sort(key=lambda place: (abs(place - at), place))
    named = [table for place in places if (table := scene.table(place)) is not None]
    near = [item.column for item in scene.elements[max(0, at - 1)].candidates]
    beside = [scene.schema.table_of(column) for column in near if column is not None and column.family in TIMES]
    return [*named, *([scene.intent.entity] if scene.intent.entity else []), *beside]


def _from_being(scene: Scene, at: int, after: int) -> tuple[Column, Column, list[int]] | None:
    """`how many days after being issued are invoices paid`: from what is said first to what is said next."""
    joints = ("after", "since", "following", "before")
    joint = next((p for p in range(after, after + 2) if scene.word(p) in joints), None)
    if joint is None:
        return None
    found = _moments(scene, joint + 1, min(joint + AHEAD, len(scene.elements)))
    pairs = [(one, two) for one in found for two in found if one[0] < two[0] and one[1] != two[1]]
    same = [pair for pair in pairs if pair[0][1].table == pair[1][1].table]
    if not same:
        return None
    first, second = same[0]
    if scene.word(joint) == "before":
        first, second = second, first
    return first[1], second[1], [joint, first[0], second[0], *_fillers(scene, joint, max(first[0], second[0]))]


def _delayed(scene: Scene, at: int, after: int) -> tuple[Column, Column, list[int]] | None:
    """`departure delay`, `days late`: from when something was due to when it was."""
    late = [p for p in range(at, min(after + 4, len(scene.elements))) if scene.word(p) in scene.cues.spans["late"]]
    if not late and scene.elements[at].stems[-1] != "delay":
        return None
    for table in _things(scene, at):
        times = times_of(table)
        pairs = [
            (due, end)
            for due in times
            for end in times
            if "due" in roles_of(due, scene.cues)
            and "due" not in roles_of(end, scene.cues)
            and is_outcome(due, end, scene)
        ]
        said = {stem for p in range(max(0, at - 2), at + 1) for stem in scene.elements[p].stems}
        pairs.sort(key=lambda pair: -len(said & set(pair[0].words)))
        if pairs:
            return *pairs[0], late + [p for p in (at - 1,) if said and scene.elements[p].stems[0] in pairs[0][0].words]
    return None


def is_outcome(due: Column, end: Column, scene: Scene) -> bool:
    """Whether a moment is the one that another says when to expect: the actual departure, the return."""
    if "due" in roles_of(end, scene.cues):
        return False
    plain = [set(item.words) - {"actual", "at", "on", "date", "time", *_dues(scene)} for item in (due, end)]
    return plain[0] == plain[1] or ("end" in roles_of(end, scene.cues) and not plain[0])


def _dues(scene: Scene) -> set[str]:
    return {word for word, roles in scene.cues.lifecycle.items() if "due" in roles}


def _in_advance(scene: Scene, at: int, after: int) -> tuple[Column, Column, list[int]] | None:
    """`how many days in advance`, `how far ahead`: from the order to what was ordered."""
    ahead = [p for p in range(after, min(after + 4, len(scene.elements))) if scene.word(p) in scene.cues.spans["ahead"]]
    for table in [*_things(scene, at), *scene.schema.tables.values()] if ahead else []:
        begins = [item for item in times_of(table) if "begin" in roles_of(item, scene.cues)]
        orders = [item for item in begins if set(item.words) & scene.cues.spans["orders"]]
        starts = [item for item in begins if item not in orders and "chore" not in roles_of(item, scene.cues)]
        if orders and starts:
            verbs = [p for p in range(len(scene.elements)) if moment_at(scene, p, [table.name]) == orders[0]]
            return orders[0], starts[0], [*ahead, *verbs]
    return None


def _lasting(scene: Scene, after: int) -> list[int]:
    return [p for p in _ahead(scene, after) if scene.word(p) in scene.cues.spans["lasting"]]


def _said_unit(scene: Scene, after: int) -> str:
    """`in hours` further on."""
    for place in range(after, len(scene.elements) - 1):
        if scene.word(place) in ("in", "of") and scene.unit(place + 1) and not scene.elements[place + 1].is_used:
            scene.use(place + 1)
            return scene.unit(place + 1)
    return ""


READERS = (_between, _from_being, _delayed, _in_advance, _until, _whole)


def _so_far(scene: Scene, at: int, after: int) -> bool:
    """`how many years has each clinic been open`: from its beginning until today."""
    said = [p for p in range(after, min(after + AHEAD, len(scene.elements))) if scene.word(p) == "been"]
    table = next(iter(_things(scene, at)), None)
    begin = begin_of(table, scene.cues) if table is not None and said else None
    if begin is None or table is None or end_of(table, scene.cues) is not None:
        return False
    unit = scene.unit(at + 1) or "year"
    scene.use(*range(at, after), *said)
    for place in range(said[0], min(said[0] + 4, len(scene.elements))):
        element = scene.elements[place]
        element.is_used = element.is_used or scene.word(place) in scene.cues.sets["states"] or element.is_ignored
    labels = [Dimension(column) for column in table.labels]
    scene.intent.dimensions += [*labels, Dimension(Formula("span", (begin, scene.now.date()), (unit, "count"), unit))]
    return True


def _ask(scene: Scene, at: int, after: int, formula: Value) -> None:
    """What is asked of a span: its average, the longest ones, or itself."""
    superlative = next(
        (p for p in range(max(0, at - 4), at) if scene.cue(p, "superlatives") and not scene.elements[p].is_used), None
    )
    said = _aggregate_near(scene, at, after, superlative)
    is_value = superlative == at - 1 and scene.intent.limit is None and not _has_subject(scene, superlative)
    if superlative is not None and said is None and is_value:
        scene.use(superlative)
        is_most = scene.cue(superlative, "superlatives") == "desc" or scene.word(superlative) == "worst"
        scene.add(Measure("max" if is_most else "min", formula))
        return
    if superlative is not None:
        scene.use(superlative)
        is_worst = scene.word(superlative) == "worst"  # the longest delay
        scene.rank(Dimension(formula), is_worst or scene.cue(superlative, "superlatives") == "desc")
        if scene.intent.limit is None and scene.is_singular():
            scene.intent.limit = 1
        return
    if said is not None:
        scene.use(said[0])
        scene.add(Measure(said[1], formula))
        return
    if any(scene.cue(p, "group") and not scene.elements[p].is_used for p in range(len(scene.elements))):
        scene.intent.doubt("the average time is assumed", 0.85)
        scene.add(Measure("avg", formula))
        return
    scene.intent.dimensions.append(Dimension(formula))


def _has_subject(scene: Scene, before: int) -> bool:
    """`the agent with the longest time`: a thing is asked for, not the time itself."""
    said = [p for p in range(before) if scene.elements[p].is_schema]
    return any(scene.is_table_first(p) for p in said) or scene.word(0) in ("which", "who", "whose")


def _say_again(scene: Scene, after: int) -> None:
    """`and the number of days`, `with the delay in minutes`: what is shown already."""
    for at in range(after, len(scene.elements)):
        head = _head(scene, at)
        if head is not None and (head[1] or scene.elements[at].stems[-1] in scene.cues.spans["lengths"]):
            for place in range(at, head[0]):
                scene.elements[place].is_used = True
            _said_unit(scene, at)


def _aggregate_near(scene: Scene, at: int, after: int, superlative: int | None) -> tuple[int, Aggregate] | None:
    """`average` before the time, or `on average` wherever it stands."""
    for place in [*range(at - 1, max(-1, at - 5), -1), *range(len(scene.elements))]:
        kind = scene.cue(place, "aggregates")
        is_near = at - 5 < place < at
        is_on = kind == "avg" and (
            scene.word(place - 1).split()[-1:] == ["on"] or scene.word(place) in ("typically", "typical")
        )
        if kind is not None and place != superlative and not scene.elements[place].is_used and (is_near or is_on):
            return place, kind  # type: ignore[return-value]
    return None
