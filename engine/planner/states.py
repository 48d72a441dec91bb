"""States that a beginning and an end tell: `still employed`, `no longer open`, `running today`, `upcoming`."""

from datetime import datetime, timedelta

from engine.dates.calendar import Unit
from engine.dates.ranges import Range
from engine.planner.elements import Element
from engine.planner.formulas import TIMES
from engine.planner.intent import Condition, Dimension
from engine.planner.moments import begin_of, end_of, moment_at, moments_at, roles_of, says, times_of
from engine.planner.scene import NEAR, Scene
from engine.planner.schema import Column, Table

PLANNED = frozenset(["end", "expiry", "expire", "expiration", "until", "to", "thru", "finish", "valid", "stop"])
"""Words of ends that may lie ahead; others are of what was done."""
GONE = ("no", "longer", "no longer", "not", "former", "anymore")
NOW = ("now", "today", "currently", "right now", "at the moment", "at present", "presently", "still")


def read_states(scene: Scene) -> None:
    """Each state where it stands, if no value or flag tells it."""
    for at, element in enumerate(scene.elements):
        if element.is_used or element.values or not _is_free(element):
            continue
        word = scene.word(at)
        if word in scene.cues.sets["states"] or f"{word} {scene.word(at + 1)}" in scene.cues.sets["states"]:
            _state(scene, at)
        elif word in ("upcoming", "future", "forthcoming") or _is_next(scene, at):
            _ahead(scene, at)
        elif word in ("expired", "lapsed"):
            _over(scene, at)


def _is_next(scene: Scene, at: int) -> bool:
    """`the next 3 events`"""
    is_counted = at + 2 < len(scene.elements) and isinstance(scene.elements[at + 1].number, int)
    return scene.word(at) == "next" and is_counted and scene.is_table_first(at + 2)


def _is_free(element: Element) -> bool:
    """Whether a word is no name: `open` may be a state where there is a column opened_on."""
    return all(item.column is not None and item.column.family in TIMES for item in element.candidates)


def read_undone(scene: Scene) -> None:
    """`rentals that have not been returned yet`: their end holds nothing. `still active` is what active is."""
    for at, element in enumerate(scene.elements):
        is_denied = scene.cue(at, "missing") is not None or scene.cue(at, "negation") == "before"
        if is_denied and not element.is_used:
            _undone(scene, at)
        if scene.word(at) == "actually":
            _happened(scene, at)
        if scene.word(at) in (*NOW, "already", "actually") and not element.is_used:
            after = next((p for p in range(at + 1, at + 4) if not _is_light(scene, p)), len(scene.elements))
            element.is_used = element.is_used or (after < len(scene.elements) and bool(scene.elements[after].values))


def _happened(scene: Scene, at: int) -> None:
    """`flights that actually departed`: the actual time is known."""
    entity, place = scene.intent.entity, at + 1
    if entity is None or place >= len(scene.elements) or scene.elements[place].is_used:
        return
    actual = [item for item in moments_at(scene, place, entity) if "actual" in item.words]
    if len(actual) == 1:
        scene.intent.conditions.append(Condition(actual[0], "not_null", at=at))
        scene.elements[at].is_used = scene.elements[place].is_used = True


def _is_light(scene: Scene, at: int) -> bool:
    return at < len(scene.elements) and scene.elements[at].is_ignored and not scene.elements[at].values


def _undone(scene: Scene, at: int) -> None:
    entity = scene.intent.entity
    for place in range(at + 1, min(at + 4, len(scene.elements))):
        element = scene.elements[place]
        if element.sign or scene.is_table_first(place) or element.values or element.date is not None:
            return
        near = [entity.name] if entity is not None else []
        column = moment_at(scene, place, near) if scene.word(place).endswith(("ed", "en", "id", "ft")) else None
        is_own = column is not None and (entity is None or column.table == entity.name)
        if column is not None and is_own and "end" in roles_of(column, scene.cues):
            if _when(scene, place) is None:
                scene.intent.conditions.append(Condition(column, "is_null", at=at))
                element.is_used = scene.elements[at].is_used = True
                _use_yet(scene, place)
            return


def _use_yet(scene: Scene, at: int) -> None:
    for place in range(at + 1, min(at + 3, len(scene.elements))):
        if scene.word(place) in ("yet", "so far", *NOW):
            scene.elements[place].is_used = True


