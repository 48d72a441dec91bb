"""What a question puts first: its limit, its superlatives, its order."""

from collections.abc import Sequence

from engine.planner.formulas import Formula, Value
from engine.planner.intent import Dimension, Measure, Sort
from engine.planner.joins import join_tree, multiplies
from engine.planner.moments import begin_of, main_time
from engine.planner.scene import NEAR, Scene
from engine.planner.schema import Column, Table
from engine.planner.spans import whole_span


def read_limit(scene: Scene) -> None:
    """`top 5`, `the 3 most common`, `bottom 10`."""
    for at, element in enumerate(scene.elements):
        number = element.number
        if scene.cue(at, "top") is not None and at + 1 < len(scene.elements):
            said = scene.elements[at + 1].number
            if isinstance(said, int) and 0 < said <= 10_000:
                scene.intent.limit = said
                scene.wants_most = scene.cue(at, "top") != "bottom"
                scene.use(at, at + 1)
                return
        if isinstance(number, int) and 0 < number <= 1000 and _is_ranked_after(scene, at):
            scene.intent.limit = number
            scene.use(at)
            return


def _is_ranked_after(scene: Scene, at: int) -> bool:
    """Whether `5` in `the 5 most common colors`, `which 3 stocks had the highest` counts things."""
    following = scene.elements[at + 1 : at + 4]
    if any("popular" in item.cues or "superlatives" in item.cues for item in following[:2]):
        return True
    ahead = scene.elements[at + 1 : at + 9]
    is_subject = at > 0 and scene.elements[at - 1].text.lower() in ("which", "the", "what", "return", "list", "show")
    return is_subject and any("superlatives" in item.cues for item in ahead) and any(i.is_schema for i in following)


def read_ranking(scene: Scene) -> None:
    """`top 5 X by M`, `X with the highest M`, `most common X`."""
    _from_to(scene)
    for at, element in enumerate(scene.elements):
        if element.text.lower() == "by" and scene.intent.limit is not None and not scene.intent.sorts:
            _ranked_by(scene, at)
    for at, element in enumerate(scene.elements):
        if element.is_used:
            continue
        if scene.cue(at, "popular") is not None:
            _popular(scene, at)
        elif scene.cue(at, "superlatives") is not None:
            _superlative(scene, at)
    _check_order(scene)
    if scene.intent.limit is not None and not scene.intent.sorts and scene.intent.measures:
        scene.rank(scene.intent.measures[0], scene.wants_most)


def _check_order(scene: Scene) -> None:
    """The other end of an order that is said too, and an order within groups, which this does not plan."""
    sorts = scene.intent.sorts
    is_first = scene.intent.limit == 1 and scene.intent.nested is None
    if is_first and sorts and isinstance(sorts[0].by, Dimension) and _is_per_group(scene):
        scene.intent.doubt("the first of each is asked for", 0.5)
    for at, element in enumerate(scene.elements):  # `from the largest to the smallest`
        is_end = not element.is_used and scene.cue(at, "superlatives") is not None and scene.intent.sorts
        if is_end and [item.text.lower() for item in scene.elements[max(0, at - 2) : at]] == ["to", "the"]:
            scene.use(at)


def _is_per_group(scene: Scene) -> bool:
    words = ("for each", "of each", "in each", "within each", "per", "for every", "in every", "each", "every")
    return any(scene.cue(at, "group") is not None and e.text.lower() in words for at, e in enumerate(scene.elements))


def _ranked_by(scene: Scene, at: int) -> None:
    """`by total amount`: the measure that was read right after it."""
    if scene.intent.measures and at + 1 < len(scene.elements) and scene.elements[at + 1].is_used:
        scene.rank(scene.intent.measures[0], scene.wants_most)
        scene.use(at)
        return
    place = scene.following(at + 1)
    column = scene.column(place, "number", "date", "time") if place is not None else None
    if column is not None and place is not None and not column.is_id:
        scene.rank(_of_groups(scene, at, column) or Dimension(column), scene.wants_most)
        scene.use(at, place)
        if isinstance(scene.intent.sorts[0].by, Measure):
            scene.add(scene.intent.sorts[0].by)


def _of_groups(scene: Scene, at: int, column: Column) -> Measure | None:
    """`top 3 categories by quantity`: the sum of each, where a thing has many rows that hold it."""
    subject = scene.subject_column(at)
    is_kind = subject is not None and subject.family == "text" and subject.table == column.table
    is_kind = is_kind and subject not in scene.schema.table_of(column).labels
    if column.family != "number" or not (is_kind or _is_of_many(scene, column)):
        return None
    if set(column.words) & scene.cues.sets["rates"]:
        scene.intent.doubt(f"whether {' '.join(column.words)} is summed up is not said", 0.6)
    return Measure("sum", column)


