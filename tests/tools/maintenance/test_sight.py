"""What policies hide stays hidden in table care too."""

from collections.abc import Iterator
from typing import Any

import pytest

from core.errors import Conflict, NotFound
from tests.tools.maintenance.conftest import CareDesk

TABLE = "shop.secrets"


@pytest.fixture(scope="module")
def secrets(desk: CareDesk) -> Iterator[str]:
    """For engineers the amount is hidden and the region masked."""
    desk.tables.make("secrets", files=6, rows=5)
    who = {"roles": ["data_engineer"]}
    for policy_id, column, privacy in (("p_amount", "amount", "hidden"), ("p_region", "region", "masked")):
        desk.call(
            "create_policy",
            by="boss",
            policy_id=policy_id,
            name=policy_id,
            kind="column",
            table=TABLE,
            columns=[column],
            privacy=privacy,
            applies_to=who,
        )
    yield TABLE
    for policy_id in ("p_amount", "p_region"):
        desk.call("delete_policy", by="boss", policy_id=policy_id)


HIDDEN: list[tuple[str, dict[str, Any]]] = [
    ("drop_column", {"name": "amount"}),
    ("rename_column", {"old_name": "amount", "new_name": "x"}),
    ("alter_column", {"name": "amount", "comment": "x"}),
    ("alter_column", {"name": "id", "after": "amount"}),
    ("add_column", {"name": "x", "type": "int", "after": "amount"}),
    ("evolve_partitioning", {"fields": [{"column": "amount"}]}),
    ("evolve_partitioning", {"fields": [{"column": "region"}]}),
    ("set_sort_order", {"fields": [{"column": "amount"}]}),
    ("set_sort_order", {"fields": [{"column": "region"}]}),
    ("set_maintenance_policy", {"compaction": {"enabled": True, "order_by": ["amount"]}}),
]


@pytest.mark.parametrize(("tool", "arguments"), HIDDEN)
def test_a_hidden_column_does_not_exist(desk: CareDesk, secrets: str, tool: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(NotFound) as refused:
        desk.call(tool, table=secrets, **arguments)
    name = "region" if "region" in str(arguments) else "amount"
    assert refused.value.message == f"The table has no column {name!r}."


@pytest.mark.parametrize("column", ["amount", "region", "nothing"])
def test_what_a_condition_or_an_order_would_tell_is_not_told(desk: CareDesk, secrets: str, column: str) -> None:
    said = []
    for arguments in ({"where": f"{column} > '5'"}, {"strategy": "sort", "order_by": [column]}):
        with pytest.raises(Conflict) as refused:
            desk.call("compact_table", table=secrets, dry_run=True, **arguments)
        said.append(refused.value.message.replace(column, "X"))
    assert said == ["`where` is not a condition over the table's columns.", "The table has no plain column 'X'."]


def test_counts_of_rows_and_partitions_are_not_told(desk: CareDesk, secrets: str) -> None:
    health = desk.call("get_table_health", table=secrets)
    assert (health.data_file_count, health.row_count, health.partition_count, health.size_skew) == (6, None, None, None)
    assert desk.call("get_table_health", by="boss", table=secrets).row_count == 30
    assert desk.call("list_snapshots", table=secrets).snapshots[0].added_rows is None
    plan = desk.call("compact_table", table=secrets, dry_run=True)
    assert [(group.partition, group.file_count) for group in plan.groups] == [(None, 6)]


def test_answers_of_evolution_show_what_the_caller_sees(desk: CareDesk, secrets: str) -> None:
    answer = desk.call("alter_column", table=secrets, name="id", comment="Number.")
    assert [column.name for column in answer.columns] == ["id", "region"]


def test_a_compaction_keeps_what_its_caller_does_not_see(desk: CareDesk, secrets: str) -> None:
    desk.call("compact_table", table=secrets)
    assert desk.tables.open("secrets").scan().to_arrow()["amount"].null_count == 0
    assert desk.rows(secrets, by="boss") == 30
