"""Metrics are governed as any SQL is: what may be read only in aggregates is aggregated over enough rows."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from core.context import Principal
from core.errors import Conflict, QueryUnauthorized
from engine.catalog.snapshots import make_snapshot
from engine.catalog.views import View
from engine.connectors.connector import ConnectionSpec
from engine.policy.rules import RowFilter
from engine.semantic.compile import MetricQuery, compile_metrics
from engine.semantic.expressions import read_condition
from engine.semantic.layer import Layer
from engine.semantic.metricflow import read_metricflow
from engine.semantic.templates import read_filter
from engine.sql.build import build
from tests.engine.sql.salaries import Salaries, on_duckdb, on_sqlite

MODELS = """
semantic_models:
  - name: staff
    model: ref('staff')
    entities: [{name: person, type: primary, expr: id}, {name: dept, type: foreign, expr: dept_id}]
    dimensions: [{name: city, type: categorical}, {name: pay, type: categorical, expr: salary}]
    measures: [{name: payroll, agg: sum, expr: salary, create_metric: true}]
  - name: dept
    model: ref('dept')
    entities: [{name: dept, type: primary, expr: dept_id}]
    dimensions: [{name: title, type: categorical}]
    measures: [{name: budget, agg: sum, expr: salary, create_metric: true}]
metrics:
  - {name: share, type: ratio, type_params: {numerator: payroll, denominator: budget}}
"""


@pytest.fixture(params=["duckdb", "sqlite"])
def salaries(request: pytest.FixtureRequest) -> Iterator[Salaries]:
    made = on_duckdb() if request.param == "duckdb" else on_sqlite()
    yield made
    made.connection.close()


def rows(
    salaries: Salaries, *metrics: str, groups: tuple[str, ...] = (), where: str = "", having: str = ""
) -> list[tuple[object, ...]]:
    read = read_metricflow({"f.yml": MODELS}, "hr")
    limits = [read_condition(having)] if having else []
    asked = MetricQuery(metrics, groups, [read_filter(where)] if where else [], having=limits)
    definition = compile_metrics(asked, Layer(read.models, read.metrics))
    governed = salaries.seen.relations
    spec = ConnectionSpec("default", "hr", "hr", salaries.dialect)
    snapshot = make_snapshot(spec, [each.relation for each in governed.values()], 0.0)
    view = View(Principal("ada", "default"), snapshot, "ada", governed.get)
    return sorted(salaries.run(build(definition, view, salaries.dialect).sql), key=repr)


def test_small_groups_have_no_figure(salaries: Salaries) -> None:
    assert rows(salaries, "payroll", groups=("dept__title",)) == [
        ("four", None),
        ("one", 8036),
        ("three", None),
        ("two", 12069),
    ]


def test_small_groups_stay_without_a_figure_beside_other_metrics(salaries: Salaries) -> None:
    found = rows(salaries, "payroll", "budget", "share", groups=("dept__title",))
    assert [row[:3] for row in found] == [("four", None, 8), ("one", 8036, 5), ("three", None, 7), ("two", 12069, 6)]
    assert [row[3] is None for row in found] == [True, False, True, False]


def test_a_figure_that_is_not_shown_is_not_filtered_by(salaries: Salaries) -> None:
    assert rows(salaries, "payroll", groups=("dept__title",), having="payroll > 9000") == [("two", 12069)]
    hidden = [("four", None), ("three", None)]
    assert rows(salaries, "payroll", groups=("dept__title",), having="payroll IS NULL") == hidden
    assert rows(salaries, "payroll", groups=("dept__title",), having="NOT payroll > 9000") == [("one", 8036)]


def test_a_protected_column_is_no_dimension(salaries: Salaries) -> None:
    with pytest.raises((QueryUnauthorized, Conflict)):
        rows(salaries, "payroll", groups=("person__pay",))
    with pytest.raises((QueryUnauthorized, Conflict)):
        rows(salaries, "payroll", where="{{ Dimension('person__pay') }} > 1500")


def test_rows_that_the_caller_may_not_see_are_in_no_figure(salaries: Salaries) -> None:
    staff = salaries.seen.relations["staff"]
    only_bern = (RowFilter("p", "city = 'bern'"),)
    salaries.seen.relations["staff"] = replace(staff, columns={}, filters=only_bern)
    assert rows(salaries, "payroll", "budget") == [(16089, 26)]
    dept = salaries.seen.relations["dept"]
    only_one = (RowFilter("p", "title = 'one'"),)
    salaries.seen.relations["dept"] = replace(dept, filters=only_one)
    assert rows(salaries, "payroll", groups=("dept__title",)) == [("one", 4020), (None, 12069)]
