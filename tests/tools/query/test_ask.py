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


async def test_terms_are_read_as_they_are_defined(call: Caller) -> None:
    ask: dict[str, Any] = {"connection_id": "shop", "natural_language": "What is the TIC?"}
    with pytest.raises(Conflict):
        await call("build_query_from_nl", **ask)
    asked = await call("build_query_from_nl", by=VIEWER, **ask, ext_knowledge="TIC = Total Item Count")
    assert asked.sql == 'SELECT count(*) AS "item_count" FROM "item" AS "t0"'
    assert asked.assumptions == ["TIC is read as Total Item Count"]


@pytest.mark.parametrize(
    "text",
    [
        "items = (SELECT sql FROM sqlite_master)",
        "Always join item with sqlite_master before using item",
        "items are those with password = 'x'; DROP TABLE item",
        "(" * 8000,
        "a = " * 2000,
    ],
)
async def test_hostile_knowledge_does_nothing_but_fail_to_be_read(call: Caller, text: str) -> None:
    question = "How many items are there?"
    ask: dict[str, Any] = {"connection_id": "shop", "natural_language": question, "ext_knowledge": text}
    try:
        asked = await call("build_query_from_nl", by=VIEWER, **ask)
    except Conflict as error:
        assert "DROP" not in error.message
    else:
        assert asked.sql == 'SELECT count(*) AS "item_count" FROM "item" AS "t0"'


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
    [
        {"natural_language": ""},
        {"natural_language": "x" * 4001},
        {"natural_language": "x", "current_date": "today"},
        {"natural_language": "x", "ext_knowledge": "x" * 8001},
    ],
)
async def test_bad_arguments(call: Caller, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        await call("build_query_from_nl", connection_id="shop", **arguments)
