"""create_query, list_queries, get_query, update_query, delete_query."""

from datetime import datetime
from typing import Any

import pytest

from core.context import Principal
from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from engine.identity.roles import BUILT_IN
from engine.projects.projects import Projects
from engine.store.db import Store
from tests.engine.catalog.conftest import run_sql
from tests.fixtures_catalog import ADMIN, NO_RIGHTS, STRANGER, VIEWER, Caller, Desk

EDITOR = Principal("eve", "acme", frozenset({"editor"}), BUILT_IN["editor"])
SQL = "SELECT name FROM item WHERE id = $id"


async def project(store: Store, *names: str, tenant: str = "acme") -> None:
    for name in names:
        await Projects(store).create(Principal("eve", tenant), name, project_id=name)


async def save(call: Caller, **arguments: Any) -> Any:
    return await call("create_query", **{"query_text": SQL, "connection_id": "shop", **arguments})


async def test_a_query_is_kept_with_the_documents_fields(call: Caller, desk: Desk, store: Store) -> None:
    await project(store, "p1")
    made = await save(call, by=EDITOR, project_id="p1", name="One item", parameters={"id": "1"})
    assert made == await call("get_query", by=VIEWER, query_id=made.id)
    told = made.model_dump(mode="json")
    assert [told[name] for name in ("query_text", "tenant_id", "project_id", "archived_at")] == [
        SQL,
        "acme",
        "p1",
        None,
    ]
    assert (made.owner, made.version, made.parameters) == ("eve", 1, {"id": "1"})
    assert made.created_at == made.updated_at and isinstance(made.created_at, datetime)
    assert desk.gate.records[0].resources[-1] == f"saved_query:{made.id}"


async def test_a_query_that_names_what_a_reader_does_not_see_does_not_exist_for_them(call: Caller) -> None:
    await save(call, query_id="good")
    for number, text in enumerate(
        [
            "string",
            "SELECT * FROM no_such_table",
            "SELECT no_such_column FROM item",
            "DELETE FROM item",
            "SELECT 1; SELECT 2",
            "SELECT '" + "x" * 60_000,
        ]
    ):
        assert (await save(call, query_id=f"bad{number}", query_text=text)).query_text == text
        for tool in ("get_query", "update_query", "delete_query"):
            with pytest.raises(NotFound) as hidden:
                await call(tool, by=EDITOR, query_id=f"bad{number}")
            with pytest.raises(NotFound) as missing:
                await call(tool, by=EDITOR, query_id="bad9")
            assert hidden.value.message.replace(f"bad{number}", "X") == missing.value.message.replace("bad9", "X")
    mine, theirs = await call("list_queries"), await call("list_queries", by=VIEWER)
    assert (mine.total_count, theirs.total_count, [each.id for each in theirs.queries]) == (7, 1, ["good"])


async def test_what_is_visible_follows_the_source(call: Caller, desk: Desk) -> None:
    await save(call, query_id="later", query_text="SELECT x FROM later")
    with pytest.raises(NotFound):
        await call("get_query", by=VIEWER, query_id="later")
    run_sql(desk.roots / "shop.db", "CREATE TABLE later (x INTEGER)")
    await desk.catalog.snapshots.refresh(ADMIN, "shop")
    assert (await call("get_query", by=VIEWER, query_id="later")).id == "later"
    await desk.catalog.delete_connection(ADMIN, "shop")
    with pytest.raises(NotFound):
        await call("get_query", by=VIEWER, query_id="later")
    assert (await call("get_query", query_id="later")).query_text == "SELECT x FROM later"  # its author knows it


async def test_who_changes_a_text_is_its_author_from_then_on(call: Caller) -> None:
    await save(call, query_id="q")
    await call("update_query", by=EDITOR, query_id="q", query_text="SELECT salary FROM hidden")
    assert (await call("get_query", by=EDITOR, query_id="q")).owner == "ada"
    with pytest.raises(NotFound):
        await call("get_query", by=ADMIN, query_id="q")


