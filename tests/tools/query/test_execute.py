import asyncio

import pyarrow as pa
import pytest
from pydantic import BaseModel

from core.errors import Conflict, InvalidArgument, NotFound, QueryUnauthorized, RateLimited, Timeout, Unauthorized
from engine.sql.run import SqlService
from tests.engine.catalog.conftest import run_sql
from tests.fixtures_catalog import NO_RIGHTS, STRANGER, VIEWER, Caller, Desk

ENDLESS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r"


async def test_a_query_answers_rows_and_facts(call: Caller, desk: Desk) -> None:
    answer = await call("execute_query", by=VIEWER, connection_id="shop", sql="SELECT * FROM item ORDER BY id")
    told = answer.model_dump(mode="json")
    facts = told["metadata"]
    assert told["data"] == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    assert (facts["row_count"], facts["from_cache"], facts["truncated"]) == (2, False, False)
    assert facts["columns"] == [{"name": "id", "type": "bigint"}, {"name": "name", "type": "varchar"}]
    assert facts["query_id"].startswith("qry_") and facts["execution_time_ms"] >= 0
    assert desk.gate.records[-1].resources == ("connection:shop", "table:shop/item")


async def test_over_grpc_the_rows_are_one_arrow_stream(call: Caller) -> None:
    answer = await call("execute_query", connection_id="shop", sql="SELECT id FROM item ORDER BY id")
    assert pa.ipc.open_stream(answer.data.arrow("zstd")).read_all().to_pydict() == {"id": [1, 2]}


async def test_what_does_not_fit_is_cut_and_told(call: Caller) -> None:
    cut = await call("execute_query", connection_id="shop", sql="SELECT n FROM many")
    assert (cut.metadata.row_count, cut.metadata.truncated) == (100, True)  # the platform's limit in this test
    fewer = await call("execute_query", connection_id="shop", sql="SELECT n FROM many", max_rows=3)
    assert (fewer.metadata.row_count, fewer.metadata.truncated) == (3, True)


async def test_parameters_are_bound(call: Caller) -> None:
    sql, values = "SELECT name FROM item WHERE id = $id", {"id": "2"}
    answer = await call("execute_query", connection_id="shop", sql=sql, parameters=values)
    assert answer.data.records() == [{"name": "b"}]


async def test_a_stream_comes_in_parts(call: Caller) -> None:
    parts: list[pa.Table] = []

    async def emit(part: BaseModel) -> None:
        parts.append(pa.ipc.open_stream(part.model_dump()["arrow_record_batch"]).read_all())

    end = await call("execute_query_stream", emit=emit, connection_id="shop", sql="SELECT n FROM many")
    assert pa.concat_tables(parts).num_rows == end.metadata.row_count == 500
    assert not end.metadata.truncated


async def test_who_may_not_query_is_refused(call: Caller) -> None:
    for tool in ("execute_query", "execute_query_stream", "validate_query", "explain_query"):
        with pytest.raises(Unauthorized):
            await call(tool, by=NO_RIGHTS, connection_id="shop", sql="SELECT 1")


async def test_another_tenants_connection_does_not_exist(call: Caller) -> None:
    for tool in ("execute_query", "execute_query_stream", "validate_query", "explain_query"):
        with pytest.raises(NotFound):
            await call(tool, by=STRANGER, connection_id="shop", sql="SELECT * FROM item")


@pytest.mark.parametrize("tool", ["execute_query", "execute_query_stream"])
async def test_only_selects_over_visible_tables_run(call: Caller, tool: str) -> None:
    for sql in ("DELETE FROM item", "SELECT * FROM sqlite_master", "SELECT nothing FROM item", "SELECT 1; SELECT 2"):
        with pytest.raises(QueryUnauthorized):
            await call(tool, connection_id="shop", sql=sql)


async def test_bad_input_is_said_to_be_so(call: Caller) -> None:
    for arguments in (
        {"sql": ""},
        {"sql": "SELECT '" + "x" * 10_000_000 + "'"},
        {"sql": "SELECT 1", "timeout_seconds": -1},
        {"sql": "SELECT 1", "unknown": 1},
    ):
        with pytest.raises(InvalidArgument):
            await call("execute_query", connection_id="shop", **arguments)


async def test_input_that_fits_the_schema_is_refused_with_another_code_than_400(call: Caller) -> None:
    for sql in (" ", ";", "SELECT (", "SELECT '", "-- nothing", "(" * 60 + "1" + ")" * 60):
        with pytest.raises(QueryUnauthorized):
            await call("execute_query", connection_id="shop", sql=sql)
    with pytest.raises(QueryUnauthorized, match=r"line 2, column \d+, so it cannot be authorised"):
        await call("execute_query", connection_id="shop", sql="SELECT *\nFROM item WHERE )")
    with pytest.raises(Conflict, match="parameter"):
        await call("execute_query", connection_id="shop", sql="SELECT 1", parameters={"a": "b"})


async def test_a_query_that_takes_too_long_is_stopped(call: Caller) -> None:
    with pytest.raises(Timeout):
        await call("execute_query", connection_id="shop", sql=ENDLESS, timeout_seconds=1)


async def test_a_tenant_runs_as_many_queries_as_its_tier_allows(call: Caller) -> None:
    slow = [call("execute_query", connection_id="shop", sql=ENDLESS, timeout_seconds=1) for _ in range(6)]
    ends = await asyncio.gather(*slow, return_exceptions=True)
    assert [isinstance(end, RateLimited) for end in ends].count(True) == 1
    assert [isinstance(end, Timeout) for end in ends].count(True) == 5


async def test_validate_says_what_is_wrong_instead_of_failing(call: Caller, service: SqlService) -> None:
    good = await call("validate_query", connection_id="shop", sql="SELECT i.name FROM item i")
    assert (good.valid, good.tables_referenced, good.columns_referenced) == (True, ["item"], ["name"])
    for sql, code in (("SELECT nothing FROM item", "QUERY_UNAUTHORIZED"), ("SELECT FROM (", "QUERY_UNAUTHORIZED")):
        bad = await call("validate_query", connection_id="shop", sql=sql)
        assert (bad.valid, bad.code) == (False, code) and bad.message and bad.hint


async def test_explain_shows_a_plan(call: Caller) -> None:
    assert "SCAN" in (await call("explain_query", connection_id="shop", sql="SELECT * FROM item")).plan
    with pytest.raises(QueryUnauthorized):
        await call("explain_query", connection_id="shop", sql="SELECT * FROM sqlite_master")


async def test_the_documents_example_works_as_printed(call: Caller, desk: Desk) -> None:
    run_sql(
        desk.roots / "shop.db",
        "CREATE TABLE sales (name TEXT, region TEXT, revenue REAL);"
        "INSERT INTO sales VALUES ('a', 'eu', 1), ('a', 'eu', 2);",
    )
    sql = "SELECT name, region, SUM(revenue) as total_revenue FROM sales GROUP BY name, region"
    answer = await call("execute_query", connection_id="shop", sql=sql, timeout_seconds=30)
    assert answer.data.records() == [{"name": "a", "region": "eu", "total_revenue": 3.0}]
