"""What metric queries become: grouping, time, ratios, and the traps of joins."""

from collections.abc import Iterator
from datetime import datetime

import pytest

from core.errors import Conflict
from engine.semantic.templates import read_filter
from tests.engine.semantic.world import World, world

TABLES = """
    CREATE TABLE customers (id INT, country VARCHAR, vip BOOLEAN);
    CREATE TABLE orders (id INT, customer_id INT, day DATE, price DECIMAL(9, 2), quantity INT, gift BOOLEAN);
    CREATE TABLE visits (visitor INT, seen TIMESTAMP);
    CREATE TABLE prices (item INT, since DATE, price INT);
    INSERT INTO customers VALUES (1, 'FR', true), (2, 'DE', false), (3, NULL, true);
    INSERT INTO orders VALUES (10, 1, '2026-01-05', 2, 3, true), (11, 1, '2026-01-20', 5, 1, false),
        (12, 2, '2026-02-01', 4, 2, NULL), (13, NULL, '2026-02-03', 1, 1, true), (14, 3, '2026-03-01', 7, 1, false);
    INSERT INTO visits VALUES (1, '2026-01-05 10:00'), (1, '2026-01-06 10:00'), (1, '2026-02-06 10:00'),
        (3, '2026-01-06 10:00'), (NULL, '2026-01-07 10:00');
"""
SHOP = """
semantic_models:
  - name: customers
    model: ref('customers')
    entities:
      - {name: customer, type: primary, expr: id}
    dimensions:
      - {name: country, type: categorical}
      - {name: region, type: categorical, expr: "CASE WHEN country IN ('FR', 'DE') THEN 'EU' ELSE 'other' END"}
    measures:
      - {name: customer_count, agg: count, expr: id, create_metric: true}
      - {name: vips, agg: sum_boolean, expr: vip, create_metric: true}
  - name: orders
    model: source('main', 'orders')
    defaults: {agg_time_dimension: day}
    entities:
      - {name: order, type: primary, expr: id}
      - {name: customer, type: foreign, expr: customer_id}
    dimensions:
      - {name: day, type: time, type_params: {time_granularity: day}}
      - {name: gift, type: categorical}
    measures:
      - {name: revenue, agg: sum, expr: price * quantity, create_metric: true}
      - {name: order_count, agg: count, expr: id, create_metric: true}
      - {name: buyers, agg: count_distinct, expr: customer_id, create_metric: true}
      - {name: gifts, agg: sum_boolean, expr: gift = true and quantity > 1, create_metric: true}
      - {name: p90, agg: percentile, expr: price, agg_params: {percentile: 0.9}, create_metric: true}
  - name: visits
    model: ref('visits')
    primary_entity: visit
    entities:
      - {name: customer, type: foreign, expr: CAST(visitor AS int)}
    defaults: {agg_time_dimension: seen}
    dimensions:
      - {name: seen, type: time, type_params: {time_granularity: day}}
    measures:
      - {name: visits, agg: sum, expr: 1, create_metric: true}
  - name: prices
    model: ref('prices')
    entities:
      - {name: item, type: primary}
      - {name: customer, type: unique, expr: item}
    dimensions:
      - {name: since, type: time, type_params: {time_granularity: day, validity_params: {is_start: true}}}
      - {name: price, type: categorical}
metrics:
  - name: french_revenue
    type: simple
    type_params: {measure: {name: revenue, fill_nulls_with: 0}}
    filter: "{{ Dimension('customer__country') }} = 'FR'"
  - name: revenue_per_visit
    type: ratio
    type_params: {numerator: revenue, denominator: visits}
  - name: french_share
    type: ratio
    type_params: {numerator: {name: french_revenue}, denominator: revenue}
  - name: other_revenue
    type: derived
    type_params:
      expr: all_of_it - coalesce(french_revenue, 0)
      metrics: [{name: revenue, alias: all_of_it}, {name: french_revenue}]
  - {name: loop, type: derived, type_params: {expr: loop + 1, metrics: [{name: loop}]}}
  - {name: stray, type: derived, type_params: {expr: revenue + visits, metrics: [{name: revenue}]}}
  - {name: lost, type: simple, type_params: {measure: nothing}}
  - {name: running, type: cumulative, type_params: {measure: revenue, window: 7 days}}
  - {name: earlier, type: derived, type_params: {expr: r, metrics: [{name: revenue, alias: r, offset_window: 1 month}]}}
"""


@pytest.fixture(scope="module")
def shop() -> Iterator[World]:
    with world(TABLES, {"shop.yml": SHOP}) as made:
        yield made


def refusal(shop: World, *metrics: str, **asked: object) -> str:
    with pytest.raises(Conflict) as caught:
        shop.sql(*metrics, **asked)
    return f"{caught.value.message} {caught.value.hint}"


def test_measures_of_two_models_are_not_multiplied_by_each_other(shop: World) -> None:
    rows = shop.rows("revenue", "visits", "order_count", group_by=["customer__country"])
    assert rows == [("DE", 8, None, 1), ("FR", 11, 3, 2), (None, 8, 2, 2)]
    assert shop.rows("revenue", "visits") == [(27, 5)]


