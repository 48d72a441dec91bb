"""Measures of a question: counts, sums, averages."""

from engine.planner.intent import Dimension, Measure
from engine.planner.scene import Scene
from engine.planner.schema import Column

PLAIN = 0.7
"""How well words must fit a column whose texts are counted."""
MONEY = ("amount", "price", "revenue", "cost", "value", "total")


def read_measures(scene: Scene) -> None:
    """`average delay`, `number of flights`, `total amount`."""
    for at in range(len(scene.elements)):
        if scene.elements[at].is_used:
            continue
        if _totalled(scene, at):
            continue
        if scene.cue(at, "count") is not None:
            _count(scene, at)
        elif scene.cue(at, "aggregates") is not None:
            _aggregate(scene, at)


def _totalled(scene: Scene, at: int) -> bool:
    """`total cost per month` where a column is called so: it is summed up."""
    is_said = scene.elements[at].is_schema and scene.word(at).startswith("total") and not scene.is_table_first(at)
    is_grouped = scene.grain is not None or any(
        scene.cue(p, "group") and not scene.elements[p].is_used for p in range(len(scene.elements))
    )
    if not is_said or not is_grouped or scene.intent.ratio is not None:
        return False
    column = scene.column(at, "number")
    if column is None or column.words[:1] != ("total",):
        return False
    scene.use(at)
    scene.add(Measure("sum", column))
    return True


def count_again(scene: Scene) -> None:
    """`and how many each has`, `together with the count`: what is counted already, to be shown."""
    intent = scene.intent
    counts = [item for item in intent.measures if item.aggregate == "count" and item.column is None]
    held = [item.measure for item in intent.havings if item.measure.aggregate == "count"]
    if intent.ratio or not (counts or held):
        return
    for at, element in enumerate(scene.elements):
        if scene.cue(at, "count") is None or element.is_used or element.is_schema:
            continue
        if [item.text.lower() for item in scene.elements[at + 1 : at + 3]] in (["of", "those"], ["of", "them"]):
            continue  # another count, of some of them
        place = scene.following(at + 1, over=("distinct", "count"))
        known = (counts or held)[0]
        if place is not None and scene.table(place) not in (known.table, None):
            continue
        scene.use(at)
        scene.add(known)
        intent.is_grouped = True


def _count(scene: Scene, at: int, aggregate: str = "") -> None:
    """`number of flights` counts rows, `number of citations` may be a column; `average number of` needs one."""
    kind = next((p for p in range(at + 1, min(at + 4, len(scene.elements))) if p in scene.kinds), None)
    if kind is not None and not aggregate:
        scene.use(at)
        scene.add(Measure("count", table=scene.kinds[kind]))
        return
    if scene.word(at) == "number of" and at > 0 and scene.elements[at - 1].is_schema:
        scene.use(at)  # `phone number of a customer`
        return
    place = scene.following(at + 1, over=("distinct", "aggregates", "count"))
    if place is None:
        return
    is_distinct = any(scene.cue(p, "distinct") for p in range(at, place))
    table, column = scene.table(place), scene.column(place)
    if column is not None and column.family == "text" and scene.score(place, column) < PLAIN:
        column = None
    is_column = column is not None and (table is None or not (scene.is_table_first(place) or column.is_id))
    if column is not None and is_column and column.family == "number" and not column.is_id:
        _numbers(scene, at, place, column, aggregate)
        return
    if column is not None and is_column:
        measure = Measure("count", column, is_distinct=True)
    elif table is not None and aggregate in ("", "sum"):
        measure = Measure("count", table=table, is_distinct=is_distinct)
    else:
        return
    scene.use(*scene.between(at, place))
    scene.use(place)  # what is counted is no value of something else
    _most(scene, at, measure)
    scene.add(measure)


