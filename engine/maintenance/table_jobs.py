"""The long work on lakehouse tables: compaction, expiry, orphans, manifests; each is planned, told of and resumed."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.context import Cancellation, JobRun, Principal
from core.errors import Cancelled, Conflict, Unavailable
from engine.lake.history import History, read_history
from engine.lake.storage import Storage, is_remote, local_path
from engine.maintenance.found import TableFinder

if TYPE_CHECKING:  # pyiceberg comes with the first change of a table, not with the server's start
    from pyiceberg.table import Table

    from engine.maintenance.compaction import CompactionResult
    from engine.maintenance.expiry import ExpiryPlan
    from engine.maintenance.planning import CompactionOptions, CompactionPlan

TOLD_EVERY = 500  # deleted files
Tell = Callable[[str, int, int], Coroutine[Any, Any, None]]
"""Tells a caller what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class Run:
    """How a piece of long work talks with whoever waits for it. `run_id` is the same when it is taken up again."""

    run_id: str
    tell: Tell
    cancelled: Cancellation
    job: JobRun | None = None


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


@dataclass(frozen=True, slots=True)
class Workshop:
    """What rewriting files may use."""

    memory_mb: int
    threads: int
    temp_directory: Path


class TableJobs:
    """Runs the long work in threads, as one caller and within their sight."""

    def __init__(self, finder: TableFinder, workshop: Workshop, *, clock: Callable[[], float] = time.time):
        self._finder = finder
        self._workshop = workshop
        self._clock = clock

    async def plan_compaction(self, by: Principal, table: str, options: "CompactionOptions") -> "CompactionPlan":
        """What compact would do now. Raises NotFound, Conflict."""
        from engine.maintenance.compaction import make_plan

        found = await self._finder.find(by, table)
        seen = replace(options, readable=found.plain_columns)
        return await self._finder.run(by, found, lambda opened: make_plan(opened, seen))

    async def compact(self, by: Principal, table: str, options: "CompactionOptions", run: Run) -> "CompactionResult":
        """Rewrite a table's files; what is committed stays when it is cancelled. Raises Conflict, Cancelled."""
        from engine.maintenance.compaction import run_compaction
        from engine.maintenance.writing import WriterLimits

        found = await self._finder.find(by, table)
        seen, shop = replace(options, readable=found.plain_columns), self._workshop
        limits = WriterLimits(shop.memory_mb, shop.threads, shop.temp_directory)
        tell, is_cancelled = _from_thread(run)

        def report(done: int, total: int, result: "CompactionResult") -> None:
            tell(f"{result.rewritten_files} files rewritten into {result.new_files}", done, total)

        def work(opened: "Table") -> "CompactionResult":
            return run_compaction(
                opened, seen, run_id=run.run_id, limits=limits, report=report, is_cancelled=is_cancelled
            )

        result = await self._finder.run(by, found, work)
        if is_cancelled():
            raise Cancelled(f"Compaction was cancelled after {result.groups} groups; those stay as they are.")
        return result

    async def expire(
        self,
        by: Principal,
        table: str,
        run: Run,
        *,
        retain_last: int,
        older_than: float | None = None,
        older_than_s: float = 0,
        dry_run: bool = False,
    ) -> Expired:
        """Expire snapshots, then delete the files that only they used. Raises NotFound, Conflict, Cancelled."""
        from engine.maintenance.expiry import expire, plan_expiry

        now = self._clock()
        if older_than is not None and older_than > now:
            raise Conflict("older_than lies in the future.", hint="Give a time in the past, or leave it out.")
        if older_than_s:
            older_than = min(now - older_than_s, now if older_than is None else older_than)
        found = await self._finder.find(by, table)

        def plan() -> "tuple[ExpiryPlan, History]":
            history = found.history()
            return plan_expiry(history, retain_last=retain_last, older_than=older_than), history

        planned, history = await asyncio.to_thread(plan)
        if dry_run:
            count, size = await asyncio.to_thread(_would_go, history, planned)
            return Expired(planned.snapshot_ids, planned.kept, count, size)
        earlier = await _remembered(run.job, "manifest lists", planned.manifest_lists)
        lists = list(dict.fromkeys((*earlier, *planned.manifest_lists)))
        if planned.snapshot_ids:
            await self._finder.run(by, found, lambda opened: expire(opened, planned))
        deleted, freed = await self._delete_expired(by, table, lists, run)
        return Expired(planned.snapshot_ids, planned.kept, deleted, freed)

    async def _delete_expired(
        self, by: Principal, table: str, manifest_lists: Sequence[str], run: Run
    ) -> tuple[int, int]:
        from engine.maintenance.expiry import files_of_expired

        found = await self._finder.find(by, table)
        delete = _deletion(run, found.storage)
        return await asyncio.to_thread(lambda: delete(files_of_expired(found.history(), manifest_lists)))

    async def remove_orphans(
        self, by: Principal, table: str, run: Run, *, older_than_s: float, dry_run: bool
    ) -> Removed:
        """Find files that nothing refers to and, unless it is a dry run, delete them. Raises NotFound, Conflict."""
        from engine.maintenance.orphans import find_orphans

        found = await self._finder.find(by, table)
        lake, tenant, name, delete = self._finder.lake, by.tenant, found.name, _deletion(run, found.storage)

        def work() -> Removed:
            others = [other for other in lake.tables(tenant) if other.name != name]
            opened = lake.open_now(tenant, name)

            def read() -> tuple[str, History]:
                location = lake.open_now(tenant, name).metadata.metadata_location
                return location, read_history(location, found.storage)

            orphans = find_orphans(
                opened.metadata.location,
                read,
                older_than_s=older_than_s,
                now=self._clock(),
                neighbours=[other.metadata.location for other in others],
                storage=found.storage,
            )
            root = str(local_path(opened.metadata.location)) if not is_remote(opened.metadata.location) else ""
            root = root or found.storage.spelled(opened.metadata.location)
            paths = [orphan.path.removeprefix(root).lstrip("/") for orphan in orphans]
            if not dry_run:
                delete([orphan.path for orphan in orphans])
            return Removed(paths, len(orphans), sum(orphan.size_bytes for orphan in orphans))

        return await asyncio.to_thread(work)

    async def rewrite_manifests(
        self, by: Principal, table: str, *, min_manifests: int, dry_run: bool
    ) -> tuple[int, int]:
        """Commit the same files in fewer manifests; how many there were and are. Raises NotFound, Conflict."""
        from engine.maintenance.manifests import plan_manifests, rewrite_manifests

        def work(opened: "Table") -> tuple[int, int]:
            before, after = plan_manifests(opened)
            if before < min_manifests or after >= before:
                return before, before
            return (before, after) if dry_run else rewrite_manifests(opened)

        found = await self._finder.find(by, table)
        return await self._finder.run(by, found, work)


