"""What the planner makes of questions about groups within groups: the first of each, counts inside counts, ranks."""

import pytest

from tests.engine.planner.test_planner import _sql_of
from tests.engine.planner.test_times import desk_sql_of


def first(select: str, within: str, by: str, rest: str, *, count: int = 1) -> str:
    """The rows that come first in each group."""
    names = ", ".join(f"r.{item.split('.')[-1].split(' AS ')[-1]}" for item in select.split(", "))
    measures = [item for item in select.split(", ") if " AS " in item]
    plain = ", ".join(item for item in select.split(", ") if item not in measures)
    place = f"rank() OVER (PARTITION BY {within} ORDER BY {by}) AS place"
    inner = f"SELECT {', '.join([plain, place, *measures])} FROM {rest}"
    return f"SELECT {names} FROM ({inner}) AS r WHERE r.place <= {count}"


@pytest.mark.parametrize(
    ("question", "sql"),
    [
        (
            "What is the most recent rental of each client?",
            first(
                "t1.client_name, t0.rental_id, t0.pickup_date",
                "t1.client_name, t1.client_id",
                "t0.pickup_date DESC",
                "rentals AS t0 INNER JOIN clients AS t1 ON t0.client_id = t1.client_id",
            ),
        ),
        (
            "Show the first ticket opened by each client",
            first(
                "t1.client_name, t0.ticket_id, t0.opened_at",
                "t1.client_name, t1.client_id",
                "t0.opened_at ASC",
                "tickets AS t0 INNER JOIN clients AS t1 ON t0.client_id = t1.client_id",
            ),
        ),
        (
            "List the last 3 tickets of each agent",
            first(
                "t1.full_name, t0.ticket_id, t0.opened_at",
                "t1.full_name, t1.agent_id",
                "t0.opened_at DESC",
                "tickets AS t0 INNER JOIN agents AS t1 ON t0.agent_id = t1.agent_id",
                count=3,
            ),
        ),
        (
            "Which agent earns the highest salary in each team?",
            first("t0.team, t0.full_name, t0.salary", "t0.team", "t0.salary DESC", "agents AS t0"),
        ),
        (
            "Who is the longest-serving agent of each team?",
            first("t0.team, t0.full_name, t0.hired_on", "t0.team", "t0.hired_on ASC", "agents AS t0"),
        ),
        (
            "Top 2 items per category by total rental price",
            first(
                "t0.category, t0.item_name, sum(t1.price) AS sum_price",
                "t0.category",
                "sum(t1.price) DESC",
                "items AS t0 INNER JOIN rentals AS t1 ON t1.item_id = t0.item_id "
                "GROUP BY t0.category, t0.item_name, t0.item_id",
                count=2,
            ),
        ),
        (
            "Which item was rented most often in each category?",
            first(
                "t0.category, t0.item_name, count(*) AS rental_count",
                "t0.category",
                "count(*) DESC",
                "items AS t0 INNER JOIN rentals AS t1 ON t1.item_id = t0.item_id "
                "GROUP BY t0.category, t0.item_name, t0.item_id",
            ),
        ),
        (  # a number of each group, not the first of it
            "What is the highest salary in each team?",
            "SELECT t0.team, max(t0.salary) AS max_salary FROM agents AS t0 GROUP BY t0.team",
        ),
        (  # the groups themselves are ranked
            "Return the top 2 teams by total ticket cost, with the number of tickets for each team",
            "SELECT t1.team, sum(t0.cost) AS sum_cost, count(*) AS ticket_count FROM tickets AS t0 "
            "INNER JOIN agents AS t1 ON t0.agent_id = t1.agent_id GROUP BY t1.team ORDER BY sum_cost DESC LIMIT 2",
        ),
    ],
)
def test_the_first_of_each(question: str, sql: str) -> None:
    assert desk_sql_of(question) == sql


