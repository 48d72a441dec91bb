"""Measures that do not add up over time and percentiles, as MetricFlow's published cases; filters on figures."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from core.errors import Conflict
from engine.semantic.expressions import read_condition
from engine.semantic.metricflow import read_metricflow
from engine.semantic.models import Window
from engine.semantic.templates import read_filter
from tests.engine.semantic.world import World, world

TABLES = """
    CREATE TABLE owners (id INT, state VARCHAR);
    CREATE TABLE balances (account INT, owner INT, kind VARCHAR, ds DATE, balance INT);
    INSERT INTO owners VALUES (1, 'CA'), (2, 'NY'), (3, 'CA');
    INSERT INTO balances VALUES (1, 1, 'savings', '2020-01-01', 10), (1, 1, 'savings', '2020-01-06', 20),
        (2, 1, 'checking', '2020-01-06', 5), (2, 1, 'checking', '2020-01-07', 7), (3, 2, 'savings', '2020-01-02', 100),
        (3, 2, 'savings', '2020-01-03', 90), (4, 3, 'savings', '2020-02-01', 1), (4, 3, 'checking', '2020-02-01', 2);
"""
FILES = """
semantic_models:
  - name: owners
    model: ref('owners')
    entities: [{name: owner, type: primary, expr: id}]
    dimensions: [{name: state, type: categorical}]
    measures: [{name: owner_count, agg: count, expr: id, create_metric: true}]
  - name: balances
    model: ref('balances')
    primary_entity: account
    defaults: {agg_time_dimension: ds}
    entities: [{name: owner, type: foreign}]
    dimensions:
      - {name: kind, type: categorical}
      - {name: ds, type: time, type_params: {time_granularity: day}}
      - {name: ds_month, type: time, expr: ds, type_params: {time_granularity: month}}
    measures:
      - name: first_day
        agg: sum
        expr: balance
        create_metric: true
        non_additive_dimension: {name: ds}
      - name: current
        agg: sum
        expr: balance
        create_metric: true
        non_additive_dimension: {name: ds, window_choice: max, window_groupings: [owner]}
      - name: first_month
        agg: sum
        expr: balance
        agg_time_dimension: ds_month
        create_metric: true
        non_additive_dimension: {name: ds_month, window_choice: min}
      - {name: moved, agg: sum, expr: balance, create_metric: true}
      - {name: rows, agg: count, expr: account, create_metric: true}
      - {name: p90, agg: percentile, expr: balance, agg_params: {percentile: 0.9}, create_metric: true}
      - name: p90_real
        agg: percentile
        expr: balance
        agg_params: {percentile: 0.9, use_discrete_percentile: true, use_approximate_percentile: true}
        create_metric: true
metrics:
  - {name: per_row, type: ratio, type_params: {numerator: current, denominator: rows}}
  - name: busy_owners
    type: simple
    type_params: {measure: owner_count}
    filter: "{{ Metric('rows', group_by=['owner']) }} >= 3"
  - name: circle
    type: simple
    type_params: {measure: moved}
    filter: "{{ Metric('circle', group_by=['owner']) }} > 1"