def _table(scene: Scene) -> tuple[Table, Column, Column] | None:
    """The thing that has a beginning and an end."""
    entity = scene.intent.entity
    names = [*([entity.name] if entity else []), *scene.named]
    for name in dict.fromkeys(names):
        table = scene.schema.tables[name]
        begin, end = begin_of(table, scene.cues), end_of(table, scene.cues)
        if begin is not None and end is not None and begin != end:
            return table, begin, end
        if end is not None:
            return table, end, end
    return None


def _state(scene: Scene, at: int) -> None:
    found = _table(scene)
    if found is None:
        return
    table, begin, end = found
    places = [at]
    if scene.word(at) not in scene.cues.sets["states"]:
        places.append(at + 1)
    gone = [p for p in range(max(0, at - 3), at) if scene.word(p) in GONE]
    when = _when(scene, at)
    hedges = [p for p in range(max(0, at - 4), min(at + 5, len(scene.elements))) if scene.word(p) in NOW]
    if when is None and not (gone or hedges or _is_said(scene, at)):
        return
    if not (gone or hedges) and any(says(item, scene.word(at), scene.cues) for item in times_of(table)):
        return  # `enrolled in 2025` is when they enrolled
    if gone:
        made = [Condition(end, "lt", _text(scene.now, end))] if _is_planned(end) else [Condition(end, "not_null")]
    else:
        made = _during(begin, end, when or _today(scene), is_now=when is None)
    if len(times_of(table)) > 2:
        scene.intent.doubt("other times may tell the state", 0.9)
    scene.intent.conditions += made
    for place in [*places, *gone, *hedges]:
        scene.elements[place].is_used = True
    if when is not None:
        for place in range(at + 1, min(at + NEAR, len(scene.elements))):
            scene.elements[place].is_used = scene.elements[place].is_used or scene.elements[place].date is not None


def _is_said(scene: Scene, at: int) -> bool:
    """`employees that are active`, `active contracts`: said of things, and not asked for."""
    is_next = at + 1 < len(scene.elements) and scene.is_table_first(at + 1)
    return is_next or scene.word(at - 1) in ("are", "is", "that", "who")


def _when(scene: Scene, at: int) -> Range | None:
    """`running on 15 March`: the time at which the state is asked for."""
    for place in range(at + 1, min(at + NEAR, len(scene.elements))):
        element = scene.elements[place]
        if element.date is not None:
            return element.date.range
        if element.sign:
            return None
    return None


def _today(scene: Scene) -> Range:
    day = scene.now.replace(hour=0, minute=0, second=0, microsecond=0)
    return Range(day, day + timedelta(days=1), Unit("day"))


def _is_planned(end: Column) -> bool:
    return bool(set(end.words) & PLANNED)


def _text(moment: datetime, column: Column) -> str:
    return f"{moment:%Y-%m-%d}"


def _during(begin: Column, end: Column, time: Range, *, is_now: bool) -> list[Condition]:
    """What had begun before the time was over, and had not ended before it."""
    open_end = Condition(end, "is_null")
    made: list[Condition] = []
    if is_now and not _is_planned(end):
        return [open_end]
    if begin != end and time.end is not None:
        made.append(Condition(begin, "lt", _text(time.end, begin)))
    if time.start is not None:
        later = Condition(end, "ge", _text(time.start, end))
        made.append(Condition(end, "or", options=(open_end, later)))
    return made


def _ahead(scene: Scene, at: int) -> None:
    """`the next 5 upcoming sessions`: what begins from now on, the soonest first."""
    entity = scene.intent.entity
    named = [*([entity] if entity else []), *(scene.schema.tables[name] for name in scene.named)]
    tables = [table for table in named if times_of(table)]
    if not tables:
        return
    begin = begin_of(tables[0], scene.cues) or times_of(tables[0])[0]
    scene.intent.conditions.append(Condition(begin, "ge", _text(scene.now, begin), at=at))
    scene.elements[at].is_used = True
    for place in [*range(max(0, at - 3), at), *([at + 1] if scene.word(at) == "next" else [])]:
        number = scene.elements[place].number
        if scene.word(place) == "next":
            scene.elements[place].is_used = True
        if isinstance(number, int) and 0 < number <= 1000 and not scene.elements[place].is_used:
            scene.intent.limit = number
            scene.elements[place].is_used = True
            scene.rank(Dimension(begin), False)


def _over(scene: Scene, at: int) -> None:
    """`expired contracts`"""
    found = _table(scene)
    if found is not None and _is_planned(found[2]):
        scene.intent.conditions.append(Condition(found[2], "lt", _text(scene.now, found[2]), at=at))
        scene.elements[at].is_used = True