def test_a_dimension_that_repeats_the_measured_rows_is_refused(shop: World) -> None:
    assert "would repeat what is measured" in refusal(shop, "customer_count", group_by=["customer__gift"])
    assert "cannot be reached" in refusal(shop, "customer_count", group_by=["order__day"])


def test_a_model_with_several_versions_of_a_row_is_not_joined(shop: World) -> None:
    assert "cannot be reached" in refusal(shop, "revenue", group_by=["customer__price"])


def test_a_computed_dimension_is_null_where_there_is_no_row(shop: World) -> None:
    rows = shop.rows("order_count", group_by=["customer__region"])
    assert rows == [("EU", 3), ("other", 1), (None, 1)]


def test_time_is_counted_by_each_measures_own_dimension(shop: World) -> None:
    rows = shop.rows("order_count", "visits", group_by=["metric_time__month"])
    assert [(f"{month:%m}", orders, visits) for month, orders, visits in rows] == [
        ("01", 2, 4),
        ("02", 2, 1),
        ("03", 1, None),
    ]
    days = shop.rows("order_count", "visits", group_by=["metric_time"])
    assert [figures for day, *figures in days if f"{day:%m%d}" == "0105"] == [[1, 1]]
    january = {"start": datetime(2026, 1, 6), "end": datetime(2026, 2, 1)}
    assert shop.rows("order_count", "visits", **january) == [(1, 3)]
    assert "no time to count by" in refusal(shop, "customer_count", **january)
    assert "no grain 'era'" in refusal(shop, "visits", group_by=["metric_time__era"])


def test_entities_and_own_dimensions_are_groups_too(shop: World) -> None:
    assert shop.rows("order_count", group_by=["customer"]) == [(1, 2), (2, 1), (3, 1), (None, 1)]
    assert len(shop.rows("order_count", group_by=["order__day__quarter"])) == 1


@pytest.mark.parametrize(
    ("metric", "figure"),
    [
        ("vips", 2),
        ("buyers", 3),
        ("gifts", 1),
        ("french_revenue", 11),
        ("other_revenue", 16),
        ("revenue_per_visit", pytest.approx(5.4)),
        ("french_share", pytest.approx(11 / 27)),
    ],
)
def test_every_kind_of_metric_has_its_figure(shop: World, metric: str, figure: object) -> None:
    assert shop.rows(metric) == [(figure,)]


def test_nothing_stands_for_a_missing_figure_but_what_was_declared(shop: World) -> None:
    rows = shop.rows("french_revenue", "revenue", group_by=["customer__country"])
    assert rows == [("DE", 0, 8), ("FR", 11, 11), (None, 0, 8)]


def test_filters_hold_before_aggregation_and_on_every_part_of_a_ratio(shop: World) -> None:
    where = [read_filter("{{ Dimension('customer__country') }} IN ('DE') OR {{ Entity('customer') }} IS NULL")]
    assert shop.rows("revenue", "revenue_per_visit", where=where) == [(9, pytest.approx(9.0))]
    months = [read_filter("{{ TimeDimension('metric_time', 'month') }} = '2026-02-01'")]
    assert shop.rows("revenue", where=months) == [(9,)]


def test_rows_are_ordered_and_limited_by_what_was_asked_for(shop: World) -> None:
    asked = {"group_by": ["customer__country"], "order": [("revenue", True)], "limit": 1}
    assert shop.rows("revenue", **asked) == [("FR", 11)]
    assert "nothing" not in shop.sql("revenue", **asked)
    assert "no 'visits' to order by" in refusal(shop, "revenue", order=[("visits", False)])


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        ("revenu", "There is no metric 'revenu'. Did you mean revenue"),
        ("loop", "made of itself"),
        ("stray", "names 'visits', which is none of its inputs"),
        ("lost", "no measure 'nothing'"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_the_reason(shop: World, metric: str, why: str) -> None:
    assert why in refusal(shop, metric)


def test_metrics_that_double_each_other_do_not_explode() -> None:
    lines = ["metrics:", "- {name: m0, type: simple, type_params: {measure: revenue}}"]
    for number in range(1, 12):
        inputs = f"[{{name: m{number - 1}, alias: a}}, {{name: m{number - 1}, alias: b}}]"
        lines.append(f"- {{name: m{number}, type: derived, type_params: {{expr: a + b, metrics: {inputs}}}}}")
    with world(TABLES, {"shop.yml": SHOP, "bomb.yml": "\n".join(lines)}) as made:
        assert made.rows("m3") == [(27 * 8,)]
        assert "too many" in refusal(made, "m11")


def test_a_dimension_that_two_models_hold_is_ambiguous() -> None:
    twin = SHOP.split("\nmetrics:")[0].split("  - name: orders")[0].replace("name: customers", "name: twins")
    twin = twin[: twin.index("    measures:")]
    with world(TABLES, {"shop.yml": SHOP, "twin.yml": twin}) as made:
        assert "more than one thing" in refusal(made, "revenue", group_by=["customer__country"])
        assert made.rows("customer_count", group_by=["customer__country"])  # its own comes first