def _popular(scene: Scene, at: int) -> None:
    place = next((p for p in range(at + 1, min(at + 5, len(scene.elements))) if scene.elements[p].is_schema), None)
    if place is None:
        _most_often(scene, at)
        return
    measure = Measure("count", table=_counted_table(scene, place))
    is_itself = scene.is_table_first(place) or scene.column(place) in (measure.table.labels if measure.table else ())
    if measure.table is not None and measure.table == scene.intent.entity and is_itself:
        scene.intent.doubt(f"each of {measure.table.name} is there once", 0.6)
    scene.use(at)
    scene.add(measure)
    scene.rank(measure, True)
    scene.intent.is_grouped = True


def _most_often(scene: Scene, at: int) -> None:
    """`Which firm has supplied most often`: by what refers to things in the role that is spoken of."""
    entity = scene.intent.entity
    reference = scene.schema.roles[entity.name][2] if entity is not None and entity.name in scene.schema.roles else None
    tables = [table for item in scene.elements for table in item.related]
    table = scene.schema.tables[reference.table] if reference is not None else tables[0] if tables else None
    if table is None:
        return
    measure = Measure("count", table=table)
    scene.use(at)
    scene.add(measure)
    scene.rank(measure, True)
    scene.intent.is_grouped = True
    if scene.intent.limit is None and scene.is_singular():
        scene.intent.limit = 1


def _counted_table(scene: Scene, place: int) -> Table | None:
    """The rows of the `most common` are those of the last table named, else of the column's own."""
    column = scene.column(place)
    tables = [scene.table(p) for p in range(place + 1, len(scene.elements)) if scene.is_table_first(p)]
    done = [item.related[0] for item in scene.elements if item.related and not item.is_used]  # `rented most often`
    tables = [*(item for item in done if item != scene.table(place)), *tables]
    if tables and tables[0] is not None:
        return tables[0]
    return scene.schema.table_of(column) if column is not None else scene.table(place)


def _superlative(scene: Scene, at: int) -> None:
    """`highest average delay`, `the largest area`, `the most publications`, `the longest rivers`."""
    by, places = _ranked(scene, at)
    if by is None:
        return
    scene.use(at)
    scene.use(*places)
    scene.rank(by, scene.cue(at, "superlatives") == "desc")
    if isinstance(by, Measure):
        scene.add(by)
    if scene.intent.limit is None and scene.is_singular():
        scene.intent.limit = 1


def _ranked(scene: Scene, at: int) -> tuple[Measure | Dimension | None, Sequence[int]]:
    """What a superlative puts in order, and the elements that say so."""
    read = next((scene.read_at[p] for p in range(at + 1, at + 5) if p in scene.read_at), None)
    if read is not None:
        return read, range(0)
    place = scene.following(at + 1, over=("distinct", "aggregates", "count"))
    if place is None:
        return _predicate(scene, at), range(0)
    column, table = scene.column(place, "number", "date", "time"), scene.table(place)
    if column is not None and column.family == "number" and scene.cue(at, "aggregates_of_time") is not None:
        if not scene.is_table_first(place):
            return None, range(0)  # the latest score is not the highest
        column = None
    if column is not None and not column.is_id and not (table is not None and scene.is_table_first(place)):
        said = next((scene.cue(p, "aggregates") for p in range(at + 1, place) if scene.cue(p, "aggregates")), None)
        if (
            said is None
            and scene.elements[at].text.lower() in ("most", "fewest", "least")
            and (_is_of_kind(scene, at, column) or _is_of_many(scene, column))
        ):
            said = "sum"
        return (Measure(said, column) if said else Dimension(column)), scene.between(at, place)  # type: ignore[arg-type]
    if table is None:
        return None, range(0)
    is_other = scene.intent.entity is not None and table.name != scene.intent.entity.name
    subject = scene.subject_column(at)
    if is_other and scene.cue(at, "aggregates_of_time") is not None:
        moment = main_time(table, scene.cues) or begin_of(table, scene.cues)
        return (Dimension(moment), range(at, place + 1)) if moment is not None else (None, range(0))
    if is_other or (subject is not None and subject not in table.labels):
        return Measure("count", table=table), scene.between(at, place)
    natural = natural_of(scene, table, scene.elements[at].text)
    return (None if natural is None else Dimension(natural)), range(0)


def _is_of_many(scene: Scene, column: Value) -> bool:
    """Whether what the question is about has many rows that hold a column."""
    entity = scene.intent.entity
    if entity is None or column.table == entity.name:
        return False
    tree = join_tree(scene.schema, [entity.name, column.table])
    return tree is not None and multiplies(tree, entity.name)


def _is_of_kind(scene: Scene, at: int, column: Value) -> bool:
    """`Which district has the most seats`: of all places there, where rows are not called by it."""
    subject = scene.subject_column(at)
    if subject is None or isinstance(column, Formula) or subject.table != column.table or subject.family != "text":
        return False
    return subject not in scene.schema.tables[column.table].labels


