"""Counts inside counts: `the average number of orders per customer`, `how many customers have more than 3 orders`."""

from engine.dates.calendar import Unit, shifted
from engine.dates.ranges import Range
from engine.planner.formulas import Formula
from engine.planner.intent import Aggregate, Dimension, Having, Measure, Nested
from engine.planner.scene import Scene
from engine.planner.schema import Column, Table
from engine.planner.showing import dimension_at
from engine.planner.subjects import thing_at
from engine.planner.times import grain_column

EACH = ("a", "an", "each", "every", "per", "one", "any", "single")
OF_GROUPS = ("avg", "median")


def read_group_averages(scene: Scene) -> None:
    """`average number of tickets per agent`, `how many tickets does an agent handle on average`."""
    if scene.intent.ratio is not None or scene.intent.nested is not None:
        return
    for at in range(len(scene.elements)):
        found = _counted(scene, at) or _on_average(scene, at)
        if found is None:
            continue
        aggregate, measure, owner, places = found
        if not _group(scene, owner):
            continue
        scene.intent.nested = Nested("aggregate", aggregate=aggregate)
        scene.add(measure)
        scene.intent.is_grouped = True
        for place in places:
            scene.elements[place].is_used = True
        return


Found = tuple[Aggregate, Measure, int, list[int]]


def _counted(scene: Scene, at: int) -> Found | None:
    """`average number of tickets per agent`, `the median total price per client`."""
    kind = scene.cue(at, "aggregates")
    if kind not in OF_GROUPS or scene.elements[at].is_used:
        return None
    is_count, is_sum = scene.cue(at + 1, "count") is not None, scene.cue(at + 1, "aggregates") == "sum"
    place = scene.following(at + 2, over=("distinct",)) if is_count or is_sum else None
    if place is None:
        return None
    measure = _measure(scene, place, is_count=is_count)
    owner = _owner(scene, place)
    if measure is None or owner is None:
        return None
    return kind, measure, owner[1], [at, at + 1, place, owner[0]]  # type: ignore[return-value]


def _measure(scene: Scene, place: int, *, is_count: bool) -> Measure | None:
    column = None if scene.is_table_first(place) else scene.column(place, "number")
    if column is not None and not column.is_id and not is_count:
        return Measure("sum", column)
    table = thing_at(scene, place)
    return Measure("count", table=table) if table is not None and is_count else None


def _owner(scene: Scene, after: int) -> tuple[int, int] | None:
    """`per agent`, `for each client`, `a month`: the word, and what it is of."""
    for at in range(after + 1, min(after + 8, len(scene.elements) - 1)):
        if scene.elements[at].sign in ("?", ".", ";"):
            return None
        is_each = scene.word(at).split()[-1] in ("per", "each", "every")
        if is_each and (scene.elements[at + 1].is_schema or scene.unit(at + 1)):
            return at, at + 1
    return None


def _on_average(scene: Scene, at: int) -> Found | None:
    """`how many tickets does an agent handle on average`, `how many stops does the average run have`."""
    if scene.cue(at, "count") is None or scene.elements[at].is_used:
        return None
    averages = [p for p in range(len(scene.elements)) if scene.cue(p, "aggregates") == "avg"]
    average = next((p for p in averages if not scene.elements[p].is_used), None)
    place = scene.following(at + 1, over=("distinct",))
    table = thing_at(scene, place) if place is not None else None
    if average is None or place is None or table is None:
        return None
    for owner in range(place + 1, len(scene.elements)):
        other = thing_at(scene, owner)
        is_one = scene.word(owner - 1) in EACH or owner - 1 == average
        if other is not None and other != table and is_one:
            return "avg", Measure("count", table=table), owner, [at, place, average, owner - 1]
    return None


def _group(scene: Scene, place: int) -> bool:
    """Groups by what is there of each; a unit of time is settled when it is known what has it."""
    if scene.unit(place) and scene.grain is not None and not scene.elements[place].is_schema:
        return True
    columns = dimension_at(scene, place)
    if not columns:
        return False
    scene.intent.dimensions += [Dimension(column) for column in columns]
    scene.elements[place].is_used = True
    scene.intent.doubt("those that have none may count too", 0.95)
    scene.inner = list(scene.intent.dimensions)
    return True


def settle_groups(scene: Scene) -> None:
    """Which groups are inside, and which are shown; and how many things meet a condition on what they have."""
    nested, intent = scene.intent.nested, scene.intent
    if nested is not None and nested.kind == "aggregate":
        inner = list(scene.inner)
        if not inner and scene.grain is not None:
            column = grain_column(scene)
            if column is None:
                intent.nested = None
                return
            inner = [Dimension(column, scene.grain)]
            scene.grain = None
        outer = [item for item in intent.dimensions if item not in inner]
        nested.within = tuple(outer)
        intent.dimensions = [*outer, *inner]
    elif nested is None and _each_period(scene):
        return
    elif scene.grain is not None and not (intent.measures or intent.ratio):
        intent.doubt("what goes by time is not read", 0.6)
    elif nested is None and intent.havings:
        _count_those(scene)


def _each_period(scene: Scene) -> bool:
    """`clients with a rental in every month of 2026`: as many months as there are."""
    intent, unit = scene.intent, scene.grain
    start, end = scene.dates.grain_at
    said = next((scene.word(p) for p, e in enumerate(scene.elements) if e.start < end and start < e.end), "")
    ranged = [item for item in intent.conditions if item.range is not None and isinstance(item.column, Column)]
    is_every = not {"every", "each"}.isdisjoint(said.split())
    if unit is None or intent.measures or intent.ratio is not None or not is_every or len(ranged) != 1:
        return False
    count = _periods(ranged[0].range, unit)
    if intent.entity is None or ranged[0].column.table == intent.entity.name or not count:
        return False
    month = Formula("trunc", (ranged[0].column,), (unit.grain,), unit.grain, "date")
    intent.havings.append(Having(Measure("count", month, is_distinct=True), "eq", count))
    intent.is_grouped = True
    return True


def _periods(time: Range | None, unit: Unit) -> int:
    """How many periods a range is made of; 0 where that is not whole."""
    if time is None or time.start is None or time.end is None:
        return 0
    count = next((n for n in range(1, 400) if shifted(time.start, unit, n) >= time.end), 0)
    return count if count and shifted(time.start, unit, count) == time.end else 0


def _count_those(scene: Scene) -> None:
    """`how many clients have more than 3 rentals`: clients are counted, not what they have."""
    intent, entity = scene.intent, scene.intent.entity
    counts = [item for item in intent.measures if item.aggregate == "count" and item.table == entity]
    if entity is None or len(intent.measures) != 1 or not counts or intent.ratio is not None or intent.sorts:
        return
    if any(item.measure.table == entity and item.measure.column is None for item in intent.havings):
        return
    keys = _key(entity)
    if not keys or any(item.column in keys for item in intent.dimensions):
        return
    intent.nested = Nested("count", tuple(intent.dimensions), label="_".join((*entity.words, "count")))
    intent.measures = []
    intent.dimensions = [*intent.dimensions, *(Dimension(column) for column in keys)]


def _key(table: Table) -> tuple[Column, ...]:
    return table.key if all(column.is_readable for column in table.key) and table.key else table.labels
