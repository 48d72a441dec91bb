"""dbt's newer form, with semantic models beside columns: the same models and metrics as in the older one."""

from datetime import datetime

import pytest

from engine.semantic.layer import Layer
from engine.semantic.metricflow import read_metricflow
from tests.engine.semantic.world import world

TABLES = """
    CREATE TABLE rentals (rental_id INT, bike_id INT, started_at TIMESTAMP, state VARCHAR, fee INT);
    CREATE TABLE bikes (bike_id INT, colour VARCHAR);
    INSERT INTO bikes VALUES (1, 'red'), (2, 'blue');
    INSERT INTO rentals VALUES (1, 1, '2026-01-01 10:00', 'done', 5), (2, 1, '2026-01-02 10:00', 'done', 7),
        (3, 2, '2026-01-02 11:00', 'open', 11), (4, 2, '2026-02-01 11:00', 'done', 13);
"""
NEWER = """
models:
  - name: rentals
    description: One row for each rental.
    semantic_model: true
    agg_time_dimension: started_at
    columns:
      - {name: rental_id, entity: {type: primary, name: rental}, tests: [unique]}
      - {name: bike_id, entity: {type: foreign, name: bike}}
      - {name: started_at, granularity: day, dimension: {type: time}}
      - {name: state, description: How far it is., dimension: {type: categorical, name: progress}}
      - {name: fee, description: No part of the semantic model.}
    derived_semantics:
      dimensions:
        - {name: is_dear, type: categorical, expr: fee > 10}
        - {name: month, type: time, granularity: month, expr: started_at}
    metrics:
      - {name: fees, type: simple, agg: sum, expr: fee, label: Fees, fill_nulls_with: 0}
      - {name: mean_fee, agg: avg, expr: fee}
      - {name: p90, type: simple, agg: percentile, expr: fee, percentile: 0.9, percentile_type: discrete}
      - {name: done, type: simple, agg: count, expr: rental_id, filter: "{{ Dimension('rental__progress') }} = 'done'"}
      - name: last_fees
        type: simple
        agg: sum
        expr: fee
        non_additive_dimension: {name: started_at, window_agg: max, group_by: [bike]}
      - {name: fees_so_far, type: cumulative, input_metric: fees, period_agg: last}
      - {name: done_so_far, type: cumulative, input_metric: done, grain_to_date: year, period_agg: last}
      - name: fee_change
        type: derived
        expr: fees - earlier
        input_metrics: [fees, {metric: fees, alias: earlier, offset_window: 1 month}]
  - name: bikes
    semantic_model: {enabled: true, name: bike_list, config: {meta: {owner: ann}}}
    columns:
      - {name: bike_id, entity: {type: primary, name: bike}}
      - {name: colour, dimension: categorical}
    metrics:
      - {name: bike_count, type: simple, agg: count_distinct, expr: bike_id}
  - {name: stages, columns: [{name: a, tests: [unique]}]}
  - {name: off, semantic_model: {enabled: false}, metrics: [{name: gone, agg: sum}]}
metrics:
  - {name: fee_per_bike, type: ratio, numerator: {name: fees, alias: f}, denominator: bike_count}
  - name: return_rate
    type: conversion
    entity: bike
    calculation: conversions
    base_metric: fees
    conversion_metric: done
    window: 7 days
"""


def test_everything_in_it_is_read() -> None:
    read = read_metricflow({"dbt.yml": NEWER}, "shop")
    assert (read.errors, read.warnings) == ([], [])
    rentals, bikes = read.models
    assert (rentals.name, rentals.table, rentals.primary, bikes.name, bikes.table, bikes.owners) == (
        "rentals",
        "rentals",
        "rental",
        "bike_list",
        "bikes",
        ("ann",),
    )
    assert [dimension.name for dimension in rentals.dimensions] == ["started_at", "progress", "is_dear", "month"]
    assert [measure.name for measure in rentals.measures] == ["fees", "mean_fee", "p90", "done_unfiltered", "last_fees"]
    assert {measure.time_dimension for measure in rentals.measures} == {"started_at"}
    assert len(Layer(read.models, read.metrics).metrics) == 11
    assert read.sources["metric", "fees"].line == 18


def test_its_metrics_have_the_figures_of_the_rows() -> None:
    months = {"group_by": ["metric_time__month"], "start": datetime(2026, 1, 1), "end": datetime(2026, 3, 1)}
    with world(TABLES, {"dbt.yml": NEWER}) as made:
        assert made.rows("fees", "mean_fee", "p90", "done", "last_fees") == [(36, 9, 13, 3, 20)]
        assert made.rows("fees", group_by=["bike__colour"]) == [("blue", 24), ("red", 12)]
        assert made.rows("fees", group_by=["rental__is_dear"]) == [(False, 12), (True, 24)]
        assert [row[1:] for row in made.rows("fees_so_far", "done_so_far", "fee_change", **months)] == [
            (23, 2, 23),
            (36, 3, -10),
        ]
        assert made.rows("fee_per_bike") == [(18,)]
        assert made.rows("return_rate") == [(3,)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("models: 7", "must be a list"),
        ("models: [7]", "no mapping"),
        ("models: [{name: m, semantic_model: true, columns: [{name: a, entity: 7}]}]", "a type, or a mapping"),
        ("models: [{name: m, semantic_model: true, columns: [{name: a, entity: king}]}]", "must be one of primary"),
        ('models: [{name: "m\'; --", semantic_model: true}]', "must be a name"),
        (
            "models: [{name: m, semantic_model: true, metrics: [{name: x, agg: sum, filter: '{{ 1 }}'}]}]",
            "names in quotes",
        ),
        ("metrics: [{name: x, type: derived, expr: a, input_metrics: 7}]", "must be a list"),
        ("metrics: [{name: x, type: ratio, numerator: a}]", "'denominator' is missing"),
        ("metrics: [{name: x, type: cumulative}]", "'measure' is missing"),
        ("metrics: [{name: x}]", "'type' is missing"),
        ("metrics: [{name: x, type: wild}]", "must be one of simple"),
    ],
)
def test_what_cannot_be_read_is_said_where_it_stands(text: str, why: str) -> None:
    read = read_metricflow({"dbt.yml": text}, "shop")
    assert why in " ".join(note.message for note in read.errors)


def test_keys_that_nobody_knows_are_reported() -> None:
    text = "metrics: [{name: x, type: ratio, numerator: a, denominator: b, nonsense: 1}]"
    assert [note.message for note in read_metricflow({"f.yml": text}, "s").warnings] == [
        "The key 'nonsense' is not known."
    ]
