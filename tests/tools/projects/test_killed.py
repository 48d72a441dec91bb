"""Datasets and tables are made, renamed, deleted and restored with what belongs to them as one, also when killed."""

import asyncio
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from engine.lake.metadata import local_path
from headwater.build import build
from headwater.settings import read_settings
from tests.fixtures_results import FREE, Shop, shop, shop_template
from tests.tools.projects.dying import CASES, WEEK_S

__all__ = ["shop", "shop_template"]

COLUMNS = [{"name": "id", "type": "bigint"}]
BOTH = {"crm.a": 3, "crm.b": 3}
LEFT: dict[str, dict[str, int]] = {
    "create_dataset": BOTH,
    "create_managed_table": {**BOTH, "crm.c": 0},
    "update_managed_table": {"crm.b": 3, "crm.z": 3},
    "update_dataset": {"sales.a": 3, "sales.b": 3},
    "delete_managed_table": {"crm.b": 3},
    "delete_dataset": {},
    "restore_dataset": {**BOTH, "old.a": 3, "old.b": 3},
    "purge": BOTH,
    "expire_snapshots": BOTH,
}
"""The rows of each table in the end."""


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Shop]:
    platform = await build(read_settings(home, server=FREE, jobs={"lease_s": 1.0}))
    try:
        yield Shop(platform, home)
    finally:
        await platform.close()


async def fill(home: Path) -> None:
    """Two datasets with two tables of three versions each, one deleted; an expiry waits for a worker."""
    async with opened(home) as world:
        await world.give("ada", "data_engineer", "editor")
        for dataset in ("crm", "old"):
            await world.call("create_dataset", name=dataset, dataset_id=dataset)
            for name in ("a", "b"):
                table_id = name if dataset == "crm" else f"old-{name}"
                made: dict[str, Any] = {"name": name, "table_id": table_id, "schema": COLUMNS, "dataset_id": dataset}
                await world.call("create_managed_table", **made)
                for number in range(3):
                    append(world, (dataset, name), number)
        await world.call("delete_dataset", dataset_id="old")
        await world.call("set_maintenance_policy", table="crm.a", compaction={"enabled": True})
        await world.call("expire_snapshots", wait_s=0, table="crm.b", retain_last=1)


def append(world: Shop, parts: tuple[str, str], number: int) -> None:
    rows = pa.table({"id": [number]})
    world.platform.engine.lake.commit_now("default", lambda catalog: catalog.load_table(parts).append(rows))


@pytest.fixture(scope="module")
def filled(shop_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with `home`, and how that was; tables name their files in full, so no other place will do."""
    folder = tmp_path_factory.mktemp("killed")
    shutil.copytree(shop_template, folder / "home")
    asyncio.run(fill(folder / "home"))
    shutil.copytree(folder / "home", folder / "saved")
    yield folder


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
async def test_what_was_begun_is_ended(filled: Path, name: str) -> None:
    home = filled / "home"
    shutil.rmtree(home)
    shutil.copytree(filled / "saved", home)
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.tools.projects.dying", home, name)
    assert await asyncio.wait_for(process.wait(), 120) == -signal.SIGKILL
    tool = CASES[name][0]
    async with opened(home) as world:
        engine, later = world.platform.engine, WEEK_S if tool == "purge" else 60
        now = engine.datasets.settler.clock
        engine.datasets.settler.clock = lambda: now() + later
        if tool == "expire_snapshots":
            await world.platform.start_workers(1)
            [job] = (await world.call("list_jobs")).jobs
            await world.ended(job.job_id)
        await engine.datasets.settler.upkeep()
        assert (await world.call("list_managed_tables")).total_count == len(LEFT[tool])
        assert await engine.datasets.rows.tenants() == []
        assert {table: await counted(world, table) for table in engine.lake.locations("default")} == LEFT[tool]
        await check(world, tool)


async def counted(world: Shop, table: str) -> int:
    answer = await world.call("execute_query", sql=f"SELECT count(*) AS n FROM {table}")
    return int(answer.data.records()[0]["n"])


async def check(world: Shop, tool: str) -> None:
    """What belongs to a case beside its tables."""
    schedules = [item.name for item in (await world.call("list_schedules")).schedules]
    engine = world.platform.engine
    gone = tool in ("delete_managed_table", "delete_dataset")
    name = {"update_managed_table": "crm.z", "update_dataset": "sales.a"}.get(tool, "crm.a")
    assert schedules == ([] if gone else [f"compaction of {name}"])
    datasets = {item.name for item in (await world.call("list_datasets")).datasets}
    assert datasets == set(engine.lake.namespaces("default"))
    folder = engine.lake.tenant_folder("default")
    assert len(list((folder / "old").rglob("*.parquet"))) == (0 if tool == "purge" else 6)
    if tool == "expire_snapshots":
        table: Any = engine.lake.commit_now("default", lambda catalog: catalog.load_table(("crm", "b")))
        assert len(table.snapshots()) == 1
        lists = local_path(f"{table.location()}/metadata").glob("snap-*.avro")
        assert [str(path) for path in lists] == [str(local_path(table.current_snapshot().manifest_list))]
