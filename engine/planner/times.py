"""Which column a time of a question is about."""

from engine.dates.calendar import Unit
from engine.planner.elements import Element
from engine.planner.intent import Condition, Dimension
from engine.planner.scene import NEAR, STRONG, Scene
from engine.planner.schema import Column

HOUSEKEEPING = ("created", "updated", "modified", "time")


def read_times(scene: Scene) -> None:
    """Ranges of time go to the date column that belongs to what is counted."""
    said = [item for item in scene.elements if item.date is not None and not item.is_used]
    if len(said) > 1 or scene.dates.compares is not None or any(item.date and item.date.versus for item in said):
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
            scene.intent.conditions.append(Condition(column, "during", range=element.date.range))
    if scene.grain is not None and (scene.intent.measures or scene.intent.ratio):
        column = time_column(scene, len(scene.elements) // 2)
        if column is not None and all(item.column != column for item in scene.intent.dimensions):
            scene.intent.dimensions.insert(
                0, Dimension(column, None if column.family == "number" else scene.dates.grain)
            )


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
            if column.family in ("date", "time") and column.is_readable:
                chore = (
                    0.6
                    if scene.grain == Unit("hour") and column.family == "date"
                    else 0.5
                    if set(column.words) & set(HOUSEKEEPING) and "date" not in column.words
                    else 0.0
                )
                if "birth" in column.words:  # things happen to people later
                    chore = 1.0
                options.append((weight - chore + _said(scene, at, column), column))
            elif "year" in column.words and column.family == "number":
                options.append((weight - 0.3 + _said(scene, at, column), column))
    best = max(options, key=lambda item: item[0], default=None)
    if best is None:
        return None
    if sum(score > best[0] - 0.05 for score, _ in options) > 1:
        scene.intent.doubt("several columns hold a time", 0.8)
    elif _said(scene, at, best[1]) == 0 and sum(score > best[0] - 0.55 for score, _ in options) > 1:
        scene.intent.doubt("another column may hold the time that is meant", 0.9)
    elif "birth" in best[1].words and _said(scene, at, best[1]) == 0:
        scene.intent.doubt("only births have a time", 0.5)
    _use_said(scene, at, best[1])
    return best[1]


def _time_tables(scene: Scene, at: int) -> dict[str, float]:
    """Tables whose rows a time may be about: what is counted first, then what was named last before it."""
    weights = dict.fromkeys(scene.intent.tables() or list(scene.named), 0.0)
    for measure in scene.intent.measures:
        name = measure.table.name if measure.table else measure.column.table if measure.column else ""
        weights[name] = weights.get(name, 0.0) + 0.2
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
            if item.column is not None and item.column.family in ("date", "time"):
                weights.setdefault(item.column.table, 0.0)
    return weights


def _said(scene: Scene, at: int, column: Column) -> float:
    """How plainly words before a time name its column: `joined in 2022` means the join date."""
    for place in range(at - 1, max(-1, at - 4), -1):
        for item in scene.elements[place].candidates:
            if item.column == column:
                return item.score
    return 0.0


def _use_said(scene: Scene, at: int, column: Column) -> None:
    for place in range(at - 1, max(-1, at - 4), -1):
        if any(item.column == column for item in scene.elements[place].candidates):
            scene.use(place)
            return
