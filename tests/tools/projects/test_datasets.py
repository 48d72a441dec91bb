import json

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from tests.faces.world import load_shop
from tests.fixtures_results import Shop, shop, shop_template

__all__ = ["shop", "shop_template"]

COLUMNS = [{"name": "id", "type": "bigint", "nullable": False}, {"name": "name", "type": "string"}]


async def test_a_dataset_is_a_namespace_and_a_table_one_of_the_lakehouse(shop: Shop) -> None:
    await shop.call("create_project", name="One", project_id="p1")
    made = await shop.call("create_dataset", name="sales", description="Orders.", project_id="p1")
    table = await shop.call("create_managed_table", name="orders", schema=COLUMNS, dataset_id=made.id)
    assert (table.table, [column.name for column in table.schema]) == ("sales.orders", ["id", "name"])
    assert not table.schema[0].nullable
    assert shop.platform.engine.lake.namespaces("default") == ["sales"]
    rows = await shop.call("execute_query", sql="SELECT count(*) AS n FROM sales.orders")
    assert rows.data.records() == [{"n": 0}]
    assert await shop.call("get_dataset", dataset_id=made.id) == made
    assert (await shop.call("list_datasets_by_project", project_id="p1")).datasets == [made]
    assert (await shop.call("list_managed_tables_by_dataset", dataset_id=made.id)).tables == [table]
    assert await shop.call("get_managed_table", table_id=table.id) == table


async def test_what_the_lakehouse_holds_already_has_a_dataset(shop: Shop) -> None:
    load_shop(shop.platform)
    [found] = (await shop.call("list_datasets")).datasets
    tables = (await shop.call("list_managed_tables")).tables
    assert (found.name, sorted(table.table for table in tables)) == ("shop", ["shop.customers", "shop.orders"])
    assert {table.dataset_id for table in tables} == {found.id}
    assert (await shop.call("list_managed_tables")).tables == tables


async def test_renaming_moves_tables_and_keeps_their_ids(shop: Shop) -> None:
    load_shop(shop.platform)
    [dataset] = (await shop.call("list_datasets")).datasets
    tables = {table.name: table.id for table in (await shop.call("list_managed_tables")).tables}
    await shop.call("update_dataset", dataset_id=dataset.id, name="store.eu")
    await shop.call("update_managed_table", table_id=tables["orders"], name="purchases")
    other = await shop.call("create_dataset", name="people")
    moved = await shop.call("update_managed_table", table_id=tables["customers"], dataset_id=other.id)
    assert (moved.table, moved.id) == ("people.customers", tables["customers"])
    names = {table.table for table in (await shop.call("list_managed_tables")).tables}
    assert names == {"store.eu.purchases", "people.customers"}
    rows = await shop.call("execute_query", sql="SELECT count(*) AS n FROM store.eu.purchases")
    assert rows.data.records() == [{"n": 4}]


async def test_a_deleted_table_is_gone_at_once_and_comes_back(shop: Shop) -> None:
    load_shop(shop.platform)
    [orders] = [table for table in (await shop.call("list_managed_tables")).tables if table.name == "orders"]
    await shop.call("delete_managed_table", table_id=orders.id)
    with pytest.raises(NotFound):
        await shop.call("get_managed_table", table_id=orders.id)
    assert "shop.orders" not in (await shop.call("list_lakehouse_tables")).tables
    assert (await shop.call("list_lakehouse_tables")).namespaces == ["shop"]
    [gone] = (await shop.call("list_managed_tables", archived=True)).tables
    assert gone.id == orders.id and gone.archived_at is not None
    await shop.call("restore_managed_table", table_id=orders.id)
    rows = await shop.call("execute_query", sql="SELECT count(*) AS n FROM shop.orders")
    assert rows.data.records() == [{"n": 4}]


async def test_a_dataset_comes_back_with_the_tables_that_went_with_it(shop: Shop) -> None:
    load_shop(shop.platform)
    [dataset] = (await shop.call("list_datasets")).datasets
    tables = {table.name: table.id for table in (await shop.call("list_managed_tables")).tables}
    await shop.call("delete_managed_table", table_id=tables["customers"])
    await shop.call("delete_dataset", dataset_id=dataset.id)
    assert (await shop.call("list_datasets")).datasets == []
    assert shop.platform.engine.lake.namespaces("default") == []
    with pytest.raises(Conflict):
        await shop.call("restore_managed_table", table_id=tables["orders"])
    await shop.call("restore_dataset", dataset_id=dataset.id)
    assert [table.name for table in (await shop.call("list_managed_tables")).tables] == ["orders"]


async def test_deleted_files_are_purged_after_a_week(shop: Shop) -> None:
    load_shop(shop.platform)
    engine = shop.platform.engine
    found = {table.name: table.id for table in (await shop.call("list_managed_tables")).tables}
    folder = engine.lake.tenant_folder("default") / "shop"
    await shop.call("delete_managed_table", table_id=found["orders"])
    assert await engine.datasets.settler.upkeep() == 0
    now = engine.datasets.settler.clock()
    engine.datasets.settler.clock = lambda: now + 8 * 24 * 3600
    assert await engine.datasets.settler.upkeep() == 1
    assert not list((folder / "orders").rglob("*.parquet")) and list((folder / "customers").rglob("*.parquet"))
    with pytest.raises(NotFound):
        await shop.call("restore_managed_table", table_id=found["orders"])


