"""Queries over Iceberg tables, as the tenant's own lakehouse serves them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from core.errors import QueryUnauthorized
from engine.connectors.connector import ConnectionSpec
from engine.lake.warehouse import TABLE_DEFAULTS, Lake
from engine.sql.run import Statement
from tests.engine.sql.world import ANN, World, make_world


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    spec = ConnectionSpec("default", "lakehouse", "lakehouse", "lakehouse")
    made = make_world(tmp_path / "home", [spec], data=tmp_path)
    yield made
    await made.close()


@pytest.fixture
def lake(world: World, tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "home" / "warehouse")
    rows = pa.table({"id": [1, 2, 3], "city": ["Oslo", "Rome", None]})
    for tenant, name in (("default", "geo.cities"), ("default", 'geo."old.cities"'), ("other", "geo.private")):
        lake.create_namespace(tenant, "geo")
        table = name.partition(".")[2].strip('"')
        made = lake.commit_now(
            tenant,
            lambda catalog, table=table: catalog.create_table(("geo", table), rows.schema, properties=TABLE_DEFAULTS),  # type: ignore[misc]
        )
        made.append(rows)
    return lake


async def run(world: World, sql: str) -> list[dict[str, Any]]:
    return (await world.sql.execute(ANN, "lakehouse", Statement(sql))).rows.records()


async def test_tables_go_by_namespace_and_name_with_or_without_the_catalog(world: World, lake: Lake) -> None:
    for name in ("geo.cities", "headwater.geo.cities", "GEO.Cities", '"geo"."cities"', 'geo."old.cities"'):
        assert await run(world, f"SELECT count(*) AS n FROM {name}") == [{"n": 3}], name
    sql = (
        "SELECT geo.cities.city, c.id FROM geo.cities JOIN headwater.geo.cities c ON c.id = geo.cities.id AND c.id = 1"
    )
    assert await run(world, sql) == [{"city": "Oslo", "id": 1}]


async def test_rows_that_were_added_are_there_at_once(world: World, lake: Lake) -> None:
    assert await run(world, "SELECT max(id) AS m FROM geo.cities") == [{"m": 3}]
    lake.commit_now(
        "default", lambda catalog: catalog.load_table("geo.cities").append(pa.table({"id": [9], "city": ["Bonn"]}))
    )
    assert await run(world, "SELECT max(id) AS m FROM geo.cities") == [{"m": 9}]


async def test_a_renamed_column_keeps_its_values(world: World, lake: Lake) -> None:
    def rename(catalog: Any) -> None:
        with catalog.load_table("geo.cities").update_schema() as update:
            update.rename_column("city", "town")

    lake.commit_now("default", rename)
    assert await run(world, "SELECT town FROM geo.cities WHERE id = 1") == [{"town": "Oslo"}]


async def test_files_and_other_tenants_tables_are_out_of_reach(world: World, lake: Lake) -> None:
    own = lake.locations("default")["geo.cities"]
    foreign = lake.locations("other")["geo.private"]
    for sql in (
        "SELECT * FROM geo.private",
        "SELECT * FROM other.geo.private",
        f"SELECT * FROM iceberg_scan('{own}')",
        f"SELECT * FROM iceberg_scan('{foreign}')",
        f"SELECT * FROM iceberg_metadata('{own}')",
        f"SELECT * FROM iceberg_snapshots('{own}')",
        f"SELECT * FROM '{own}'",
        "SELECT filename FROM geo.cities",
        "SELECT file_row_number FROM geo.cities",
        "SELECT * FROM geo.cities AT (VERSION => 1)",
    ):
        with pytest.raises(QueryUnauthorized):
            await run(world, sql)


async def test_the_engine_itself_cannot_read_another_tenants_folder(world: World, lake: Lake) -> None:
    from core.context import Cancellation
    from core.errors import PlatformError
    from engine.connectors.connector import QueryLimits

    connector = await world.connectors.get(ConnectionSpec("default", "lakehouse", "lakehouse", "lakehouse"))
    foreign = lake.locations("other")["geo.private"]
    with pytest.raises(PlatformError):
        stream = await connector.execute(
            f"SELECT * FROM iceberg_scan('{foreign}')", {}, limits=QueryLimits(10, 10**6, 10), cancelled=Cancellation()
        )
        [batch async for batch in stream]


async def test_a_plan_shows_no_path(world: World, lake: Lake) -> None:
    plan = await world.sql.explain(ANN, "lakehouse", Statement("SELECT city FROM geo.cities WHERE id > 1"))
    assert "ICEBERG_SCAN" in plan and "warehouse" not in plan and "/" not in plan
