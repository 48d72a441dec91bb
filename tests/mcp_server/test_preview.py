"""Previews keep their budget whatever the cells hold, and say what they leave out."""

from typing import Any

import pytest
from mcp_types import CallToolResult

from core.portable import Rows, RowsColumn, RowsPreview
from mcp_server.results import tool_result
from mcp_server.text import cost, json_text
from tests.fakes.sample_tools import RowsResult

BUDGET = 8_000


def preview(rows: list[dict[str, Any]], privacy: str = "public") -> RowsPreview:
    columns = [RowsColumn(name, "varchar", privacy) for name in (rows[0] if rows else {})]
    told = [{"column": column.name, "nulls": 0, "distinct": 1, "min": "m" * 80, "max": None} for column in columns]
    return RowsPreview(len(rows), columns, lambda offset, count: rows[offset : offset + count], lambda: told, "qry_1")


async def show(rows: list[dict[str, Any]], tokens: int = 2_000, **more: Any) -> tuple[str, dict[str, Any]]:
    result = RowsResult(data=Rows(lambda: rows, None, preview(rows, **more)), row_count=len(rows))
    made = await tool_result(result, tool="list_rows", by=None, results=None, request_id="r", tokens=tokens)
    answer = made.to_mcp_result()
    assert isinstance(answer, CallToolResult)
    wire: dict[str, Any] = answer.model_dump(by_alias=True)
    return wire["content"][0]["text"], wire


PATHOLOGICAL: dict[str, list[dict[str, Any]]] = {
    "a megabyte of text": [{"a": "x" * 1_000_000, "b": 1}] * 3,
    "ten thousand columns": [{f"column_{number}": number for number in range(10_000)}] * 2,
    "emoji": [{"a": "👩‍👩‍👧‍👦" * 2_000}] * 20,
    "long names": [{"n" * 50_000: 1, "m" * 50_000: 2}],
    "deep": [{"a": {"b": [{"c": ["d" * 900] * 40}] * 40}}] * 20,
    "base64": [{"a": "QUJD" * 10_000}] * 20,
    "many rows": [{"id": number, "name": f"row {number}"} for number in range(5_000)],
    "forty long cells": [{f"c{number}": "y" * 5_000 for number in range(40)}] * 5,
    "line breaks": [{"a": "\n\r,\"'" * 300}] * 50,
}


@pytest.mark.parametrize("name", PATHOLOGICAL)
@pytest.mark.parametrize("tokens", [100, 2_000])
async def test_the_budget_holds(name: str, tokens: int) -> None:
    text, wire = await show(PATHOLOGICAL[name], tokens)
    assert cost(text) <= tokens * 4 + (400 if tokens == 100 else 0)
    assert "CUT TO FIT" in text and wire["_meta"]["headwater/result"] == "headwater://results/qry_1"
    assert len(json_text(wire["structuredContent"])) < 25_000


async def test_at_least_one_row_is_shown_where_columns_allow() -> None:
    for name in ("a megabyte of text", "forty long cells", "emoji"):
        _, wire = await show(PATHOLOGICAL[name])
        assert wire["_meta"]["headwater/rows"]["data"][0] >= 1, name


async def test_what_is_small_is_whole_typed_and_labelled() -> None:
    text, wire = await show([{"a": "x", "b": ""}, {"a": None, "b": "y,z"}], privacy="masked")
    assert 'data (2):\na varchar [masked],b varchar [masked]\nx,""\n,"y,z"' in text
    assert "CUT" not in text and "profile" not in text
    assert wire["structuredContent"]["data"] == [{"a": "x", "b": ""}, {"a": None, "b": "y,z"}]


async def test_what_is_cut_is_profiled_and_counted() -> None:
    text, wire = await show(PATHOLOGICAL["many rows"])
    shown, total = wire["_meta"]["headwater/rows"]["data"]
    assert (total, text.count(f"\n{shown - 1},row ")) == (5_000, 1)
    assert f"{shown} of 5000 rows shown. Read on at headwater://results/qry_1?offset={shown}" in text
    assert "profile of all rows" in text and wire["_meta"]["headwater/truncated"] is True
