import dataclasses
import json
from typing import Any

import pytest
import vl_convert

from core.context import Principal
from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from engine.results.kept import KeptResults
from tests.engine.catalog.conftest import run_sql
from tests.fixtures_catalog import ADMIN, NO_RIGHTS, STRANGER, VIEWER, Caller, Desk

SALES = "SELECT name, sum(id) AS total FROM item GROUP BY name ORDER BY name"
PNG = b"\x89PNG\r\n\x1a\n"


async def ask(call: Caller, sql: str = SALES, by: Principal = VIEWER) -> str:
    answer = await call("execute_query", by=by, connection_id="shop", sql=sql)
    found: str = answer.metadata.query_id
    return found


async def test_a_result_is_read_again_by_the_page(call: Caller, results: KeptResults) -> None:
    query_id = await ask(call, "SELECT n FROM many ORDER BY n")
    for _ in range(2):  # from memory, then from its file
        page = await call("get_result", by=VIEWER, query_id=query_id, offset=97, limit=2)
        assert [row["n"] for row in page.data.records()] == [98, 99]
        assert (page.metadata.row_count, page.metadata.truncated, page.metadata.tool) == (100, True, "execute_query")
        await results.close()


async def test_a_read_is_audited_with_its_tables(call: Caller, desk: Desk) -> None:
    await call("get_result", by=VIEWER, query_id=await ask(call))
    record = desk.gate.records[-1]
    assert (record.tool, record.subject, record.resources) == ("get_result", "vic", ("table:shop/item",))


async def test_a_profile_tells_what_is_in_the_columns(call: Caller) -> None:
    sql = "SELECT 1 AS a, 'x' AS b UNION ALL SELECT 3, NULL UNION ALL SELECT NULL, 'x'"
    page = await call("get_result", by=VIEWER, query_id=await ask(call, sql), profile=True)
    assert [entry.model_dump() for entry in page.profile] == [
        {"column": "a", "nulls": 1, "distinct": 2, "min": 1, "max": 3},
        {"column": "b", "nulls": 1, "distinct": 1, "min": "x", "max": "x"},
    ]


@pytest.mark.parametrize("tool", ["get_result", "chart_result"])
async def test_nobody_else_reads_it(call: Caller, tool: str) -> None:
    query_id = await ask(call)
    for stranger in (STRANGER, ADMIN):
        with pytest.raises(NotFound):
            await call(tool, by=stranger, query_id=query_id)
    for missing in ("no-such", "../../etc/passwd", "x" * 64):
        with pytest.raises(NotFound):
            await call(tool, by=VIEWER, query_id=missing)


async def test_it_dies_with_the_permission(call: Caller) -> None:
    query_id = await ask(call)
    demoted = dataclasses.replace(VIEWER, permissions=VIEWER.permissions - {"query.run"})
    with pytest.raises(NotFound):
        await call("get_result", by=demoted, query_id=query_id)
    with pytest.raises(Unauthorized):
        await call("chart_result", by=demoted, query_id=query_id)
    with pytest.raises(Unauthorized):
        await call("chart_result", by=NO_RIGHTS, query_id=query_id)


async def test_it_dies_with_what_was_read(call: Caller, desk: Desk) -> None:
    query_id = await ask(call)
    run_sql(desk.roots / "shop.db", "DROP TABLE item")
    await desk.catalog.snapshots.refresh(VIEWER, "shop")
    for tool in ("get_result", "chart_result"):
        with pytest.raises(NotFound):
            await call(tool, by=VIEWER, query_id=query_id)


async def test_it_dies_when_an_attribute_changes_that_rules_may_use(call: Caller) -> None:
    query_id = await ask(call)
    with pytest.raises(NotFound):
        await call("get_result", by=dataclasses.replace(VIEWER, attributes={"region": "us"}), query_id=query_id)


async def test_a_result_becomes_a_picture(call: Caller) -> None:
    chart = await call("chart_result", by=VIEWER, query_id=await ask(call), title="Totals")
    assert (chart.kind, chart.title, chart.point_count) == ("bar", "Totals", 2)
    assert chart.png.startswith(PNG) and len(chart.png) < 500_000
    assert chart.spec["data"] == {"values": [{"x": "b", "y": 2.0}, {"x": "a", "y": 1.0}]}


async def test_what_cannot_be_drawn_is_said(call: Caller) -> None:
    query_id = await ask(call)
    for wrong in ({"x": "nothing"}, {"kind": "scatter"}, {"y": ["name"]}):
        with pytest.raises(Conflict):
            await call("chart_result", by=VIEWER, query_id=query_id, **wrong)
    with pytest.raises(Conflict, match="no rows"):
        await call("chart_result", by=VIEWER, query_id=await ask(call, "SELECT id FROM item WHERE id > 9"))
    refused: list[dict[str, Any]] = [{"width": 100_000}, {"height": 1}, {"top": 1}, {"spec": {}}, {"kind": "vega"}]
    for outside in refused:
        with pytest.raises(InvalidArgument):
            await call("chart_result", by=VIEWER, query_id=query_id, **outside)


async def test_names_and_values_stay_text(call: Caller) -> None:
    evil = "datum['x'] \"https://evil.example/x.png\" {signal: 1}"
    sql = f'SELECT \'{evil.replace(chr(39), chr(39) * 2)}\' AS "a.b[0]\'", 5 AS "url.href"'
    chart = await call("chart_result", by=VIEWER, query_id=await ask(call, sql), kind="bar")
    keys = {key for node in walk(chart.spec) if isinstance(node, dict) for key in node}
    assert not keys & {"signal", "expr", "href", "url", "transform", "params", "lookup", "condition", "test"}
    fields = {node["field"] for node in walk(chart.spec) if isinstance(node, dict) and "field" in node}
    assert fields <= {"x", "y", "c"}
    assert chart.png.startswith(PNG)


def walk(node: Any) -> list[Any]:
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [node, *(found for child in children for found in walk(child))]


async def test_drawing_asks_no_network() -> None:
    spec = {"data": {"url": "http://127.0.0.1:9/x.json"}, "mark": "bar", "encoding": {"x": {"field": "a"}}}
    with pytest.raises(ValueError, match=r"(?i)not allowed|denied|url"):
        vl_convert.vegalite_to_png(json.dumps(spec), vl_version="5.21", allowed_base_urls=[])
