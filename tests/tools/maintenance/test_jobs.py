"""Compaction, expiry, orphans and manifests as jobs: planned, carried out, cancelled."""

import os
import time

from core.errors import Conflict
from core.jobs import Job
from engine.lake.metadata import local_path
from tests.engine.maintenance.tables import append_files, live_files, orders
from tests.tools.maintenance.conftest import CareDesk, end


def test_a_plan_is_shown_and_nothing_changes(desk: CareDesk) -> None:
    before = desk.tables.make("planned", files=8, rows=4)
    plan = desk.call("compact_table", table="shop.planned", dry_run=True)
    assert plan.operation == "compact (dry run)"
    assert [(group.file_count, group.expected_file_count) for group in plan.groups] == [(8, 1)]
    assert (plan.histogram_before[0].file_count, plan.histogram_after[0].file_count) == (8, 1)
    assert desk.tables.open("planned").metadata_location == before.metadata_location


def test_a_compaction_keeps_the_rows_and_tells_before_and_after(desk: CareDesk) -> None:
    desk.tables.make("compacted", files=8, rows=4)
    options = {"min-input-files": "3", "target-file-size-bytes": 8 * 1024 * 1024}
    done = desk.call("compact_table", table="headwater.shop.compacted", strategy="binpack", options=options)
    assert (done.success, done.operation, done.table) == (True, "compact", "headwater.shop.compacted")
    assert '"rewritten_files": 8, "new_files": 1' in done.details_json
    assert (done.histogram_before[0].file_count, done.histogram_after[0].file_count) == (8, 1)
    assert desk.rows("shop.compacted") == 32
    again = desk.details("compact_table", table="shop.compacted")
    assert again["rewritten_files"] == 0


def test_a_compaction_that_is_cancelled_changes_no_more(desk: CareDesk) -> None:
    desk.tables.make("cancelled", files=6, rows=4)
    job = desk.call("compact_table", table="shop.cancelled", wait_s=0)
    assert isinstance(job, Job)
    desk.call("cancel_job", job_id=job.job_id)
    ended = desk.run(end(desk, job.job_id))
    assert ended in ("cancelled", "succeeded")
    assert desk.rows("shop.cancelled") == 24


def test_expired_snapshots_and_their_files_are_gone(desk: CareDesk) -> None:
    table = desk.tables.make("expired", files=6, rows=2)
    desk.call("compact_table", table="shop.expired", min_input_files=2)
    plan = desk.call("expire_snapshots", table="shop.expired", retain_last=1, dry_run=True)
    planned = desk.details("expire_snapshots", table="shop.expired", retain_last=1, dry_run=True)
    assert (len(plan.snapshot_ids), planned["deleted_files"], planned["kept_snapshots"]) == (1, 8, 1)
    done = desk.details("expire_snapshots", table="shop.expired", retain_last=1, older_than=None)
    assert done == planned
    assert len(list(local_path(f"{table.location()}/data").rglob("*.parquet"))) == 1
    assert desk.rows("shop.expired") == 12


def test_young_snapshots_stay(desk: CareDesk) -> None:
    desk.tables.make("young", files=1, rows=1).append(orders(9, 1))
    done = desk.details("expire_snapshots", table="shop.young", retain_last=1, older_than_hours=1)
    assert (done["expired_snapshots"], done["kept_snapshots"]) == (0, 2)


def test_orphans_are_listed_first_and_deleted_on_demand_once_they_are_old(desk: CareDesk) -> None:
    table = desk.tables.make("orphans", files=2, rows=2)
    data = local_path(f"{table.location()}/data")
    old, young = data / "old.parquet", data / "young.parquet"
    for path in (old, young):
        path.write_bytes(b"nobody's")
    os.utime(old, (time.time() - 4 * 86_400,) * 2)
    listed = desk.call("remove_orphan_files", table="shop.orphans")
    assert (listed.files, listed.size_bytes, listed.dry_run, old.exists()) == (["data/old.parquet"], 8, True, True)
    desk.call("remove_orphan_files", table="shop.orphans", dry_run=False)
    assert (old.exists(), young.exists()) == (False, True)
    assert desk.rows("shop.orphans") == 4


def test_manifests_are_joined(desk: CareDesk) -> None:
    table = desk.tables.make("manifests", files=0, properties={"commit.manifest-merge.enabled": "false"})
    for number in range(3):
        append_files(table.refresh(), [orders(number * 10, 2)])
    few = desk.call("rewrite_manifests", table="shop.manifests", min_manifests=9)
    assert (few.manifests_before, few.manifests_after) == (3, 3)
    plan = desk.call("rewrite_manifests", table="shop.manifests", dry_run=True)
    done = desk.call("rewrite_manifests", table="shop.manifests")
    assert (plan.manifests_after, done.manifests_before, done.manifests_after) == (1, 3, 1)
    assert desk.rows("shop.manifests") == 6
    assert len(live_files(desk.tables.open("manifests"))) == 3


def test_tables_in_one_folder_have_no_orphans_that_can_be_told(desk: CareDesk) -> None:
    outer = desk.tables.make("outer", files=1, rows=1)
    inside = f"{outer.location()}/data/inner"
    desk.platform.engine.lake.commit_now(
        "default", lambda catalog: catalog.create_table("shop.inner", schema=outer.schema(), location=inside)
    )
    for table in ("shop.outer", "shop.inner"):
        try:
            desk.call("remove_orphan_files", table=table)
        except Conflict as error:
            assert "same folder" in error.message
        else:
            raise AssertionError(table)
    desk.platform.engine.lake.commit_now("default", lambda catalog: catalog.drop_table("shop.inner"))