async def test_a_deleted_dataset_is_forgotten_after_a_week_and_its_id_is_free_again(shop: Shop) -> None:
    for name in ("sales", "people"):
        await shop.call("create_dataset", name=name, dataset_id=name)
    await shop.call("create_managed_table", name="t", schema=COLUMNS, dataset_id="sales")
    await shop.call("delete_dataset", dataset_id="sales")
    settler = shop.platform.engine.datasets.settler
    await settler.upkeep()
    with pytest.raises(Conflict):
        await shop.call("create_dataset", name="other", dataset_id="sales")
    now = settler.clock()
    settler.clock = lambda: now + 8 * 24 * 3600
    assert await settler.upkeep() == 1
    assert (await shop.call("list_datasets", archived=True)).datasets == []
    with pytest.raises(NotFound):
        await shop.call("restore_dataset", dataset_id="sales")
    await shop.call("create_dataset", name="other", dataset_id="sales")
    assert {item.name for item in (await shop.call("list_datasets")).datasets} == {"people", "other"}


async def test_what_a_kill_left_half_done_is_ended_by_the_next_to_look(shop: Shop) -> None:
    dataset = await shop.call("create_dataset", name="sales")
    table = await shop.call("create_managed_table", name="t", schema=COLUMNS, dataset_id=dataset.id)
    datasets = shop.platform.engine.datasets
    row, now = await datasets.rows.table("default", table.id), datasets.settler.clock()
    target = json.dumps({"dataset_id": dataset.id, "name": "moved"})
    await datasets.rows.change(row, now, state="moving", target=target, taken_name=f"{dataset.id}.moved")
    assert [item.table for item in (await shop.call("list_managed_tables")).tables] == ["sales.t"]
    datasets.settler.clock = lambda: now + 30
    assert [item.table for item in (await shop.call("list_managed_tables")).tables] == ["sales.moved"]
    await datasets.rows.change(await datasets.rows.dataset("default", dataset.id), now + 31, state="archiving")
    datasets.settler.clock = lambda: now + 90
    assert (await shop.call("list_managed_tables")).tables == []
    assert shop.platform.engine.lake.namespaces("default") == []


async def test_columns_are_added_and_widened_and_never_lost(shop: Shop) -> None:
    dataset = await shop.call("create_dataset", name="sales")
    table = await shop.call(
        "create_managed_table", name="t", schema=[{"name": "a", "type": "int"}], dataset_id=dataset.id
    )
    wider = [{"name": "a", "type": "bigint", "description": "A."}, {"name": "b", "type": "decimal(9, 2)"}]
    changed = await shop.call("update_managed_table", table_id=table.id, schema=wider)
    assert [(column.name, column.type) for column in changed.schema] == [("a", "bigint"), ("b", "decimal(9, 2)")]
    for bad in ([{"name": "a", "type": "bigint"}], [{"name": "a", "type": "int"}, wider[1]]):
        with pytest.raises(Conflict):
            await shop.call("update_managed_table", table_id=table.id, schema=bad)


async def test_bad_names_and_schemas_are_refused(shop: Shop) -> None:
    dataset = await shop.call("create_dataset", name="sales")
    for name in ("", "a/b", "../x", "a..b", "a b\n"):
        with pytest.raises(InvalidArgument):
            await shop.call("create_dataset", name=name)
    for name in ("sales", "SALES", "headwater", "headwater_trash"):
        with pytest.raises(Conflict):
            await shop.call("create_dataset", name=name)
    for schema in ("id int", [1], [{"type": "int"}], [{"name": "a", "type": "noSuchType"}], [COLUMNS[0]] * 2):
        with pytest.raises(Conflict):
            await shop.call("create_managed_table", name="t", schema=schema, dataset_id=dataset.id)
    assert (await shop.call("list_managed_tables")).tables == []


async def test_another_tenants_objects_do_not_exist_and_viewers_change_nothing(shop: Shop) -> None:
    dataset = await shop.call("create_dataset", name="sales")
    table = await shop.call("create_managed_table", name="t", dataset_id=dataset.id)
    for tool, arguments in (
        ("get_dataset", {"dataset_id": dataset.id}),
        ("update_dataset", {"dataset_id": dataset.id, "name": "x"}),
        ("delete_dataset", {"dataset_id": dataset.id}),
        ("restore_dataset", {"dataset_id": dataset.id}),
        ("list_managed_tables_by_dataset", {"dataset_id": dataset.id}),
        ("create_managed_table", {"dataset_id": dataset.id, "name": "x"}),
        ("get_managed_table", {"table_id": table.id}),
        ("update_managed_table", {"table_id": table.id, "name": "x"}),
        ("delete_managed_table", {"table_id": table.id}),
        ("restore_managed_table", {"table_id": table.id}),
    ):
        with pytest.raises(NotFound):
            await shop.call(tool, by="olga", **arguments)
    await shop.give("ada", "viewer")
    with pytest.raises(Unauthorized):
        await shop.call("create_dataset", name="x")
    with pytest.raises(Unauthorized):
        await shop.call("delete_managed_table", table_id=table.id)
    assert (await shop.call("list_datasets")).datasets == [dataset]


async def test_hidden_tables_have_no_managed_form(shop: Shop) -> None:
    load_shop(shop.platform)
    await shop.call(
        "create_policy",
        by="cora",
        name="p",
        kind="column",
        table="shop.customers",
        columns=["*"],
        privacy="hidden",
        applies_to={"users": ["ada"]},
    )
    assert [table.name for table in (await shop.call("list_managed_tables")).tables] == ["orders"]
    [dataset] = (await shop.call("list_datasets")).datasets
    with pytest.raises(Conflict):
        await shop.call("delete_dataset", dataset_id=dataset.id)
