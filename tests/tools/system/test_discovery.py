from typing import Any

import pytest

from core.dispatch import NOBODY
from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from tests.fixtures_catalog import NO_RIGHTS, VIEWER, Caller, Desk


async def test_a_tool_is_found_by_what_it_does(call: Caller) -> None:
    found = (await call("search_tools", query="put a tag on a column")).tools
    assert (found[0].name, found[0].effect) == ("tag_column", "write")
    assert found[0].arguments["required"] == ["table", "column", "tag"]


async def test_only_tools_that_the_caller_may_call_are_found(call: Caller) -> None:
    names = {item.name for item in (await call("search_tools", query="tag column", by=VIEWER, limit=20)).tools}
    assert "list_columns" in names
    assert not names & {"tag_column", "untag_column", "search_tools", "call_tool", "call_write_tool"}


async def test_a_reading_tool_is_called_by_name(call: Caller, desk: Desk, shop: str) -> None:
    answer = await call("call_tool", name="list_tables", arguments={"connection_id": shop}, by=VIEWER)
    assert (answer.tool, answer.result["total_count"]) == ("list_tables", 2)
    assert [record.tool for record in desk.gate.records[-2:]] == ["list_tables", "call_tool"]


async def test_a_writing_tool_needs_the_other_door(call: Caller, shop: str) -> None:
    asked: dict[str, Any] = {
        "name": "tag_column",
        "arguments": {"connection_id": shop, "table": "customers", "column": "id", "tag": "x"},
    }
    with pytest.raises(Conflict, match="changes something"):
        await call("call_tool", **asked)
    assert (await call("call_write_tool", **asked)).result["tags"] == ["x"]
    with pytest.raises(Conflict, match="only reads"):
        await call("call_write_tool", name="list_tables")


async def test_the_inner_call_passes_the_gate(call: Caller, shop: str) -> None:
    asked: dict[str, Any] = {"name": "delete_connection", "arguments": {"connection_id": shop}}
    for door in ("call_tool", "call_write_tool"):
        with pytest.raises(Unauthorized):
            await call(door, **asked, by=VIEWER)
        with pytest.raises(NotFound):
            await call(door, name="no_such_tool")
    with pytest.raises(InvalidArgument):
        await call("call_tool", name="list_tables", arguments={"page_size": 0})


async def test_doors_do_not_open_doors(call: Caller) -> None:
    for inner in ("call_tool", "call_write_tool"):
        for door in ("call_tool", "call_write_tool"):
            with pytest.raises(Conflict, match="other tools"):
                await call(door, name=inner, arguments={"name": "list_tables"}, by=NO_RIGHTS)


async def test_nobody_is_refused(call: Caller) -> None:
    for tool, arguments in (("search_tools", {"query": "x"}), ("call_tool", {"name": "health"})):
        with pytest.raises(Unauthorized):
            await call(tool, by=NOBODY, **arguments)
