"""The life of a table, the same wherever its lakehouse lies."""

from pathlib import Path
from typing import Any

import pytest

from core.errors import NotFound, PlatformError
from tests.fixtures_results import Shop, shop_template
from tests.tools.catalog.lakehouses import PLACES, SECRET, house
from tests.tools.projects.files import ROWS, encoded, load, make_table

__all__ = ["shop_template"]

pytestmark = pytest.mark.slow


async def count(shop: Shop, by: str = "ada", **arguments: Any) -> int:
    answer = await shop.call("execute_query", by=by, sql="SELECT count(*) AS n FROM sales.t", **arguments)
    return int(answer.data.records()[0]["n"])


async def done(shop: Shop, tool: str, **arguments: Any) -> Any:
    """What a job of table care says when it has ended well."""
    result = await shop.call(tool, by="cora", table="sales.t", wait_s=30, **arguments)
    assert not hasattr(result, "job_id"), result  # it would not have ended
    return result


@pytest.mark.parametrize("kind", list(PLACES))
async def test_a_table_lives_its_whole_life(shop_template: Path, tmp_path: Path, kind: str) -> None:
    async with house(shop_template, tmp_path, kind) as (shop, place):
        shown = await shop.call("get_catalog_config", by="cora")
        assert SECRET not in str(shown) and (shown.catalog_type or "sql") == place.config.get("catalog_type", "sql")
        table_id = await make_table(shop)
        for number in range(4):
            await load(shop, table_id, f"{number}.csv", encoded(ROWS, "CSV"))
        assert await count(shop) == 12
        first = (await shop.call("list_snapshots", by="cora", table="sales.t")).snapshots[-1].snapshot_id
        assert await count(shop, as_of=str(first)) == 3
        health = await shop.call("get_table_health", by="cora", table="sales.t")
        assert health.data_file_count == 4 and "compact_table" in health.recommendation
        await done(shop, "compact_table", min_input_files=2)
        await load(shop, table_id, "more.csv", encoded(ROWS, "CSV"), mode="upsert", key_columns=["id"])
        await done(shop, "expire_snapshots", retain_last=1)
        await done(shop, "remove_orphan_files")
        await done(shop, "rewrite_manifests")
        lake = shop.platform.engine.lake
        [table] = lake.tables("default")
        files = [one.location for one in lake.storage("default").walk(f"{table.metadata.location}/data")]
        assert len(files) == (await shop.call("get_table_health", by="cora", table="sales.t")).data_file_count
        with pytest.raises(NotFound):
            await count(shop, as_of=str(first))
        await shop.call("insert_records", table="sales.t", records=[{"id": 7, "name": "g"}, {"id": 8, "name": "h"}])
        await shop.call(
            "update_records",
            table="sales.t",
            filters=[{"column": "id", "operator": "eq", "value": 7}],
            values={"name": "G"},
        )
        await shop.call("delete_records", table="sales.t", filters=[{"column": "id", "operator": "eq", "value": 8}])
        made = await shop.call("create_export_job", table_id=table_id, format="CSV", compression="NONE")
        answer = await shop.get((await shop.call("get_export_job", job_id=made.id)).signed_url)
        assert sorted(line.split(",")[0] for line in answer.text.split()[1:]) == ["1", "2", "3", "7"]
        mask: dict[str, Any] = {"columns": ["name"], "privacy": "masked", "mask": {"kind": "constant", "value": "?"}}
        rule: dict[str, Any] = {"kind": "column", "table": "sales.t", "applies_to": {"users": ["ada"]}, **mask}
        await shop.call("create_policy", by="cora", name="p", **rule)
        answer = await shop.call("execute_query", sql="SELECT DISTINCT name FROM sales.t WHERE name IS NOT NULL")
        assert answer.data.records() == [{"name": "?"}]
        await shop.call("delete_managed_table", by="cora", table_id=table_id)
        with pytest.raises(PlatformError):
            await count(shop)
