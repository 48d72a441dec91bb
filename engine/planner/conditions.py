"""What rows of an answer must meet: comparisons, texts, values, and things that must be missing."""

from engine.planner.formulas import Value
from engine.planner.intent import Condition, Having, Measure
from engine.planner.polarity import is_negated
from engine.planner.scene import NEAR, STRONG, Scene
from engine.planner.schema import Column


def read_comparisons(scene: Scene) -> None:
    """`area greater than 1000`, `at least 5 transactions`, `over $30,000`."""
    _numbered(scene)
    for at in range(len(scene.elements)):
        operator = scene.cue(at, "compare")
        if operator is None or scene.elements[at].is_used or scene.elements[at].is_schema:
            continue
        place = next(
            (p for p in range(at + 1, min(at + 3, len(scene.elements))) if scene.elements[p].number is not None), None
        )
        if scene.elements[at].text.lower().startswith("or ") and at and scene.elements[at - 1].number is not None:
            place = at - 1  # `three or more orders`
        if place is None or scene.elements[place].date is not None or _is_duration(scene, place):
            continue
        number = scene.elements[place].number
        assert number is not None
        scene.use(at, place)
        if not _counted(scene, max(at, place), operator, number):
            _compared(scene, min(at, place), max(at, place), operator, number)


def _is_duration(scene: Scene, place: int) -> bool:
    """`more than 20 years` is a length of time, not a column that holds years."""
    after = scene.elements[place + 1] if place + 1 < len(scene.elements) else None
    return after is not None and after.stems[-1] in ("year", "month", "week", "day") and len(after.stems) == 1


def _numbered(scene: Scene) -> None:
    """`five star hotels`: a number, the column that it is of, and the things."""
    for at in range(len(scene.elements) - 2):
        number = scene.elements[at].number
        if number is None or scene.elements[at].is_used or scene.elements[at].date or not scene.is_table_first(at + 2):
            continue
        column = scene.column(at + 1, "number") if scene.elements[at + 1].is_schema else None
        if column is not None and not column.is_id and not scene.is_table_first(at + 1):
            scene.intent.conditions.append(Condition(column, "eq", number, at=at))
            scene.use(at, at + 1)


def _counted(scene: Scene, place: int, operator: str, number: float | int) -> bool:
    """`at least 5 transactions` is a condition on how many there are."""
    after = scene.following(place + 1, over=("aggregates", "distinct"))
    if after is None:
        return False
    column = scene.column(after, "number")
    if column is not None and not column.is_id and not scene.is_table_first(after):
        scene.intent.conditions.append(Condition(column, operator, number, at=place))
        scene.use(after)
        return True
    table = scene.table(after)
    is_own = scene.intent.entity is not None and table is not None and table.name == scene.intent.entity.name
    if table is None or (is_own and scene.subject_column(place) is None):
        return False
    scene.intent.havings.append(Having(Measure("count", table=table), operator, number))
    scene.use(*range(place, after + 1))
    return True


def _compared(scene: Scene, at: int, place: int, operator: str, number: float | int) -> None:
    for before in range(at - 1, max(-1, at - NEAR), -1):
        if not scene.elements[before].is_schema:
            continue
        column = scene.column(before, "number")
        if column is None or column.is_id:
            continue
        aggregate = next((scene.cue(p, "aggregates") for p in range(before - 1, max(-1, before - 3), -1)), None)
        if aggregate in ("avg", "sum", "max", "min"):
            scene.intent.havings.append(Having(Measure(aggregate, column), operator, number))  # type: ignore[arg-type]
            scene.use(before - 1)
        else:
            scene.intent.conditions.append(Condition(column, operator, number, at=at))
        scene.use(before)
        return
    scene.elements[at].is_used = scene.elements[place].is_used = False


def read_texts(scene: Scene) -> None:
    """`names start with "J"`, `category contains 'retail'`; quoted texts that no column is known to hold."""
    for at, element in enumerate(scene.elements):
        kind = scene.cue(at, "text")
        if kind is not None:
            near = [p for p in range(at + 1, min(at + 5, len(scene.elements))) if _literal(scene, p)]
            place = near[0] if near else None
            column = _text_column_before(scene, at)
            if place is not None and column is not None:
                places = _also(scene, place)
                looked = [Condition(column, "ilike", _pattern(scene, each, kind), at=at) for each in places]
                either = Condition(column, "or", options=tuple(looked), at=at)
                scene.intent.conditions.append(either if len(looked) > 1 else looked[0])
                scene.use(*range(at, place))
                for each in range(place, places[-1] + 1):
                    scene.elements[each].is_used = True
        elif element.quoted is not None and not element.values and not element.is_used:
            column = _text_column_before(scene, at)
            if column is not None:
                scene.intent.conditions.append(Condition(column, "ilike", _escaped(element.quoted), at=at))
                scene.intent.doubt(f"no column is known to hold {element.text}", 0.6)
                scene.use(at)


