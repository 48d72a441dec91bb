"""What things never had: through other tables, of a kind, in a role."""

import pytest

from tests.engine.planner.test_planner import _sql_of

CAMP = {
    "campers": "camper_id:integer full_name:text age:integer grade:text",
    "signups": "signup_id:integer camper_id:integer session_id:integer",
    "sessions": "session_id:integer activity:text season:text",
    "camper_badges": "camper_id:integer badge_id:integer earned_on:date",
    "badges": "badge_id:integer badge_name:text",
    "parcels": "parcel_id:integer sender_camper_id:integer receiver_camper_id:integer",
}
VALUES = {
    ("sessions", "activity"): ["archery", "rowing"],
    ("sessions", "season"): ["Spring Term", "Summer Term"],
    ("badges", "badge_name"): ["Fire Maker", "Swimmer"],
    ("campers", "grade"): ["junior", "senior"],
}


@pytest.mark.parametrize(
    ("question", "inner"),
    [
        (
            "Which campers have no signups for the Summer Term?",
            "signups AS n INNER JOIN sessions AS n1 ON n.session_id = n1.session_id "
            "WHERE n.camper_id = t0.camper_id AND n1.season = 'Summer Term'",
        ),
        (
            "Which campers do not hold a Fire Maker badge?",
            "camper_badges AS n INNER JOIN badges AS n1 ON n.badge_id = n1.badge_id "
            "WHERE n.camper_id = t0.camper_id AND n1.badge_name = 'Fire Maker'",
        ),
        ("Which campers have never sent a parcel?", "parcels AS n WHERE n.sender_camper_id = t0.camper_id"),
    ],
)
def test_what_things_lack_is_looked_for_where_it_would_be(question: str, inner: str) -> None:
    assert _sql_of(question, CAMP, VALUES) == (
        f"SELECT t0.full_name FROM campers AS t0 WHERE NOT (EXISTS(SELECT 1 AS value FROM {inner}))"
    )


def test_a_kind_beside_what_is_missing_is_of_the_thing() -> None:
    sql = _sql_of("Which junior campers have no badges?", CAMP, VALUES)
    assert "t0.grade = 'junior'" in sql and "NOT (EXISTS" in sql
