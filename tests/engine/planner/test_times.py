"""What the planner makes of questions about how long things take, how long ago they were, and on which days."""

import pytest

from tests.engine.planner.test_planner import _sql_of

DESK = {
    "tickets": "ticket_id:integer agent_id:integer client_id:integer opened_at:timestamp first_reply_at:timestamp "
    "closed_at:timestamp priority:text channel:text status:text cost:decimal",
    "agents": "agent_id:integer full_name:text team:text hired_on:date left_on:date date_of_birth:date salary:decimal",
    "clients": "client_id:integer client_name:text region:text signup_date:date",
    "rentals": "rental_id:integer client_id:integer item_id:integer booked_on:date pickup_date:date due_date:date "
    "return_date:date price:decimal",
    "items": "item_id:integer item_name:text category:text bought_on:date",
    "contracts": "contract_id:integer client_id:integer start_date:date end_date:date monthly_fee:decimal",
}
FLEET = {
    "trips": "trip_id:integer driver_id:integer planned_start:timestamp actual_start:timestamp ride_minutes:integer "
    "created_at:timestamp finished_at:timestamp",
    "drivers": "driver_id:integer driver_name:text birth_year:integer",
    "stops": "stop_id:integer trip_id:integer goods:text",
}
FLEET_VALUES = {("stops", "goods"): ["Milk", "Bread", "Salt"]}
DESK_VALUES = {
    ("tickets", "priority"): ["low", "high", "urgent"],
    ("tickets", "status"): ["open", "closed", "pending"],
    ("tickets", "channel"): ["phone", "web"],
    ("clients", "region"): ["North", "South"],
    ("items", "category"): ["Tools", "Vehicles"],
    ("agents", "team"): ["Billing", "Support"],
}


def desk_sql_of(question: str) -> str:
    return _sql_of(question, DESK, DESK_VALUES)


@pytest.mark.parametrize(
    ("question", "sql"),
    [
        (
            "Average number of days between pickup and return",
            "SELECT avg(date_diff('day', t0.pickup_date, t0.return_date)) AS avg_day_count FROM rentals AS t0",
        ),
        (
            "How many hours on average from opening to first reply, for each channel?",
            "SELECT t0.channel, avg(date_diff('hour', t0.opened_at, t0.first_reply_at)) AS avg_hour_count "
            "FROM tickets AS t0 GROUP BY t0.channel",
        ),
        (
            "What is the average resolution time in hours per team?",
            "SELECT t1.team, avg(date_diff('hour', t0.opened_at, t0.closed_at)) AS avg_hour_count FROM tickets AS t0 "
            "INNER JOIN agents AS t1 ON t0.agent_id = t1.agent_id GROUP BY t1.team",
        ),
        (
            "How long do rentals last on average?",
            "SELECT avg(date_diff('day', t0.pickup_date, t0.return_date)) AS avg_day_count FROM rentals AS t0",
        ),
        (
            "List the 5 longest rentals with their duration in days",
            "SELECT t0.rental_id, date_diff('day', t0.pickup_date, t0.return_date) AS day_count FROM rentals AS t0 "
            "ORDER BY day_count DESC LIMIT 5",
        ),
        (
            "What is the average delay in days of rentals returned after the due date?",
            "SELECT avg(date_diff('day', t0.due_date, t0.return_date)) AS avg_day_count FROM rentals AS t0 "
            "WHERE t0.return_date > t0.due_date",
        ),
        (
            "How many days in advance are rentals booked on average?",
            "SELECT avg(date_diff('day', t0.booked_on, t0.pickup_date)) AS avg_day_count FROM rentals AS t0",
        ),
        (
            "What is the average age of agents in each team?",
            "SELECT t0.team, avg(date_diff('year', t0.date_of_birth, CAST('2026-11-21' AS DATE))) AS avg_age "
            "FROM agents AS t0 GROUP BY t0.team",
        ),
    ],
)
def test_how_long_something_takes(question: str, sql: str) -> None:
    assert desk_sql_of(question) == sql


@pytest.mark.parametrize(
    ("question", "where"),
    [
        ("How many tickets took more than 3 days to close?", "t0.closed_at > (t0.opened_at + to_days(3))"),
        ("Which tickets were closed within 24 hours of being opened?", "t0.closed_at <= (t0.opened_at + to_hours(24))"),
        ("How many rentals lasted longer than a week?", "date_diff('day', t0.pickup_date, t0.return_date) > 7"),
        ("Which rentals were for a week or longer?", "date_diff('day', t0.pickup_date, t0.return_date) >= 7"),
        ("How many contracts ran for more than 2 years?", "t0.end_date > (t0.start_date + to_years(2))"),
        ("Which rentals were returned late?", "t0.return_date > t0.due_date"),
        ("How many rentals were returned on time?", "t0.return_date <= t0.due_date"),
        ("How many rentals were returned more than 3 days late?", "date_diff('day', t0.due_date, t0.return_date) > 3"),
        ("Which rentals are overdue?", "t0.return_date IS NULL AND t0.due_date < '2026-11-21'"),
        ("Which agents were hired more than 5 years ago?", "t0.hired_on < '2021-11-21'"),
        ("Which agents have been with us for over 10 years?", "t0.hired_on < '2016-11-21'"),
        ("How many agents are older than 40?", "t0.date_of_birth < '1986-11-21'"),
        ("How many agents are under 30 years old?", "t0.date_of_birth > '1996-11-21'"),
    ],
)
def test_lengths_of_time_are_conditions(question: str, where: str) -> None:
    assert desk_sql_of(question).endswith(f" WHERE {where}")


