"""Words of questions and words of names: of one root, said otherwise, two with one last word; ways that may differ."""

import pytest

from engine.planner.planner import plan
from tests.engine.planner.test_planner import NOW, _schema_of, _sql_of

LAB = {
    "technicians": "tech_id:integer first_name:text last_name:text email:text phone:text consult_fee:decimal",
    "samples": "sample_id:integer tech_id:integer label:text expires_on:date weight_g:double",
    "rooms": "room_id:integer room_name:text license_no:text",
    "technician_rooms": "tech_id:integer room_id:integer",
    "shifts": "tech_id:integer room_id:integer",
}


@pytest.mark.parametrize(
    ("question", "sql"),
    [
        (
            "First and last names of technicians",
            "SELECT t0.first_name, t0.last_name FROM technicians AS t0",
        ),
        (
            "What is the average consultation fee of technicians?",
            "SELECT avg(t0.consult_fee) AS avg_consult_fee FROM technicians AS t0",
        ),
        (
            "Email addresses and phone numbers of technicians whose surname starts with K",
            "SELECT t0.first_name, t0.last_name, t0.email, t0.phone FROM technicians AS t0 "
            "WHERE t0.last_name ILIKE 'K%'",
        ),
        ("Licence number of each room", "SELECT DISTINCT t0.room_name, t0.license_no FROM rooms AS t0"),
    ],
)
def test_words_of_one_root_or_meaning_find_the_column(question: str, sql: str) -> None:
    assert _sql_of(question, LAB, {}) == sql


def test_two_ways_between_things_are_no_sure_answer() -> None:
    planned = plan("List the rooms and their technicians", _schema_of(LAB, {}), NOW)
    assert planned.confidence < 0.8
