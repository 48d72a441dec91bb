"""Which chart shows some columns best, and what goes where in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from core.errors import Conflict
from engine.charts.fields import Field

Kind = Literal["line", "area", "bar", "scatter", "pie", "histogram", "number"]
MAX_PIE = 6
MAX_NUMBERS = 4


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller asks for; empty is left to us."""

    kind: Kind | None = None
    x: str = ""
    y: Sequence[str] = ()
    series: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """A chart to draw. `reason` says why this one."""

    kind: Kind
    reason: str
    x: Field | None = None
    y: Sequence[Field] = field(default_factory=tuple)
    series: Field | None = None


def choose(fields: Sequence[Field], wish: Wish, row_count: int) -> Plan:
    """Raises Conflict when there is nothing to draw, or not as asked."""
    if not row_count:
        raise Conflict("The result has no rows to draw.", hint="Run a query that returns some.")
    named = {item.name: item for item in fields}
    for name in (wish.x, *wish.y, wish.series):
        if name and name not in named:
            names = ", ".join(list(named)[:20])
            raise Conflict(f"The result has no column {name[:80]!r}.", hint=f"Its columns: {names[:400]}.")
    measures = [named[name] for name in wish.y] or _measures(fields, wish)
    if any(item.role != "measure" for item in measures):
        raise Conflict("A measure must be a number.", hint="Name numeric columns under y.")
    x = named[wish.x] if wish.x else None
    series = named[wish.series] if wish.series else None
    plan = _natural(fields, x, series, measures, row_count) if wish.kind is None else None
    return plan or _asked(wish.kind or "bar", fields, x, series, measures)


def _measures(fields: Sequence[Field], wish: Wish) -> list[Field]:
    return [item for item in fields if item.role == "measure" and item.name not in (wish.x, wish.series)]


def _first(fields: Sequence[Field], role: str, *besides: Field | None) -> Field | None:
    return next((item for item in fields if item.role == role and item not in besides), None)


def _natural(
    fields: Sequence[Field], x: Field | None, series: Field | None, measures: Sequence[Field], row_count: int
) -> Plan | None:
    """The chart that the columns suggest."""
    time = x if x is not None and x.role == "time" else (None if x else _first(fields, "time"))
    category = x if x is not None and x.role == "category" else _first(fields, "category", time, series)
    if row_count == 1 and measures and len(measures) <= MAX_NUMBERS and x is None:
        return Plan("number", "One row: its numbers are the answer.", y=measures)
    if time is not None and measures:
        return Plan("line", f"A line: {time.name} is time.", time, measures, series or category)
    if category is not None and measures:
        one = measures[0]
        few = 2 <= len(set(category.values)) == row_count <= MAX_PIE
        if few and len(measures) == 1 and one.is_part_of_whole and min(_numbers(one), default=-1) >= 0:
            return Plan("pie", f"Parts of a whole: {one.name}.", category, [one])
        return Plan("bar", f"Bars: {one.name} by {category.name}, largest first.", category, measures, series)
    if len(measures) >= 2:
        x, y = (x, measures[0]) if x in measures else (measures[0], measures[1])
        return Plan("scatter", f"Points: {y.name} against {x.name if x else ''}.", x, [y], series)
    if len(measures) == 1:
        return Plan("histogram", f"How {measures[0].name} is spread.", measures[0])
    if category is not None:
        return Plan("bar", f"Bars: rows by {category.name}, largest first.", category, [])
    raise Conflict("No column can be drawn.", hint="Select a number, beside a category or a time.")


def _asked(
    kind: Kind, fields: Sequence[Field], x: Field | None, series: Field | None, measures: Sequence[Field]
) -> Plan:
    """The kind that was asked for, with the columns that fit it."""
    reason = "As asked."
    if kind == "number" and measures:
        return Plan(kind, reason, y=list(measures)[:MAX_NUMBERS])
    if kind == "histogram" and (measures or (x is not None and x.role == "measure")):
        return Plan(kind, reason, x if x is not None and x.role == "measure" else measures[0])
    if kind == "scatter":
        across = x if x is not None and x.role in ("measure", "time") else (measures[0] if measures else None)
        up = [item for item in measures if item is not across]
        if across is not None and up:
            return Plan(kind, reason, across, up[:1], series)
    if kind in ("line", "area", "bar", "pie"):
        order = ("time", "category", "measure") if kind in ("line", "area") else ("category", "time")
        found = (x, *(_first(fields, role, series, *measures[:1]) for role in order))
        across = next((item for item in found if item is not None), None)
        if across is not None and (measures or kind in ("bar", "pie")):
            return Plan(kind, reason, across, measures[:1] if kind == "pie" else measures, series)
    raise Conflict(f"These columns make no {kind} chart.", hint="Leave kind out, or name x and y.")


def _numbers(item: Field) -> list[float]:
    return [float(value) for value in item.values if value is not None]
