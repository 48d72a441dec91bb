"""Vega-Lite specifications: written by us alone, with the values inside and nothing to fetch or to evaluate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.charts.choice import Kind, Plan
from engine.charts.points import VALUE, Points, label

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"

# Okabe and Ito: told apart by people who are blind to some colours, and in grey.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#6B6B6B", "#B8A800")
CONFIG: Mapping[str, Any] = {
    "font": "Liberation Sans, Arial, sans-serif",
    "axis": {"labelFontSize": 12, "titleFontSize": 13, "labelLimit": 220, "gridColor": "#E4E4E4", "labelOverlap": True},
    "legend": {"labelFontSize": 12, "titleFontSize": 13, "labelLimit": 220},
    "title": {"fontSize": 16, "anchor": "start", "subtitleFontSize": 12, "subtitleColor": "#444444"},
    "view": {"stroke": None},
    "range": {"category": list(PALETTE)},
}


@dataclass(frozen=True, slots=True)
class Look:
    """How large, and under which title."""

    title: str
    width: int
    height: int


def make_spec(plan: Plan, points: Points, look: Look) -> dict[str, Any]:
    """The specification of a chart."""
    mark, encoding = _DRAWN[plan.kind](plan, points)
    title: dict[str, Any] = {"text": look.title}
    if points.notes:
        title["subtitle"] = points.notes
    return {
        "$schema": SCHEMA,
        "description": look.title,
        "title": title,
        "width": look.width,
        "height": look.height,
        "background": "white",
        "padding": 12,
        "autosize": {"type": "fit", "contains": "padding"},
        "data": {"values": points.values},
        "mark": mark,
        "encoding": encoding,
        "config": CONFIG,
    }


Drawn = tuple[dict[str, Any], dict[str, Any]]


def _line(plan: Plan, points: Points) -> Drawn:
    mark: dict[str, Any] = {"type": "area" if plan.kind == "area" else "line", "tooltip": True}
    mark |= {"opacity": 0.75} if plan.kind == "area" else {"point": len(points.values) <= 200, "strokeWidth": 2}
    return mark, {"x": _across(plan), "y": _up(plan), **_colour(plan, points)}


def _bar(plan: Plan, points: Points) -> Drawn:
    assert plan.x is not None, "bars stand for something"
    if plan.x.role != "category":
        return {"type": "bar", "tooltip": True}, {"x": _across(plan), "y": _up(plan), **_colour(plan, points)}
    by = {"field": "x", "type": "nominal", "title": label(plan.x.name), "sort": points.order}
    colour = _colour(plan, points)
    if len(plan.y) > 1:  # measures stand side by side: a stack would add up what is not of one kind
        colour["yOffset"] = {"field": "c", "type": "nominal", "sort": points.colours}
    length = {**_up(plan), "stack": "zero" if len(plan.y) <= 1 else None}
    return {"type": "bar", "tooltip": True}, {"y": by, "x": length, **colour}


def _pie(plan: Plan, points: Points) -> Drawn:
    assert plan.x is not None, "slices stand for something"
    title = label(plan.x.name)
    sort = {"field": "x", "type": "nominal", "title": title, "sort": points.order}
    by = {**sort, "scale": {"domain": points.order, "range": _colours(len(points.order))}}
    order = {"field": "y", "type": "quantitative", "sort": "descending"}
    angle = {"field": "y", "type": "quantitative", "stack": True, "title": _title(plan)}
    return {"type": "arc", "innerRadius": 50, "tooltip": True}, {"theta": angle, "color": by, "order": order}


def _scatter(plan: Plan, points: Points) -> Drawn:
    mark = {"type": "point", "filled": True, "size": 45, "opacity": 0.7, "tooltip": True}
    free = {"scale": {"zero": False}}
    return mark, {"x": {**_across(plan), **free}, "y": {**_up(plan), **free}, **_colour(plan, points)}


def _histogram(plan: Plan, points: Points) -> Drawn:
    assert plan.x is not None, "a histogram has a measure"
    across = {"field": "x", "type": "quantitative", "bin": {"maxbins": 30}, "title": label(plan.x.name)}
    return {"type": "bar", "tooltip": True}, {"x": across, "y": {"aggregate": "count", "title": VALUE}}


def _number(plan: Plan, points: Points) -> Drawn:
    text = {"field": "y", "type": "quantitative", "format": ",.6~g"}
    column: dict[str, Any] = {
        "field": "c",
        "type": "nominal",
        "title": None,
        "axis": {"labelAngle": 0, "labelFontSize": 16},
    }
    column["sort"] = [entry["c"] for entry in points.values]
    size = 64 if len(points.values) == 1 else 32
    return {"type": "text", "fontSize": size, "fontWeight": "bold", "color": PALETTE[0]}, {"x": column, "text": text}


_DRAWN: Mapping[Kind, Callable[[Plan, Points], Drawn]] = {
    "line": _line,
    "area": _line,
    "bar": _bar,
    "pie": _pie,
    "scatter": _scatter,
    "histogram": _histogram,
    "number": _number,
}


def _across(plan: Plan) -> dict[str, Any]:
    assert plan.x is not None, "these charts have an x"
    kind = {"time": "temporal", "measure": "quantitative"}.get(plan.x.role, "nominal")
    return {"field": "x", "type": kind, "title": label(plan.x.name)}


def _up(plan: Plan) -> dict[str, Any]:
    is_part = bool(plan.y) and plan.y[0].is_part_of_whole and max(_heights(plan), default=2) <= 1
    return {
        "field": "y",
        "type": "quantitative",
        "title": _title(plan),
        "axis": {"format": ".0%" if is_part else "~s" if max(_heights(plan), default=0) >= 10_000 else ",.6~g"},
    }


def _heights(plan: Plan) -> list[float]:
    return [abs(float(value)) for item in plan.y for value in item.values if value is not None]


def _title(plan: Plan) -> str:
    return ", ".join(label(item.name) for item in plan.y[:3]) or VALUE


def _colour(plan: Plan, points: Points) -> dict[str, Any]:
    if not points.colours:
        return {"color": {"value": PALETTE[0]}}
    title = label(plan.series.name) if plan.series is not None else None
    scale = {"domain": points.colours, "range": _colours(len(points.colours))}
    return {"color": {"field": "c", "type": "nominal", "title": title, "scale": scale}}


def _colours(count: int) -> list[str]:
    return [PALETTE[index % len(PALETTE)] for index in range(count)]
