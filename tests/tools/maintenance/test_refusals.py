"""Who may not, what does not exist, and input that makes no sense: the same for every tool of table care."""

from typing import Any

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, PlatformError, Unauthorized
from tests.tools.maintenance.conftest import CareDesk

READS: dict[str, dict[str, Any]] = {
    "get_table_health": {},
    "list_snapshots": {},
    "list_table_refs": {},
    "get_maintenance_policy": {},
}
WRITES: dict[str, dict[str, Any]] = {
    "compact_table": {},
    "expire_snapshots": {},
    "remove_orphan_files": {"dry_run": False},
    "rewrite_manifests": {},
    "rollback_table": {"timestamp": "2099-01-01T00:00:00Z"},
    "create_table_ref": {"name": "monday"},
    "delete_table_ref": {"ref": "monday"},
    "add_column": {"name": "note", "type": "string"},
    "rename_column": {"old_name": "region", "new_name": "area"},
    "drop_column": {"name": "region"},
    "alter_column": {"name": "region", "comment": "Where."},
    "evolve_partitioning": {"fields": [{"column": "region"}]},
    "set_sort_order": {"fields": [{"column": "region"}]},
    "set_maintenance_policy": {"compaction": {"enabled": True}},
}
ALL = READS | WRITES


@pytest.fixture(scope="module")
def orders(desk: CareDesk) -> str:
    desk.tables.make("refused", files=2, rows=5)
    return "shop.refused"


@pytest.mark.parametrize("tool", WRITES)
def test_a_viewer_changes_nothing(desk: CareDesk, orders: str, tool: str) -> None:
    with pytest.raises(Unauthorized):
        desk.call(tool, by="vic", table=orders, **WRITES[tool])


@pytest.mark.parametrize("tool", ALL)
def test_another_tenants_table_does_not_exist(desk: CareDesk, orders: str, tool: str) -> None:
    with pytest.raises(NotFound):
        desk.call(tool, by="olga", table=orders, **ALL[tool])


@pytest.mark.parametrize("tool", ALL)
def test_a_table_that_is_not_there_is_not_found(desk: CareDesk, orders: str, tool: str) -> None:
    with pytest.raises(NotFound):
        desk.call(tool, table="shop.nothing", **ALL[tool])


WRONG: list[tuple[str, dict[str, Any], type[PlatformError]]] = [
    ("compact_table", {"table": "../orders"}, InvalidArgument),
    ("compact_table", {"target_file_mb": 0}, InvalidArgument),
    ("compact_table", {"options": {"target-file-size-bytes": 1}}, Conflict),
    ("compact_table", {"options": {"target-file-size-bytes": "many"}}, Conflict),
    ("compact_table", {"options": {"rewrite-all": "true"}}, Conflict),
    ("compact_table", {"strategy": "sort"}, Conflict),
    ("compact_table", {"strategy": "sort", "order_by": ["nope"]}, Conflict),
    ("compact_table", {"where": "1 = 1); DROP TABLE x"}, Conflict),
    ("expire_snapshots", {"retain_last": 0}, InvalidArgument),
    ("expire_snapshots", {"older_than": "2099-01-01T00:00:00Z"}, Conflict),
    ("expire_snapshots", {"older_than": "yesterday"}, InvalidArgument),
    ("remove_orphan_files", {"older_than_hours": 71}, InvalidArgument),
    ("rollback_table", {}, Conflict),
    ("rollback_table", {"snapshot_id": "1", "timestamp": "2026-01-01T00:00:00Z"}, Conflict),
    ("rollback_table", {"snapshot_id": "12345"}, NotFound),
    ("rollback_table", {"timestamp": "1999-01-01T00:00:00Z"}, NotFound),
    ("create_table_ref", {"name": "main"}, Conflict),
    ("create_table_ref", {"name": "a/b"}, InvalidArgument),
    ("create_table_ref", {"name": "x", "snapshot_id": "7"}, NotFound),
    ("delete_table_ref", {"ref": "main"}, Conflict),
    ("delete_table_ref", {"ref": "nobody"}, NotFound),
    ("add_column", {"name": "REGION", "type": "string"}, Conflict),
    ("add_column", {"name": "x", "type": "stringy"}, Conflict),
    ("add_column", {"name": "x", "type": "decimal(99, 2)"}, Conflict),
    ("add_column", {"name": "a.b", "type": "string"}, InvalidArgument),
    ("add_column", {"name": "x", "type": "string", "after": "nope"}, NotFound),
    ("rename_column", {"old_name": "region", "new_name": "amount"}, Conflict),
    ("drop_column", {"name": "nope"}, NotFound),
    ("alter_column", {"name": "id", "type": "int"}, Conflict),
    ("alter_column", {"name": "amount", "type": "string"}, Conflict),
    ("evolve_partitioning", {"fields": [{"column": "region", "transform": "bucket"}]}, Conflict),
    ("evolve_partitioning", {"fields": [{"column": "amount", "transform": "day"}]}, Conflict),
    ("evolve_partitioning", {"fields": [{"column": "nope"}]}, NotFound),
    ("set_sort_order", {"fields": [{"column": "nope"}]}, NotFound),
    ("set_maintenance_policy", {"expiry": {"enabled": True, "cron": "61 * * * *"}}, Conflict),
    ("set_maintenance_policy", {"orphans": {"enabled": True, "older_than_hours": 1}}, InvalidArgument),
    ("set_maintenance_policy", {"compaction": {"enabled": True, "order_by": ["nope"]}}, NotFound),
]


@pytest.mark.parametrize(("tool", "arguments", "error"), WRONG)
def test_input_that_makes_no_sense_changes_nothing(
    desk: CareDesk, orders: str, tool: str, arguments: dict[str, Any], error: type[PlatformError]
) -> None:
    before = desk.tables.open("refused").metadata_location
    with pytest.raises(error) as refused:
        desk.call(tool, **{"table": orders, **arguments})
    assert type(refused.value) is error
    assert desk.tables.open("refused").metadata_location == before
