"""What goes by a table's name stays with the table, and with the name: policies, tags, maintenance, words."""

import json
from typing import Any

import pytest
from sqlalchemy import update

from core.errors import Conflict
from engine.store.tables import policies
from tests.faces.world import load_shop
from tests.fixtures_results import Shop, shop, shop_template

__all__ = ["shop", "shop_template"]

HIDDEN: dict[str, Any] = {"kind": "column", "privacy": "hidden", "applies_to": {"users": ["ada"]}}
COLUMNS = [{"name": "id", "type": "bigint"}, {"name": "email", "type": "string"}]


async def columns(shop: Shop, table: str) -> list[str]:
    """What ada sees of it."""
    return [column.name for column in (await shop.call("list_columns", table=table, connection_id="lakehouse")).columns]


async def made(shop: Shop, name: str = "people", dataset: str = "crm") -> str:
    found = {item.name: item.id for item in (await shop.call("list_datasets", by="cora")).datasets}
    dataset_id = found.get(dataset) or (await shop.call("create_dataset", by="cora", name=dataset)).id
    table = await shop.call("create_managed_table", by="cora", name=name, schema=COLUMNS, dataset_id=dataset_id)
    return str(table.id)


async def hide_email(shop: Shop, **rule: Any) -> str:
    rule = rule or {"table": "crm.people", "columns": ["email"]}
    policy = await shop.call("create_policy", by="cora", policy_id="p", name="p", **HIDDEN, **rule)
    return str(policy.policy_id)


async def test_a_policy_stays_with_a_renamed_table_and_with_its_name(shop: Shop) -> None:
    table_id = await made(shop)
    await hide_email(shop)
    await shop.call("update_managed_table", by="cora", table_id=table_id, name="people_old")
    await made(shop)
    assert await columns(shop, "crm.people_old") == ["id"]
    assert await columns(shop, "crm.people") == ["id"]


async def test_a_table_made_anew_under_a_policys_name_keeps_it_wherever_it_goes(shop: Shop) -> None:
    first = await made(shop)
    await hide_email(shop)
    await shop.call("delete_managed_table", by="cora", table_id=first)
    second = await made(shop)
    await shop.call("rename_column", by="cora", table="crm.people", old_name="email", new_name="mail")
    assert await columns(shop, "crm.people") == ["id"]
    [dataset] = (await shop.call("list_datasets", by="cora")).datasets
    await shop.call("update_managed_table", by="cora", table_id=second, name="folk")
    await shop.call("update_dataset", by="cora", dataset_id=dataset.id, name="sales")
    await shop.call("rename_column", by="cora", table="sales.folk", old_name="mail", new_name="post")
    assert await columns(shop, "sales.folk") == ["id"]


async def test_a_row_filter_follows_too_and_the_column_it_reads_stays(shop: Shop) -> None:
    first = await made(shop)
    rule: dict[str, Any] = {"kind": "row_filter", "table": "crm.people", "filter": "email = 'x'"}
    await shop.call("create_policy", by="cora", policy_id="f", name="f", **rule)
    await shop.call("delete_managed_table", by="cora", table_id=first)
    second = await made(shop)
    await shop.call("update_managed_table", by="cora", table_id=second, name="folk")
    await shop.call("rename_column", by="cora", table="crm.folk", old_name="email", new_name="mail")
    access = await shop.call("explain_access", by="cora", table="crm.folk", user_id="ada")
    assert (access.visible, "f" in str(access.effect)) == (True, True)
    with pytest.raises(Conflict, match="needs that column"):
        await shop.call("drop_column", by="cora", table="crm.folk", name="mail")
    assert await columns(shop, "crm.folk") == ["id", "mail"]


async def test_changing_a_policy_of_a_renamed_table_does_not_move_it_to_the_names_new_owner(shop: Shop) -> None:
    table_id = await made(shop)
    await hide_email(shop)
    await shop.call("update_managed_table", by="cora", table_id=table_id, name="people_old")
    await made(shop)
    await shop.call("update_policy", by="cora", policy_id="p", applies_to={"roles": ["editor"]})
    assert await columns(shop, "crm.people_old") == await columns(shop, "crm.people") == ["id"]


