from typing import Any

import pytest

from core.errors import InvalidArgument, NotFound
from tests.engine.catalog.conftest import run_sql
from tests.engine.catalog.test_snapshots import make_table
from tests.fixtures_catalog import STRANGER, VIEWER, Caller, Desk


async def test_a_schema_comes_in_the_documents_shape(call: Caller, shop: str) -> None:
    await call("tag_column", connection_id=shop, table="customers", column="emailAddress", tag="pii")
    schema = await call("get_schema", connection_id=shop, by=VIEWER)
    shown = schema.model_dump()
    assert shown["connection_id"] == "shop"
    assert [table["name"] for table in shown["tables"]] == ["customers", "order_lines"]
    assert list(shown["tables"][0]) == ["name", "columns", "row_count"]
    assert shown["tables"][0]["columns"][1:] == [
        {"name": "name", "data_type": "text", "nullable": False, "tags": [], "privacy": "public"},
        {"name": "emailAddress", "data_type": "text", "nullable": True, "tags": ["pii"], "privacy": "public"},
    ]


async def test_without_a_connection_the_lakehouse_is_listed(call: Caller, desk: Desk) -> None:
    make_table(desk.lake, "acme", ("db", "events"))
    listed = await call("list_tables", by=VIEWER)
    assert [(item.name, item.column_count, item.kind) for item in listed.tables] == [("db.events", 2, "table")]
    assert (listed.items, listed.total_count) == (listed.tables, 1)
    assert (await call("list_tables", by=STRANGER)).tables == []


async def test_tables_are_listed_in_pages_and_by_namespace(call: Caller, desk: Desk) -> None:
    for parts in (("a", "one"), ("a", "two"), ("b", "three")):
        make_table(desk.lake, "acme", parts)
    first = await call("list_tables", page_size=2)
    rest = await call("list_tables", page_size=2, page_token=first.next_page_token)
    assert [item.name for item in first.items + rest.items] == ["a.one", "a.two", "b.three"]
    assert [item.name for item in (await call("list_tables", namespace="A", skip=1, limit=5)).items] == ["a.two"]
    with pytest.raises(NotFound):
        await call("list_tables", page_size=2, namespace="a", page_token=first.next_page_token)


async def test_a_table_is_shown_with_what_people_wrote(call: Caller, desk: Desk) -> None:
    make_table(desk.lake, "acme", ("db", "events"))
    await call("describe_table", table="db.events", description=" All that happened. ")
    await call("describe_column", table="db.events", column="ID", description="Its number.")
    table = await call("get_table", table="headwater.db.events", by=VIEWER)
    assert (table.name, table.connection_id, table.description) == ("db.events", "lakehouse", "All that happened.")
    assert [(item.name, item.data_type, item.nullable, item.description) for item in table.columns] == [
        ("id", "bigint", False, "Its number."),
        ("note", "varchar", True, "What was said"),
    ]
    cleared = await call("describe_column", table="db.events", column="note", description="")
    assert cleared.description == "What was said"


async def test_columns_are_listed_in_pages(call: Caller, shop: str) -> None:
    page = await call("list_columns", connection_id=shop, table="customers", page_size=2)
    assert ([item.name for item in page.columns], page.total_count) == (["id", "name"], 3)
    assert page.next_page_token


async def test_lakehouse_names_come_in_the_documents_shape(call: Caller, desk: Desk) -> None:
    make_table(desk.lake, "acme", ("db", "events"))
    make_table(desk.lake, "acme", ("analytics", "metrics"))
    desk.lake.create_namespace("acme", "empty")
    listed = await call("list_lakehouse_tables", by=VIEWER)
    assert listed.model_dump() == {
        "namespaces": ["analytics", "db", "empty"],
        "tables": ["analytics.metrics", "db.events"],
    }


async def test_a_tables_schema_comes_in_the_documents_shape(call: Caller, desk: Desk) -> None:
    make_table(desk.lake, "acme", ("db", "events"))
    schema = await call("get_table_schema", table="db.events", by=VIEWER)
    assert schema.model_dump() == {
        "success": True,
        "table": "db.events",
        "columns": [
            {"name": "id", "type": "bigint", "nullable": False, "comment": None},
            {"name": "note", "type": "varchar", "nullable": True, "comment": "What was said"},
        ],
    }


@pytest.mark.parametrize("tool", ["get_table", "list_columns", "get_table_schema", "describe_table"])
async def test_an_unknown_table_is_not_found(call: Caller, shop: str, tool: str) -> None:
    more: dict[str, Any] = {"description": "x"} if tool == "describe_table" else {}
    with pytest.raises(NotFound) as caught:
        await call(tool, connection_id=shop, table="nothing", **more)
    assert "list_tables" in caught.value.hint


@pytest.mark.parametrize("table", ["", "a/b", 'a"', "..", "x" * 513, "a..b"])
async def test_what_is_no_name_is_refused(call: Caller, shop: str, table: str) -> None:
    with pytest.raises(InvalidArgument):
        await call("get_table", connection_id=shop, table=table)


async def test_tags_are_put_on_and_taken_off(call: Caller, shop: str) -> None:
    asked: dict[str, Any] = {"connection_id": shop, "table": "CUSTOMERS", "column": "emailaddress"}
    assert (await call("tag_column", **asked, tag="pii")).tags == ["pii"]
    tagged = await call("tag_column", **asked, tag="contact")
    assert (tagged.table, tagged.column, tagged.tags) == ("customers", "emailAddress", ["contact", "pii"])
    assert (await call("untag_column", **asked, tag="pii")).tags == ["contact"]
    assert (await call("untag_column", **asked, tag="pii")).tags == ["contact"]


async def test_tags_need_a_column_and_plain_signs(call: Caller, shop: str) -> None:
    with pytest.raises(NotFound) as caught:
        await call("tag_column", connection_id=shop, table="customers", column="nothing", tag="pii")
    assert "list_columns" in caught.value.hint
    for tag in ("", "a b", "a/b", "x" * 65):
        with pytest.raises(InvalidArgument):
            await call("tag_column", connection_id=shop, table="customers", column="id", tag=tag)


async def test_a_refresh_sees_new_tables(call: Caller, desk: Desk, shop: str) -> None:
    assert len((await call("get_schema", connection_id=shop)).tables) == 2
    run_sql(desk.roots / "shop.db", "CREATE TABLE refunds (id INTEGER)")
    refreshed = await call("refresh_schema", connection_id=shop)
    assert (refreshed.table_count, refreshed.column_count) == (3, 7)
    assert len((await call("get_schema", connection_id=shop)).tables) == 3


async def test_a_search_finds_tables_and_columns(call: Caller, shop: str) -> None:
    await call("tag_column", connection_id=shop, table="customers", column="emailAddress", tag="pii")
    hits = (await call("search_catalog", q="email", by=VIEWER)).hits
    assert [(hit.kind, hit.table, hit.column, hit.data_type, hit.tags) for hit in hits] == [
        ("column", "customers", "emailAddress", "text", ["pii"]),
        ("table", "customers", None, None, []),
    ]
    assert (await call("search_catalog", q="email", by=STRANGER)).hits == []
    for wrong in ({"q": ""}, {"q": "x", "limit": 0}, {"q": "x", "limit": 101}, {}):
        with pytest.raises(InvalidArgument):
            await call("search_catalog", **wrong)
