from typing import Any

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, PlatformError, Unauthorized, Unavailable
from tests.fixtures_catalog import NO_RIGHTS, STRANGER, VIEWER, Caller, Desk

PG = {"host": "8.8.8.8", "database": "shop", "user": "reader", "password": "tops3cret"}


async def test_the_lakehouse_is_listed_first(call: Caller, shop: str) -> None:
    listed = await call("list_connections", by=VIEWER)
    assert [item.connection_id for item in listed.connections] == ["lakehouse", "shop"]
    assert (listed.items, listed.total_count) == (listed.connections, 2)


async def test_connections_are_listed_in_pages(call: Caller, shop: str) -> None:
    first = await call("list_connections", page_size=1)
    second = await call("list_connections", page_size=1, page_token=first.next_page_token)
    assert [item.connection_id for item in first.items + second.items] == ["lakehouse", "shop"]
    assert second.next_page_token is None
    with pytest.raises(NotFound):
        await call("list_connections", page_size=1, page_token=first.next_page_token, by=VIEWER)
    with pytest.raises(InvalidArgument):
        await call("list_connections", page_size=1, skip=0)


async def test_a_connection_is_shown_without_its_secret(call: Caller) -> None:
    created = await call("create_connection", name="PG", kind="postgresql", options=PG)
    shown = await call("get_connection", by=VIEWER, connection_id=created.connection_id)
    assert "tops3cret" not in shown.model_dump_json()
    assert shown.has_secret
    assert shown.options == {"host": "8.8.8.8", "database": "shop", "user": "reader"}


async def test_a_connection_is_changed_and_deleted(call: Caller, shop: str) -> None:
    before = await call("get_connection", connection_id=shop)
    changed = await call("update_connection", connection_id=shop, name="Store", description="What we sell.")
    assert (changed.name, changed.description, changed.version) == ("Store", "What we sell.", before.version + 1)
    await call("delete_connection", connection_id=shop)
    with pytest.raises(NotFound, match="shop"):
        await call("get_connection", connection_id=shop)


async def test_a_connection_that_answers_says_what_it_is(call: Caller, shop: str) -> None:
    checked = await call("check_connection", connection_id=shop)
    assert (checked.status, checked.server.startswith("SQLite")) == ("ok", True)


async def test_a_connection_whose_file_is_gone_is_unavailable(call: Caller, desk: Desk, shop: str) -> None:
    (desk.roots / "shop.db").unlink()
    with pytest.raises(Unavailable):
        await call("check_connection", connection_id=shop)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("create_connection", {"name": "x", "kind": "sqlite", "options": {"path": "/x"}}),
        ("update_connection", {"connection_id": "shop"}),
        ("delete_connection", {"connection_id": "shop"}),
        ("check_connection", {"connection_id": "shop"}),
        ("set_catalog_config", {}),
        ("refresh_schema", {"connection_id": "shop"}),
        ("tag_column", {"connection_id": "shop", "table": "customers", "column": "id", "tag": "pii"}),
        ("untag_column", {"connection_id": "shop", "table": "customers", "column": "id", "tag": "pii"}),
        ("describe_table", {"connection_id": "shop", "table": "customers", "description": "x"}),
        ("describe_column", {"connection_id": "shop", "table": "customers", "column": "id", "description": "x"}),
    ],
)
async def test_a_viewer_may_not_manage(call: Caller, shop: str, tool: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(Unauthorized):
        await call(tool, by=VIEWER, **arguments)


READS = [
    ("list_connections", {}),
    ("get_connection", {"connection_id": "shop"}),
    ("get_schema", {"connection_id": "shop"}),
    ("list_tables", {"connection_id": "shop"}),
    ("get_table", {"connection_id": "shop", "table": "customers"}),
    ("list_columns", {"connection_id": "shop", "table": "customers"}),
    ("get_table_schema", {"connection_id": "shop", "table": "customers"}),
    ("list_lakehouse_tables", {}),
    ("search_catalog", {"q": "customer"}),
    ("get_catalog_config", {}),
    ("search", {"query": "customer"}),
    ("fetch", {"id": "shop/customers"}),
]


@pytest.mark.parametrize(("tool", "arguments"), READS)
async def test_reading_needs_a_permission(call: Caller, shop: str, tool: str, arguments: dict[str, Any]) -> None:
    await call(tool, by=VIEWER, **arguments)
    with pytest.raises(Unauthorized):
        await call(tool, by=NO_RIGHTS, **arguments)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        *(pair for pair in READS if "connection_id" in pair[1] or "id" in pair[1]),
        ("update_connection", {"connection_id": "shop", "name": "Mine"}),
        ("delete_connection", {"connection_id": "shop"}),
        ("check_connection", {"connection_id": "shop"}),
        ("refresh_schema", {"connection_id": "shop"}),
        ("tag_column", {"connection_id": "shop", "table": "customers", "column": "id", "tag": "pii"}),
        ("untag_column", {"connection_id": "shop", "table": "customers", "column": "id", "tag": "pii"}),
        ("describe_table", {"connection_id": "shop", "table": "customers", "description": "x"}),
        ("describe_column", {"connection_id": "shop", "table": "customers", "column": "id", "description": "x"}),
    ],
)
async def test_another_tenants_connection_does_not_exist(
    call: Caller, shop: str, tool: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(NotFound):
        await call(tool, by=STRANGER, **arguments)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "oracle", "options": {}},
        {"kind": "lakehouse", "options": {}},
        {"kind": "sqlite", "options": {"path": 1}},
        {"kind": "sqlite", "connection_id": "a/b"},
        {"kind": "postgresql", "options": PG, "name": " "},
        {"kind": "postgresql", "options": PG, "name": "x" * 256},
    ],
)
async def test_a_wrong_connection_is_refused(call: Caller, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await call("create_connection", **{"name": "X", **wrong})
    assert "tops3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "options", "refusal"),
    [
        ("sqlite", {}, Conflict),
        ("sqlite", {"path": "/x", "more": "y"}, Conflict),
        ("sqlite", {"path": "relative"}, Conflict),
        ("sqlite", {"path": "/etc/passwd"}, Unauthorized),
        ("sqlite", {"path": "{roots}/nothing"}, NotFound),
        ("postgresql", {**PG, "port": "http"}, Conflict),
        ("postgresql", {**PG, "host": "127.0.0.1"}, Unauthorized),
        ("postgresql", {**PG, "host": "a..b"}, NotFound),
    ],
)
async def test_options_that_fit_the_schema_are_refused_with_another_code_than_400(
    call: Caller, desk: Desk, kind: str, options: dict[str, str], refusal: type[PlatformError]
) -> None:
    given = {name: value.replace("{roots}", str(desk.roots)) for name, value in options.items()}
    with pytest.raises(refusal) as caught:
        await call("create_connection", name="X", kind=kind, options=given)
    assert caught.value.hint and "tops3cret" not in str(caught.value)


async def test_a_taken_id_is_a_conflict(call: Caller, shop: str) -> None:
    for taken in (shop, "lakehouse"):
        with pytest.raises(Conflict):
            await call("create_connection", connection_id=taken, name="New", kind="postgresql", options=PG)
    for verb in ("update_connection", "delete_connection"):
        with pytest.raises(Conflict):
            await call(verb, connection_id="lakehouse")
