"""Care of lakehouse tables for callers: finds the table that they may see, and runs the blocking work in threads."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from core.context import Cancellation, JobRun, Principal
from core.errors import Cancelled, Conflict
from engine.catalog.catalog import Catalog
from engine.lake.history import History, Ref, SnapshotEntry, read_history
from engine.lake.names import TableName, parse_table_name
from engine.lake.warehouse import Lake

if TYPE_CHECKING:  # pyiceberg comes with the first change of a table, not with the server's start
    from pyiceberg.table import Table

    from engine.maintenance.compaction import CompactionResult
    from engine.maintenance.health import Health
    from engine.maintenance.planning import CompactionOptions, CompactionPlan

T = TypeVar("T")
LAKEHOUSE = "lakehouse"
Tell = Callable[[str, int, int], Coroutine[Any, Any, None]]
"""Tells a caller what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class Found:
    """A table that the caller may see. `sees_all` is false where policies hide some of its rows or columns."""

    name: TableName
    metadata_location: str
    sees_all: bool

    def history(self) -> History:
        return read_history(self.metadata_location)


@dataclass(frozen=True, slots=True)
class Expired:
    """What an expiry did, or with `dry_run` would do."""

    snapshot_ids: Sequence[int]
    kept_snapshots: int
    deleted_files: int
    freed_bytes: int


@dataclass(frozen=True, slots=True)
class Removed:
    """Orphans that were found and, unless it was a dry run, deleted."""

    paths: Sequence[str]
    file_count: int
    size_bytes: int


