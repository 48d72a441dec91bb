"""What an answer is grouped by, and what it shows."""

from engine.planner.formulas import columns_of
from engine.planner.intent import Dimension, Measure
from engine.planner.moments import is_alike
from engine.planner.scene import STRONG, Scene
from engine.planner.schema import Column, Table
from engine.planner.words import lemma_of

PLAIN = 0.7


def read_groups(scene: Scene) -> None:
    """`by country`, `per month`, `for each type of transaction`."""
    for at in range(len(scene.elements)):
        if scene.cue(at, "group") is None or scene.elements[at].is_used or scene.elements[at].is_schema:
            continue
        if _is_agent(scene, at):
            continue
        place = scene.following(at + 1, over=("distinct", "names", "group"))
        while place is not None:
            dimension = dimension_at(scene, place)
            if dimension is None:
                break
            scene.show(dimension, place)
            scene.use(at, place)
            scene.intent.is_grouped = True
            joint = place + 1
            if joint >= len(scene.elements) or scene.elements[joint].text.lower() not in ("and", ","):
                break
            after = scene.elements[joint + 1].text.lower() if joint + 1 < len(scene.elements) else ""
            is_more = after in ("for", "of", "in", "with", "from", "who", "that", "where")
            is_more = is_more or (joint + 1 < len(scene.elements) and scene.elements[joint + 1].date is not None)
            if is_more or after in scene.cues.sets["comparing"] or scene.cue(joint + 1, "negation") is not None:
                break  # `by country, for customers who ...`, `by carrier, compared with last year`
            place = scene.following(joint + 1)


def _is_agent(scene: Scene, at: int) -> bool:
    """`received by publications`: who did it, not a grouping. `received by publication` groups."""
    if at == 0 or scene.elements[at].text.lower() != "by":
        return False
    verb = scene.elements[at - 1].text.lower()
    place = scene.following(at + 1)
    if (
        place is None
        or not (verb.endswith(("ed", "en")) or verb in scene.cues.agents)
        or not scene.is_table_first(place)
    ):
        return False
    last = scene.elements[place].text.lower().split()[-1]
    return last.endswith("s") and not last.endswith("ss")


def dimension_at(scene: Scene, place: int) -> list[Column] | None:
    """What a phrase groups by: a column, or what a table is called by."""
    column = scene.column(place)
    table = scene.table(place)
    if column is not None and (table is None or not scene.is_table_first(place)):
        return [*_called(scene, column), column]
    if column is not None and table is not None and _is_nearer(scene, column, table):
        return [column]
    if table is not None and table.labels:
        return list(table.labels)
    return [column] if column is not None else None


def _called(scene: Scene, column: Column) -> list[Column]:
    """What people call the thing that a column refers to."""
    if not column.is_id or column in scene.schema.table_of(column).key:
        return []
    parents = [scene.schema.tables[link.parent.table] for link in scene.schema.links if link.child == column]
    labels = parents[0].labels if len(parents) == 1 else ()
    return [item for item in labels if item.family == "text" and item.is_readable]


def _is_nearer(scene: Scene, column: Column, table: Table) -> bool:
    """`lakes in each state`: the lake's own state will do."""
    used = {name for name in scene.intent.tables() if name != table.name}
    return column.table in used and column.family == "text"


def show_rest(scene: Scene) -> None:
    """Columns that are left are shown; the entity stands for what it is called by."""
    intent = scene.intent
    _related(scene)
    intent.is_distinct = not intent.measures and any(
        scene.cue(at, "distinct") is not None and scene.following(at + 1) is not None
        for at in range(len(scene.elements))
    )
    for at, element in enumerate(scene.elements):
        if element.is_used or not element.is_schema:
            continue
        column = scene.column(at)
        if column is not None and not scene.is_table_first(at):
            _show_left(scene, at, column)
        elif scene.table(at) is not None:
            scene.use(at)
            _mention(scene, at)
    if not intent.measures and not intent.ratio and not intent.dimensions and intent.entity is not None:
        intent.dimensions = [Dimension(column) for column in intent.entity.labels]
        if intent.entity.labels and intent.entity.labels[0].is_id and not _wants_things(scene):
            intent.doubt(f"what of {intent.entity.name} is asked for is not said", 0.7)
    elif _wants_label(scene) and intent.entity is not None:
        labels = [Dimension(column) for column in intent.entity.labels]
        intent.dimensions = [*labels, *(item for item in intent.dimensions if item not in labels)]


def _related(scene: Scene) -> None:
    """`rooms that were booked`: rooms that have a booking."""
    lacks = {lack.table.name for lack in scene.intent.missing}
    for at, element in enumerate(scene.elements):
        if element.is_used or not element.related or element.related[0].name in lacks:
            continue
        table = element.related[0]
        is_near = scene.intent.entity is not None and any(
            {link.child.table, link.parent.table} == {table.name, scene.intent.entity.name}
            for link in scene.schema.links
        )
        held = [item for item in scene.intent.conditions if at < item.at <= at + 3]
        is_value = any(is_alike(word, element.text.lower()) for item in held for word in item.column.words)
        if table.name in scene.intent.tables() or is_value:  # `rated R`
            scene.use(at)
        elif is_near:
            scene.use(at)
            scene.intent.joined.append(table)
            scene.intent.doubt(f"{element.text} is read as having {' '.join(table.words)}", 0.9)


