"""build_query."""

from typing import Any

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, QueryUnauthorized, Unauthorized
from tests.fixtures_catalog import NO_RIGHTS, STRANGER, VIEWER, Caller, Desk


async def test_a_definition_becomes_sql_that_runs(call: Caller, desk: Desk) -> None:
    built = await call(
        "build_query",
        by=VIEWER,
        connection_id="shop",
        table="item",
        select=["name"],
        measures=[{"aggregate": "count"}],
        filters=[{"column": "id", "operator": "in", "value": [1, 2]}],
        order=["name"],
        limit=1,
    )
    assert built.sql == (
        'SELECT "item"."name", count(*) AS "count" FROM "item" WHERE "item"."id" IN (1, 2) '
        'GROUP BY "item"."name" ORDER BY "name" ASC NULLS LAST LIMIT 1'
    )
    assert (built.confidence, built.tables_referenced, built.columns_referenced) == (1.0, ["item"], ["id", "name"])
    assert desk.gate.records[-1].resources == ("connection:shop", "table:shop/item")
    answer = await call("execute_query", by=VIEWER, connection_id="shop", sql=built.sql)
    assert answer.data.records() == [{"name": "a", "count": 1}]


async def test_refusals(call: Caller) -> None:
    with pytest.raises(Unauthorized):
        await call("build_query", by=NO_RIGHTS, connection_id="shop", table="item")
    with pytest.raises(NotFound):
        await call("build_query", by=STRANGER, connection_id="shop", table="item")
    with pytest.raises(QueryUnauthorized) as error:
        await call("build_query", connection_id="shop", table="items")
    assert "Did you mean item?" in error.value.hint
    with pytest.raises(Conflict, match="name a table"):
        await call("build_query", connection_id="shop")


@pytest.mark.parametrize(
    "arguments",
    [
        {"filters": [{"column": "id", "operator": "eq", "value": 1}] * 1001},
        {"filters": "id = 1"},
        {"joins": [{"table": "many", "type": "natural"}]},
        {"measures": [{"aggregate": "pg_sleep"}]},
        {"limit": -1},
        {"limit": "all"},
        {"table": ""},
        {"sql": "SELECT 1"},
        {"natural_language": "x" * 4001},
    ],
)
async def test_what_the_schema_forbids_is_a_bad_argument(call: Caller, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        await call("build_query", **{"connection_id": "shop", "table": "item", **arguments})
