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


OUTLET = {
    "customer": "customer_id:integer full_name:text gender:text country:text joined_on:date",
    "sales_order": "order_id:integer customer_id:integer seller_id:integer order_date:date status:text",
    "order_line": "line_id:integer order_id:integer product_id:integer qty:integer unit_price:decimal",
    "product": "product_id:integer product_name:text kind:text stock_qty:integer list_price:decimal",
    "product_note": "note_id:integer product_id:integer customer_id:integer stars:integer",
}
OUTLET_VALUES = {
    ("customer", "gender"): ["F", "M"],
    ("customer", "country"): ["Germany", "Japan"],
    ("sales_order", "status"): ["open", "returned"],
    ("product", "kind"): ["lamp", "chair"],
}


@pytest.mark.parametrize(
    ("question", "sql"),
    [
        (  # values that are said otherwise
            "How many German women are customers?",
            "SELECT count(*) AS customer_count FROM customer AS t0 WHERE t0.country = 'Germany' AND t0.gender = 'F'",
        ),
        (  # the last word of a name that no other has
            "Which customers have never placed an order?",
            "SELECT t0.full_name FROM customer AS t0 WHERE NOT (EXISTS(SELECT 1 AS value FROM sales_order AS n "
            "WHERE n.customer_id = t0.customer_id))",
        ),
        (  # what is in stock is not sold
            "Total revenue by kind of product",
            "SELECT t0.kind, sum(t1.qty * t1.unit_price) AS sum_amount FROM product AS t0 "
            "INNER JOIN order_line AS t1 ON t1.product_id = t0.product_id GROUP BY t0.kind",
        ),
        (  # what was bought is reached by orders, not by notes
            "Which customers bought a lamp?",
            "SELECT DISTINCT t0.full_name FROM customer AS t0 INNER JOIN sales_order AS t1 "
            "ON t1.customer_id = t0.customer_id INNER JOIN order_line AS t2 ON t2.order_id = t1.order_id "
            "INNER JOIN product AS t3 ON t2.product_id = t3.product_id WHERE t3.kind = 'lamp'",
        ),
    ],
)
def test_over_an_outlet_a_question_becomes(question: str, sql: str) -> None:
    assert _sql_of(question, OUTLET, OUTLET_VALUES) == sql


@pytest.mark.parametrize("question", ["Which 3 products are the best?", "Who is the best customer?"])
def test_what_nothing_puts_in_order_is_no_sure_answer(question: str) -> None:
    assert plan(question, _schema_of(OUTLET, OUTLET_VALUES), NOW).confidence < 0.8


def test_each_of_several_values_is_measured_where_they_are_kept_apart() -> None:
    sql = _sql_of("What is the average list price of lamps and chairs respectively?", OUTLET, OUTLET_VALUES)
    assert "SELECT t0.kind, avg(t0.list_price)" in sql and sql.endswith("GROUP BY t0.kind")


def test_a_verb_whose_doer_the_data_knows_apart_is_no_sure_answer() -> None:
    tables = {
        "keepers": "keeper_id:integer full_name:text barn_id:integer is_owner:boolean",
        "barns": "barn_id:integer barn_name:text",
    }
    planned = plan("Which keepers own a barn?", _schema_of(tables, {}), NOW)
    assert planned.confidence < 0.8
