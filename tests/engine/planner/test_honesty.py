"""What a reading leaves open makes it less sure; names of other kinds of schemas are read."""

import pytest

from engine.planner.planner import Planned, plan
from tests.engine.planner.test_planner import NOW, _schema_of, _sql_of

DEPOT = {
    "drv": "drv_no:integer drv_nm:text city:text hired_dt:date",
    "veh": "veh_cd:text maker:text payload_kg:integer rank_level:integer",
    "trip_hdr": "trip_id:integer drv_no:integer veh_cd:text trip_ts:timestamp trip_stat:text",
    "trip_ln": "trip_id:integer ln_no:integer goods:text qty:integer unit_price:decimal",
    "returns": "ret_id:integer trip_id:integer goods:text qty:integer reason_cd:text ret_dt:date",
    "inspection": "inspection_id:integer veh_cd:text garage_name:text inspected_on:date",
}
VALUES = {
    ("drv", "city"): ["Gent", "Lille"],
    ("returns", "reason_cd"): ["BROKEN", "LATE"],
    ("inspection", "garage_name"): ["North Yard", "Harbour Works"],
    ("trip_hdr", "trip_stat"): ["done", "void"],
}


def _sql(question: str) -> str:
    return _sql_of(question, DEPOT, VALUES)


def _planned(question: str, *knowledge: str) -> Planned:
    return plan(question, _schema_of(DEPOT, VALUES), NOW, knowledge=knowledge)


@pytest.mark.parametrize(
    ("question", "sql"),
    [
        (  # numbers and codes are keys, `Return` at a sentence's begin is no table
            "How many trips did each driver make? Return the driver name and the count.",
            "SELECT t1.drv_nm, count(*) AS trip_header_count FROM trip_hdr AS t0 "
            "INNER JOIN drv AS t1 ON t0.drv_no = t1.drv_no GROUP BY t1.drv_nm, t1.drv_no",
        ),
        (  # rows are not called by the name of something else
            "Top 3 garages by number of inspections",
            "SELECT t0.garage_name, count(*) AS inspection_count FROM inspection AS t0 GROUP BY t0.garage_name "
            "ORDER BY inspection_count DESC LIMIT 3",
        ),
        (
            "Top 2 return reasons by quantity. Return the reason code, the number of returns and the quantity.",
            "SELECT t0.reason_cd, count(*) AS return_count, sum(t0.qty) AS sum_quantity FROM returns AS t0 "
            "GROUP BY t0.reason_cd ORDER BY sum_quantity DESC LIMIT 2",
        ),
        (
            "Which vehicles have never been inspected?",
            "SELECT t0.veh_cd FROM veh AS t0 "
            "WHERE NOT (EXISTS(SELECT 1 AS value FROM inspection AS n WHERE n.veh_cd = t0.veh_cd))",
        ),
        (
            "Order the drivers by hire date.",
            "SELECT t0.drv_nm, t0.hired_dt FROM drv AS t0 ORDER BY hired_dt ASC",
        ),
    ],
)
def test_questions_over_a_depot_of_short_names(question: str, sql: str) -> None:
    assert _sql(question) == sql


@pytest.mark.parametrize(
    "question",
    [
        "How many vehicles need to be repaired in each city?",
        "Which vehicle has the highest revenue?",
        "Top 3 goods by unit price",
    ],
)
def test_what_is_guessed_is_not_sure(question: str) -> None:
    assert _planned(question).confidence < 0.8


def test_a_long_name_before_what_it_stands_for_is_not_read() -> None:
    planned = _planned(
        "What is the TVR by maker?", "TVR = Total Void Runs, the number of trips with status 'void' of a vehicle"
    )
    assert any("the number of trips" in why for why in planned.doubts)


def test_a_rule_that_is_not_understood_makes_an_answer_less_sure() -> None:
    question, rule = "How many trips are there per driver?", "Only drivers that are fit for it make trips."
    assert _planned(question, rule).confidence < _planned(question).confidence


def test_a_value_of_things_that_are_far_away_is_not_sure() -> None:
    planned = _planned("How many vehicles are broken?")
    assert planned.definition is None or planned.confidence < 0.8


def test_a_verb_that_is_called_as_a_column_is_not_shown() -> None:
    tables = {"drv": "drv_id:integer drv_nm:text", "job": "job_id:integer drv_id:integer drive:text done_on:date"}
    planned = plan("How many jobs did each driver drive in 2025?", _schema_of(tables, {}), NOW)
    assert planned.definition is not None
    assert "drive" not in str(planned.definition)


@pytest.mark.parametrize(
    "question",
    [
        "How many cancelled trips are there?",
        "Which driver has the most rejected trips?",
        "How many approved trips did each driver make?",
        "What is the total confirmed quantity per goods?",
    ],
)
def test_a_kind_of_things_that_nothing_tells_apart_is_not_sure(question: str) -> None:
    assert _planned(question).confidence < 0.8
