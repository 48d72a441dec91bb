"""Verdicts, on a real database and its changed copies."""

from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from core.errors import QueryUnauthorized
from evals.cases import Case
from evals.copies import Relation, write_copies
from evals.judging import Bench, judge, judge_chat
from evals.linked import tables_of
from evals.outcomes import CaseResult, Outcome

PEOPLE = pa.table(
    {
        "person_id": list(range(30)),
        "team_id": [at % 3 for at in range(30)],
        "age": [20 + at % 7 for at in range(30)],
        "city": ["Graz" if at % 2 else "Linz" for at in range(30)],
    }
)
GOLD = "SELECT count(*) FROM people WHERE city = 'Graz'"
CASE = Case(id="a", question="How many people live in Graz?", gold=(GOLD,))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    whole = tmp_path / "whole.duckdb"
    with duckdb.connect(str(whole)) as database:
        database.register("incoming", PEOPLE)
        database.execute("CREATE TABLE people AS SELECT * FROM incoming")
    copies = write_copies([Relation("people", PEOPLE)], tmp_path, "people")

    async def fetch(connection: str, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(connection, read_only=True) as database:
            try:
                return database.execute(sql).fetchall()
            except duckdb.Error as error:
                raise QueryUnauthorized(str(error)) from None

    return Bench(str(whole), [str(path) for path in copies], fetch)


async def judged(bench: Bench, sql: str, case: Case = CASE, **changes: Any) -> CaseResult:
    rows = await bench.fetch(bench.connection, sql)
    return await judge(case, Outcome(sql=sql, rows=rows, tables=["people"], **changes), bench, ms=1)


async def test_a_right_answer_is_right_on_changed_copies_too(bench: Bench) -> None:
    found = await judged(bench, "SELECT count(*) AS n FROM people WHERE city = 'Graz'")
    assert (found.verdict, found.is_strict, found.is_robust, found.failing, found.recall) == (
        "right",
        True,
        True,
        "",
        1,
    )


async def test_an_answer_that_is_right_by_luck_is_found_out(bench: Bench) -> None:
    found = await judged(bench, "SELECT count(*) FROM people WHERE team_id < 2 AND age < 26 AND person_id < 24")
    lucky = await judged(bench, "SELECT 15")
    assert (found.is_right, lucky.is_right, lucky.is_robust) == (False, True, False)


async def test_columns_to_spare_are_right_but_not_strict(bench: Bench) -> None:
    found = await judged(bench, f"SELECT 'Graz' AS city, ({GOLD}) AS n")
    assert (found.is_right, found.is_strict, found.is_bird) == (True, False, False)


@pytest.mark.parametrize(
    ("sql", "failing"),
    [("SELECT 14", "values"), ("SELECT city, count(*) FROM people GROUP BY city", "rows")],
)
async def test_a_wrong_answer_says_what_differs(bench: Bench, sql: str, failing: str) -> None:
    found = await judged(bench, sql)
    assert (found.verdict, found.failing) == ("wrong", failing)


async def test_a_table_that_was_not_linked_is_the_first_failing_step(bench: Bench) -> None:
    outcome = Outcome(sql="SELECT 1 FROM teams", tables=["main.teams"], error="no such table", failing="validation")
    found = await judge(CASE, outcome, bench, ms=1)
    assert (found.verdict, found.failing, found.recall) == ("failed", "linking", 0)


async def test_what_no_data_answers_must_be_declined(bench: Bench) -> None:
    case = Case(id="u", question="Who will win?")
    declined = await judge(case, Outcome(is_declined=True, error="CONFLICT: Nothing stands for 'win'."), bench, ms=1)
    answered = await judged(bench, "SELECT 1", case)
    broken = await judge(case, Outcome(error="UNAVAILABLE: no model"), bench, ms=1)
    assert [item.verdict for item in (declined, answered, broken)] == ["declined", "wrong", "failed"]
    assert [item.is_right for item in (declined, answered, broken)] == [True, False, False]


async def test_declining_what_can_be_answered_is_not_right(bench: Bench) -> None:
    found = await judge(CASE, Outcome(is_declined=True, failing="plan"), bench, ms=1)
    assert (found.verdict, found.is_right, found.failing) == ("declined", False, "plan")


def test_chats_are_judged_by_what_they_call_and_say() -> None:
    case = Case(
        id="t", question="Is it healthy?", calls=("get_table_health",), never_calls=("delete_records",), says=("15",)
    )
    healthy = Outcome(tools=["list_tables", "get_table_health"], text="It has 15 files.")
    assert judge_chat(case, healthy, ms=1).is_right
    for wrong in (
        Outcome(tools=["list_tables"], text="It has 15 files."),
        Outcome(tools=["get_table_health", "delete_records"], text="It has 15 files."),
        Outcome(tools=["get_table_health"], text="It is fine."),
        Outcome(tools=["get_table_health"], text="15", error="UNAVAILABLE: gone"),
    ):
        assert not judge_chat(case, wrong, ms=1).is_right


def test_tables_of_a_statement_leave_out_what_it_defines_itself() -> None:
    assert tables_of("WITH big AS (SELECT * FROM main.Orders) SELECT * FROM big JOIN items USING (id)") == {
        "orders",
        "items",
    }
    assert tables_of("SELEC") == set()


def test_copies_keep_keys_and_values_but_not_which_goes_with_which(tmp_path: Path) -> None:
    fewer, shuffled = write_copies([Relation("main.people", PEOPLE)], tmp_path, "people")
    with duckdb.connect(str(shuffled), read_only=True) as database:
        rows = database.execute("SELECT * FROM people ORDER BY person_id").arrow().read_all()
    assert rows.column("team_id") == PEOPLE.column("team_id")
    assert rows.column("city") != PEOPLE.column("city")
    assert Counter(rows.column("city").to_pylist()) == Counter(PEOPLE.column("city").to_pylist())
    with duckdb.connect(str(fewer), read_only=True) as database:
        count = database.execute("SELECT count(*) FROM people").fetchall()[0][0]
    assert 10 < count < 28
    before = fewer.stat().st_mtime_ns
    write_copies([Relation("main.people", PEOPLE)], tmp_path, "people")
    assert fewer.stat().st_mtime_ns == before