async def _remembered(job: JobRun | None, step: str, lines: Sequence[str]) -> Sequence[str]:
    """The lines as they were when the job first came here: after a kill they cannot be found again."""
    if job is None:
        return lines

    async def now() -> str:
        return "\n".join(lines)

    text = await job.step(step, now)
    return text.split("\n") if text else []


def _from_thread(run: Run) -> tuple[Callable[[str, int, int], None], Callable[[], bool]]:
    """For a thread: tells how far it is, and whether it should stop."""
    loop, stopped = asyncio.get_running_loop(), False

    def stop() -> None:
        nonlocal stopped
        stopped = True

    def tell(text: str, done: int, total: int) -> None:
        asyncio.run_coroutine_threadsafe(run.tell(text, done, total), loop).result()

    run.cancelled.on_set(stop)
    return tell, lambda: stopped


def _deletion(run: Run, storage: Storage) -> Callable[[Sequence[str]], tuple[int, int]]:
    """Deletes files in a thread and says how many and how large they were; those gone already do not count."""
    tell, is_cancelled = _from_thread(run)

    def delete(paths: Sequence[str]) -> tuple[int, int]:
        deleted = freed = 0
        for number, path in enumerate(paths):
            if number % TOLD_EVERY == 0:
                tell(f"{deleted} files deleted", number, len(paths))
            if is_cancelled():
                raise Cancelled(f"Cancelled after {deleted} of {len(paths)} files; remove_orphan_files takes the rest.")
            size = _delete_one(storage, path)
            if size is not None:
                deleted, freed = deleted + 1, freed + size
        return deleted, freed

    return delete


def _delete_one(storage: Storage, path: str) -> int | None:
    try:
        return storage.delete(path)
    except OSError as error:
        raise Unavailable(
            "The store of the warehouse does not answer.", hint="remove_orphan_files takes what is left."
        ) from error


def _would_go(history: History, planned: "ExpiryPlan") -> tuple[int, int]:
    """How many files an expiry would delete, and how large they are."""
    from engine.maintenance.expiry import files_of_expired

    gone = set(planned.snapshot_ids)
    left = {number: entry for number, entry in history.snapshots.items() if number not in gone}
    paths = files_of_expired(replace(history, snapshots=left), planned.manifest_lists)
    sizes = [size for path in paths if (size := history.storage.size(path)) is not None]
    return len(sizes), sum(sizes)