def _numbers(scene: Scene, at: int, place: int, column: Column, aggregate: str) -> None:
    """A column that holds a number of something."""
    scene.use(*scene.between(at, place))
    is_grouped = any(scene.cue(p, "group") and not scene.elements[p].is_used for p in range(len(scene.elements)))
    is_grouped = (is_grouped and scene.intent.limit is None) or scene.grain is not None
    if aggregate or is_grouped or _is_of_all(scene, at, column):
        measure = Measure(aggregate or "sum", column)  # type: ignore[arg-type]
        _most(scene, at, measure)
        scene.add(measure)
    else:
        scene.show([column], place)
        _most(scene, at, Dimension(column))


def _is_of_all(scene: Scene, at: int, column: Column) -> bool:
    """`How many kilos were harvested` is their sum; of one that is named, or of each, it is shown."""
    entity = scene.intent.entity
    if any(
        scene.cue(p, "aggregates") == "sum" and not scene.elements[p].is_used for p in range(at, len(scene.elements))
    ):
        return True  # `how many did they take in total`
    is_asked = scene.cue(at, "superlatives") is None and scene.cue(at - 1, "superlatives") is None
    is_first = all(not item.is_schema or item.is_used for item in scene.elements[:at])
    is_other = entity is None or (entity.name != column.table and not any(e.values for e in scene.elements))
    return is_asked and is_first and is_other and scene.elements[at].text.lower() == "how many"


def _most(scene: Scene, at: int, by: Measure | Dimension) -> None:
    """`the highest number of X` puts things in order by it."""
    if scene.cue(at - 1, "superlatives") is not None and not scene.elements[at - 1].is_used:
        scene.use(at - 1)
        scene.rank(by, scene.cue(at - 1, "superlatives") == "desc")
        if scene.intent.limit is None and scene.is_singular():
            scene.intent.limit = 1


def _aggregate(scene: Scene, at: int) -> None:
    kind = scene.cue(at, "aggregates")
    if scene.cue(at + 1, "count") is not None and kind is not None and not scene.cue(at, "superlatives"):
        scene.use(at)
        return _count(scene, at + 1, kind)
    if scene.cue(at + 1, "count") is not None:
        return None
    place = scene.following(at + 1, over=("distinct", "aggregates", "missing"))
    if place is None:
        return None
    if kind == "sum" and scene.cue(place + 1, "count") is not None and scene.table(place) is not None:
        scene.use(*range(at, place + 2))
        return scene.add(Measure("count", table=scene.table(place)))
    families = ("number",) if kind in ("sum", "avg", "median", "stddev") else ("number", "date", "time")
    column = scene.column(place, *families)
    if column is None or column.is_id:
        column = _amount_of(scene, place) if kind in ("sum", "avg", "median") else None
        if column is None:
            return None
    elif scene.is_table_first(place) and kind != "sum":
        return None
    if column.family == "number" and scene.cue(at, "aggregates_of_time") is not None:
        return None  # the latest score is not the highest
    if kind in ("max", "min") and scene.cue(at, "superlatives") and _is_ranking(scene, at, place):
        return None
    scene.use(*scene.between(at, place))
    scene.read_at[place] = Measure(kind, column)  # type: ignore[arg-type]
    scene.add(scene.read_at[place])
    return None


def _is_ranking(scene: Scene, at: int, place: int) -> bool:
    """`Which lakes have the largest area`: things in order, not the largest number itself."""
    if scene.intent.limit is not None:
        return True
    before = [p for p in range(at) if scene.elements[p].is_schema]
    has_subject = any(scene.is_table_first(p) or scene.column(p, "text") is not None for p in before)
    groups = any(
        scene.cue(p, "group") and scene.following(p + 1, over=("distinct", "names", "group")) is not None
        for p in range(len(scene.elements))
    )
    return has_subject and not groups


def _amount_of(scene: Scene, place: int) -> Column | None:
    """`total sales` is the sum of the sale price, if a sale has just one amount."""
    table = scene.table(place)
    if table is None:
        return None
    amounts = [
        column
        for column in table.columns
        if column.family == "number" and not column.is_id and set(column.words) & set(MONEY)
    ]
    if len(amounts) != 1:
        return None
    scene.intent.doubt(f"{scene.elements[place].text} is read as its {' '.join(amounts[0].words)}", 0.8)
    return amounts[0]
