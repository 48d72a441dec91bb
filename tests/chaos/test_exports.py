"""Workers are killed in the middle of query jobs and exports: each ends well, once, and nothing is left behind."""

import asyncio
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.fixtures_results import PEOPLE, Shop, opened_shop, shop_template

__all__ = ["shop_template"]

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
ROWS, KILLS, TIMEOUT_S = 300_000, 3, 120.0
MANY = (
    f"WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < {ROWS}) "
    "SELECT n, 'some text that takes its room ' || n AS text FROM r"
)


async def start(shop: Shop) -> asyncio.subprocess.Process:
    home = str(shop.platform.settings.home)
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.export_worker", home, str(shop.data), cwd=REPOSITORY
    )


async def killed_while(shop: Shop, job_id: str, folder: str, dice: random.Random) -> None:
    """Kill workers at work, each a moment after it has begun to write."""
    worker = await start(shop)
    try:
        for _ in range(KILLS):
            if not await _writes(shop, job_id, folder):
                break
            await asyncio.sleep(dice.uniform(0.0, 0.05))
            worker.send_signal(signal.SIGKILL)
            await worker.wait()
            worker = await start(shop)
        await asyncio.wait_for(shop.ended(job_id), TIMEOUT_S)
        while not (await shop.platform.engine.jobs.get(await shop.who("ada"), job_id)).is_done:
            await asyncio.sleep(0.1)
    finally:
        if worker.returncode is None:
            worker.kill()
        await worker.wait()


async def _writes(shop: Shop, job_id: str, folder: str) -> bool:
    """Wait until a run writes a new file, or the job has ended."""
    ends_at, known = time.monotonic() + TIMEOUT_S, set(shop.stored())
    while time.monotonic() < ends_at:
        if any(name.startswith(f"{folder}/") and job_id in name for name in set(shop.stored()) - known):
            return True
        if (await shop.platform.engine.jobs.get(await shop.who("ada"), job_id)).is_done:
            return False
        await asyncio.sleep(0.002)
    raise TimeoutError(job_id)


async def test_killed_workers_lose_no_job_and_leave_no_file(shop_template: Path, tmp_path: Path) -> None:
    assert "ada" in PEOPLE
    dice = random.Random(7)
    async with opened_shop(shop_template, tmp_path, jobs={"embedded_workers": 0}) as shop:
        earlier = await shop.call("run_query", query_text="SELECT id FROM item", connection_id="shop")
        started = await shop.call("run_query", query_text=MANY, connection_id="shop")
        await killed_while(shop, started.job_id, "results", dice)
        export = await shop.call("create_export", job_id=started.job_id, format="AVRO", wait_s=0)
        await killed_while(shop, export.job_id, "exports", dice)
        jobs = [
            await shop.platform.engine.jobs.get(await shop.who("ada"), job_id)
            for job_id in (started.job_id, export.job_id)
        ]
        assert [job.status for job in jobs] == ["succeeded", "succeeded"]
        assert max(job.attempt for job in jobs) > 1, "no kill hit a running job: the test proved nothing"
        await shop.platform.engine.query_jobs.sweep()
        found = shop.stored()
        assert len(found) == 3, found
        assert not [name for name in found if name.endswith(".partial")]
        assert (await shop.call("get_query_job", job_id=earlier.job_id)).total_rows == 5
        last = await shop.call("get_query_job_results", job_id=started.job_id, page=ROWS // 200, page_size=200)
        assert [row["n"] for row in last.rows.records()] == list(range(ROWS - 199, ROWS + 1))
        link = await shop.call("download_export", export_id=export.job_id)
        assert len((await shop.get(link.signed_url)).content) == link.size_bytes
