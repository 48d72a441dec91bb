"""get_records and get_record_by_id."""

from typing import Any

import pytest
from pydantic import BaseModel

from core.errors import Conflict, InvalidArgument, NotFound, QueryUnauthorized, Unauthorized
from tests.engine.catalog.conftest import run_sql
from tests.fixtures_catalog import NO_RIGHTS, STRANGER, VIEWER, Caller, Desk


@pytest.fixture
def shop(desk: Desk, call: Caller) -> str:
    run_sql(
        desk.roots / "shop.db",
        "CREATE TABLE line (order_no INTEGER, line_no INTEGER, note TEXT, PRIMARY KEY (order_no, line_no));"
        "INSERT INTO line VALUES (1, 1, 'a'), (1, 2, 'b'), (2, 1, NULL);"
        'CREATE TABLE "a.b" ("x ""y" TEXT); INSERT INTO "a.b" VALUES (\'1 OR 1=1\'), (\'2\'), (\'2\');',
    )
    return "shop"


async def read(call: Caller, **arguments: Any) -> tuple[list[dict[str, Any]], Any]:
    page = await call("get_records", by=VIEWER, connection_id="shop", **arguments)
    return page.data.records(), page.metadata


async def test_records_come_page_by_page_in_the_order_of_the_key(call: Caller, shop: str, desk: Desk) -> None:
    rows, facts = await read(call, table="line", limit=2)
    assert rows == [{"order_no": 1, "line_no": 1, "note": "a"}, {"order_no": 1, "line_no": 2, "note": "b"}]
    assert (facts.row_count, facts.has_more, facts.next_offset) == (2, True, 2)
    rows, facts = await read(call, table="line", limit=2, offset=facts.next_offset)
    assert rows == [{"order_no": 2, "line_no": 1, "note": None}]
    assert (facts.has_more, facts.next_offset, facts.from_cache) == (False, None, False)
    assert desk.gate.records[-1].resources == ("connection:shop", "table:shop/line")


async def test_the_documents_example_is_answered(call: Caller, shop: str) -> None:
    filters = [{"column": "name", "operator": "eq", "value": "b"}]
    rows, facts = await read(call, table="item", columns=["id", "name"], limit=100, offset=0, filters=filters)
    assert (rows, facts.query_id[:4]) == ([{"id": 2, "name": "b"}], "qry_")


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        ({"column": "order_no", "operator": "ne", "value": 1}, [2]),
        ({"column": "line_no", "operator": "between", "value": [2, 9]}, [1]),
        ({"column": "note", "operator": "is_null"}, [2]),
        ({"column": "note", "operator": "is_null", "value": False}, [1, 1]),
        ({"column": "note", "operator": "like", "value": "%b"}, [1]),
        ({"column": "note", "operator": "in", "value": ["b", "' OR 1=1 --"]}, [1]),
        ({"column": "note", "operator": "eq", "value": "a' OR '1'='1"}, []),
    ],
)
async def test_filters(call: Caller, shop: str, condition: dict[str, Any], wanted: list[int]) -> None:
    rows, _ = await read(call, table="line", columns=["order_no"], filters=[condition])
    assert [row["order_no"] for row in rows] == wanted


async def test_the_platforms_limit_shows_as_more_to_come(call: Caller, shop: str) -> None:
    rows, facts = await read(call, table="many", limit=1000, order=[{"column": "n", "direction": "desc"}])
    assert (len(rows), rows[0], facts.next_offset) == (100, {"n": 500}, 100)  # the limit in this test


async def test_a_stream_comes_in_parts(call: Caller, shop: str) -> None:
    parts: list[Any] = []

    async def emit(part: BaseModel) -> None:
        parts.append(part)

    end = await call("get_records", emit=emit, connection_id="shop", table="many", limit=400, stream=True)
    assert [row["n"] for part in parts for row in part.data.records()] == list(range(1, 401))
    assert (end.data.records(), end.data.arrow(), end.metadata.next_offset) == ([], b"", 400)
    parts.clear()
    whole = await call("get_records", connection_id="shop", table="many", limit=4, stream=True)  # nobody listens
    assert (parts, len(whole.data.records())) == ([], 4)


async def test_one_record_by_its_key(call: Caller, shop: str) -> None:
    async def get(**arguments: Any) -> Any:
        return (await call("get_record_by_id", by=VIEWER, connection_id="shop", **arguments)).record

    assert await get(table="item", key=["2"]) == {"id": 2, "name": "b"}
    assert await get(table="line", key=["1", "2"]) == {"order_no": 1, "line_no": 2, "note": "b"}
    assert await get(table='"a.b"', key=["1 OR 1=1"], key_columns=['x "y']) == {'x "y': "1 OR 1=1"}
    for key in (["7"], ["1 OR 1=1"], [""], ["x' OR 'a'='a"]):
        with pytest.raises(NotFound):
            await get(table="item", key=key)
    with pytest.raises(Conflict, match="2 columns"):
        await get(table="line", key=["1"])
    with pytest.raises(Conflict, match="no key"):
        await get(table="many", key=["1"])
    with pytest.raises(Conflict, match="More than one"):
        await get(table='"a.b"', key=["2"], key_columns=['x "y'])


async def test_a_write_is_in_the_audit_also_when_it_is_refused(call: Caller, shop: str, desk: Desk) -> None:
    with pytest.raises(Conflict, match="only reads"):
        await call("insert_records", connection_id="shop", table="item", records=[{"id": 9}])
    [record] = desk.gate.records
    assert (record.tool, record.effect, record.code, record.decision) == (
        "insert_records",
        "write",
        "CONFLICT",
        "refused",
    )
    assert record.resources == ("connection:shop", "table:shop/item")


async def test_refusals(call: Caller, shop: str) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [("get_records", {}), ("get_record_by_id", {"key": ["1"]})]
    for tool, more in calls:
        with pytest.raises(Unauthorized):
            await call(tool, by=NO_RIGHTS, connection_id="shop", table="item", **more)
        with pytest.raises(NotFound):
            await call(tool, by=STRANGER, connection_id="shop", table="item", **more)
        with pytest.raises(QueryUnauthorized):
            await call(tool, connection_id="shop", table="no_such_table", **more)
    for bad in ({"columns": ["nothing"]}, {"order": [{"column": "id; DROP"}]}):
        with pytest.raises(QueryUnauthorized):
            await call("get_records", connection_id="shop", table="item", **bad)
    with pytest.raises(QueryUnauthorized):
        await call("get_record_by_id", connection_id="shop", table="item", key=["1"], key_columns=["nothing"])


@pytest.mark.parametrize(
    "arguments",
    [
        {"table": "../x"},
        {"table": ""},
        {"limit": 0},
        {"limit": 1_000_001},
        {"offset": -1},
        {"filters": [{"column": "id", "operator": "regexp", "value": "x"}]},
        {"filters": [{"column": "id", "operator": "eq", "value": 1}] * 1001},
        {"columns": "id"},
        {"key": ["1"]},
    ],
)
async def test_bad_input_is_refused(call: Caller, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        await call("get_records", **{"connection_id": "shop", "table": "item", **arguments})
