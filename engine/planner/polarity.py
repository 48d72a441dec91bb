"""What is said not to be: values, flags and columns that a question negates; flags that it takes as given."""

from engine.planner.intent import Condition, Lack
from engine.planner.scene import Scene
from engine.planner.schema import Column

BACK = 4
"""How far before a word its negation may stand."""
FLAG = 0.6
"""How well a word must fit a flag, at least."""
DONE_ENDS = {"on", "at", "date", "time", "day"}


def is_negated(scene: Scene, at: int) -> bool:
    """`not cancelled`, `other than France`, `refunds excluded`."""
    if scene.elements[at].is_negated:
        return True
    for place in range(at - 1, max(-1, at - BACK - 1), -1):
        element = scene.elements[place]
        if scene.cue(place, "negation") == "before" or scene.cue(place, "compare") == "ne":
            is_taken = element.is_used and place not in scene.negators
            if not is_taken:  # by something that is missing
                scene.negators.add(place)
                scene.use(place)
            return not is_taken
        is_light = element.is_ignored or element.values or element.text == ","
        if not is_light or element.is_schema or element.text.lower() in ("but", "with", "who", "that"):
            break
    for place in range(at + 1, min(at + BACK, len(scene.elements))):
        if scene.cue(place, "negation") == "after":
            scene.use(place)
            return True
        if not (scene.elements[place].is_ignored or scene.elements[place].is_schema):
            break
    return False


def read_flags(scene: Scene) -> None:
    """`electric cars`, `owners that are companies`, `rooms with a view`, `inactive users`."""
    for at, element in enumerate(scene.elements):
        column = flag_at(scene, at)
        if column is None or element.is_used or not _is_condition(scene, at):
            continue
        scene.intent.conditions.append(Condition(column, "eq", not is_negated(scene, at), at=at))
        scene.use(at)
        element.is_ignored = True  # what is said of a thing does not part it from `how many`


def flag_at(scene: Scene, at: int) -> Column | None:
    """The boolean column that an element plainly is."""
    element = scene.elements[at]
    if not element.is_schema or scene.is_table_first(at) or element.values:
        return None
    best = max(element.candidates, key=lambda item: scene.fit(at, item))
    is_flag = best.column is not None and best.column.family == "boolean" and best.score >= FLAG
    return scene.column(at, "boolean") if is_flag else None


def _is_condition(scene: Scene, at: int) -> bool:
    """Whether a flag is said of things, rather than asked for."""
    if scene.elements[at].is_negated or scene.side_of_ratio(at):
        return True
    before = [scene.elements[p].text.lower() for p in range(max(0, at - 4), at)]
    if any(word in ("whether", "if", "by", "per", "each") for word in before):
        return False
    following = at + 1 < len(scene.elements) and (scene.is_table_first(at + 1) or _is_number_beside(scene, at))
    said = ("is", "are", "was", "were", "be", "been", "have", "has", "had", "with", "without", "not", "that", "who")
    return following or any(word in said for word in before) or is_negated(scene, at)


def _is_number_beside(scene: Scene, at: int) -> bool:
    """`billable hours`: a flag before a number of the same rows."""
    flag, after = flag_at(scene, at), scene.elements[at + 1]
    return flag is not None and any(
        item.column is not None and item.column.table == flag.table and item.column.family == "number"
        for item in after.candidates[:1]
    )


def read_done(scene: Scene) -> None:
    """`complaints that have been resolved`, `delivered parcels`: a column that says when it was done holds a time."""
    for at, element in enumerate(scene.elements):
        if element.is_used or not element.is_schema or element.values or scene.is_table_first(at) or scene.days:
            continue
        column = scene.column(at, "date", "time")
        if column is None or column.words[0] != element.stems[-1] or set(column.words[1:]) - DONE_ENDS:
            continue
        before = [item.text.lower() for item in scene.elements[max(0, at - 4) : at]]
        is_time = any(item.date is not None for item in scene.elements[at : at + 5]) or {"when", "date"} & set(before)
        is_said = any(word in scene.cues.sets["auxiliaries"] for word in before) or (
            at + 1 < len(scene.elements) and scene.is_table_first(at + 1)
        )
        if column.words[0].endswith(("ed", "en", "id", "lt", "nt", "ld")) and is_said and not is_time:
            is_not = is_negated(scene, at)
            entity = scene.intent.entity
            if is_not and entity is not None and column.table != entity.name:
                scene.intent.missing.append(Lack(scene.schema.table_of(column), at=at))
            else:
                scene.intent.conditions.append(Condition(column, "is_null" if is_not else "not_null", at=at))
            scene.use(at)


def read_empty(scene: Scene) -> None:
    """`customers without an address`, `complaints not resolved`: a column that holds nothing."""
    for at, element in enumerate(scene.elements):
        if element.is_negated and not element.is_used and not element.values:
            column = scene.column(at, "date", "time", "text")
            if column is not None:
                scene.intent.conditions.append(Condition(column, "is_null", at=at))
                scene.use(at)
        elif scene.cue(at, "missing") is not None and not element.is_used:
            _empty_after(scene, at)


def _empty_after(scene: Scene, at: int) -> None:
    place = scene.following(at + 1, over=("distinct", "missing"))
    if place is None or any(scene.elements[p].values for p in range(at, place + 1)):
        return
    column = scene.column(place)
    if column is None or scene.is_table_first(place) or column.family == "boolean":
        return
    is_own = scene.intent.entity is None or column.table == scene.intent.entity.name
    if any(scene.cue(p, "compare") for p in range(place, min(place + 3, len(scene.elements)))) or not is_own:
        return
    scene.intent.conditions.append(Condition(column, "is_null", at=at))
    if column.family == "number" and not column.is_id:
        scene.intent.doubt(f"no {scene.elements[place].text} is read as an unknown one", 0.8)
    scene.use(*range(at, place + 1))
