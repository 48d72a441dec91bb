"""Health and versions of a table, as its readers see them."""

from datetime import UTC, datetime, timedelta

from tests.engine.maintenance.tables import delete_positions, live_files, orders
from tests.tools.maintenance.conftest import CareDesk


def test_small_files_are_counted_drawn_and_advised_to_be_compacted(desk: CareDesk) -> None:
    desk.tables.make("health", files=9, rows=3)
    health = desk.call("get_table_health", by="vic", table="headwater.shop.health")
    assert (health.table, health.data_file_count, health.small_file_count) == ("shop.health", 9, 9)
    assert (health.row_count, health.snapshot_count, health.projected_file_count) == (27, 1, 1)
    assert health.recommendation == "Consider compact_table: 9 of 9 files are small. About 1 file, 89 % fewer."
    assert health.avg_file_size_bytes == health.total_size_bytes // 9
    assert [(bar.label, bar.file_count) for bar in health.histogram][:2] == [("under 1 MB", 9), ("1 to 8 MB", 0)]
    assert [period.snapshot_count for period in health.timeline] == [1]


def test_an_empty_table_is_healthy(desk: CareDesk) -> None:
    desk.tables.make("empty", files=0)
    health = desk.call("get_table_health", table="shop.empty")
    assert (health.data_file_count, health.recommendation) == (0, "Healthy: nothing needs doing.")


def test_deleted_positions_are_counted(desk: CareDesk) -> None:
    table = desk.tables.make("deleted", files=1, rows=9)
    delete_positions(table, min(live_files(table)), [1, 2])
    health = desk.call("get_table_health", table="shop.deleted")
    assert (health.position_delete_file_count, health.deleted_row_count) == (1, 2)
    assert health.advice[0].gain == "2 deleted rows gone for good."


def test_versions_are_listed_named_and_gone_back_to(desk: CareDesk) -> None:
    table = desk.tables.make("versions", files=1, rows=5)
    table.append(orders(100, 2))
    listed = desk.call("list_snapshots", by="vic", table="shop.versions")
    assert [entry.operation for entry in listed.snapshots] == ["append", "append"]
    assert [entry.added_rows for entry in listed.snapshots] == [2, 5]
    newest, first = listed.snapshots
    assert (newest.parent_id, newest.is_current, newest.refs) == (first.snapshot_id, True, ["main"])
    made = desk.call("create_table_ref", table="shop.versions", name="monday", snapshot_id=first.snapshot_id)
    assert (made.table, made.name, made.kind) == ("shop.versions", "monday", "tag")
    desk.call("rollback_table", table="shop.versions", snapshot_id=first.snapshot_id)
    assert desk.rows("shop.versions") == 5
    page = desk.call("list_snapshots", table="shop.versions", page_size=1)
    assert (page.total_count, len(page.items), page.next_page_token is None) == (2, 1, False)


def test_a_time_without_a_zone_is_utc(desk: CareDesk) -> None:
    table = desk.tables.make("times", files=1, rows=5)
    between = datetime.now(UTC).replace(tzinfo=None) + timedelta(milliseconds=1)
    table.append(orders(100, 2))
    desk.call("rollback_table", table="shop.times", timestamp=between.isoformat())
    assert desk.rows("shop.times") == 5


def test_branches_and_tags_come_and_go(desk: CareDesk) -> None:
    desk.tables.make("refs", files=1, rows=1)
    desk.call("create_table_ref", table="shop.refs", name="dev", kind="branch", max_age_days=7)
    listed = desk.call("list_table_refs", by="vic", table="shop.refs")
    assert [(ref.name, ref.kind, ref.max_age_days) for ref in listed.refs] == [
        ("dev", "branch", 7.0),
        ("main", "branch", None),
    ]
    desk.call("delete_table_ref", table="shop.refs", ref="dev")
    assert [ref.name for ref in desk.call("list_table_refs", table="shop.refs").refs] == ["main"]