@pytest.mark.parametrize(
    ("question", "rest"),
    [
        ("How many tickets were opened on weekends?", "WHERE date_part('isodow', t0.opened_at) IN (6, 7)"),
        ("How many tickets were opened on a Monday?", "WHERE date_part('isodow', t0.opened_at) = 1"),
        (
            "What is the total price of rentals picked up on weekdays?",
            "WHERE date_part('isodow', t0.pickup_date) IN (1, 2, 3, 4, 5)",
        ),
        (
            "How many tickets were opened between 10 pm and 6 am?",
            "WHERE date_part('hour', t0.opened_at) >= 22 OR date_part('hour', t0.opened_at) < 6",
        ),
        (
            "How many tickets were opened after 6 pm?",
            "WHERE date_part('hour', t0.opened_at) >= 18 AND date_part('hour', t0.opened_at) < 24",
        ),
        (
            "At what hour of the day are the fewest tickets opened?",
            "GROUP BY date_part('hour', t0.opened_at) ORDER BY ticket_count ASC LIMIT 1",
        ),
        (
            "Which month had the most rentals?",
            "GROUP BY date_trunc('month', t0.pickup_date) ORDER BY rental_count DESC LIMIT 1",
        ),
        (
            "Which weekday has the highest average ticket cost?",
            "GROUP BY dayname(t0.opened_at), date_part('isodow', t0.opened_at) ORDER BY avg_cost DESC LIMIT 1",
        ),
        (
            "How many tickets do we get on each day of the week?",
            "GROUP BY dayname(t0.opened_at), date_part('isodow', t0.opened_at)",
        ),
    ],
)
def test_days_and_hours_sort_times(question: str, rest: str) -> None:
    assert desk_sql_of(question).endswith(rest)


def beside(measure: str, *periods: tuple[str, str, str]) -> list[str]:
    """A sum of rental prices in each of some periods."""
    return [
        f"sum(CASE WHEN t0.pickup_date >= '{start}' AND t0.pickup_date < '{end}' THEN t0.price END) AS {measure}_{name}"
        for start, end, name in periods
    ]


def test_periods_stand_beside_each_other() -> None:
    years = beside("sum_price", ("2025-01-01", "2026-01-01", "2025"), ("2026-01-01", "2027-01-01", "2026"))
    sql = desk_sql_of("For each region, compare the total rental price in 2025 and 2026")
    assert sql.startswith(f"SELECT t1.region, {', '.join(years)} FROM rentals AS t0")
    sql = desk_sql_of("Total rental price in Q3 2026 versus Q3 2025, with the growth in percent")
    quarters = beside("sum_price", ("2025-07-01", "2025-10-01", "2025_07"), ("2026-07-01", "2026-10-01", "2026_07"))
    assert sql.startswith(f"SELECT {', '.join(quarters)}, ") and sql.count("AS percent_change") == 1
    sql = desk_sql_of("By how much did the number of rentals change from 2025 to 2026?")
    assert "AS rental_count_2025, " in sql and "AS rental_count_2026, " in sql and "AS difference FROM" in sql


def test_a_period_is_compared_with_the_one_before() -> None:
    month = "date_trunc('month', t0.opened_at)"
    sql = desk_sql_of("Show the number of tickets per month and the change compared to the previous month")
    assert sql.startswith(
        f"SELECT {month} AS month, count(*) AS ticket_count, lag(count(*)) OVER (ORDER BY {month} ASC) AS previous, "
        f"count(*) - lag(count(*)) OVER (ORDER BY {month} ASC) AS difference"
    )
    assert sql.endswith(f"GROUP BY {month} ORDER BY month ASC")


def test_years_that_are_asked_for_as_rows_are_rows() -> None:
    sql = desk_sql_of("How many clients signed up this year compared with last year? Return the year and the count.")
    assert sql.startswith("SELECT date_part('year', t0.signup_date) AS year, count(*) AS client_count FROM clients")