@pytest.mark.parametrize(
    ("question", "sql"),
    [
        (
            "What is the average number of tickets per agent?",
            "SELECT avg(r.ticket_count) AS avg_ticket_count FROM (SELECT t1.full_name, count(*) AS ticket_count "
            "FROM tickets AS t0 INNER JOIN agents AS t1 ON t0.agent_id = t1.agent_id "
            "GROUP BY t1.full_name, t1.agent_id) AS r",
        ),
        (
            "What is the average number of rentals per client in each region?",
            "SELECT r.region, avg(r.rental_count) AS avg_rental_count FROM (SELECT t1.region, t1.client_name, "
            "count(*) AS rental_count FROM rentals AS t0 INNER JOIN clients AS t1 ON t0.client_id = t1.client_id "
            "GROUP BY t1.region, t1.client_name, t1.client_id) AS r GROUP BY r.region",
        ),
        (
            "How many clients have more than 3 rentals?",
            "SELECT count(*) AS client_count FROM (SELECT t0.client_name, t0.client_id FROM clients AS t0 "
            "INNER JOIN rentals AS t1 ON t1.client_id = t0.client_id GROUP BY t0.client_name, t0.client_id "
            "HAVING count(*) > 3) AS r",
        ),
        (
            "Which agents earn more than the average salary?",
            "SELECT t0.full_name FROM agents AS t0 "
            "WHERE t0.salary > (SELECT avg(a.salary) AS avg_salary FROM agents AS a)",
        ),
        (
            "Which clients have more than the average number of rentals?",
            "SELECT t0.client_name FROM clients AS t0 INNER JOIN rentals AS t1 ON t1.client_id = t0.client_id "
            "GROUP BY t0.client_name, t0.client_id HAVING count(*) > (SELECT avg(r.count) AS avg_count FROM "
            "(SELECT a.client_id AS owner, count(*) AS count FROM rentals AS a WHERE a.client_id IS NOT NULL "
            "GROUP BY a.client_id) AS r)",
        ),
        (
            "Rank the agents by number of tickets",
            "SELECT t0.full_name, count(*) AS ticket_count, rank() OVER (ORDER BY count(*) DESC) AS rank "
            "FROM agents AS t0 INNER JOIN tickets AS t1 ON t1.agent_id = t0.agent_id "
            "GROUP BY t0.full_name, t0.agent_id ORDER BY ticket_count DESC",
        ),
        (
            "What is the cumulative number of tickets per month?",
            "SELECT date_trunc('month', t0.opened_at) AS month, count(*) AS ticket_count, "
            "sum(count(*)) OVER (ORDER BY date_trunc('month', t0.opened_at) ASC) AS running_total "
            "FROM tickets AS t0 GROUP BY date_trunc('month', t0.opened_at) ORDER BY month ASC",
        ),
        (
            "3-month moving average of total rental price",
            "SELECT date_trunc('month', t0.pickup_date) AS month, sum(t0.price) AS sum_price, "
            "avg(sum(t0.price)) OVER (ORDER BY date_trunc('month', t0.pickup_date) ASC "
            "ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS moving_average "
            "FROM rentals AS t0 GROUP BY date_trunc('month', t0.pickup_date) ORDER BY month ASC",
        ),
    ],
)
def test_groups_of_groups_and_figures_along_time(question: str, sql: str) -> None:
    assert desk_sql_of(question) == sql


VETS = {
    "vets": "vet_id:integer vet_name:text joined_on:date left_on:date salary:integer clinic_id:integer",
    "clinics": "clinic_id:integer clinic_name:text city:text",
    "pets": "pet_id:integer pet_name:text species:text birth_date:date weight_kg:double",
    "visits": "visit_id:integer pet_id:integer vet_id:integer arrived_at:timestamp finished_at:timestamp fee:decimal",
    "bills": "bill_id:integer visit_id:integer issued_on:date paid_on:date amount:decimal",
}
VET_VALUES = {("pets", "species"): ["dog", "cat"], ("clinics", "city"): ["Leeds", "York"]}


@pytest.mark.parametrize(
    ("question", "sql"),
    [
        (
            "Which pets weigh more than the average for their species?",
            "SELECT t0.pet_name FROM pets AS t0 WHERE t0.weight_kg > "
            "(SELECT avg(a.weight_kg) AS avg_weight_kg FROM pets AS a WHERE a.species = t0.species)",
        ),
        (
            "Which visits cost more than the average visit?",
            "SELECT t0.visit_id FROM visits AS t0 WHERE t0.fee > (SELECT avg(a.fee) AS avg_fee FROM visits AS a)",
        ),
        (
            "How many days after being issued are bills paid on average?",
            "SELECT avg(date_diff('day', t0.issued_on, t0.paid_on)) AS avg_day_count FROM bills AS t0",
        ),
        (
            "How many bills were issued and paid in the same month?",
            "SELECT count(*) AS bill_count FROM bills AS t0 "
            "WHERE date_trunc('month', t0.issued_on) = date_trunc('month', t0.paid_on)",
        ),
        (
            "How old is the oldest cat?",
            "SELECT max(date_diff('year', t0.birth_date, CAST('2026-11-21' AS DATE))) AS max_age FROM pets AS t0 "
            "WHERE t0.species = 'cat'",
        ),
        (
            "Which vets no longer work for us?",
            "SELECT t0.vet_name FROM vets AS t0 WHERE t0.left_on IS NOT NULL",
        ),
        (
            "Which pets had a visit in every month of 2026?",
            "SELECT t0.pet_name FROM pets AS t0 INNER JOIN visits AS t1 ON t1.pet_id = t0.pet_id "
            "WHERE t1.arrived_at >= '2026-01-01' AND t1.arrived_at < '2027-01-01' GROUP BY t0.pet_name, t0.pet_id "
            "HAVING count(DISTINCT date_trunc('month', t1.arrived_at)) = 12",
        ),
        (
            "What was the busiest month of 2025 in terms of visits?",
            "SELECT date_trunc('month', t0.arrived_at) AS month, count(*) AS visit_count FROM visits AS t0 "
            "WHERE t0.arrived_at >= '2025-01-01' AND t0.arrived_at < '2026-01-01' "
            "GROUP BY date_trunc('month', t0.arrived_at) ORDER BY visit_count DESC LIMIT 1",
        ),
    ],
)
def test_at_the_vets(question: str, sql: str) -> None:
    assert _sql_of(question, VETS, VET_VALUES) == sql
