"""All queries of TPC-H and TPC-DS, as DuckDB's own extensions have them, on tables that these make."""

from pathlib import Path

import pytest

from engine.connectors.connector import ConnectionSpec
from tests.engine.sql.world import make_world
from tests.hostile.benign import difference, governed, make_benchmark, plain_reader, plainly

SCALE = 0.01  # dsdgen does not always end at less
QUERIES = {"tpch": 22, "tpcds": 99}


@pytest.mark.parametrize("kit", QUERIES)
async def test_its_queries_answer_as_duckdb_alone_does(kit: str, tmp_path: Path) -> None:
    path = tmp_path / f"{kit}.duckdb"
    queries = make_benchmark(kit, path, scale=SCALE)
    assert len(queries) == QUERIES[kit]
    world = make_world(
        tmp_path / "home", [ConnectionSpec("default", kit, kit, "duckdb", {"path": str(path)})], data=tmp_path
    )
    plain = plain_reader(path)
    for number, sql in enumerate(queries, start=1):
        is_ordered = "order by" in sql.lower()
        ours, theirs = await governed(world, sql, kit), plainly(plain, sql)
        assert difference(ours, theirs, is_ordered=is_ordered) == "", f"{kit} {number}"
    await world.close()