def _show_left(scene: Scene, at: int, column: Column) -> None:
    """A column that nothing has used yet is shown, if the question names it plainly and not as a measure already."""
    score = max(item.score for item in scene.elements[at].candidates if item.column == column)
    if _is_done(scene, at) and scene.word(at - 1) not in ("and", ",", "the", "by", "or"):
        scene.use(at)
        return
    if scene.elements[at].stems[-1] in scene.cues.verbs:
        scene.use(at)
        return
    made = {part for item in scene.intent.measures for part in columns_of(item.column)}
    used = made | {item.column for item in scene.intent.conditions}
    if column in used:
        if column not in {item.column for item in scene.intent.measures} and _is_listed(scene, at, column):
            scene.show([column], at)
        scene.use(at)
    elif (both := _coordinated(scene, at, column)) is not None:
        scene.show([both, column], at)
        scene.use(at)
    elif score >= (0.9 if column.family in ("date", "time") else PLAIN):
        if not _sums_up(scene, at, column):
            scene.show([column], at)
        scene.use(at)
    elif column.family in ("date", "time"):
        scene.use(at)


def _is_listed(scene: Scene, at: int, column: Column) -> bool:
    """Whether a column that conditions speak of is named again among what is to be shown."""
    said = [item.at for item in scene.intent.conditions if item.column == column]
    beside = [p for p in (at - 1, at + 1) if 0 <= p < len(scene.elements) and scene.elements[p].values]
    before = scene.elements[at - 1].text.lower() if at else ""
    is_joint = before in ("and", ",", "or") or before in scene.cues.sets["showing"]
    return is_joint and not beside and all(place < at for place in said) and not scene.elements[at].values


def _sums_up(scene: Scene, at: int, column: Column) -> bool:
    """`number of bookings and total price by channel`: a number beside what is counted of groups is a sum."""
    intent = scene.intent
    is_fact = column.family == "number" and not column.is_id and bool(intent.measures) and intent.is_grouped
    if not is_fact or any(item.column == column for item in intent.dimensions):
        return False
    if scene.cue(at - 1, "aggregates") == "sum" or "total" in column.words:
        scene.add(Measure("sum", column))
        return True
    intent.doubt(f"{scene.elements[at].text} may be summed up", 0.7)
    return False


def _wants_things(scene: Scene) -> bool:
    """Whether rows are asked for, rather than something of them."""
    is_what = scene.elements[0].text.lower() == "what"
    return not is_what or any(kind in item.cues for item in scene.elements for kind in ("ids", "order"))


def _coordinated(scene: Scene, at: int, column: Column) -> Column | None:
    """The first of `first and last names`: a column that ends as the one named does."""
    if at < 2 or scene.elements[at - 1].text.lower() not in ("and", "or", "/") or len(column.words) < 2:
        return None
    word = scene.elements[at - 2].stems[-1]
    wanted = (word, *column.words[1:])
    return next((item for item in scene.schema.table_of(column).columns if item.words == wanted), None)


def _mention(scene: Scene, at: int) -> None:
    """A further table says that there is a row of it: `organizations that have authors`."""
    table = scene.table(at)
    best = max(item.score for item in scene.elements[at].candidates)
    if _is_done(scene, at):
        scene.intent.doubt(f"{scene.elements[at].text} is left out", 0.9)
        return
    is_new = (
        table is not None
        and table.name not in scene.intent.tables()
        and all(lack.table != table for lack in scene.intent.missing)
    )
    if table is None or not is_new or best < STRONG:
        return
    before = [item.text.lower() for item in scene.elements[max(0, at - 2) : at]]
    is_asked = before[-1:] in (["which"], ["what"])  # `and which shop sold it`
    named = next((p for p in range(at - 1, max(-1, at - 4), -1) if scene.cue(p, "names") is not None), None)
    if named is not None and scene.elements[named + 1].text.lower() == "of":  # `the name of their manager`
        is_asked, scene.elements[named].is_used = False, True
        before = ["with", "their"]
    if is_asked or (before[-1:] in (["their"], ["its"]) and before[0] in ("and", "with", ",", "along", "together")):
        scene.show(list(table.labels), at)
        if not is_asked and scene.intent.entity is not None and not scene.intent.measures:
            own = [Dimension(column) for column in scene.intent.entity.labels]
            scene.intent.dimensions = list(dict.fromkeys([*own, *scene.intent.dimensions]))
    scene.intent.joined.append(table)
    is_shown = any(item.column in table.labels for item in scene.intent.dimensions)
    if table.name in scene.schema.roles and not scene.elements[at].values and not is_shown:
        scene.intent.doubt(f"{scene.elements[at].text} is only said to be there", 0.75)


def _is_done(scene: Scene, at: int) -> bool:
    """`How many cases did each vet treat?`: what is done to things that are named already."""
    before = [item.text.lower() for item in scene.elements[:at]]
    is_verb = lemma_of(scene.elements[at].text) == scene.elements[at].text.lower() in scene.cues.sets["verbs"]
    return is_verb and bool({"did", "do", "does"} & set(before)) and bool(scene.intent.measures)


def _wants_label(scene: Scene) -> bool:
    """`which author had the most`, `top 5 customers`, `cities and their population`: the thing itself is part of the
    answer."""
    intent = scene.intent
    if intent.entity is None or any(item.column in intent.entity.labels for item in intent.dimensions):
        return False
    if not intent.measures and not intent.ratio:
        return not intent.is_distinct
    if any(item.column.table == intent.entity.name for item in intent.dimensions):
        return False
    counted = {item.table.name for item in intent.measures if item.table is not None and item.calculation is None}
    return bool(intent.sorts or intent.havings) and intent.entity.name not in counted
