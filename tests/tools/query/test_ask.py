"""build_query_from_nl."""

from typing import Any

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from tests.fixtures_catalog import NO_RIGHTS, STRANGER, VIEWER, Caller, Desk


async def test_a_question_becomes_sql_that_runs(call: Caller, desk: Desk) -> None:
    asked = await call(
        "build_query_from_nl", by=VIEWER, connection_id="shop", natural_language="How many items are there?"
    )
    assert asked.sql == 'SELECT count(*) AS "item_count" FROM "item" AS "t0"'
    assert asked.confidence > 0.8
    assert asked.tables_referenced == ["item"]
    assert desk.gate.records[-1].resources == ("connection:shop", "table:shop/item")
    answer = await call("execute_query", by=VIEWER, connection_id="shop", sql=asked.sql)
    assert answer.data.records() == [{"item_count": 2}]


async def test_build_query_takes_a_question_too(call: Caller) -> None:
    built = await call("build_query", connection_id="shop", natural_language="number of items")
    assert (built.tables_referenced, built.confidence > 0.8) == (["item"], True)


async def test_a_question_of_other_things_is_declined_with_the_words(call: Caller) -> None:
    with pytest.raises(Conflict, match="'revenue'") as error:
        await call("build_query_from_nl", connection_id="shop", natural_language="Show me total revenue by region")
    assert "search_catalog" in error.value.hint


async def test_refusals(call: Caller) -> None:
    with pytest.raises(Unauthorized):
        await call("build_query_from_nl", by=NO_RIGHTS, connection_id="shop", natural_language="How many items?")
    with pytest.raises(NotFound):
        await call("build_query_from_nl", by=STRANGER, connection_id="shop", natural_language="How many items?")
    with pytest.raises(Conflict, match="2026-02-30"):
        await call("build_query_from_nl", connection_id="shop", natural_language="items", current_date="2026-02-30")


@pytest.mark.parametrize(
    "arguments",
    [{"natural_language": ""}, {"natural_language": "x" * 4001}, {"natural_language": "x", "current_date": "today"}],
)
async def test_bad_arguments(call: Caller, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        await call("build_query_from_nl", connection_id="shop", **arguments)
