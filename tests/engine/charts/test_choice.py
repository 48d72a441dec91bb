"""Which chart is drawn of which columns when the caller names no kind."""

from typing import Any

import pytest

from core.errors import Conflict
from engine.charts.choice import Plan, Wish, choose
from engine.charts.fields import read_field

DAYS = ("day", "date", ["2026-01-01", "2026-01-02", "2026-01-03"])
REGION = ("region", "varchar", ["north", "south", "north"])
TOTAL = ("total", "decimal(18,2)", ["10.50", "20.00", "5.00"])
COUNT = ("orders", "bigint", [3, 4, 5])
SHARE = ("share", "double", [0.5, 0.3, 0.2])
TEAM = ("team", "varchar", ["a", "b", "c"])
KEY = ("customer_id", "bigint", [17, 4, 9])
YEAR = ("year", "integer", [2024, 2025, 2026])
NESTED = ("tags", "varchar[]", [["a"], [], None])

Column = tuple[str, str, list[Any]]


def plan_of(*columns: Column, rows: int = 3, **wish: Any) -> Plan:
    fields = [read_field(name, kind, values[:rows]) for name, kind, values in columns]
    return choose(fields, Wish(**wish), rows)


@pytest.mark.parametrize(
    ("columns", "kind", "x", "y", "series"),
    [
        ([DAYS, TOTAL], "line", "day", ["total"], None),
        ([TOTAL, DAYS], "line", "day", ["total"], None),
        ([DAYS, REGION, TOTAL], "line", "day", ["total"], "region"),
        ([YEAR, TOTAL], "line", "year", ["total"], None),
        ([REGION, TOTAL], "bar", "region", ["total"], None),
        ([REGION, TOTAL, COUNT], "bar", "region", ["total", "orders"], None),
        ([KEY, TOTAL], "bar", "customer_id", ["total"], None),
        ([TEAM, SHARE], "pie", "team", ["share"], None),
        ([REGION, SHARE], "bar", "region", ["share"], None),  # a category twice is no part of a whole
        ([TOTAL, COUNT], "scatter", "total", ["orders"], None),
        ([TOTAL], "histogram", "total", [], None),
        ([REGION], "bar", "region", [], None),
    ],
)
def test_the_columns_decide(columns: list[Column], kind: str, x: str, y: list[str], series: str | None) -> None:
    plan = plan_of(*columns)
    assert (plan.kind, plan.x.name if plan.x else None) == (kind, x)
    assert [item.name for item in plan.y] == y
    assert (plan.series.name if plan.series else None) == series
    assert plan.reason


def test_one_row_is_shown_as_its_numbers() -> None:
    plan = plan_of(REGION, TOTAL, COUNT, rows=1)
    assert (plan.kind, [item.name for item in plan.y]) == ("number", ["total", "orders"])


def test_what_the_caller_names_wins() -> None:
    assert plan_of(DAYS, TOTAL, kind="bar").kind == "bar"
    assert plan_of(DAYS, REGION, TOTAL, x="region").kind == "bar"
    assert [item.name for item in plan_of(DAYS, TOTAL, COUNT, y=["orders"]).y] == ["orders"]
    assert plan_of(DAYS, TOTAL, COUNT, kind="scatter", x="total").x is not None
    assert plan_of(DAYS, REGION, TOTAL, kind="area", series="region").series is not None


@pytest.mark.parametrize(
    ("columns", "wish"),
    [
        ([NESTED], {}),
        ([REGION, TOTAL], {"x": "nothing"}),
        ([REGION, TOTAL], {"y": ["region"]}),
        ([REGION], {"kind": "line"}),
        ([REGION], {"kind": "scatter"}),
        ([REGION], {"kind": "histogram"}),
        ([REGION], {"kind": "number"}),
        ([TOTAL], {"kind": "scatter"}),
    ],
)
def test_what_cannot_be_drawn_is_refused(columns: list[Column], wish: dict[str, Any]) -> None:
    with pytest.raises(Conflict):
        plan_of(*columns, **wish)


def test_no_rows_make_no_chart() -> None:
    with pytest.raises(Conflict, match="no rows"):
        plan_of(REGION, TOTAL, rows=0)
