"""Which column a time of a question is about."""

from engine.dates.calendar import Unit
from engine.planner.elements import Element
from engine.planner.formulas import TIMES
from engine.planner.intent import Condition, Dimension, Measure
from engine.planner.moments import WEAK, begin_of, moment_at, roles_of, says, times_of
from engine.planner.scene import NEAR, STRONG, Scene
from engine.planner.schema import Column

AFTER = 6
"""How far after a time a word may still say what it is of."""
SAYS = 0.7
HOUSEKEEPING = ("created", "updated", "modified", "time")


def read_times(scene: Scene) -> None:
    """Ranges of time go to the date column that belongs to what is counted."""
    _count_by_period(scene)
    said = [item for item in scene.elements if item.date is not None and not item.is_used]
    is_compared = scene.dates.compares is not None and not scene.is_compared
    if len(said) > 1 or is_compared or any(item.date and item.date.versus for item in said):
        scene.intent.doubt("several times are spoken of", 0.5)
    for at, element in enumerate(scene.elements):
        if element.date is None or element.is_used:
            continue
        column = time_column(scene, at)
        if column is None:
            continue
        scene.use(at)
        if column.family == "number":
            _years(scene, column, element)
        else:
            scene.intent.conditions.append(Condition(column, "during", range=element.date.range, at=at))
    if scene.grain is not None and (scene.intent.measures or scene.intent.ratio):
        column = grain_column(scene)
        if column is not None and all(item.column != column for item in scene.intent.dimensions):
            scene.intent.dimensions.insert(0, Dimension(column, None if column.family == "number" else scene.grain))


def _count_by_period(scene: Scene) -> None:
    """`visits per month`: how many there are, where nothing else is asked of them."""
    intent, entity = scene.intent, scene.intent.entity
    is_bare = not (intent.measures or intent.ratio or intent.dimensions or intent.havings or intent.sorts)
    if scene.grain is None or entity is None or not is_bare or intent.nested is not None:
        return
    start = scene.dates.grain_at[0]
    first = next((at for at, item in enumerate(scene.elements) if item.start >= start or item.is_schema), None)
    rest = [item for item in scene.elements if item.is_schema and not item.is_used]
    if first is not None and first <= 1 and len(rest) == 1 and scene.is_table(rest[0], entity.name):
        scene.add(Measure("count", table=entity))
        rest[0].is_used = True