def _also(scene: Scene, place: int) -> list[int]:
    """`'slow', 'late' or 'rude'`: all the texts of a choice."""
    places = [place]
    while scene.elements[place].quoted is not None:
        after = next((p for p in range(places[-1] + 1, len(scene.elements)) if scene.word(p) not in (",", "or")), None)
        if after is None or after == places[-1] + 1 or scene.elements[after].quoted is None:
            break
        places.append(after)
    return places


def _pattern(scene: Scene, at: int, kind: str) -> str:
    text = _escaped(_literal(scene, at) or "")
    return {"starts": f"{text}%", "ends": f"%{text}", "contains": f"%{text}%"}[kind]


def _literal(scene: Scene, at: int) -> str | None:
    element = scene.elements[at]
    if element.quoted is not None:
        return element.quoted
    is_plain = not element.is_schema and not element.is_ignored and not element.cues and not element.sign
    return (
        element.text
        if is_plain or (len(element.text) == 1 and element.text.isalpha() and element.text != "a")
        else None
    )


def _text_column_before(scene: Scene, at: int) -> Column | None:
    """The nearest text column before a place, or what the nearest table is called by."""
    for before in range(at - 1, max(-1, at - 2 * NEAR), -1):
        if not scene.elements[before].is_schema:
            continue
        if not scene.is_table_first(before):
            column = scene.column(before, "text")
            if column is not None:
                scene.use(before)
                return column
        table = scene.table(before)
        if table is not None and table.labels and table.labels[0].family == "text":
            return table.labels[0]
    entity = scene.intent.entity
    return entity.labels[0] if entity is not None and entity.labels and entity.labels[0].family == "text" else None


def read_values(scene: Scene) -> None:
    """Values that columns hold: `USA`, `buy transactions`, `active users`."""
    chosen: dict[tuple[Value, bool, int], list[Condition]] = {}
    for at, element in enumerate(scene.elements):
        if not element.values or element.is_used:
            continue
        if element.is_schema and element.quoted is None and max(i.score for i in element.candidates) >= STRONG:
            continue
        found = value_condition(scene, at)
        if scene.intent.ratio and found in scene.intent.ratio[0].conditions:  # said again of what is divided
            scene.use(at)
            continue
        same = chosen.setdefault((found.column, found.operator == "ne", scene.side_of_ratio(at)), [])
        if found not in same:
            same.append(found)
        scene.use(at)
    _parts(scene)
    for (column, is_not, _), found_all in chosen.items():
        first, several = found_all[0], "not_in" if is_not else "in"
        values = tuple(item.value for item in found_all)
        scene.intent.conditions.append(Condition(column, several, values, at=first.at) if len(values) > 1 else first)
        if len(values) > 1 and not is_not and isinstance(column, Column) and _is_apart(scene):
            scene.show([column], first.at)
            scene.intent.is_grouped = True


def _is_apart(scene: Scene) -> bool:
    """`for France and Italy respectively`: a measure of each rather than of both."""
    is_said = any(item.text.lower() in ("respectively", "separately") for item in scene.elements)
    return is_said and bool(scene.intent.measures) and not scene.intent.ratio


def value_condition(scene: Scene, at: int) -> Condition:
    """That a column holds the value named at a place, or does not where it is negated."""
    element = scene.elements[at]
    fits = {column: scene.value_fit(at, column) for column, _ in element.values}
    column, value = max(element.values, key=lambda item: fits[item[0]])
    if sum(fit >= fits[column] - 0.02 for fit in fits.values()) > 1:
        scene.intent.doubt(f"several columns hold {element.text}", 0.8)
    is_not = is_negated(scene, at)
    if is_not and element.is_negated:
        scene.intent.doubt(f"{element.text} is read as anything but {value}", 0.85)
    return Condition(column, "ne" if is_not else "eq", value, at=at)


def _parts(scene: Scene) -> None:
    """`Orlando` for all things that have it in their name."""
    for at, element in enumerate(scene.elements):
        if element.is_used or not element.parts:
            continue
        column, _ = max(element.parts, key=lambda item: scene.value_fit(at, item[0]))
        scene.intent.conditions.append(Condition(column, "ilike", f"%{_escaped(element.text)}%", at=at))
        scene.intent.doubt(f"{element.text} is looked for in {' '.join(column.words)}", 0.85)
        scene.use(at)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
