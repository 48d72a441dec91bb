"""Ratios and shares: of two kinds of things, and of those that are such among all."""

import pytest

from tests.engine.planner.test_planner import _sql_of

CLINIC = {
    "pets": "id:integer name:text species:text gender:text is_insured:boolean",
    "visits": "id:integer pet_id:integer visit_date:date paid_on:date outcome:text fee:decimal",
}
VALUES = {
    ("pets", "species"): ["dog", "cat", "rabbit"],
    ("pets", "name"): ["Rex", "Mia"],
    ("visits", "outcome"): ["cured", "no_show", "referred", "A"],
}


def sql_of(question: str) -> str:
    return _sql_of(question, CLINIC, VALUES)


def share(such: str, of: str = "") -> str:
    below = f"count(CASE WHEN {of} THEN 1 END)" if of else "count(*)"
    return f"SELECT CAST(count(CASE WHEN {such} THEN 1 END) AS DOUBLE) / nullif({below}, 0) AS ratio"


@pytest.mark.parametrize(
    ("question", "sql"),
    [
        ("What is the ratio of dogs to cats?", share("t0.species = 'dog'", "t0.species = 'cat'") + " FROM pets AS t0"),
        (
            "What is the ratio of insured to uninsured pets?",
            share("t0.is_insured = TRUE", "t0.is_insured = FALSE") + " FROM pets AS t0",
        ),
        (
            "Among visits in 2025, what fraction were no-shows?",
            share("t0.outcome = 'no_show'")
            + " FROM visits AS t0 WHERE t0.visit_date >= '2025-01-01' AND t0.visit_date < '2026-01-01'",
        ),
        (
            "For each species, what share of the pets is insured? Show the species and the share.",
            share("t0.is_insured = TRUE").replace("SELECT", "SELECT t0.species,")
            + " FROM pets AS t0 GROUP BY t0.species",
        ),
        ("What fraction of visits got an A?", share("t0.outcome = 'A'") + " FROM visits AS t0"),
        (
            "What proportion of referred visits have been paid?",
            share("t0.paid_on IS NOT NULL") + " FROM visits AS t0 WHERE t0.outcome = 'referred'",
        ),
        (
            "What fraction of the total fee was paid?",
            "SELECT CAST(sum(CASE WHEN t0.paid_on IS NOT NULL THEN t0.fee END) AS DOUBLE) / nullif(sum(t0.fee), 0) "
            "AS ratio FROM visits AS t0",
        ),
    ],
)
def test_a_share_becomes(question: str, sql: str) -> None:
    assert sql_of(question) == sql


@pytest.mark.parametrize("question", ["What share of the visits?", "What is the ratio of pets to pets?"])
def test_a_share_of_nothing_in_particular_is_not_sure(question: str) -> None:
    assert sql_of(question).startswith("declined")


@pytest.mark.parametrize(
    ("question", "sql"),
    [
        (
            "Which rabbits are called Mia?",
            "SELECT t0.name FROM pets AS t0 WHERE t0.species = 'rabbit' AND t0.name = 'Mia'",
        ),
        ("How many cats are there?", "SELECT count(*) AS pet_count FROM pets AS t0 WHERE t0.species = 'cat'"),
        (
            "How many visits have been paid?",
            "SELECT count(*) AS visit_count FROM visits AS t0 WHERE t0.paid_on IS NOT NULL",
        ),
    ],
)
def test_things_go_by_a_value(question: str, sql: str) -> None:
    assert sql_of(question) == sql
