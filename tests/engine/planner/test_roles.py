"""Tables in a role: two references to one table, to its own rows, and references called by who people are."""

import pytest

from tests.engine.planner.test_planner import _sql_of

LEAGUE = {
    "clubs": "club_id:integer club_name:text city:text",
    "matches": "match_id:integer home_club_id:integer away_club_id:integer played_on:date goals:integer",
    "players": "player_id:integer full_name:text club_id:integer mentor_id:integer",
    "transfers": "transfer_id:integer seller_club_id:integer buyer_club_id:integer fee:decimal",
    "letters": "letter_id:integer sender_id:integer receiver_id:integer sent_on:date",
    "customers": "customer_id:integer name:text town:text",
}
VALUES = {
    ("clubs", "city"): ["Porto", "Basel"],
    ("clubs", "club_name"): ["Rovers", "United Ten"],
    ("customers", "town"): ["Ulm", "Trier"],
}


def sql_of(question: str) -> str:
    return _sql_of(question, LEAGUE, VALUES)


@pytest.mark.parametrize(
    ("question", "sql"),
    [
        (
            "How many matches did each away club play?",
            "SELECT t1.club_name, count(*) AS match_count FROM matches AS t0 "
            "INNER JOIN clubs AS t1 ON t0.away_club_id = t1.club_id GROUP BY t1.club_name, t1.club_id",
        ),
        (
            "Number of matches by home city",
            "SELECT t1.city, count(*) AS match_count FROM matches AS t0 "
            "INNER JOIN clubs AS t1 ON t0.home_club_id = t1.club_id GROUP BY t1.city",
        ),
        (
            "Number of letters per sender",
            "SELECT t1.name, count(*) AS letter_count FROM letters AS t0 "
            "INNER JOIN customers AS t1 ON t0.sender_id = t1.customer_id GROUP BY t1.name, t1.customer_id",
        ),
        (
            "How many letters went from customers in Ulm to customers in Trier?",
            "SELECT count(*) AS letter_count FROM letters AS t0 INNER JOIN customers AS t1 ON t0.sender_id = "
            "t1.customer_id INNER JOIN customers AS t2 ON t0.receiver_id = t2.customer_id "
            "WHERE t1.town = 'Ulm' AND t2.town = 'Trier'",
        ),
        (
            "List the full name of each player and the mentor's name",
            "SELECT DISTINCT t0.full_name, t1.full_name AS full_name_2 FROM players AS t0 "
            "INNER JOIN players AS t1 ON t0.mentor_id = t1.player_id",
        ),
    ],
)
def test_a_role_becomes_a_join_of_its_own(question: str, sql: str) -> None:
    assert sql_of(question) == sql