async def test_an_agent_of_the_author_sees_no_more_than_it_may_read(call: Caller) -> None:
    await save(call, query_id="q", query_text="SELECT salary FROM hidden")
    agent = Principal(ADMIN.subject, ADMIN.tenant, ADMIN.roles, ADMIN.permissions, via="agent")
    with pytest.raises(NotFound):
        await call("get_query", by=agent, query_id="q")


async def test_changes_are_lost_to_nobody(call: Caller) -> None:
    await save(call, query_id="q", name="old")
    changed = await call("update_query", query_id="q", name="new", version=1)
    assert (changed.name, changed.query_text, changed.version) == ("new", SQL, 2)
    stale: list[tuple[str, dict[str, Any]]] = [("update_query", {"name": "other"}), ("delete_query", {})]
    for tool, arguments in stale:
        with pytest.raises(Conflict, match="version 2"):
            await call(tool, query_id="q", version=1, **arguments)
    assert (await call("get_query", query_id="q")).name == "new"
    await call("delete_query", query_id="q", version=2)
    with pytest.raises(NotFound):
        await call("get_query", query_id="q")
    with pytest.raises(Conflict, match="taken"):
        await save(call, query_id="q")


async def test_a_query_belongs_to_a_project_that_one_sees(call: Caller, store: Store) -> None:
    await project(store, "gone", "here")
    await project(store, "foreign", tenant="other")
    await Projects(store).delete(EDITOR, "gone")
    await save(call, query_id="q", project_id="here")
    told = []
    for name in ("foreign", "gone", "nothere"):
        with pytest.raises(NotFound) as made:
            await call("create_query", project_id=name, query_text=SQL)
        with pytest.raises(NotFound) as moved:
            await call("update_query", project_id=name, query_id="q")
        told += [refused.value.message.replace(name, "X") for refused in (made, moved)]
    assert set(told) == {"No project 'X'."}
    assert (await call("get_query", query_id="q")).project_id == "here"
    assert (await call("list_queries", project_id="foreign")).items == []


async def test_listings_page_and_filter_by_project(call: Caller, store: Store) -> None:
    await project(store, "p0", "p1")
    for number in range(70):
        await save(call, query_id=f"q{number:02}", project_id=f"p{number % 2}")
    first = await call("list_queries", by=VIEWER, project_id="p1", page_size=30)
    rest = await call("list_queries", by=VIEWER, project_id="p1", page_size=30, page_token=first.next_page_token)
    assert [each.id for each in [*first.items, *rest.items]] == [f"q{number:02}" for number in range(1, 70, 2)]
    assert (first.total_count, rest.next_page_token) == (35, None)
    skipped = await call("list_queries", by=VIEWER, skip=68, limit=100)
    assert [each.id for each in skipped.queries] == ["q68", "q69"]


async def test_rights_and_tenants(call: Caller) -> None:
    await save(call, query_id="q")
    writing: dict[str, dict[str, Any]] = {
        "create_query": {"query_text": "x"},
        "update_query": {"query_id": "q"},
        "delete_query": {"query_id": "q"},
    }
    for tool, arguments in writing.items():
        with pytest.raises(Unauthorized):
            await call(tool, by=VIEWER, **arguments)
    for tool in ("get_query", "update_query", "delete_query"):
        with pytest.raises(NotFound):
            await call(tool, by=STRANGER, query_id="q")
    assert (await call("list_queries", by=STRANGER)).total_count == 0
    with pytest.raises(Unauthorized):
        await call("list_queries", by=NO_RIGHTS)
    with pytest.raises(NotFound):
        await save(call, connection_id="no-such-connection")


@pytest.mark.parametrize(
    "arguments",
    [
        {"query_text": ""},
        {"query_text": "x" * 65_537},
        {"query_text": "a\0b"},
        {"project_id": "../x"},
        {"query_id": "a b"},
        {"parameters": {"a": 1}},
        {"name": "x" * 256},
        {"text": "x"},
    ],
)
async def test_bad_input_is_refused(call: Caller, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        await save(call, **arguments)
