"""Cumulative, conversion and offset metrics, comparisons: each against SQL that was written by hand."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import pytest

from core.errors import Conflict
from engine.dates.calendar import Calendar
from engine.semantic.models import Window
from engine.semantic.templates import read_filter
from tests.engine.semantic.world import World, world

TABLES = """
    CREATE TABLE sales (id INT, shop INT, day DATE, amount INT);
    CREATE TABLE shops (id INT, city VARCHAR);
    CREATE TABLE visits (person INT, seen TIMESTAMP, page VARCHAR);
    CREATE TABLE buys (person INT, seen TIMESTAMP, page VARCHAR, price INT);
    INSERT INTO shops VALUES (1, 'bern'), (2, 'rome');
    INSERT INTO sales VALUES (1, 1, '2024-12-30', 5), (2, 1, '2025-01-01', 10), (3, 2, '2025-01-03', 20),
        (4, 1, '2025-01-10', 30), (5, NULL, '2025-02-01', 40), (6, 2, '2025-02-28', 50), (7, 1, '2025-04-15', 60),
        (8, 1, '2025-04-15', 7), (9, 2, '2024-02-29', 1);
    INSERT INTO visits VALUES (1, '2025-01-01 10:00', 'a'), (1, '2025-01-05 10:00', 'b'), (2, '2025-01-01 09:00', 'a'),
        (3, '2025-01-20 08:00', 'a'), (NULL, '2025-01-20 08:00', 'a'), (4, '2025-02-01 08:00', 'b');
    INSERT INTO buys VALUES (1, '2025-01-06 10:00', 'b', 10), (1, '2025-01-06 10:00', 'b', 10),
        (2, '2025-01-08 08:59', 'a', 5), (3, '2025-01-19 08:00', 'a', 3), (4, '2025-02-08 08:00', 'b', 4),
        (2, '2025-01-08 09:00', 'a', 5);
"""
MODELS = """
semantic_models:
  - name: shops
    model: ref('shops')
    entities: [{name: shop, type: primary, expr: id}]
    dimensions: [{name: city, type: categorical}]
  - name: sales
    model: ref('sales')
    defaults: {agg_time_dimension: day}
    entities: [{name: sale, type: primary, expr: id}, {name: shop, type: foreign}]
    dimensions: [{name: day, type: time, type_params: {time_granularity: day}}]
    measures:
      - {name: revenue, agg: sum, expr: amount, create_metric: true}
      - {name: shops_selling, agg: count_distinct, expr: shop}
      - name: last_sales
        agg: sum
        expr: amount
        non_additive_dimension: {name: day, window_choice: max, window_groupings: [shop]}
        create_metric: true
      - {name: middle, agg: median, expr: amount, create_metric: true}
      - {name: p75, agg: percentile, expr: amount, agg_params: {percentile: 0.75}, create_metric: true}
  - name: visits
    model: ref('visits')
    primary_entity: visit
    defaults: {agg_time_dimension: seen}
    entities: [{name: person, type: foreign}]
    dimensions:
      - {name: seen, type: time, type_params: {time_granularity: second}}
      - {name: page, type: categorical}
    measures: [{name: visits, agg: sum, expr: 1, create_metric: true}]
  - name: buys
    model: ref('buys')
    primary_entity: buy
    defaults: {agg_time_dimension: seen}
    entities: [{name: person, type: foreign}]
    dimensions:
      - {name: seen, type: time, type_params: {time_granularity: second}}
      - {name: page, type: categorical}
    measures:
      - {name: buys, agg: sum, expr: 1}
      - {name: spent, agg: sum, expr: price}
metrics:
  - {name: all_time, type: cumulative, type_params: {measure: revenue, cumulative_type_params: {period_agg: last}}}
  - {name: trailing, type: cumulative, type_params: {measure: revenue, window: 7 days}}
  - {name: mtd, type: cumulative, type_params: {measure: revenue, grain_to_date: month}}
  - name: mtd_last
    type: cumulative
    type_params: {measure: revenue, cumulative_type_params: {grain_to_date: month, period_agg: last}}
  - name: mtd_average
    type: cumulative
    type_params: {measure: revenue, cumulative_type_params: {grain_to_date: month, period_agg: average}}
  - {name: trailing_shops, type: cumulative, type_params: {measure: shops_selling, window: 2 months}}
  - name: every_month
    type: simple
    type_params: {measure: {name: revenue, join_to_timespine: true, fill_nulls_with: 0}}
  - name: growth
    type: derived
    type_params:
      expr: now - coalesce(earlier, 0)
      metrics: [{name: revenue, alias: now}, {name: revenue, alias: earlier, offset_window: 1 month}]
  - name: since_start
    type: derived
    type_params:
      expr: first
      metrics: [{name: revenue, alias: first, offset_to_grain: month}]
  - name: conversion
    type: conversion
    type_params:
      conversion_type_params: {entity: person, base_measure: visits, conversion_measure: buys, window: 7 days}
  - name: conversions
    type: conversion
    type_params:
      conversion_type_params:
        entity: person
        calculation: conversions
        base_measure: visits
        conversion_measure: buys
        window: 7 days
  - name: ever
    type: conversion
    type_params:
      conversion_type_params:
        {entity: person, calculation: conversions, base_measure: visits, conversion_measure: spent}
  - name: same_page
    type: conversion
    type_params:
      conversion_type_params:
        entity: person
        calculation: conversions
        base_measure: visits
        conversion_measure: {name: buys, filter: "{{ Dimension('buy__page') }} != 'z'"}
        window: 1 month
        constant_properties: [{base_property: page, conversion_property: page}]
