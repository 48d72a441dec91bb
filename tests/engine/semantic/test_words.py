"""What a question's words ask of metrics: which, by what, how many, in which order. Nothing is run."""

from datetime import datetime

import pytest

from engine.dates.calendar import Calendar
from engine.semantic.layer import Layer
from engine.semantic.metricflow import read_metricflow
from engine.semantic.reading import read_question
from engine.semantic.readings import MetricReading

CINEMA = """
semantic_models:
  - name: screenings
    model: ref('screenings')
    entities: [{name: screening, type: primary, expr: id}, {name: film, type: foreign}]
    dimensions:
      - {name: begins, type: time, type_params: {time_granularity: second}}
      - {name: hall, type: categorical}
    measures: [{name: screenings, agg: count, expr: id, agg_time_dimension: begins, create_metric: true}]
  - name: films
    model: ref('films')
    entities: [{name: film, type: primary, expr: id}]
    dimensions: [{name: title, type: categorical}, {name: genre, type: categorical}]
  - name: tickets
    model: ref('tickets')
    defaults: {agg_time_dimension: sold_on}
    entities: [{name: ticket_id, type: primary}, {name: screening, type: foreign}, {name: guest, type: foreign}]
    dimensions:
      - {name: sold_on, type: time, type_params: {time_granularity: day}}
      - {name: refund_date, type: time, type_params: {time_granularity: day}}
      - {name: channel, type: categorical}
      - {name: is_gift_ticket, type: categorical}
    measures: [{name: takings, agg: sum, expr: price}, {name: ticket_count, agg: sum, expr: 1}]
  - name: guests
    model: ref('guests')
    entities: [{name: guest, type: primary, expr: id}]
    dimensions:
      - {name: town, type: categorical}
      - {name: is_member, type: categorical}
      - {name: joined_on, type: time, type_params: {time_granularity: day}}
      - {name: first_joined_on, type: time, type_params: {time_granularity: day}}
    measures: [{name: guests, agg: count, expr: id, create_metric: true}]
metrics:
  - {name: takings, type: simple, synonyms: [box office], type_params: {measure: takings}}
  - {name: tickets, type: simple, type_params: {measure: ticket_count}}
  - {name: ticket_total, type: simple, type_params: {measure: takings}}
  - {name: average_price, type: ratio, type_params: {numerator: takings, denominator: tickets}}
"""
GENRE, TOWN = "screening__film__genre", "guest__town"


@pytest.fixture(scope="module")
def layer() -> Layer:
    read = read_metricflow({"c.yml": CINEMA}, "cinema")
    return Layer(read.models, read.metrics)


def read(layer: Layer, question: str) -> MetricReading:
    def find(text: str) -> list[tuple[str, str, str]]:
        return [("tickets", "channel", "online")] if text.lower() == "online" else []

    return read_question(question, layer, find, datetime(2026, 2, 10), Calendar())


@pytest.mark.parametrize(
    ("question", "metrics", "groups"),
    [
        ("takings by genre and month", ["takings"], ["metric_time__month", GENRE]),
        ("takings by town, genre and week", ["takings"], ["metric_time__week", TOWN, GENRE]),
        ("tickets and takings by town", ["tickets", "takings"], [TOWN]),
        ("tickets, takings and average price by town", ["tickets", "takings", "average_price"], [TOWN]),
        ("ticket count by town", ["tickets"], [TOWN]),
        ("the count of tickets by town", ["tickets"], [TOWN]),
        ("box office growth by month compared with the previous month", ["takings"], ["metric_time__month"]),
        ("takings over time", ["takings"], ["metric_time__month"]),
        ("What is the ticket total by town?", ["ticket_total"], [TOWN]),
    ],
)
def test_metrics_and_groups_are_found(layer: Layer, question: str, metrics: list[str], groups: list[str]) -> None:
    found = read(layer, question)
    assert found.query is not None and found.confidence > 0.75, found
    assert (list(found.query.metrics), list(found.query.group_by)) == (metrics, groups)