def grain_column(scene: Scene) -> Column | None:
    """The time that is grouped by: one that is said there, else the one that a range is about, else the main one."""
    start = scene.dates.grain_at[0]
    at = next((p for p, item in enumerate(scene.elements) if item.end > start), len(scene.elements) // 2)
    ranged = [item.column for item in scene.intent.conditions if item.range is not None]
    columns = [column for column in ranged if isinstance(column, Column) and column.family in TIMES]
    if columns and not any(_said(scene, at, item)[0] for item in times_of(scene.schema.table_of(columns[0]))):
        return columns[0]
    return time_column(scene, at)


def _years(scene: Scene, column: Column, element: Element) -> None:
    assert element.date is not None
    start, end = element.date.range.start, element.date.range.end
    if start is not None:
        scene.intent.conditions.append(Condition(column, "ge", start.year))
    if end is not None:
        scene.intent.conditions.append(Condition(column, "lt", end.year))


def time_column(scene: Scene, at: int) -> Column | None:
    """The column that a time is about: one that is named nearby, else the main one of the tables in use."""
    options: list[tuple[float, Column]] = []
    for name, weight in _time_tables(scene, at).items():
        for column in scene.schema.tables[name].columns:
            if column.family in TIMES and column.is_readable:
                options.append((weight - _chore(scene, column) + _said(scene, at, column)[0], column))
            elif "year" in column.words and column.family == "number":
                options.append((weight - 0.3 + _said(scene, at, column)[0], column))
    return _chosen(scene, at, options) if options else None


def _chosen(scene: Scene, at: int, options: list[tuple[float, Column]]) -> Column:
    """The best of some columns; how sure that is depends on the others, and on what is said around the time."""
    best = max(options, key=lambda item: item[0])
    said, places = _said(scene, at, best[1])
    rivals = [column for score, column in options if score > best[0] - 0.05 and column != best[1]]
    if rivals and said > 0:
        scene.intent.doubt("several columns hold a time", 0.8)
    elif rivals:
        best = (best[0], _first(scene, [best[1], *rivals]))
    elif said == 0 and sum(score > best[0] - 0.55 for score, _ in options) > 1:
        scene.intent.doubt("another column may hold the time that is meant", 0.9)
    elif "birth" in best[1].words and said == 0:
        scene.intent.doubt("only births have a time", 0.5)
    if said == 0 and not rivals and _is_of_orders(scene, best[1]):
        scene.intent.doubt("what was ordered then may be of another time", 0.8)
    for place in places:
        scene.use(place)
        _use_company(scene, place)
    return best[1]


def _use_company(scene: Scene, at: int) -> None:
    """`left the company` says no more than `left`."""
    for place in (at + 1, at + 2):
        if scene.word(place) in ("company", "firm", "organisation", "organization", "business"):
            scene.elements[place].is_used = scene.elements[place].is_used or not scene.elements[place].is_schema


def _is_of_orders(scene: Scene, column: Column) -> bool:
    """Whether rows only say when something was booked that itself has a time."""
    if not set(column.words) & scene.cues.spans["orders"] or set(column.words) & set(HOUSEKEEPING):
        return False
    parents = [link.parent.table for link in scene.schema.links if link.child.table == column.table]
    starts = [begin_of(scene.schema.tables[name], scene.cues) for name in parents]
    return any(item is not None and "start" in item.words for item in starts)


def _first(scene: Scene, columns: list[Column]) -> Column:
    """Of several times that may be meant the one at which a thing began."""
    for table in dict.fromkeys(column.table for column in columns):
        begin = begin_of(scene.schema.tables[table], scene.cues)
        if len({column.table for column in columns}) != 1:
            break
        ordered = [item for item in times_of(scene.schema.tables[table]) if item in columns]
        is_strong = begin is not None and not set(begin.words) & WEAK
        is_plain = begin in columns and (is_strong or begin == ordered[0])
        if ordered and "scheduled" in ordered[0].words:
            scene.intent.doubt("the actual time may be meant", 0.8 if is_plain else 0.85)
            return ordered[0]
        if is_plain and begin is not None:
            scene.intent.doubt("another column may hold the time that is meant", 0.85)
            return begin
    scene.intent.doubt("several columns hold a time", 0.8)
    return columns[0]


def _chore(scene: Scene, column: Column) -> float:
    """How much less a column is what happened to a thing than something around it."""
    if "birth" in column.words:  # things happen to people later
        return 1.0
    if scene.grain == Unit("hour") and column.family == "date":
        return 0.6
    if not set(column.words) & set(HOUSEKEEPING) or "date" in column.words:
        return 0.0
    others = [item for item in times_of(scene.schema.table_of(column)) if item != column]
    is_begin = "begin" in roles_of(column, scene.cues)
    is_alone = all(roles_of(item, scene.cues) & {"end", "due", "chore"} for item in others)
    return 0.0 if is_begin and is_alone else 0.5  # what is created and ends is there from then on


def _time_tables(scene: Scene, at: int) -> dict[str, float]:
    """Tables whose rows a time may be about: what is counted first, then what was named last before it."""
    weights = dict.fromkeys(scene.intent.tables() or list(scene.named), 0.0)
    for measure in scene.intent.measures:
        name = measure.table.name if measure.table else measure.column.table if measure.column else ""
        if name:  # a calculation has no table of its own
            weights[name] = weights.get(name, 0.0) + 0.3
    for element in scene.elements[:at]:
        for table in element.related:  # `inspected in 2026`
            weights[table.name] = weights.get(table.name, 0.0) + 0.6
    for place in range(at - 1, max(-1, at - NEAR), -1):
        names = [item.table.name for item in scene.elements[place].candidates if item.table and item.score >= STRONG]
        if names:
            weights[names[0]] = weights.get(names[0], 0.0) + 0.25
            break
    for place in range(at - 1, max(-1, at - 4), -1):
        for item in scene.elements[place].candidates:
            if item.column is not None and item.column.family in TIMES:
                weights.setdefault(item.column.table, 0.0)
    return weights


def _said(scene: Scene, at: int, column: Column) -> tuple[float, list[int]]:
    """How plainly words around a time name its column, and where: `joined in 2022` means the join date."""
    near = [*range(at - 1, max(-1, at - 4), -1), *range(at + 1, min(len(scene.elements), at + AFTER))]
    best, places = 0.0, list[int]()
    for place in near:
        element = scene.elements[place]
        if element.sign in ("?", ".", ";") or (element.date is not None and place > at):
            break
        score = max((item.score for item in element.candidates if item.column == column), default=0.0)
        is_verb = not element.is_schema and not element.is_ignored
        if score == 0 and is_verb and says(column, element.text.lower(), scene.cues):
            score = SAYS
        if score and place > at:
            score *= 0.8
        if score:
            places.append(place)
        best = max(best, score + (0.1 if len(places) > 1 else 0.0))
    return best, places


def free_verbs(scene: Scene) -> None:
    """`opened on a Monday` is about when something was opened, not about what is open now."""
    for at, element in enumerate(scene.elements):
        is_phrase = scene.word(at) == "place" and scene.word(at - 1) in ("take", "takes", "took", "taken", "taking")
        is_new = scene.word(at) == "new" and at + 1 < len(scene.elements) and scene.is_table_first(at + 1)
        if (is_phrase and not scene.is_table_first(at)) or is_new:  # `took place`, `new members per month`
            element.candidates, element.related = [], []
            element.is_ignored = element.is_used = True
    times = [p for p, element in enumerate(scene.elements) if element.date is not None] + [
        item.at for item in scene.days
    ]
    for at in times:
        for place in range(at - 1, max(-1, at - NEAR), -1):
            element = scene.elements[place]
            is_itself = any(value.lower() == element.text.lower() for _, value in element.values)
            is_itself = is_itself and scene.word(place + 1) != "to"  # `scheduled to leave`
            if element.values and element.quoted is None and not is_itself and moment_at(scene, place) is not None:
                element.values = []
