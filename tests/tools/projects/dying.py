"""Run by itself: makes a call on a home, or does the job that waits there, and kills itself (SIGKILL) half way."""

import asyncio
import inspect
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyiceberg.catalog.sql import SqlCatalog

from core.dispatch import Call
from engine.datasets import places
from engine.datasets.following import Following
from engine.maintenance import expiry, table_jobs
from headwater.build import build
from headwater.settings import read_settings
from tests.fixtures_results import FREE

Case = tuple[str, dict[str, Any], Any, str, int]
"""Tool, arguments, where the function lies, its name, and at which call of it: 1 dies before it, -1 after it."""
WEEK_S = 8 * 24 * 3600
NEW_TABLE = {"name": "c", "dataset_id": "crm", "schema": [{"name": "id", "type": "bigint"}]}

CASES: dict[str, Case] = {
    "dataset not made": ("create_dataset", {"name": "x"}, places, "make_namespace", 1),
    "dataset made": ("create_dataset", {"name": "x"}, places, "make_namespace", -1),
    "table not made": ("create_managed_table", NEW_TABLE, places, "make_table", 1),
    "table made": ("create_managed_table", NEW_TABLE, places, "make_table", -1),
    "table not renamed": ("update_managed_table", {"table_id": "a", "name": "z"}, places, "move_table", 1),
    "table renamed": ("update_managed_table", {"table_id": "a", "name": "z"}, places, "move_table", -1),
    "table renamed, not followed": ("update_managed_table", {"table_id": "a", "name": "z"}, Following, "renamed", 1),
    "one of two renamed": ("update_dataset", {"dataset_id": "crm", "name": "sales"}, SqlCatalog, "rename_table", -1),
    "both renamed": ("update_dataset", {"dataset_id": "crm", "name": "sales"}, places, "drop_namespace", 1),
    "dataset renamed": ("update_dataset", {"dataset_id": "crm", "name": "sales"}, places, "drop_namespace", -1),
    "table gone": ("delete_managed_table", {"table_id": "a"}, places, "move_table", -1),
    "one of two gone": ("delete_dataset", {"dataset_id": "crm"}, places, "move_table", -1),
    "both gone": ("delete_dataset", {"dataset_id": "crm"}, places, "drop_namespace", 1),
    "none back": ("restore_dataset", {"dataset_id": "old"}, places, "make_namespace", -1),
    "one of two back": ("restore_dataset", {"dataset_id": "old"}, places, "move_table", -1),
    "purge begun": ("purge", {}, places, "drop_table", 1),
    "out of the catalog": ("purge", {}, places, "drop_table", -1),
    "files gone": ("purge", {}, places, "delete_folder", -1),
    "expiry planned": ("expire_snapshots", {}, expiry, "expire", 1),
    "expiry committed": ("expire_snapshots", {}, expiry, "expire", -1),
    "one file deleted": ("expire_snapshots", {}, table_jobs, "_delete_one", 2),
}


def die_at(place: Any, name: str, at: int) -> None:
    real: Callable[..., Any] = getattr(place, name)
    calls = 0

    def dying(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if at < 0:
            real(*args, **kwargs)
        if calls == abs(at):
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    async def dying_async(*args: Any, **kwargs: Any) -> Any:
        return dying(*args, **kwargs)

    setattr(place, name, dying_async if inspect.iscoroutinefunction(real) else dying)


async def run(home: Path, case: Case) -> None:
    tool, arguments, place, name, at = case
    platform = await build(read_settings(home, server=FREE, jobs={"lease_s": 1.0}))
    die_at(place, name, at)
    if tool == "purge":
        platform.engine.datasets.settler.clock = lambda: time.time() + WEEK_S
        await platform.engine.datasets.settler.upkeep()
    elif tool == "expire_snapshots":
        await platform.start_workers(1)
        await asyncio.sleep(30)
    else:
        principal = await platform.engine.identity.principal_of("default", "ada", "user")
        await platform.dispatcher.call(Call(tool, arguments, "test", "r1", principal=principal))


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), CASES[sys.argv[2]]))