def test_what_a_flag_names_is_counted(layer: Layer) -> None:
    found = read(layer, "How many members do we have by town?")
    assert found.query is not None and found.confidence > 0.75
    assert (found.query.metrics, found.query.group_by) == (("member",), (TOWN,))
    assert [metric.inputs[0].name for metric in found.formed] == ["guests"]
    assert read(layer, "How many guests are members?").query.metrics == ("guests",)  # type: ignore[union-attr]
    assert read(layer, "takings of members by town").query.metrics == ("takings",)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("question", "metric", "column", "value"),
    [
        ("How many guests are members?", "guests", "guest__is_member", True),
        ("number of gift tickets by town", "tickets", "ticket_id__is_gift_ticket", True),
        ("takings from gifts by town", "takings", "ticket_id__is_gift_ticket", True),
        ("How many gift tickets were sold?", "tickets", "ticket_id__is_gift_ticket", True),
        ("tickets with channel online", "tickets", "ticket_id__channel", "online"),
        ("takings of the online channel", "takings", "ticket_id__channel", "online"),
        ("takings where the channel is online", "takings", "ticket_id__channel", "online"),
        ("How many guests have more than 3 tickets?", "guests", "tickets@guest", 3),
    ],
)
def test_conditions_are_found(layer: Layer, question: str, metric: str, column: str, value: object) -> None:
    found = read(layer, question)
    assert found.query is not None and found.confidence > 0.75, found
    assert (list(found.query.metrics), len(found.query.where)) == ([metric], 1)
    assert (found.query.where[0].column, found.query.where[0].value) == (column, value)


@pytest.mark.parametrize(
    ("question", "columns", "start"),
    [
        ("How many tickets were sold in 2025?", [], datetime(2025, 1, 1)),
        ("tickets refunded in 2025", ["ticket_id__refund_date"] * 2, None),
        ("takings with refund date in March 2025", ["ticket_id__refund_date"] * 2, None),
        ("tickets of guests who joined since 2024", ["guest__joined_on"], None),
        ("takings by town in 2025", [], datetime(2025, 1, 1)),
        ("takings of guests who first joined in 2025", ["guest__first_joined_on"] * 2, None),
    ],
)
def test_the_time_that_is_named_is_meant(
    layer: Layer, question: str, columns: list[str], start: datetime | None
) -> None:
    found = read(layer, question)
    assert found.query is not None and found.confidence > 0.75, found
    assert ([condition.column for condition in found.query.where], found.query.start) == (columns, start)


def test_periods_are_of_the_time_that_is_named(layer: Layer) -> None:
    assert read(layer, "tickets by month refunded").query.group_by == ("ticket_id__refund_date__month",)  # type: ignore[union-attr]
    assert read(layer, "tickets by month sold").query.group_by == ("metric_time__month",)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("question", "order", "limit"),
    [
        ("Which 3 genres have the highest takings?", [("takings", True)], 3),
        ("Which genre has the lowest takings?", [("takings", False)], 1),
        ("takings by genre, sorted from lowest to highest", [("takings", False)], None),
        ("takings by genre in descending order", [("takings", True)], None),
        ("genres with at least 2 tickets", [], None),
    ],
)
def test_orders_and_limits_are_found(
    layer: Layer, question: str, order: list[tuple[str, bool]], limit: int | None
) -> None:
    found = read(layer, question)
    assert found.query is not None and found.confidence > 0.75, found
    assert (list(found.query.order), found.query.limit, found.query.group_by) == (order, limit, (GENRE,))


@pytest.mark.parametrize(
    "question",
    [
        "takings per guest by town",
        "What percentage of tickets are gift tickets?",
        "guest count by town with takings of online films",
        "takings by colour and month",
        "the profit, which is takings minus costs, by town",
        "tickets refunded this month vs last month",
        "How many tickets have no channel?",
        "How many tickets were cancelled in 2025?",
        "takings of refurbished halls",
        "the mean gap where gap is the sum of takings and tickets",
    ],
)
def test_what_may_mean_something_else_is_less_sure(layer: Layer, question: str) -> None:
    assert read(layer, question).confidence < 0.75
