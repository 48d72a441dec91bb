"""The first of each: `the latest order of each customer`, `top 2 products per category`, `who earns most in a team`."""

from engine.planner.formulas import TIMES
from engine.planner.intent import Dimension, Measure, Nested
from engine.planner.moments import begin_of, main_time, moment_at, moments_at
from engine.planner.scene import Scene
from engine.planner.schema import Column, Table
from engine.planner.showing import dimension_at

FIRST = {"first": False, "earliest": False, "oldest": False, "last": True, "latest": True, "newest": True}
FIRST |= {"most recent": True, "most recently": True, "current": True}
WHO = ("who", "whose", "whom")


def read_firsts(scene: Scene) -> None:
    """Notes what there is to be a first of, before it is taken for a group to sum up."""
    at = _each(scene)
    if at is None or scene.intent.ratio is not None:
        return
    place = _thing(scene, at)
    columns = dimension_at(scene, place) if place is not None else None
    if place is None or not columns:
        return
    owner = scene.table(place) if scene.is_table_first(place) else None
    timely = _timely(scene, owner, place)
    if timely is None and not _is_ranked(scene, place):
        return
    within = tuple(Dimension(column) for column in columns)
    scene.intent.nested = Nested("first", within)
    scene.use(at, place)
    scene.elements[at].is_used = scene.elements[place].is_used = True
    if timely is not None:
        _take_timely(scene, *timely)


def _each(scene: Scene) -> int | None:
    """`for each`, `in every`, `per`: where a group is said that has a first."""
    for at, element in enumerate(scene.elements):
        is_each = scene.cue(at, "group") is not None and scene.word(at).split()[-1] in ("each", "every", "per")
        if is_each and not element.is_used and not element.is_schema:
            return at
    return None


def _thing(scene: Scene, at: int) -> int | None:
    for place in range(at + 1, min(at + 4, len(scene.elements))):
        if scene.elements[place].is_schema and not scene.elements[place].is_used:
            return place
        if scene.elements[place].sign:
            return None
    return None


def _timely(scene: Scene, owner: Table | None, thing: int) -> tuple[int, int, Table] | None:
    """`the latest status of each order`, `each client's first visit`: the word, what is shown, whose time decides."""
    for at, element in enumerate(scene.elements):
        if scene.word(at) not in FIRST or element.is_used or element.is_schema or element.date is not None:
            continue
        is_order = any(scene.cue(p, "superlatives") for p in range(max(0, at - 3), at))  # `earliest hire first`
        verb = moment_at(scene, at - 1) if at and not is_order else None
        entity = scene.intent.entity
        if verb is not None and entity is not None and verb.table == entity.name and entity != owner:
            scene.elements[at - 1].is_used = True  # `which vet joined first in each clinic`
            return at, at - 1, entity
        for place in range(at + 1, min(at + 5, len(scene.elements))):
            other = scene.elements[place]
            if other.sign or place == thing:
                break
            if not other.is_schema or other.is_used:
                continue
            table = scene.table(place) if scene.is_table_first(place) else None
            column = None if table is not None else scene.column(place)
            if column is not None and column.family not in TIMES:
                table = _holder(scene, column, owner)
            if table is not None and table != owner:
                return at, place, table
            break
    return None


def _holder(scene: Scene, column: Column, owner: Table | None) -> Table | None:
    """The table that has several rows of each thing, one of which is the last."""
    table = scene.schema.table_of(column)
    if owner is not None and table == owner:
        return None
    return table if main_time(table, scene.cues) or begin_of(table, scene.cues) else None


def _take_timely(scene: Scene, at: int, place: int, table: Table) -> None:
    nested = scene.intent.nested
    verbs = [item for p in range(place + 1, min(place + 4, len(scene.elements))) if (item := _verb(scene, p, table))]
    said = moment_at_used(scene, place, table) if place < at else None
    moment = said or next(iter(verbs), None) or main_time(table, scene.cues) or begin_of(table, scene.cues)
    if nested is None or moment is None:
        scene.intent.nested = None
        scene.intent.doubt("what comes first in each is not read", 0.5)
        return
    if not (said or verbs) and main_time(table, scene.cues) is None:
        scene.intent.doubt("another time may decide which is the first", 0.85)
    nested.by, nested.is_descending = Dimension(moment), FIRST[scene.word(at)]
    number = scene.elements[at + 1].number
    if isinstance(number, int) and 0 < number <= 1000:
        nested.count = number
        scene.elements[at + 1].is_used = True
    scene.intent.limit = None
    scene.elements[at].is_used = True
    scene.elements[at].cues = {}
    column = None if scene.is_table_first(place) or place < at else scene.column(place)
    shown = [Dimension(column)] if column is not None else [Dimension(item) for item in table.labels]
    scene.elements[place].is_used = True
    scene.intent.dimensions = [*nested.within, *shown, Dimension(moment)]


