"""A chart of a result: chosen, bounded, written as Vega-Lite and drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.charts.choice import Plan, Wish, choose
from engine.charts.fields import read_field
from engine.charts.pictures import draw
from engine.charts.points import label, make_points
from engine.charts.spec import Look, make_spec


@dataclass(frozen=True, slots=True)
class Chart:
    """A finished chart."""

    plan: Plan
    title: str
    spec: dict[str, Any]
    png: bytes
    notes: list[str]
    point_count: int


async def make_chart(
    columns: Sequence[tuple[str, str]], rows: Sequence[dict[str, Any]], wish: Wish, look: Look, *, top: int
) -> Chart:
    """`columns` are pairs of name and SQL type. Raises Conflict, Unavailable."""
    fields = [read_field(name, kind, [row[name] for row in rows]) for name, kind in columns]
    plan = choose(fields, wish, len(rows))
    points = make_points(plan, top)
    look = Look(label(look.title) if look.title else _title(plan), look.width, look.height)
    spec = make_spec(plan, points, look)
    return Chart(plan, look.title, spec, await draw(spec), points.notes, len(points.values))


def _title(plan: Plan) -> str:
    what = ", ".join(item.name for item in plan.y[:3]) or "Rows"
    if plan.kind == "histogram" and plan.x is not None:
        return label(f"Spread of {plan.x.name}")
    return label(what if plan.x is None else f"{what} by {plan.x.name}")