@pytest.mark.parametrize(
    ("question", "rest"),
    [
        (
            "How many contracts are running today?",
            "WHERE t0.start_date < '2026-11-22' AND (t0.end_date IS NULL OR t0.end_date >= '2026-11-21')",
        ),
        (
            "How many contracts were active in 2025?",
            "WHERE t0.start_date < '2026-01-01' AND (t0.end_date IS NULL OR t0.end_date >= '2025-01-01')",
        ),
        ("Which agents are still employed?", "WHERE t0.left_on IS NULL"),
        ("How many agents no longer work here?", "WHERE t0.left_on IS NOT NULL"),
        ("How many tickets are still open?", "WHERE t0.status = 'open'"),
        ("Which rentals have not been returned yet?", "WHERE t0.return_date IS NULL"),
        ("Which contracts have expired?", "WHERE t0.end_date < '2026-11-21'"),
        ("List the next 5 upcoming rentals", "WHERE t0.pickup_date >= '2026-11-21' ORDER BY pickup_date ASC LIMIT 5"),
        ("Which client has the most recent rental?", "ORDER BY pickup_date DESC LIMIT 1"),
        (
            "How many tickets were opened in each month so far?",
            "WHERE t0.opened_at < '2026-11-22' GROUP BY date_trunc('month', t0.opened_at) ORDER BY month ASC",
        ),
        (  # one time is meant throughout
            "Average resolution time in hours per month in 2026",
            "WHERE t0.opened_at >= '2026-01-01' AND t0.opened_at < '2027-01-01' "
            "GROUP BY date_trunc('month', t0.opened_at) ORDER BY month ASC",
        ),
    ],
)
def test_states_and_times(question: str, rest: str) -> None:
    assert desk_sql_of(question).endswith(rest)


@pytest.mark.parametrize(
    ("question", "rest"),
    [
        ("How many trips took longer than two hours?", "WHERE t0.ride_minutes > 120"),
        ("How long do trips take on average?", "SELECT avg(t0.ride_minutes) AS avg_ride_minute FROM trips AS t0"),
        (
            "Which trips began more than 10 minutes after the planned start?",
            "WHERE t0.actual_start > (t0.planned_start + to_minutes(10))",
        ),
        ("How many drivers are over 50 years old?", "WHERE (2026 - t0.birth_year) > 50"),
        (
            "Name the drivers that have delivered both milk and bread",
            "WHERE t2.goods IN ('Milk', 'Bread') GROUP BY t0.driver_name, t0.driver_id "
            "HAVING count(DISTINCT t2.goods) = 2",
        ),
    ],
)
def test_over_a_fleet(question: str, rest: str) -> None:
    assert _sql_of(question, FLEET, FLEET_VALUES).endswith(rest)


LENDING = {
    "borrowers": "borrower_id:integer full_name:text enrolled_on:date expires_on:date",
    "loans": "loan_id:integer borrower_id:integer branch_id:integer checkout_date:date due_date:date "
    "returned_date:date",
    "branches": "branch_id:integer branch_name:text",
    "gatherings": "gathering_id:integer branch_id:integer gathering_name:text starts_at:timestamp ends_at:timestamp",
    "orders": "order_id:integer supplier:text ordered_on:date shipped_on:date received_on:date total_cost:decimal",
    "holds": "hold_id:integer borrower_id:integer placed_at:timestamp fulfilled_at:timestamp",
}
LENDING_VALUES = {("branches", "branch_name"): ["Central", "Riverside"]}


@pytest.mark.parametrize(
    ("question", "rest"),
    [
        (  # what comes in and what goes out
            "How many loans lasted longer than 3 weeks?",
            "WHERE date_diff('day', t0.checkout_date, t0.returned_date) > 21",
        ),
        ("How many gatherings take place on weekends?", "WHERE date_part('isodow', t0.starts_at) IN (6, 7)"),
        ("How many loans are currently outstanding?", "WHERE t0.returned_date IS NULL"),
        (
            "What are the next 3 gatherings at Riverside?",
            "WHERE t0.starts_at >= '2026-11-21' AND t1.branch_name = 'Riverside' ORDER BY starts_at ASC LIMIT 3",
        ),
        ("Number of new borrowers per year", "GROUP BY date_part('year', t0.enrolled_on) ORDER BY year ASC"),
        (
            "Total cost of orders per quarter in 2026",
            "WHERE t0.ordered_on >= '2026-01-01' AND t0.ordered_on < '2027-01-01' "
            "GROUP BY date_trunc('quarter', t0.ordered_on) ORDER BY quarter ASC",
        ),
        (
            "How long does it take on average from ordering to receiving orders?",
            "SELECT avg(date_diff('day', t0.ordered_on, t0.received_on)) AS avg_day_count FROM orders AS t0",
        ),
        (  # what only a time tells of
            "How many enrolments were there in 2025?",
            "FROM borrowers AS t0 WHERE t0.enrolled_on >= '2025-01-01' AND t0.enrolled_on < '2026-01-01'",
        ),
        (
            "How many borrowers enrolled in 2025?",
            "WHERE t0.enrolled_on >= '2025-01-01' AND t0.enrolled_on < '2026-01-01'",
        ),
    ],
)
def test_over_a_lending_library(question: str, rest: str) -> None:
    assert _sql_of(question, LENDING, LENDING_VALUES).endswith(rest)


def test_a_period_after_a_comma_is_no_further_group() -> None:
    values = {**DESK_VALUES, ("agents", "team"): ["north", "south"]}
    for question in (
        "number of tickets by priority, compared with last year",
        "number of tickets by priority, this year compared with last year",
    ):
        sql = _sql_of(question, {**DESK, "models": "model_id:integer year_built:integer"}, values)
        assert "priority" in sql and "year_built" not in sql, sql
