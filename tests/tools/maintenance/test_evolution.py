"""Columns, partitions and sort order change, and every row is still there."""

from tests.tools.maintenance.conftest import CareDesk


def names(answer: object) -> list[str]:
    return [column.name for column in answer.columns]  # type: ignore[attr-defined]


def test_columns_are_added_renamed_moved_described_and_dropped(desk: CareDesk) -> None:
    desk.tables.make("evolved", files=1, rows=3)
    table = "shop.evolved"
    added = desk.call("add_column", table=table, name="source", type="STRING", after="id", comment="Event source")
    assert names(added) == ["id", "source", "region", "amount"]
    assert (added.columns[1].type, added.columns[1].comment) == ("varchar", "Event source")
    assert names(desk.call("rename_column", table=table, old_name="source", new_name="origin"))[1] == "origin"
    altered = desk.call("alter_column", table=table, name="origin", comment="From where", after="")
    assert (names(altered)[0], altered.columns[0].comment) == ("origin", "From where")
    assert names(desk.call("drop_column", table=table, name="origin")) == ["id", "region", "amount"]
    assert desk.rows(table) == 3


def test_types_only_widen(desk: CareDesk) -> None:
    desk.tables.make("widened", files=0)
    desk.call("add_column", table="shop.widened", name="n", type="int")
    desk.call("add_column", table="shop.widened", name="d", type="decimal(5, 2)")
    desk.call("alter_column", table="shop.widened", name="d", type="decimal(9, 2)")
    after = desk.call("alter_column", table="shop.widened", name="n", type="bigint")
    assert [column.type for column in after.columns[-2:]] == ["bigint", "decimal(9, 2)"]


def test_partitions_and_sort_order_are_set_and_taken_away(desk: CareDesk) -> None:
    desk.tables.make("parted", files=2, rows=6)
    desk.call("set_sort_order", table="shop.parted", fields=[{"column": "id", "descending": True}])
    desk.call("evolve_partitioning", table="shop.parted", fields=[{"column": "region"}])
    table = desk.tables.open("parted")
    assert [field.name for field in table.spec().fields] == ["region"]
    assert len(table.sort_order().fields) == 1
    desk.call("compact_table", table="shop.parted", min_input_files=2)
    assert len(list(desk.tables.open("parted").scan(row_filter="region = 'eu'").plan_files())) == 1
    desk.call("evolve_partitioning", table="shop.parted", fields=[])
    desk.call("set_sort_order", table="shop.parted", fields=[])
    assert desk.tables.open("parted").spec().is_unpartitioned()
    assert desk.rows("shop.parted") == 12
