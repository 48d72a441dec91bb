"""Periods, windows and conversions in the dialects of other sources: the same figures."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import psycopg
import pytest

from core.context import Principal
from core.errors import Conflict
from engine.catalog.snapshots import make_snapshot
from engine.catalog.views import View
from engine.connectors.connector import ColumnInfo, ConnectionSpec, RelationInfo
from engine.policy.rules import open_to_all
from engine.semantic.compile import MetricQuery, compile_metrics
from engine.semantic.layer import Layer
from engine.semantic.metricflow import read_metricflow
from engine.semantic.models import Window
from engine.sql.bind import prepare
from engine.sql.build import build
from tests.engine.semantic.test_kinds import MODELS, MONTH, TABLES, YEAR
from tests.fixtures_postgres import postgres_server

COLUMNS = {
    "sales": [("id", "int"), ("shop", "int"), ("day", "date"), ("amount", "int")],
    "shops": [("id", "int"), ("city", "text")],
    "visits": [("person", "int"), ("seen", "timestamp"), ("page", "text")],
    "buys": [("person", "int"), ("seen", "timestamp"), ("page", "text"), ("price", "int")],
}
Run = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    read = read_metricflow({"models.yml": MODELS}, "shop")
    layer = Layer(read.models, read.metrics)
    dialect = request.param
    relations = [
        RelationInfo(name, tuple(ColumnInfo(column, kind, True, 0) for column, kind in columns))
        for name, columns in COLUMNS.items()
    ]
    snapshot = make_snapshot(ConnectionSpec("acme", "shop", "shop", dialect), relations, 0.0)
    view = View(Principal("ada", "acme"), snapshot, "open", lambda key: open_to_all(snapshot.relations[key]))
    if dialect == "sqlite":
        database: Any = sqlite3.connect(":memory:")
        database.executescript(re.sub(r"(\d\d:\d\d)'", r"\1:00'", TABLES))
    else:
        server = postgres_server()
        database = psycopg.connect(server.url(server.create()), autocommit=True)
        database.execute(TABLES.encode())

    def ask(*metrics: str, **asked: Any) -> list[tuple[Any, ...]]:
        query = compile_metrics(MetricQuery(metrics, dialect=dialect, **asked), layer)
        sql = build(query, view, dialect).sql
        assert prepare(sql, view, dialect, max_rows=100).template
        rows = database.execute(sql if dialect == "sqlite" else sql.encode()).fetchall()
        return list(rows)

    yield ask
    database.close()


def months(rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    return {str(row[0])[5:7]: None if row[1] is None else float(row[1]) for row in rows}


@pytest.mark.parametrize(
    ("metric", "figures"),
    [
        ("revenue", {"01": 60, "02": 90, "04": 67}),
        ("all_time", {"01": 66, "02": 156, "03": 156, "04": 223}),
        ("mtd_last", {"01": 60, "02": 90, "04": 67}),
        ("growth", {"01": 55, "02": 30, "03": None, "04": 67}),
        ("every_month", {"01": 60, "02": 90, "03": 0, "04": 67}),
    ],
)
def test_periods_are_the_same_everywhere(run: Run, metric: str, figures: dict[str, Any]) -> None:
    assert months(run(metric, group_by=MONTH, **YEAR)) == figures


def test_ranges_are_compared_and_conversions_counted_everywhere(run: Run) -> None:
    february: dict[str, Any] = {"start": datetime(2025, 2, 1), "end": datetime(2025, 3, 1)}
    assert [float(cell) for cell in run("revenue", versus=Window(1, "month"), **february)[0]] == [90, 60, 30, 0.5]
    assert run("conversions") == [(3,)]
    assert sorted(run("conversions", group_by=["visit__page"])) == [("a", 1), ("b", 2)]
    assert run("revenue", group_by=["shop__city"], order=[("revenue", True)], limit=1) == [("bern", 112)]


def test_the_last_rows_of_each_period_are_measured_everywhere(run: Run) -> None:
    assert months(run("last_sales", group_by=MONTH, **YEAR)) == {"01": 50, "02": 90, "04": 67}
    assert [float(row[0]) for row in run("last_sales")] == [157]


def test_a_percentile_is_computed_where_the_source_can(run: Run) -> None:
    try:
        assert [float(row[0]) for row in run("p75")] == [40]
        assert [float(row[0]) for row in run("middle")] == [20]
    except Conflict as refused:
        assert "no function 'percentile_cont'" in refused.message


def test_what_a_source_cannot_cut_is_refused(run: Run) -> None:
    if run("revenue", group_by=["sale__day__month"], limit=1):
        assert len(run("revenue", group_by=["sale__day__year"])) == 2
    with pytest.raises(Conflict):
        run("revenue", group_by=["metric_time__era"])
