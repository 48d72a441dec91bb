"""Care of lakehouse tables for callers: what they may see of a table's state, and short changes of it.

The long work, which runs as jobs, is `TableCare.jobs`."""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from core.context import Principal
from core.errors import Conflict
from engine.catalog.catalog import Catalog
from engine.lake.history import History, Ref, SnapshotEntry, read_history
from engine.lake.storage import storage_of
from engine.lake.warehouse import Lake
from engine.maintenance.found import Found, TableFinder
from engine.maintenance.table_jobs import TableJobs, Workshop

if TYPE_CHECKING:  # pyiceberg comes with the first change of a table, not with the server's start
    from pyiceberg.table import Table

    from engine.maintenance.health import Health

T = TypeVar("T")


class TableCare:
    """Health, versions, names and changes of lakehouse tables."""

    def __init__(self, finder: TableFinder, jobs: TableJobs):
        self._finder = finder
        self.jobs = jobs

    async def find(self, by: Principal, table: str) -> Found:
        """The table by its name, if the caller may see it. Raises NotFound."""
        return await self._finder.find(by, table)

    async def health(self, by: Principal, table: str, *, small_file_mb: int) -> "tuple[Found, Health]":
        """Measure a table on its metadata. Raises NotFound, Unavailable."""
        from engine.maintenance.health import measure

        found = await self.find(by, table)
        return found, await asyncio.to_thread(lambda: measure(found.history(), small_file_mb=small_file_mb))

    async def snapshots(self, by: Principal, table: str) -> tuple[Found, list[SnapshotEntry], History]:
        """The table's snapshots, newest first. Raises NotFound."""
        found = await self.find(by, table)
        history = await asyncio.to_thread(found.history)
        entries = sorted(history.snapshots.values(), key=lambda entry: (entry.at, entry.sequence_number))
        return found, entries[::-1], history

    async def refs(self, by: Principal, table: str) -> tuple[Found, list[Ref]]:
        """The table's branches and tags. Raises NotFound."""
        found = await self.find(by, table)
        history = await asyncio.to_thread(found.history)
        return found, sorted(history.refs.values(), key=lambda ref: ref.name)

    async def roll_back(self, by: Principal, table: str, *, snapshot_id: int | None, at: float | None) -> int:
        """Make an earlier snapshot the current one; returns its id. Raises NotFound, Conflict."""
        from engine.maintenance.refs import find_snapshot, roll_back

        if (snapshot_id is None) == (at is None):
            raise Conflict("Say where to go back to.", hint="Give snapshot_id or timestamp, one of the two.")

        def work(opened: "Table") -> int:
            history = read_history(opened.metadata_location, storage_of(opened))
            wanted = find_snapshot(history, snapshot_id, at)
            roll_back(opened, history, wanted.snapshot_id)
            return wanted.snapshot_id

        return (await self.change(by, table, work))[1]

    async def create_ref(
        self, by: Principal, table: str, name: str, kind: str, *, snapshot_id: int | None, max_age_days: int | None
    ) -> tuple[Found, Ref]:
        """Give a snapshot, by default the current one, a name that keeps it. Raises NotFound, Conflict."""
        from engine.maintenance.refs import create_ref, find_snapshot

        def work(opened: "Table") -> Ref:
            wanted = find_snapshot(read_history(opened.metadata_location, storage_of(opened)), snapshot_id)
            return create_ref(opened, name, kind, wanted.snapshot_id, max_age_days=max_age_days)

        return await self.change(by, table, work)

    async def delete_ref(self, by: Principal, table: str, name: str) -> None:
        """Take a branch's or tag's name away. Raises NotFound, Conflict."""
        from engine.maintenance.refs import delete_ref

        await self.change(by, table, lambda opened: delete_ref(opened, name))

    async def change(
        self,
        by: Principal,
        table: str,
        work: "Callable[[Table], T]",
        *,
        columns: Iterable[str] = (),
        plain: Iterable[str] = (),
        dropped: str = "",
    ) -> tuple[Found, T]:
        """Run a short change of the table's metadata; returns the table as it was before.

        The caller must see `columns`, and may read those in `plain` unmasked; `dropped` names a column that goes.
        Raises NotFound, Conflict."""
        found = await self.find(by, table)
        found.check_columns(columns, plain=plain)
        await self._finder.hold(by, found, dropped=dropped)
        return found, await self._finder.run(by, found, work)


def open_care(lake: Lake, catalog: Catalog, workshop: Workshop) -> TableCare:
    """Table care over one lake."""
    finder = TableFinder(lake, catalog)
    return TableCare(finder, TableJobs(finder, workshop))