"""
WEEK, SAVINGS = "metric_time__week", "{{ Dimension('account__kind') }} = 'savings'"
BY_WEEK, SAVED = "date_trunc('week', ds)", "WHERE kind = 'savings'"
LAST = "balances JOIN (SELECT {} AS part, owner, max(ds) AS ds FROM balances {} GROUP BY 1, 2) last USING (ds, owner)"


@pytest.fixture(scope="module")
def bank() -> Iterator[World]:
    with world(TABLES, {"bank.yml": FILES}) as made:
        yield made


@pytest.mark.parametrize(
    ("metric", "groups", "where", "gold"),
    [
        ("current", ["owner"], "", f"SELECT owner, sum(balance) FROM {LAST.format('1', '')} GROUP BY 1"),
        ("current", [WEEK], "", f"SELECT {BY_WEEK}, sum(balance) FROM {LAST.format(BY_WEEK, '')} GROUP BY 1"),
        (
            "current",
            ["owner"],
            SAVINGS,
            f"SELECT owner, sum(balance) FROM {LAST.format('1', SAVED)} {SAVED} GROUP BY 1",
        ),
        (
            "current",
            ["owner"],
            "{{ Dimension('owner__state') }} = 'CA'",
            f"SELECT owner, sum(balance) FROM {LAST.format('1', '')} WHERE owner IN (1, 3) GROUP BY 1",
        ),
        ("first_day", ["metric_time"], "", "SELECT date_trunc('day', ds), sum(balance) FROM balances GROUP BY 1"),
        (
            "first_day",
            [WEEK],
            "",
            "SELECT date_trunc('week', ds), sum(balance) FROM balances WHERE ds IN "
            "(SELECT min(ds) FROM balances GROUP BY date_trunc('week', ds)) GROUP BY 1",
        ),
        (
            "first_day",
            ["account__kind"],
            "{{ TimeDimension('account__ds', 'day') }} >= '2020-01-03'",
            "SELECT kind, sum(balance) FROM balances WHERE ds = '2020-01-03' GROUP BY 1",
        ),
        ("first_month", [], "", "SELECT sum(balance) FROM balances WHERE ds < '2020-02-01'"),
        (
            "first_day",
            ["account__ds__month"],
            "",
            "SELECT date_trunc('month', ds), sum(balance) FROM balances WHERE day(ds) = 1 GROUP BY 1",
        ),
        ("p90", ["owner"], "", "SELECT owner, quantile_cont(balance, 0.9) FROM balances GROUP BY 1"),
        ("p90_real", [], "", "SELECT quantile_disc(balance, 0.9) FROM balances"),
    ],
)
def test_figures_are_those_of_the_published_queries(
    bank: World, metric: str, groups: list[str], where: str, gold: str
) -> None:
    assert bank.rows(metric, group_by=groups, where=[read_filter(where)] if where else []) == bank.run(gold)


def test_what_stands_at_a_time_goes_with_other_metrics(bank: World) -> None:
    assert bank.rows("current", "moved", "rows", "per_row") == [(100, 235, 8, 100 / 8)]
    january: dict[str, Any] = {"start": datetime(2020, 1, 1), "end": datetime(2020, 1, 7)}
    assert bank.rows("current", **january) == [(115,)]
    months = bank.rows(
        "current",
        group_by=["metric_time__month"],
        versus=Window(1, "month"),
        start=january["start"],
        end=datetime(2020, 3, 1),
    )
    assert [row[1:4] for row in months] == [(97, None, None), (3, 97, -94)]


def having(text: str) -> dict[str, Any]:
    return {"having": [read_condition(text)]}


def test_groups_are_left_out_by_their_figures(bank: World) -> None:
    by_owner: dict[str, Any] = {"group_by": ["owner"]}
    assert bank.rows("moved", **by_owner, **having("moved > 42")) == [(2, 190)]
    assert bank.rows("moved", "rows", **by_owner, **having("moved < 100 AND rows >= 4")) == [(1, 42, 4)]
    assert bank.rows("per_row", **by_owner, **having("per_row IS NOT NULL AND NOT per_row > 2")) == [
        (1, 1.75),
        (3, 1.5),
    ]
    assert bank.rows("rows", **by_owner, **having("rows BETWEEN 3 AND 9"), order=[("rows", True)], limit=1) == [(1, 4)]
    assert bank.rows("moved", **having("moved > 1000")) == []
    versus: dict[str, Any] = {"start": datetime(2020, 2, 1), "end": datetime(2020, 3, 1), "versus": Window(1, "month")}
    grown = bank.rows("moved", group_by=["account__kind"], **versus, **having("moved_change < -100"))
    assert [row[0] for row in grown] == ["savings"]


@pytest.mark.parametrize(
    ("metric", "groups", "text", "gold"),
    [
        ("owner_count", [], "{{ Metric('rows', group_by=['owner']) }} >= 3", "SELECT 1"),
        ("owner_count", ["owner__state"], "{{ Metric('moved', ['owner']) }} < 100", "SELECT 'CA', 2"),
        ("moved", [], "{{ Metric('moved', group_by=['owner']) }} > 42", "SELECT 190"),
        ("moved", [], "{{ Metric('per_row', ['owner']) }} < 2 OR {{ Dimension('owner__state') }} = 'NY'", "SELECT 235"),
        ("busy_owners", [], "", "SELECT 1"),
    ],
)
def test_rows_are_filtered_by_a_metric_of_what_they_belong_to(
    bank: World, metric: str, groups: list[str], text: str, gold: str
) -> None:
    assert bank.rows(metric, group_by=groups, where=[read_filter(text)] if text else []) == bank.run(gold)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{ Metric('nothing', ['owner']) }} > 1", "no metric 'nothing'"),
        ("{{ Metric('moved', ['account__kind']) }} > 1", "no filter here"),
        ("{{ Metric('moved', ['nobody']) }} > 1", "cannot be reached"),
        ("{{ Metric('moved', ['owner', 'owner']) }} > 1", "are read"),
        ("{{ Metric('owner_count', ['account']) }} > 1", "cannot be reached"),
        ("{{ Metric('circle', ['owner']) }} > 1", "nest too deep"),
    ],
)
def test_metrics_that_are_no_filter_are_refused(bank: World, text: str, why: str) -> None:
    with pytest.raises(Conflict) as refused:
        bank.sql("moved", where=[read_filter(text)])
    assert why in f"{refused.value.message} {refused.value.hint}"


@pytest.mark.parametrize("text", ["owner > 1", "balance > 1", "rows > 1", "moved_growth > 1"])
def test_only_figures_of_the_result_are_filtered_by(bank: World, text: str) -> None:
    with pytest.raises(Conflict, match="The result has no figure") as refused:
        bank.sql("moved", group_by=["owner"], **having(text))
    assert refused.value.hint == "It has moved."


@pytest.mark.parametrize(
    ("measure", "why"),
    [
        ("{name: m, agg: percentile, expr: a}", "A percentile, and nothing else, says which"),
        ("{name: m, agg: percentile, expr: a, agg_params: {percentile: 90}}", "from 0 to 1"),
        ("{name: m, agg: sum, expr: a, agg_params: {percentile: 0.5}}", "A percentile, and nothing else"),
        ("{name: m, agg: sum, expr: a, non_additive_dimension: {name: b}}", "no time dimension"),
        (
            "{name: m, agg: sum, expr: a, non_additive_dimension: {name: d, window_groupings: [x]}}",
            "none of its entities",
        ),
        (
            "{name: m, agg: sum, expr: a, non_additive_dimension: {name: d, window_choice: mid}}",
            "must be one of min, max",
        ),
    ],
)
def test_measures_that_mean_nothing_are_not_imported(measure: str, why: str) -> None:
    text = f"""semantic_models: [{{name: t, model: "ref('t')", entities: [{{name: e, type: primary}}], dimensions: [
        {{name: b, type: categorical}}, {{name: d, type: time, type_params: {{time_granularity: day}}}}],
        measures: [{measure}]}}]"""
    assert why in read_metricflow({"f.yml": text}, "shop").errors[0].message