"""
YEAR: dict[str, Any] = {"start": datetime(2025, 1, 1), "end": datetime(2025, 5, 1)}
JANUARY: dict[str, Any] = {"start": datetime(2025, 1, 1), "end": datetime(2025, 2, 1)}
MONTH, DAY = ["metric_time__month"], ["metric_time__day"]


@pytest.fixture(scope="module")
def shop() -> Iterator[World]:
    with world(TABLES, {"models.yml": MODELS}) as made:
        yield made


def months(rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    return {f"{row[0]:%m}": row[1] if len(row) == 2 else row[1:] for row in rows}


def test_all_time_counts_from_the_first_row_whatever_the_range(shop: World) -> None:
    assert months(shop.rows("all_time", group_by=MONTH, **YEAR)) == {"01": 66, "02": 156, "03": 156, "04": 223}
    assert shop.rows("all_time", **JANUARY) == shop.run("SELECT sum(amount) FROM sales WHERE day < '2025-02-01'")


def test_a_window_ends_with_each_day(shop: World) -> None:
    gold = """
        SELECT d::DATE, sum(amount) FROM range(DATE '2025-01-01', DATE '2025-02-01', INTERVAL 1 DAY) AS days(d)
        JOIN sales ON day <= d AND day > d - INTERVAL 7 DAY GROUP BY 1"""
    assert shop.rows("trailing", group_by=DAY, **JANUARY) == shop.run(gold)
    assert shop.rows("trailing", start=datetime(2025, 1, 1), end=datetime(2025, 1, 11)) == [(30,)]
    both = """
        SELECT d::DATE, city, sum(amount) FROM range(DATE '2025-01-01', DATE '2025-02-01', INTERVAL 1 DAY) AS days(d)
        JOIN sales ON day <= d AND day > d - INTERVAL 7 DAY LEFT JOIN shops ON shop = shops.id GROUP BY 1, 2"""
    assert shop.rows("trailing", group_by=[*DAY, "shop__city"], **JANUARY) == shop.run(both)


def test_which_day_stands_for_a_longer_period_is_declared(shop: World) -> None:
    assert months(shop.rows("mtd", group_by=MONTH, **YEAR)) == {"01": 10, "02": 40}  # the first day, unless said
    assert months(shop.rows("mtd_last", group_by=MONTH, **YEAR)) == {"01": 60, "02": 90, "04": 67}
    gold = """
        SELECT date_trunc('month', d), avg(total) FROM (
            SELECT d, sum(amount) AS total FROM range(DATE '2025-01-01', DATE '2025-05-01', INTERVAL 1 DAY) AS days(d)
            JOIN sales ON day <= d AND day >= date_trunc('month', d) GROUP BY 1) GROUP BY 1"""
    assert months(shop.rows("mtd_average", group_by=MONTH, **YEAR)) == months(shop.run(gold))


def test_to_date_begins_anew_with_each_period(shop: World) -> None:
    found = {f"{day:%m-%d}": total for day, total in shop.rows("mtd", group_by=DAY, **YEAR)}
    assert [found.get(day) for day in ("01-02", "01-31", "02-01", "02-27", "02-28", "03-01", "04-15")] == [
        *(10, 60, 40, 40, 90, None, 67)
    ]
    assert shop.rows("mtd", start=datetime(2025, 1, 5), end=datetime(2025, 2, 15)) == [(40,)]  # as of February 14


def test_different_things_are_counted_over_the_whole_window(shop: World) -> None:
    found = shop.rows("trailing_shops", start=datetime(2025, 2, 1), end=datetime(2025, 3, 1))
    assert found == shop.run("SELECT count(DISTINCT shop) FROM sales WHERE day >= '2025-01-01' AND day < '2025-03-01'")


def test_an_earlier_figure_stands_beside_the_later_one_and_the_first_is_not_lost(shop: World) -> None:
    assert months(shop.rows("growth", group_by=MONTH, **YEAR)) == {"01": 55, "02": 30, "03": None, "04": 67}
    assert shop.rows("growth", start=datetime(2025, 2, 1), end=datetime(2025, 3, 1)) == [(30,)]
    assert months(shop.rows("since_start", group_by=MONTH, **YEAR)) == {"01": 10, "02": 40}


def test_periods_without_rows_are_there_when_declared(shop: World) -> None:
    assert months(shop.rows("every_month", group_by=MONTH, **YEAR)) == {"01": 60, "02": 90, "03": 0, "04": 67}
    assert months(shop.rows("every_month", "revenue", group_by=MONTH, **YEAR))["03"] == (0, None)


@pytest.mark.parametrize(
    ("asked", "figures"),
    [
        ({"versus": Window(1, "month"), "start": datetime(2025, 2, 1), "end": datetime(2025, 3, 1)}, (90, 60, 30, 0.5)),
        ({"versus": Window(1, "year"), "start": datetime(2025, 2, 1), "end": datetime(2025, 3, 1)}, (90, 1, 89, 89.0)),
        ({"versus": (datetime(2024, 1, 1), datetime(2025, 1, 1)), **YEAR}, (217, 6, 211, pytest.approx(211 / 6))),
        (
            {"versus": Window(1, "year"), "start": datetime(2024, 1, 1), "end": datetime(2025, 1, 1)},
            (6, None, None, None),
        ),
    ],
)
def test_two_ranges_are_compared(shop: World, asked: dict[str, Any], figures: tuple[Any, ...]) -> None:
    assert shop.rows("revenue", **asked) == [figures]


def test_each_period_is_compared_with_its_pair(shop: World) -> None:
    asked = {"group_by": MONTH, "versus": Window(1, "month"), **YEAR}
    found = months(shop.rows("revenue", **asked))
    assert {month: row[:2] for month, row in found.items()} == {
        "01": (60, 5),
        "02": (90, 60),
        "03": (None, 90),
        "04": (67, None),
    }
    years = {"group_by": MONTH, "versus": (datetime(2024, 1, 1), datetime(2024, 5, 1)), **YEAR}
    assert months(shop.rows("revenue", **years))["02"][:2] == (90, 1)
    by_city = shop.rows("revenue", group_by=["shop__city"], versus=Window(1, "month"), **JANUARY)
    assert [row[:3] for row in by_city] == [("bern", 40, 5), ("rome", 20, None)]


def test_weeks_and_years_begin_where_the_calendar_says(shop: World) -> None:
    sundays = shop.rows("revenue", group_by=["metric_time__week"], calendar=Calendar(week_start=6), **JANUARY)
    assert sundays == [(date(2024, 12, 29), 30), (date(2025, 1, 5), 30)]
    fiscal = {"calendar": Calendar(fiscal_month=4), "bounds": (datetime(2024, 2, 1), datetime(2025, 5, 1))}
    found = shop.rows("revenue", group_by=["metric_time__fiscal_year"], **fiscal)
    assert found == [(date(2023, 4, 1), 1), (date(2024, 4, 1), 155), (date(2025, 4, 1), 67)]
    assert len(shop.rows("revenue", group_by=["metric_time__half"], **YEAR)) == 1


def test_a_later_row_counts_once_for_the_last_visit_before_it(shop: World) -> None:
    gold = """
        WITH after AS (SELECT row_number() OVER () AS n, * FROM buys), pairs AS (
            SELECT n, max(v.seen) AS visited FROM after a JOIN visits v USING (person)
            WHERE v.seen <= a.seen AND a.seen < v.seen + INTERVAL 7 DAY GROUP BY 1)
        SELECT count(*) FROM pairs"""
    assert shop.rows("conversions") == shop.run(gold) == [(3,)]
    assert shop.rows("conversion") == [(pytest.approx(3 / 6),)]
    assert shop.rows("conversions", group_by=["visit__page"]) == [("a", 1), ("b", 2)]
    assert shop.rows("ever") == [(10 + 10 + 5 + 5 + 4,)]
    assert shop.rows("same_page") == [(5,)]
    assert months(shop.rows("conversion", group_by=MONTH)) == {"01": pytest.approx(3 / 5), "02": 0}
    only_b = [read_filter("{{ Dimension('visit__page') }} = 'b'")]
    assert shop.rows("conversions", where=only_b) == [(2,)]


@pytest.mark.parametrize(
    ("metric", "asked", "why"),
    [
        ("trailing", {}, "needs a range"),
        ("growth", {"group_by": MONTH}, "needs a range"),
        ("revenue", {"versus": Window(1, "month")}, "needs a range"),
        ("revenue", {"start": datetime(2025, 2, 1), "end": datetime(2025, 1, 1)}, "ends before it begins"),
        ("trailing", {"group_by": DAY, "start": datetime(1900, 1, 1), "end": datetime(2025, 1, 1)}, "more than 2,000"),
        ("mtd", {"group_by": [*DAY, *MONTH], **YEAR}, "grouped by time once"),
        ("growth", {"versus": Window(9999, "year"), "group_by": MONTH, **YEAR}, "beyond the years"),
        (
            "growth",
            {"where": [read_filter("{{ TimeDimension('metric_time', 'day') }} > '2025-01-01'")], **YEAR},
            "no time",
        ),
        ("visits", {"group_by": ["visit__nothing"]}, "cannot be reached"),
    ],
)
def test_what_has_no_answer_is_refused(shop: World, metric: str, asked: dict[str, Any], why: str) -> None:
    with pytest.raises(Conflict) as caught:
        shop.sql(metric, **asked)
    assert why in caught.value.message
