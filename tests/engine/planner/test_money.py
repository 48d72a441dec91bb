"""Amounts that no column is called by: what was spent, what revenue is, what is worth more; and units."""

import pytest

from tests.engine.planner.test_planner import _sql_of

BAKERY = {
    "branches": "branch_id:integer branch_name:text town:text",
    "breads": "bread_id:integer bread_name:text kind:text",
    "guests": "guest_id:integer guest_name:text",
    "tickets": "ticket_id:integer branch_id:integer guest_id:integer sold_on:date",
    "ticket_lines": "line_id:integer ticket_id:integer bread_id:integer quantity:integer unit_price:decimal",
    "deliveries": "delivery_id:integer branch_id:integer arrived_on:date flour_kg:integer",
    "penalties": "penalty_id:integer branch_id:integer amount:decimal",
}
VALUES = {("branches", "town"): ["Ulm", "Trier"], ("breads", "kind"): ["rye", "wheat"]}
LINES = (
    "INNER JOIN tickets AS t1 ON t1.guest_id = t0.guest_id INNER JOIN ticket_lines AS t2 ON t2.ticket_id = t1.ticket_id"
)


def sql_of(question: str) -> str:
    return _sql_of(question, BAKERY, VALUES)


@pytest.mark.parametrize(
    ("question", "sql"),
    [
        (
            "How much did each guest spend?",
            "SELECT t0.guest_name, sum(t2.quantity * t2.unit_price) AS sum_amount FROM guests AS t0 "
            f"{LINES} GROUP BY t0.guest_name, t0.guest_id",
        ),
        (
            "Which 3 guests have spent the most?",
            "SELECT t0.guest_name, sum(t2.quantity * t2.unit_price) AS sum_amount FROM guests AS t0 "
            f"{LINES} GROUP BY t0.guest_name, t0.guest_id ORDER BY sum_amount DESC LIMIT 3",
        ),
        (
            "Revenue by kind of bread",
            "SELECT t0.kind, sum(t1.quantity * t1.unit_price) AS sum_amount FROM breads AS t0 "
            "INNER JOIN ticket_lines AS t1 ON t1.bread_id = t0.bread_id GROUP BY t0.kind",
        ),
        (
            "Which penalties are worth more than 50?",
            "SELECT t0.penalty_id FROM penalties AS t0 WHERE t0.amount > 50",
        ),
        (
            "How many penalties of at least 100 euros are there?",
            "SELECT count(*) AS penalty_count FROM penalties AS t0 WHERE t0.amount >= 100",
        ),
        (
            "How many kilos of flour arrived in 2025?",
            "SELECT sum(t0.flour_kg) AS sum_flour_kg FROM deliveries AS t0 "
            "WHERE t0.arrived_on >= '2025-01-01' AND t0.arrived_on < '2026-01-01'",
        ),
        (
            "Which branches received the most kilograms?",
            "SELECT t0.branch_name, sum(t1.flour_kg) AS sum_flour_kg FROM branches AS t0 INNER JOIN deliveries AS t1 "
            "ON t1.branch_id = t0.branch_id GROUP BY t0.branch_name, t0.branch_id ORDER BY sum_flour_kg DESC",
        ),
    ],
)
def test_money_and_units_become(question: str, sql: str) -> None:
    assert sql_of(question) == sql


def test_what_a_fee_brings_in_is_no_turnover() -> None:
    tables = {
        "cafes": "cafe_id:integer name:text",
        "permits": "permit_id:integer cafe_id:integer fee:decimal",
    }
    assert _sql_of("What is the turnover of each cafe?", tables, {}).startswith("declined")
