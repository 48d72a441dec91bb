"""A few seconds of bent statements in every test run; `make judge` does it for ten minutes."""

from pathlib import Path

import pytest

from core.errors import QueryUnauthorized
from engine.sql.bind import prepare
from tests.hostile.fuzz_sql import fuzz


class Nothing:
    """A view in which there is no table at all."""

    names: tuple[str, ...] = ()

    def find(self, parts: tuple[str, ...]) -> None:
        return None


SECONDS, SEED = 3.0, 20_130_101


def test_bent_statements_are_refused_or_harmless(tmp_path: Path) -> None:
    sent, through = fuzz(tmp_path, seconds=SECONDS, seed=SEED)
    assert sent > 50
    assert 0 < through < sent


# What fuzzing found once: texts over which the parser stumbled.
FOUND = (
    'WITH v(a, bSELECT "a b"."c""d" FROM (SELECT) AS (VALUES (1, 2), (3, 4)) SELECT suma), sum(b) FROM v',
    "WITH x AS (SELECT 1",
    'SELECT CAST(1 AS "a b"."c""d")',
)


@pytest.mark.parametrize("dialect", ["duckdb", "postgres", "sqlite", "spark"])
@pytest.mark.parametrize("sql", FOUND)
def test_what_the_parser_stumbles_over_is_refused(sql: str, dialect: str) -> None:
    with pytest.raises(QueryUnauthorized):
        prepare(sql, Nothing(), dialect, max_rows=10)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT {: tax_id}",
        "UNPIVOT (SELECT 1 id, 2 AS q1, RENAME AS q2) ON (q1, q2) INTO VALUE v, w",
        "PIVOT FROM people (SELECT person_id, region FROM sales) ON region IN (north, south) ORDER BY person_id",
    ],
)
def test_what_only_duckdb_s_parser_half_reads_is_refused(sql: str) -> None:
    with pytest.raises(QueryUnauthorized):
        prepare(sql, Nothing(), "duckdb", max_rows=10)
