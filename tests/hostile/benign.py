"""Runs a statement governed and plain, and says where the answers differ."""

import importlib.util
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from core.errors import PlatformError
from engine.sql.rows import records, unique_names
from engine.sql.run import Statement
from tests.engine.sql.world import ANN, World

TOLERANCE = 1e-9
KITS = {"tpch": "dbgen", "tpcds": "dsdgen"}

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Columns and rows, or the message of the refusal."""

    names: Sequence[str]
    rows: Sequence[Row]
    refusal: str = ""


def make_benchmark(kit: str, path: Path, *, scale: float) -> list[str]:
    """A database file with the tables of TPC-H or TPC-DS; returns the texts of its queries."""
    spec = importlib.util.find_spec(f"duckdb_extension_{kit}")
    assert spec is not None
    assert spec.submodule_search_locations
    file = next(Path(spec.submodule_search_locations[0]).rglob("*.duckdb_extension"))
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"LOAD '{file}'")
        connection.execute(f"CALL {KITS[kit]}(sf={scale})")
        return [
            text for (text,) in connection.execute(f"SELECT query FROM {kit}_queries() ORDER BY query_nr").fetchall()
        ]


def plain_reader(path: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(str(path), read_only=True)
    connection.execute("SET TimeZone='UTC'")
    return connection


async def governed(world: World, sql: str, connection_id: str = "shop") -> Outcome:
    try:
        answer = await world.sql.execute(ANN, connection_id, Statement(sql))
    except PlatformError as error:
        return Outcome((), (), f"{error.code} {error.message} {error.hint}")
    return Outcome([name for name, _ in answer.facts.columns], _rows(answer.rows.records()))


def plainly(connection: duckdb.DuckDBPyConnection, sql: str) -> Outcome:
    table = connection.execute(sql).to_arrow_table()
    schema = unique_names(table.schema)
    return Outcome(schema.names, _rows(records(schema, table.to_batches())))


def difference(ours: Outcome, theirs: Outcome, *, is_ordered: bool) -> str:
    """What differs, or nothing: names, rows in order where the statement asks for one, floats within a tolerance."""
    if ours.refusal:
        return ours.refusal
    if list(ours.names) != list(theirs.names):
        return f"columns {list(ours.names)} instead of {list(theirs.names)}"
    if len(ours.rows) != len(theirs.rows):
        return f"{len(ours.rows)} rows instead of {len(theirs.rows)}"
    left, right = (ours.rows, theirs.rows) if is_ordered else (_sorted(ours.rows), _sorted(theirs.rows))
    for mine, other in zip(left, right, strict=True):
        if not _is_close(list(mine), list(other)):
            return f"row {mine} instead of {other}"
    return ""


def _rows(found: list[dict[str, Any]]) -> list[Row]:
    return [tuple(row.values()) for row in found]


def _sorted(rows: Sequence[Row]) -> list[Row]:
    def rounded(value: Any) -> Any:
        return f"{value:.6g}" if isinstance(value, float) else value

    return sorted(rows, key=lambda row: str([rounded(value) for value in row]))


def _is_close(mine: Any, other: Any) -> bool:
    if isinstance(mine, float) and isinstance(other, float):
        return math.isclose(mine, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if isinstance(mine, list) and isinstance(other, list):
        return len(mine) == len(other) and all(map(_is_close, mine, other))
    if isinstance(mine, dict) and isinstance(other, dict):
        return mine.keys() == other.keys() and all(_is_close(mine[key], other[key]) for key in mine)
    return bool(mine == other)
