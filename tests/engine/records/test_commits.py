"""Commits of records on a table that others change in between."""

import pytest
from pyiceberg.io.pyarrow import _dataframe_to_data_files
from pyiceberg.table import Table

from core.errors import Unavailable
from engine.records.commits import Files, Lost, Mark, commit
from engine.records.wishes import Outcome
from engine.transfer.commits import commit as commit_import
from tests.engine.maintenance.conftest import empty_warehouse, tables
from tests.engine.maintenance.tables import Tables, files_on_disk, live_files, orders, rows

__all__ = ["empty_warehouse", "tables"]


def part(table: Table) -> None:
    table.append(orders(1_000, 5))
    table = table.refresh()
    with table.update_spec() as change:
        change.add_identity("region")


def test_files_for_another_partitioning_are_never_committed(tables: Tables) -> None:
    table = tables.make(files=1)
    added = tuple(_dataframe_to_data_files(table.metadata, orders(500, 9), table.io))
    part(tables.open())
    with pytest.raises(Lost):
        commit(table, Files(added), Outcome(), Mark())
    assert len(rows(tables.open())) == 25
    assert len(live_files(tables.open())) == len(files_on_disk(tables.open())) == 2


def test_nor_are_those_of_an_import(tables: Tables) -> None:
    table = tables.make(files=1)
    added = list(_dataframe_to_data_files(table.metadata, orders(500, 9), table.io))
    part(tables.open())
    with pytest.raises(Unavailable, match="changed while the import ran"):
        commit_import(table.transaction(), "job", added=added, folder="f", now=0.0)
    assert len(rows(tables.open())) == 25