def moment_at_used(scene: Scene, place: int, table: Table) -> Column | None:
    """The time of a verb that was taken already."""
    return next(iter(moments_at(scene, place, table)), None)


def _verb(scene: Scene, place: int, table: Table) -> Column | None:
    """`the first ticket opened by each client`"""
    if scene.elements[place].sign or scene.is_table_first(place):
        return None
    found = moment_at(scene, place, [table.name])
    if found is None or found.table != table.name:
        return None
    scene.elements[place].is_used = True
    scene.elements[place].values = []
    return found


def _is_ranked(scene: Scene, thing: int) -> bool:
    """Whether things are ranked within each, rather than a number summed up: `which agent earns most in each team`."""
    top = any(scene.cue(p, "top") and scene.elements[p + 1 : p + 2] for p in range(len(scene.elements)))
    orders = [
        p
        for p in range(len(scene.elements))
        if p != thing and ({"superlatives", "popular"} & set(scene.elements[p].cues)) and not scene.elements[p].is_used
    ]
    if not (orders or (top and scene.intent.limit is not None)) or _is_said_again(scene, thing):
        return False
    if scene.intent.limit is not None:
        return True
    first = orders[0]
    subject = _subject(scene, first, thing)
    near = range(first + 1, min(first + 3, len(scene.elements)))
    after = next((p for p in near if scene.elements[p].is_schema), None)
    is_of_thing = after is not None and scene.is_table_first(after) and after != thing
    return subject or (is_of_thing and scene.cue(first, "superlatives") is not None and not _is_counted(scene, first))


def _is_said_again(scene: Scene, thing: int) -> bool:
    """`the top 5 states, with the revenue of each state`: the groups themselves are ranked."""
    stems = set(scene.elements[thing].stems)
    others = [item for p, item in enumerate(scene.elements) if p != thing and item.is_schema]
    is_again = any(stems & set(item.stems) for item in others)
    return is_again and scene.intent.limit is not None


def _is_counted(scene: Scene, at: int) -> bool:
    return scene.word(at) in ("most", "fewest", "least", "maximum", "minimum") or scene.cue(at + 1, "count") is not None


def _subject(scene: Scene, before: int, thing: int) -> bool:
    """`who`, `which agent`, `the employee with`: things that are asked for, besides what they are grouped by."""
    for place in range(before):
        if scene.word(place) in WHO:
            return True
        is_other = place != thing and scene.elements[place].is_schema and not scene.elements[place].is_used
        column = scene.column(place) if is_other and not scene.is_table_first(place) else None
        if is_other and (scene.is_table_first(place) or (column is not None and column.family == "text")):
            return True
    return False


def settle_firsts(scene: Scene) -> None:
    """What was put in order is put in order within each group."""
    nested, intent = scene.intent.nested, scene.intent
    if nested is None or nested.kind != "first":
        return
    if nested.by is None and not _order(scene, nested):
        intent.nested = None
        intent.dimensions = [*nested.within, *intent.dimensions]
        intent.doubt("what comes first in each is not read", 0.5)
        return
    nested.count = max(nested.count, intent.limit or 1)
    intent.limit, intent.sorts, intent.is_grouped = None, [], False
    if intent.entity is None and isinstance(nested.by, Dimension):
        intent.entity = scene.schema.tables[nested.by.column.table]
    owners = {item.column.table for item in nested.within}
    labels: list[Dimension] = []
    entity = intent.entity
    shown = {item.column for item in intent.dimensions}
    if entity is not None and not _is_owner(entity, nested) and shown.isdisjoint(entity.labels):
        is_of_groups = isinstance(nested.by, Measure) and nested.by.table == entity and entity.name not in owners
        labels = [] if is_of_groups else [Dimension(column) for column in entity.labels]
    rest = [item for item in intent.dimensions if item not in nested.within and item not in labels]
    intent.dimensions = [*nested.within, *labels, *rest]
    if isinstance(nested.by, Dimension) and nested.by not in intent.dimensions:
        intent.dimensions.append(nested.by)


def _is_owner(entity: Table, nested: Nested) -> bool:
    """Whether the groups are the things themselves."""
    columns = [item.column for item in nested.within]
    return bool(columns) and all(column in entity.labels for column in columns)


def _order(scene: Scene, nested: Nested) -> bool:
    intent = scene.intent
    if intent.sorts:
        nested.by, nested.is_descending = intent.sorts[0].by, intent.sorts[0].is_descending
        return True
    ends = [item for item in intent.measures if item.aggregate in ("max", "min") and item.column is not None]
    if len(ends) == 1 and len(intent.measures) == 1 and ends[0].column is not None:
        intent.measures = []
        nested.by, nested.is_descending = Dimension(ends[0].column), ends[0].aggregate == "max"
        return True
    if intent.limit is not None and intent.measures:
        nested.by, nested.is_descending = intent.measures[0], scene.wants_most
        return True
    return False
