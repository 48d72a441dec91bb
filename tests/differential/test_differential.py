"""Whatever is asked under whatever policies: the answer is that of the query over a filtered and masked copy."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.differential.cases import QUERIES_PER_WORLD, Tally, make_stage, run_case
from tests.differential.choices import drawn
from tests.differential.engines import Database, sides
from tests.fixtures_postgres import PostgresServer

CASES, CASES_ELSEWHERE = 300, 36
CASES_IN_JUDGE, CASES_ELSEWHERE_IN_JUDGE, PARTS = 20_400, 2_400, 4


def differ(dialect: str, both: tuple[Database, Database], cases: int, number: int = 0) -> Tally:
    """Random worlds, each with some queries. Raises Difference, with the smallest case that shows it."""
    tally = Tally()
    data, copy = both

    @seed(number)
    @settings(
        max_examples=-(-cases // QUERIES_PER_WORLD),
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.data())
    def one_world(source: st.DataObject) -> None:
        choices = drawn(source.draw)
        stage = make_stage(choices, dialect, data, copy)
        for _ in range(QUERIES_PER_WORLD):
            run_case(choices, stage, tally)

    one_world()
    assert tally.problems() == [], tally.examples[:5]
    return tally


@contextmanager
def postgres_sides(server: PostgresServer) -> Iterator[tuple[Database, Database]]:
    names = server.create(), server.create()
    try:
        with sides("postgres", (server.url(names[0]), server.url(names[1]))) as both:
            yield both
    finally:
        for name in names:
            server.drop(name)


def test_duckdb_answers_as_the_copy_does() -> None:
    with sides("duckdb") as both:
        tally = differ("duckdb", both, CASES)
    assert tally.total >= CASES


def test_sqlite_answers_as_the_copy_does() -> None:
    with sides("sqlite") as both:
        differ("sqlite", both, CASES_ELSEWHERE)


@pytest.mark.postgres
def test_postgres_answers_as_the_copy_does(postgres: PostgresServer) -> None:
    with postgres_sides(postgres) as both:
        differ("postgres", both, CASES_ELSEWHERE)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_duckdb_answers_as_the_copy_does_at_length(part: int) -> None:
    with sides("duckdb") as both:
        tally = differ("duckdb", both, CASES_IN_JUDGE // PARTS, 1 + part)
    assert tally.total >= CASES_IN_JUDGE // PARTS


@pytest.mark.slow
def test_sqlite_answers_as_the_copy_does_at_length() -> None:
    with sides("sqlite") as both:
        differ("sqlite", both, CASES_ELSEWHERE_IN_JUDGE, 1)


@pytest.mark.slow
@pytest.mark.postgres
def test_postgres_answers_as_the_copy_does_at_length(postgres: PostgresServer) -> None:
    with postgres_sides(postgres) as both:
        differ("postgres", both, CASES_ELSEWHERE_IN_JUDGE, 1)
