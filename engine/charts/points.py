"""The values of a chart: few enough to be drawn, and what was left out or added up said."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from core.errors import Conflict
from engine.charts.choice import Plan
from engine.charts.fields import Field

MAX_POINTS = 5_000
MAX_SERIES = 8
MAX_LABEL = 60
NOTHING = "(none)"
VALUE = "Rows"


@dataclass(slots=True)
class Points:
    """Values under the names `x`, `y` and `c` of our own; a column's name or value is never more than text."""

    values: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)  # of categories
    colours: list[str] = field(default_factory=list)  # what is told apart by colour


def make_points(plan: Plan, top: int) -> Points:
    """Raises Conflict when it would be too many."""
    if plan.kind == "number":
        return Points([{"c": label(item.name), "y": _number(item.values[0])} for item in plan.y])
    if plan.kind == "histogram":
        assert plan.x is not None, "a histogram has a measure"
        return _bounded(Points([{"x": value} for item in plan.x.values if (value := _number(item)) is not None]))
    points = Points()
    rows = list(_long(plan, points))
    if plan.kind in ("bar", "pie"):
        rows = _largest(plan, rows, top, points)
    if plan.series is not None or len(plan.y) > 1:
        rows = _fewer_series(plan, rows, points)
    points.values = rows
    return _bounded(points)


def _long(plan: Plan, points: Points) -> "Sequence[dict[str, Any]]":
    """One entry per row and measure; rows without a place are left out."""
    assert plan.x is not None, "these charts have an x"
    measures = plan.y or (Field(VALUE, "measure", [1] * len(plan.x.values)),)
    rows, missing = [], 0
    for index, where in enumerate(plan.x.values):
        x = _place(plan.x, where)
        for measure in measures:
            y = _number(measure.values[index])
            if x is None or y is None:
                missing += 1
                continue
            row: dict[str, Any] = {"x": x, "y": y}
            if plan.series is not None:
                row["c"] = _text(plan.series.values[index])
            elif len(measures) > 1:
                row["c"] = label(measure.name)
            rows.append(row)
    if missing:
        points.notes.append(f"{missing} values are null and not drawn.")
    return rows


def _largest(plan: Plan, rows: list[dict[str, Any]], top: int, points: Points) -> list[dict[str, Any]]:
    """Rows added up by category; beyond the largest `top` the rest is one bar, where a sum means something."""
    summed: dict[tuple[Any, Any], float] = {}
    totals: dict[Any, float] = {}
    is_additive = all(item.is_additive for item in plan.y)
    for row in rows:
        key = (row["x"], row.get("c"))
        if key in summed and not is_additive:
            raise Conflict(
                "Several rows have the same category, and their values cannot be added up.",
                hint="Group by the category in SQL.",
            )
        summed[key] = summed.get(key, 0) + row["y"]
        totals[row["x"]] = totals.get(row["x"], 0) + abs(row["y"])
    if plan.x is not None and plan.x.role == "time":
        ranked = sorted(totals)[:MAX_POINTS]
    else:
        ranked = sorted(totals, key=lambda name: (-totals[name], str(name)))
    kept, rest = ranked[:top], ranked[top:]
    is_time = plan.x is not None and plan.x.role == "time"
    if is_time:
        kept, rest = ranked, []
    place = {name: index for index, name in enumerate(kept)}
    drawn = sorted((key for key in summed if key[0] in place), key=lambda key: place[key[0]])
    found = [_row(x, c, summed[x, c]) for x, c in drawn]
    if rest and is_additive:
        others: dict[Any, float] = {}
        for (x, c), y in summed.items():
            if x not in place:
                others[c] = others.get(c, 0) + y
        name = f"Other ({len(rest)})"
        found += [_row(name, c, y) for c, y in others.items()]
        points.notes.append(f"{len(rest)} smaller categories are added up as {name}.")
        kept = [*kept, name]
    elif rest:
        points.notes.append(f"The largest {top} of {len(ranked)} categories are drawn, {len(rest)} are left out.")
    points.order = [] if is_time else [str(name) for name in kept]
    return found


def _fewer_series(plan: Plan, rows: list[dict[str, Any]], points: Points) -> list[dict[str, Any]]:
    totals: dict[str, float] = {}
    for row in rows:
        totals[row["c"]] = totals.get(row["c"], 0) + abs(row["y"])
    points.colours = sorted(totals, key=lambda name: (-totals[name], name))[:MAX_SERIES]
    if len(totals) > MAX_SERIES:
        what = plan.series.name if plan.series else "measures"
        points.notes.append(f"The largest {MAX_SERIES} of {len(totals)} {label(what)} are drawn, the rest is left out.")
    return [row for row in rows if row["c"] in set(points.colours)]


def _bounded(points: Points) -> Points:
    if len(points.values) > MAX_POINTS:
        raise Conflict(
            f"{len(points.values)} values are more than the {MAX_POINTS} that a chart shows.",
            hint="Aggregate in SQL: by day or month, or by category.",
        )
    if not points.values:
        raise Conflict("Every value is null.", hint="Filter nulls out, or choose other columns.")
    return points


def _row(x: Any, c: Any, y: float) -> dict[str, Any]:
    return {"x": x, "y": y} if c is None else {"x": x, "y": y, "c": c}


def _place(item: Field, value: Any) -> Any:
    if item.role == "category":
        return _text(value)
    if item.role == "time":
        return None if value is None else str(value)
    return _number(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return NOTHING if value is None else label(str(value))


def label(text: str) -> str:
    """Text of data as a label: one line, not long."""
    line = " ".join(text.split()) or '""'
    return line if len(line) <= MAX_LABEL else f"{line[: MAX_LABEL - 1]}…"


def _number(value: Any) -> float | None:
    try:
        return None if value is None or isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None
