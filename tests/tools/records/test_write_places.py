"""Records of tables whose lakehouse lies elsewhere."""

from pathlib import Path

import pytest

from core.errors import Conflict
from tests.fixtures_results import Shop, shop_template
from tests.tools.catalog.lakehouses import house
from tests.tools.projects.files import ROWS, encoded, load, make_table

__all__ = ["shop_template"]


async def count(shop: Shop) -> int:
    answer = await shop.call("execute_query", sql="SELECT count(*) AS n FROM sales.t")
    return int(answer.data.records()[0]["n"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["s3", "postgres_s3"])
async def test_records_are_written_in_buckets(shop_template: Path, tmp_path: Path, kind: str) -> None:
    async with house(shop_template, tmp_path, kind) as (shop, _):
        await load(shop, await make_table(shop), "first.csv", encoded(ROWS, "CSV"))
        before, new = await count(shop), [{"id": 901, "name": "a"}, {"id": 902, "name": "b"}]
        few = [{"column": "id", "operator": "ge", "value": 901}]
        assert (await shop.call("insert_records", table="sales.t", records=new)).inserted == 2
        more, keys = [*new, {"id": 903, "name": "c"}], ["id"]
        again = await shop.call("insert_records", table="sales.t", records=more, on_conflict="update", key_columns=keys)
        assert (again.inserted, again.updated) == (1, 2)
        assert (await shop.call("update_records", table="sales.t", filters=few, values={"name": "d"})).updated == 3
        assert await count(shop) == before + 3
        assert (await shop.call("delete_records", by="cora", table="sales.t", filters=few)).deleted == 3
        with pytest.raises(Conflict):
            await shop.call("insert_records", table="sales.t", records=[{"id": "x"}])
        assert await count(shop) == before
        health = await shop.call("get_table_health", by="cora", table="sales.t")
        lake = shop.platform.engine.lake
        [table] = lake.tables("default")
        left = list(lake.storage("default").walk(f"{table.metadata.location}/data"))
        assert health.data_file_count == 1 and len(left) >= 1
