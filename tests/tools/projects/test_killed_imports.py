import asyncio
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from core.dispatch import Call
from engine.lake.metadata import local_path
from headwater.build import Platform, build
from headwater.settings import read_settings
from tests.fixtures_results import FREE, Shop, shop_template
from tests.tools.projects.files import make_table, rows, send

__all__ = ["shop_template"]

DATA = b"id,name\n" + b"".join(b"%d,x\n" % number for number in range(2000)) + b"bad,row\n"


async def opened(home: Path) -> Platform:
    return await build(read_settings(home, server=FREE, jobs={"lease_s": 1.0}))


@pytest.mark.slow
@pytest.mark.parametrize("point", ["written", "committing", "committed", "keeping"])
async def test_a_killed_import_is_done_once(shop_template: Path, tmp_path: Path, point: str) -> None:
    home = tmp_path / "home"
    await asyncio.to_thread(shutil.copytree, shop_template, home)
    platform = await opened(home)
    shop = Shop(platform, tmp_path)
    table_id = await make_table(shop, schema=[{"name": "id", "type": "bigint"}, {"name": "name", "type": "string"}])
    upload_id = await send(shop, "a.csv", DATA)
    arguments = {"table_id": table_id, "upload_id": upload_id, "max_bad_rows": 5}
    call = Call("create_import_job", arguments, "test", "r1", principal=await shop.who("ada"), wait_s=0)
    job: Any = await platform.dispatcher.call(call)
    await platform.close()
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.tools.projects.import_worker", str(home), point
    )
    assert await asyncio.wait_for(worker.wait(), 60) == -9
    platform = await opened(home)
    shop = Shop(platform, tmp_path)
    try:
        await platform.start_workers(1)
        await shop.ended(job.job_id)
        done = await shop.call("get_import_job", job_id=job.job_id)
        assert (done.status, done.row_count, done.bad_row_count) == ("succeeded", 2000, 1)
        assert len(rows(shop)) == 2000
        table: Any = platform.engine.lake.commit_now("default", lambda catalog: catalog.load_table(("sales", "t")))
        live = {str(local_path(task.file.file_path)) for task in table.scan().plan_files()}
        assert {str(path) for path in local_path(f"{table.location()}/data").rglob("*.parquet")} == live
        assert not list((home / "imports" / "work").iterdir())
    finally:
        await platform.close()
