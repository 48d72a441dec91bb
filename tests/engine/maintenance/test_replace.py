"""What `replace` uses of pyiceberg that is not public: an upgrade that changes it fails here first."""

import inspect
from importlib.metadata import version

from pyiceberg.manifest import ManifestContent, ManifestWriterV2
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update import snapshot, validate

from engine.lake.history import read_history
from engine.maintenance.manifests import rewrite_manifests
from engine.maintenance.refs import roll_back
from tests.engine.maintenance.tables import Tables, append_files, delete_positions, live_files, orders, rows


def test_the_private_parts_of_pyiceberg_are_as_they_were() -> None:
    assert version("pyiceberg").startswith("0.12.")
    producer = snapshot._OverwriteFiles
    for name in ("_validate_concurrency", "_existing_manifests", "_summary", "new_manifest_output", "spec", "schema"):
        assert callable(getattr(producer, name)), name
    assert list(inspect.signature(validate._added_delete_files).parameters)[:2] == ["table", "starting_snapshot"]
    assert "parent_snapshot" in inspect.signature(validate._validate_data_files_exist).parameters
    assert "_meta" in dir(ManifestWriterV2) and ManifestContent.DELETES.value == 1
    assert Operation.REPLACE.value == "replace"


def test_a_rewrite_of_manifests_keeps_rows_deletes_and_appends_that_come_between(tables: Tables) -> None:
    table = tables.make(files=0, properties={"commit.manifest-merge.enabled": "false"})
    for number in range(4):
        append_files(table.refresh(), [orders(number * 10, 10)])
    delete_positions(table.refresh(), min(live_files(table.refresh())), [0, 3])
    stale = tables.open()
    tables.open().append(orders(500, 7))
    before, after = rewrite_manifests(stale)
    assert (before, after) == (6, 2)
    assert len(rows(tables.open())) == 45
    current = tables.open().current_snapshot()
    assert current is not None and current.summary is not None
    assert current.summary.operation == Operation.REPLACE
    assert current.summary["total-records"] == "47"


def test_going_back_and_forth_again(tables: Tables) -> None:
    table = tables.make(files=1, rows=5)
    append_files(table, [orders(100, 2)])
    table = tables.open()
    history = read_history(table.metadata_location)
    first = history.lineage(history.current_id)[-1].snapshot_id
    roll_back(table, history, first)
    assert len(rows(tables.open())) == 5
    tables.open().append(orders(200, 3))
    assert len(rows(tables.open())) == 8