class TableCare:
    """Health, compaction, expiry and changes of lakehouse tables."""

    def __init__(
        self,
        *,
        lake: Lake,
        catalog: Catalog,
        memory_mb: int,
        threads: int,
        temp_directory: Path,
        clock: Callable[[], float] = time.time,
    ):
        self._lake = lake
        self._catalog = catalog
        self._memory_mb = memory_mb
        self._threads = threads
        self._temp = temp_directory
        self._clock = clock

    async def find(self, by: Principal, table: str) -> Found:
        """The table by its name, if the caller may see it. Raises NotFound."""
        view = await self._catalog.table(by, LAKEHOUSE, table)
        governed = (await self._catalog.view(by, LAKEHOUSE)).get(view.key)
        name = parse_table_name(view.relation.name)
        opened = await asyncio.to_thread(self._lake.open_now, by.tenant, name)
        sees_all = governed is not None and governed.is_open
        return Found(opened.name, opened.metadata.metadata_location, sees_all)

    async def health(self, by: Principal, table: str, *, small_file_mb: int) -> "tuple[Found, Health]":
        """Measure a table on its metadata. Raises NotFound, Unavailable."""
        from engine.maintenance.health import measure

        found = await self.find(by, table)
        return found, await asyncio.to_thread(lambda: measure(found.history(), small_file_mb=small_file_mb))

    async def snapshots(self, by: Principal, table: str) -> tuple[Found, list[SnapshotEntry], History]:
        """The table's snapshots, newest first. Raises NotFound."""
        found = await self.find(by, table)
        history = await asyncio.to_thread(found.history)
        return (
            found,
            sorted(history.snapshots.values(), key=lambda entry: (entry.at, entry.sequence_number))[::-1],
            history,
        )

    async def refs(self, by: Principal, table: str) -> tuple[Found, list[Ref]]:
        """The table's branches and tags. Raises NotFound."""
        found = await self.find(by, table)
        history = await asyncio.to_thread(found.history)
        return found, sorted(history.refs.values(), key=lambda ref: ref.name)

    async def plan_compaction(self, by: Principal, table: str, options: "CompactionOptions") -> "CompactionPlan":
        """What compact would do now. Raises NotFound, Conflict."""
        from engine.maintenance.compaction import make_plan

        found = await self.find(by, table)
        return await self._on_table(by, found, lambda opened: make_plan(opened, options))

    async def compact(
        self,
        by: Principal,
        table: str,
        options: "CompactionOptions",
        *,
        run_id: str,
        tell: Tell,
        cancelled: Cancellation,
    ) -> "CompactionResult":
        """Rewrite a table's files; what is committed stays when it is cancelled. Raises Conflict, Cancelled."""
        from engine.maintenance.compaction import run_compaction
        from engine.maintenance.writing import WriterLimits

        found = await self.find(by, table)
        loop = asyncio.get_running_loop()
        limits = WriterLimits(self._memory_mb, self._threads, self._temp)
        stop = False

        def report(done: int, total: int, result: "CompactionResult") -> None:
            text = f"{result.rewritten_files} files rewritten into {result.new_files}"
            asyncio.run_coroutine_threadsafe(tell(text, done, total), loop).result()

        def mark() -> None:
            nonlocal stop
            stop = True

        cancelled.on_set(mark)
        result = await self._on_table(
            by,
            found,
            lambda opened: run_compaction(
                opened, options, run_id=run_id, limits=limits, report=report, is_cancelled=lambda: stop
            ),
        )
        if stop:
            raise Cancelled(f"Compaction was cancelled after {result.groups} groups; those stay as they are.")
        return result

    async def expire(
        self,
        by: Principal,
        table: str,
        *,
        retain_last: int,
        older_than: float | None,
        dry_run: bool,
        job: JobRun | None,
    ) -> Expired:
        """Expire snapshots, then delete the files that only they used. Raises NotFound, Conflict."""
        from engine.maintenance.expiry import ExpiryPlan, expire, plan_expiry

        if older_than is not None and older_than > self._clock():
            raise Conflict("older_than lies in the future.", hint="Give a time in the past, or leave it out.")
        found = await self.find(by, table)

        def plan() -> ExpiryPlan:
            return plan_expiry(found.history(), retain_last=retain_last, older_than=older_than)

        planned = await asyncio.to_thread(plan)
        if dry_run:
            return Expired(planned.snapshot_ids, planned.kept, 0, 0)
        lists = await _remembered(job, "manifest lists", planned.manifest_lists)
        if planned.snapshot_ids:
            await self._on_table(by, found, lambda opened: expire(opened, planned))
        deleted, freed = await self._delete_expired(by, table, lists)
        return Expired(planned.snapshot_ids, planned.kept, deleted, freed)

    async def _delete_expired(self, by: Principal, table: str, manifest_lists: Sequence[str]) -> tuple[int, int]:
        from engine.maintenance.expiry import files_of_expired

        found = await self.find(by, table)
        return await asyncio.to_thread(lambda: _delete(files_of_expired(found.history(), manifest_lists)))

    async def remove_orphans(self, by: Principal, table: str, *, older_than_s: float, dry_run: bool) -> Removed:
        """Find files that nothing refers to and, unless it is a dry run, delete them. Raises NotFound, Conflict."""
        from engine.maintenance.orphans import find_orphans

        found = await self.find(by, table)
        tenant, name = by.tenant, found.name

        def work() -> Removed:
            others = [other for other in self._lake.tables(tenant) if other.name != name]
            opened = self._lake.open_now(tenant, name)

            def read() -> tuple[str, History]:
                location = self._lake.open_now(tenant, name).metadata.metadata_location
                return location, read_history(location)

            orphans = find_orphans(
                opened.metadata.location,
                read,
                older_than_s=older_than_s,
                now=self._clock(),
                neighbours=[other.metadata.location for other in others],
            )
            root = Path(opened.metadata.location.removeprefix("file://"))
            paths = [str(orphan.path.relative_to(root)) for orphan in orphans]
            if not dry_run:
                _delete([str(orphan.path) for orphan in orphans])
            return Removed(paths, len(orphans), sum(orphan.size_bytes for orphan in orphans))

        return await asyncio.to_thread(work)

    async def rewrite_manifests(self, by: Principal, table: str) -> tuple[Found, int, int]:
        """Commit the same files in fewer manifests; how many there were and are. Raises NotFound, Conflict."""
        from engine.maintenance.manifests import rewrite_manifests

        found = await self.find(by, table)
        before, after = await self._on_table(by, found, rewrite_manifests)
        return found, before, after

    async def roll_back(self, by: Principal, table: str, *, snapshot_id: int | None, at: float | None) -> int:
        """Make an earlier snapshot the current one; returns its id. Raises NotFound, Conflict."""
        from engine.maintenance.refs import find_snapshot, roll_back

        if (snapshot_id is None) == (at is None):
            raise Conflict("Say where to go back to.", hint="Give snapshot_id or timestamp, one of the two.")
        found = await self.find(by, table)

        def work(opened: "Table") -> int:
            history = read_history(opened.metadata_location)
            wanted = find_snapshot(history, snapshot_id, at)
            roll_back(opened, history, wanted.snapshot_id)
            return wanted.snapshot_id

        return await self._on_table(by, found, work)

    async def create_ref(
        self, by: Principal, table: str, name: str, kind: str, *, snapshot_id: int | None, max_age_days: int | None
    ) -> Ref:
        """Give a snapshot, by default the current one, a name that keeps it. Raises NotFound, Conflict."""
        from engine.maintenance.refs import create_ref, find_snapshot

        def work(opened: "Table") -> None:
            wanted = find_snapshot(read_history(opened.metadata_location), snapshot_id)
            create_ref(opened, name, kind, wanted.snapshot_id, max_age_days=max_age_days)

        found, _ = await self.change(by, table, work)
        return (await asyncio.to_thread(found.history)).refs[name]

    async def delete_ref(self, by: Principal, table: str, name: str) -> None:
        """Take a branch's or tag's name away. Raises NotFound, Conflict."""
        from engine.maintenance.refs import delete_ref

        await self.change(by, table, lambda opened: delete_ref(opened, name))

    async def change(self, by: Principal, table: str, work: "Callable[[Table], T]") -> tuple[Found, T]:
        """Run a short change of the table's metadata; returns the table as it is then. Raises NotFound, Conflict."""
        found = await self.find(by, table)
        result = await self._on_table(by, found, work)
        return await self.find(by, table), result

    async def _on_table(self, by: Principal, found: Found, work: "Callable[[Table], T]") -> T:
        return await self._lake.commit(by.tenant, lambda catalog: work(catalog.load_table(found.name.parts)))


async def _remembered(job: JobRun | None, step: str, lines: Sequence[str]) -> Sequence[str]:
    """The lines as they were when the job first came here: after a kill they cannot be found again."""
    if job is None:
        return lines

    async def now() -> str:
        return "\n".join(lines)

    text = await job.step(step, now)
    return text.split("\n") if text else []


def _delete(paths: Sequence[str]) -> tuple[int, int]:
    """Delete files; those that are gone already do not count. Returns how many, and their size in bytes."""
    deleted = freed = 0
    for path in paths:
        place = Path(path.removeprefix("file://"))
        try:
            size = place.stat().st_size
            place.unlink()
        except FileNotFoundError:
            continue
        deleted, freed = deleted + 1, freed + size
    return deleted, freed