def _predicate(scene: Scene, at: int) -> Dimension | None:
    """`Which river is the longest?`"""
    entity = scene.intent.entity
    is_last = at + 1 >= len(scene.elements) or scene.elements[at + 1].sign in ("?", ".", "!")
    column = natural_of(scene, entity, scene.elements[at].text) if entity is not None and is_last else None
    return None if column is None else Dimension(column)


def _from_to(scene: Scene) -> None:
    """`going from the shortest of them to the longest`"""
    for at in range(len(scene.elements)):
        near = [p for p in range(at + 1, min(at + 10, len(scene.elements))) if scene.cue(p, "superlatives")]
        if scene.word(at) != "from" or len(near) < 2 or near[0] > at + 2 or scene.elements[near[0]].is_used:
            continue
        first, last = near[0], near[1]
        if "to" not in [scene.word(p) for p in range(first, last)]:
            continue
        entity, sorts = scene.intent.entity, scene.intent.sorts
        natural = natural_of(scene, entity, scene.word(first)) if entity is not None else None
        by = sorts[0].by if sorts else Dimension(natural) if natural is not None else None
        if by is not None:
            scene.intent.sorts = [Sort(by, scene.cue(first, "superlatives") == "desc")]
            places = [first, last, *([at - 1] if scene.word(at - 1) in ("going", "ordered", "sorted") else [])]
            for place in places:
                scene.elements[place].is_used = True


def _named_first(scene: Scene) -> None:
    """`soonest first`, `longest-standing first`"""
    for at, element in enumerate(scene.elements):
        order = scene.cue(at, "superlatives")
        if order is None or element.is_used or scene.word(at + 1) != "first":
            continue
        entity, sorts = scene.intent.entity, scene.intent.sorts
        natural = natural_of(scene, entity, element.text) if entity is not None and not sorts else None
        by = sorts[0].by if sorts else Dimension(natural) if natural is not None else None
        if by is not None:
            scene.intent.sorts = [Sort(by, order == "desc")]
            element.is_used = scene.elements[at + 1].is_used = True


def read_order(scene: Scene) -> None:
    """`ordered by name in descending order`, `alphabetically`."""
    _named_first(scene)
    for at in range(len(scene.elements)):
        said = scene.cue(at, "order")
        if said is None or scene.elements[at].is_used:
            continue
        scene.use(at)
        if said != "by":
            if scene.intent.sorts:
                scene.intent.sorts = [Sort(sort.by, said == "desc") for sort in scene.intent.sorts]
            continue
        start = at + 1
        if scene.word(at) in ("order", "rank"):  # `Order the shops by rent`
            start = next((p + 1 for p in range(at + 1, len(scene.elements)) if scene.word(p) == "by"), None) or start
        place = next(
            (p for p in range(start, min(start + NEAR, len(scene.elements))) if scene.elements[p].is_schema), None
        )
        if place is None:
            continue
        column, table = scene.column(place), scene.table(place)
        measure = next(
            (m for m in scene.intent.measures if (m.column and m.column == column) or (m.table and m.table == table)),
            None,
        )
        by = measure or (Dimension(column) if column is not None else None)
        if by is not None:
            scene.intent.sorts = [Sort(by, False)]
            scene.use(*range(start - 1, place + 1))


def natural_of(scene: Scene, table: Table, word: str) -> Value | None:
    """`longest` of rivers is their length: the number that the word is about, or the only one that a thing has."""
    numbers = [column for column in table.columns if column.family == "number" and not column.is_id]
    said = [(begin, name) for begin, name in scene.cues.natural if word.lower().startswith(begin)]
    longest = max((len(begin) for begin, _ in said), default=0)  # longest-serving is not long
    about = [name for begin, name in said if len(begin) == longest]
    for name in about:
        for column in table.columns:
            if name in column.words and name != "date":
                return column
    if "length" in about and (lasting := whole_span(scene, table)) is not None:
        scene.intent.doubt(f"{word} is read as how long it takes", 0.9)
        return lasting
    if "date" in about:
        dates = [column for column in table.columns if column.family in ("date", "time")]
        births = [column for column in dates if "birth" in column.words]
        if births and not word.lower().startswith("longest"):
            return births[0]
        begin = begin_of(table, scene.cues)
        if begin is not None and len(dates) > 1:
            scene.intent.doubt(f"{word} may be about another time", 0.9)
        return dates[0] if len(dates) == 1 else begin
    if about and numbers:
        scene.intent.doubt(f"{word} may be about something else", 0.6)
    if not about and len(numbers) == 1 and word.lower() not in ("most", "fewest", "least"):
        scene.intent.doubt(f"what {word} is about is not said", 0.6)
    return numbers[0] if len(numbers) == 1 else None
