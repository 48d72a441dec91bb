"""Questions that form metrics themselves: of a kind of rows, and by a definition in their own words."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from engine.dates.calendar import Calendar
from engine.semantic.reading import read_question
from engine.semantic.readings import MetricReading, checked
from tests.engine.semantic.world import World, world

TABLES = """
    CREATE TABLE parcels (id INT, shipment INT, weight INT, code VARCHAR);
    CREATE TABLE express (parcel INT);
    CREATE TABLE insured (parcel INT);
    CREATE TABLE shipments (id INT, waybill VARCHAR, port VARCHAR);
    CREATE TABLE route_legs (shipment INT, leaves VARCHAR);
    INSERT INTO shipments VALUES (1, 'W1', 'Oslo'), (2, 'W2', 'Oslo'), (3, 'W3', 'Bari');
    INSERT INTO route_legs VALUES (1, 'mon'), (2, 'tue'), (3, 'tue');
    INSERT INTO parcels VALUES (1, 1, 10, 'a'), (2, 1, 20, 'b'), (3, 2, 40, 'c'), (4, 3, 80, 'd');
    INSERT INTO express VALUES (1), (2), (4);
    INSERT INTO insured VALUES (3), (4);
"""
FILES = """
semantic_models:
  - name: parcels
    model: ref('parcels')
    entities: [{name: parcel, type: primary, expr: id}, {name: shipment, type: foreign}]
    dimensions: [{name: parcel_code, type: categorical, expr: code}]
    measures: [{name: total_weight, agg: sum, expr: weight}, {name: parcel_count, agg: count, expr: id}]
  - name: express
    model: ref('express')
    entities: [{name: parcel, type: primary}]
    dimensions: [{name: is_express, type: categorical, expr: "1"}]
  - name: insured
    model: ref('insured')
    entities: [{name: parcel, type: primary}]
    dimensions: [{name: is_insured, type: categorical, expr: "1"}]
  - name: shipments
    model: ref('shipments')
    entities: [{name: shipment, type: primary, expr: id}]
    dimensions: [{name: waybill_number, type: categorical, expr: waybill}, {name: port, type: categorical}]
    measures: [{name: number_of_shipments, agg: count, expr: id, create_metric: true}]
  - name: route_leg
    model: ref('route_legs')
    entities: [{name: shipment, type: primary}]
    dimensions: [{name: leaves, type: categorical}]
metrics:
  - {name: total_weight, type: simple, type_params: {measure: total_weight}}
  - {name: parcels, type: simple, type_params: {measure: parcel_count}}
  - name: load
    type: derived
    type_params: {expr: total_weight + parcels, metrics: [{name: total_weight}, {name: parcels}]}
"""


@pytest.fixture(scope="module")
def port() -> Iterator[World]:
    with world(TABLES, {"models.yml": FILES}) as made:
        yield made


def read(port: World, question: str) -> MetricReading:
    read = read_question(question, port.layer, lambda text: (), datetime(2026, 2, 10), Calendar())
    return checked(read, port.layer)


def rows(port: World, question: str) -> list[tuple[Any, ...]]:
    reading = read(port, question)
    assert reading.query is not None and reading.confidence > 0.6, reading
    query, formed = reading.query, World(port._database, port.layer.plus(*reading.formed))
    asked = {name: getattr(query, name) for name in ("group_by", "where", "having", "start", "end", "order", "limit")}
    return formed.rows(*query.metrics, **asked)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("express weight by port", [("Bari", 80), ("Oslo", 30)]),
        ("What is the insured weight?", [(120,)]),
        ("express and insured weight by port", [("Bari", 80, 80), ("Oslo", 30, 40)]),
        ("express, insured weight by waybill number", [("W1", 30, None), ("W2", None, 40), ("W3", 80, 80)]),
        ("the weight of insured parcels by leg leaves", [("tue", 120)]),
        (
            "What is the gross weight, which is the sum of express and insured weight, by port?",
            [("Bari", 160), ("Oslo", 70)],
        ),
        ("spread by port where spread is express weight minus insured weight", [("Bari", 0), ("Oslo", -10)]),
        ("What is the mean load, defined as total weight divided by the number of parcels?", [(37.5,)]),
        ("What is the share, which is the ratio of express weight to insured weight?", [(110 / 120,)]),
        (
            "quota by port where gap is the difference between express weight and insured weight and quota is gap "
            "divided by total weight",
            [("Bari", 0.0), ("Oslo", -10 / 70)],
        ),
        ("the load, which is the sum of total parcel weight and number of parcels", [(154,)]),
        ("weight of all parcels by parcel code", [("a", 1, 10), ("b", 2, 20), ("c", 3, 40), ("d", 4, 80)]),
        ("weight of all shipments by waybill number", [("W1", 1, 10), ("W1", 2, 20), ("W2", 3, 40), ("W3", 4, 80)]),
        ("total weight of all shipments by waybill number", [("W1", 30), ("W2", 40), ("W3", 80)]),
        ("weight of all shipments by port", [("Bari", 80), ("Oslo", 70)]),
        ("How many shipments have at least 2 parcels?", [(1,)]),
        ("number of shipments by port with total weight below 50", [("Oslo", 2)]),
        ("ports with more than 1 parcel", [("Oslo", 3)]),
        ("weight by waybill number", [("W1", 30), ("W2", 40), ("W3", 80)]),
    ],
)
def test_a_question_may_say_what_it_means(port: World, question: str, expected: Any) -> None:
    assert rows(port, question) == expected


def test_definitions_without_end_are_declined_quickly(port: World) -> None:
    for part in (" and express weight", " plus insured weight", ", which is the sum of express and insured weight"):
        assert read(port, "the gross, which is the sum of total weight" + part * 150).confidence < 0.6
