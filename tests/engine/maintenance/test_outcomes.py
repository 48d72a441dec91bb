"""Commits whose end nobody was told of, and catalogs that are locked."""

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.table import Table
from sqlalchemy.exc import OperationalError

from core.errors import Unavailable
from engine.lake.names import CATALOG
from engine.maintenance.compaction import run_compaction
from engine.maintenance.planning import CompactionOptions
from engine.maintenance.writing import WriterLimits
from tests.engine.maintenance.tables import Tables, files_on_disk, live_files, rows

OPTIONS = CompactionOptions(min_input_files=2)
LIMITS = WriterLimits(threads=1)


class BrokenLine(SqlCatalog):
    """A catalog whose answer to one commit is lost: `lands` says whether the commit itself was taken."""

    lands = True
    stays_dead = False
    is_dead = False

    def commit_table(self, *args: Any, **kwargs: Any) -> Any:
        if self.lands:
            super().commit_table(*args, **kwargs)
        self.is_dead = self.stays_dead
        raise OperationalError("COMMIT", {}, Exception("the line broke"))

    def load_table(self, *args: Any, **kwargs: Any) -> Table:
        if self.is_dead:
            raise OperationalError("SELECT", {}, Exception("no answer"))
        return super().load_table(*args, **kwargs)


def through(tables: Tables, *, lands: bool, stays_dead: bool = False, name: str = "orders") -> Table:
    folder = tables.lake.tenant_folder("default").resolve()
    catalog = BrokenLine(CATALOG, uri=f"sqlite:///{folder / 'catalog.db'}", warehouse=str(folder))
    catalog.lands, catalog.stays_dead = lands, stays_dead
    return catalog.load_table(("shop", name))


def test_a_commit_that_landed_after_all_counts(tables: Tables) -> None:
    tables.make(files=4)
    done = run_compaction(through(tables, lands=True), OPTIONS, run_id="run", limits=LIMITS)
    assert (done.groups, done.rewritten_files) == (1, 4)
    assert len(live_files(tables.open())) == 1
    assert len(rows(tables.open())) == 80


def test_a_commit_that_did_not_land_leaves_its_files_until_the_run_is_taken_up_again(tables: Tables) -> None:
    tables.make(files=4)
    with pytest.raises(Unavailable, match="did not take"):
        run_compaction(through(tables, lands=False), OPTIONS, run_id="run", limits=LIMITS)
    assert len(rows(tables.open())) == 80
    assert len(files_on_disk(tables.open())) == 5
    run_compaction(tables.open(), OPTIONS, run_id="run", limits=LIMITS)
    assert len(files_on_disk(tables.open())) == 5
    assert len(rows(tables.open())) == 80


def test_where_nobody_can_say_nothing_is_deleted(tables: Tables) -> None:
    tables.make(files=4)
    with pytest.raises(Unavailable, match="not known"):
        run_compaction(through(tables, lands=True, stays_dead=True), OPTIONS, run_id="run", limits=LIMITS)
    assert len(rows(tables.open())) == 80
    assert len(live_files(tables.open())) == 1


def test_a_reader_of_the_catalogs_database_holds_no_commit_up(tables: Tables) -> None:
    table = tables.make(files=4)
    reader = sqlite3.connect(tables.lake.tenant_folder("default") / "catalog.db")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM iceberg_tables").fetchall()  # holds a SHARED lock until the end
    run_compaction(table, OPTIONS, run_id="run", limits=LIMITS)
    reader.close()
    assert len(live_files(tables.open())) == 1


def test_a_locked_catalog_is_unavailable_and_free_again_after(tables: Tables, tmp_path: Path) -> None:
    tables.make(files=4)
    database = tables.lake.tenant_folder("default").resolve() / "catalog.db"
    catalog = SqlCatalog(CATALOG, uri=f"sqlite:///{database}?timeout=0.1", warehouse=str(database.parent))
    table = catalog.load_table(("shop", "orders"))
    writer = sqlite3.connect(database, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable):
        run_compaction(table, OPTIONS, run_id="run", limits=LIMITS)
    thread = threading.Thread(target=writer.rollback)
    thread.start()
    thread.join()
    writer.close()
    assert len(rows(tables.open())) == 80
    run_compaction(table.refresh(), OPTIONS, run_id="run", limits=LIMITS)
    assert len(live_files(tables.open())) == 1
    catalog.engine.dispose()