async def test_tags_and_the_policies_by_them_follow(shop: Shop) -> None:
    first = await made(shop)
    tagged: dict[str, Any] = {"connection_id": "lakehouse", "table": "crm.people", "column": "email", "tag": "pii"}
    await shop.call("tag_column", by="cora", **tagged)
    await hide_email(shop, tag="pii")
    await shop.call("delete_managed_table", by="cora", table_id=first)
    second = await made(shop)
    assert await columns(shop, "crm.people") == ["id"]
    await shop.call("update_managed_table", by="cora", table_id=second, name="folk")
    await shop.call("rename_column", by="cora", table="crm.folk", old_name="email", new_name="mail")
    assert await columns(shop, "crm.folk") == ["id"]


async def test_where_a_policy_cannot_be_read_the_table_keeps_its_name(shop: Shop) -> None:
    first, second = await made(shop), await made(shop, "other")
    await hide_email(shop)
    engine = shop.platform.engine
    await engine.store.write(lambda connection: connection.execute(update(policies).values(rule="{}")))
    engine.catalog.policies.forget("default")
    row = await engine.datasets.rows.table("default", first)
    await engine.datasets.rows.change(row, row.updated_at + 1, state="moving", target=json.dumps({"name": "folk"}))
    [dataset] = await engine.datasets.rows.datasets("default")
    await engine.datasets.rows.change(
        await engine.datasets.rows.table("default", first),
        row.updated_at + 2,
        target=json.dumps({"dataset_id": dataset.dataset_id, "name": "folk"}),
    )
    with pytest.raises(Conflict, match="cannot be read"):
        await engine.datasets.settler.table(await engine.datasets.rows.table("default", first))
    assert sorted(engine.lake.locations("default")) == ["crm.other", "crm.people"]
    with pytest.raises(Conflict, match="cannot be read"):
        await shop.call("update_dataset", by="cora", dataset_id=dataset.dataset_id, name="sales")
    assert engine.lake.namespaces("default") == ["crm"]
    assert (await shop.call("get_managed_table", by="cora", table_id=second)).table == "crm.other"


async def test_maintenance_goes_with_the_table_and_ends_with_it(shop: Shop) -> None:
    table_id = await made(shop)
    expiry = {"enabled": True, "cron": "@daily", "retain_last": 7}
    before = await shop.call("set_maintenance_policy", by="cora", table="crm.people", expiry=expiry)
    await shop.call("describe_table", by="cora", connection_id="lakehouse", table="crm.people", description="Folk.")
    [dataset] = (await shop.call("list_datasets", by="cora")).datasets
    await shop.call("update_managed_table", by="cora", table_id=table_id, name="folk")
    await shop.call("update_dataset", by="cora", dataset_id=dataset.id, name="sales")
    after = await shop.call("get_maintenance_policy", by="cora", table="sales.folk")
    assert (after.expiry, after.runs) == (before.expiry, before.runs)
    [schedule] = (await shop.call("list_schedules", by="cora")).schedules
    assert (schedule.name, schedule.tool) == ("expiry of sales.folk", "expire_snapshots")
    shown = await shop.call("get_table", by="cora", connection_id="lakehouse", table="sales.folk")
    assert "Folk." in str(shown)
    await shop.call("delete_managed_table", by="cora", table_id=table_id)
    assert (await shop.call("list_schedules", by="cora")).total_count == 0
    await made(shop, "folk", "sales")
    assert (await shop.call("get_maintenance_policy", by="cora", table="sales.folk")).runs == []


async def test_what_another_engine_renames_is_followed(shop: Shop) -> None:
    load_shop(shop.platform)
    engine = shop.platform.engine
    await shop.call("list_managed_tables", by="cora")
    await shop.call("create_policy", by="cora", name="p", **HIDDEN, table="shop.customers", columns=["name"])
    await shop.call("set_maintenance_policy", by="cora", table="shop.customers", manifests={"enabled": True})
    engine.lake.commit_now("default", lambda catalog: catalog.rename_table("shop.customers", "shop.people"))
    await shop.call("list_managed_tables", by="cora")
    assert "name" not in await columns(shop, "shop.people")
    [run] = (await shop.call("get_maintenance_policy", by="cora", table="shop.people")).runs
    assert run.part == "manifests"
