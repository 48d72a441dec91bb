"""Compaction: a table's small files, deleted rows and disorder made into few, well-filled files.

Each group of files is written and committed by itself, so that a run may be cancelled or killed between any two
lines: what is committed stays, what is not leaves files that the next run of the same job removes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pyiceberg.expressions import parser
from pyiceberg.expressions.visitors import bind
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table import FileScanTask, Table
from pyiceberg.table.delete_file_index import _referenced_data_file_path
from pyparsing import ParseBaseException

from core.errors import Cancelled, Conflict
from engine.lake.history import read_history
from engine.lake.storage import storage_of
from engine.maintenance.entries import FileEntry, ManifestReader
from engine.maintenance.planning import CompactionOptions, CompactionPlan, FileGroup, plan_compaction
from engine.maintenance.replace import replace_files
from engine.maintenance.writing import WriterLimits, write_group

GROUP = "headwater.compaction.group"


@dataclass(slots=True)
class CompactionResult:
    """What a run did. `conflicts` counts groups that somebody else's commit made void."""

    rewritten_files: int = 0
    new_files: int = 0
    rewritten_bytes: int = 0
    new_bytes: int = 0
    groups: int = 0
    conflicts: int = 0
    snapshot_ids: list[int] = field(default_factory=list)


def make_plan(table: Table, options: CompactionOptions) -> CompactionPlan:
    """What a run would do now. Reads metadata only. Blocking. Raises Conflict, Unavailable."""
    check_table(table)
    check_options(table, options)
    with ManifestReader(table.location(), storage_of(table)) as reader:
        return _plan(table, options, reader)


def check_table(table: Table) -> None:
    """Raises Conflict for tables of a format that cannot be rewritten safely."""
    if table.format_version > 2:
        raise Conflict(
            f"The table has format version {table.format_version}; rewriting needs version 2 or 1.",
            hint="Version 3 tracks rows through rewrites, which the writer here does not do.",
        )


def check_options(table: Table, options: CompactionOptions) -> None:
    known = {field.name: field for field in table.schema().fields}
    if options.strategy == "binpack":
        return
    if not options.order_by:
        raise Conflict(f"{options.strategy} needs columns.", hint="Name them in `order_by`.")
    for name in options.order_by:
        if name not in known or not known[name].field_type.is_primitive or not options.may_read(name):
            raise Conflict(f"The table has no plain column {name[:80]!r}.", hint="get_table lists the columns.")


def run_compaction(
    table: Table,
    options: CompactionOptions,
    *,
    run_id: str,
    limits: WriterLimits,
    report: Callable[[int, int, CompactionResult], None] = lambda done, total, result: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> CompactionResult:
    """Plan and rewrite, group by group. Blocking; the same `run_id` goes on where a killed run stopped.

    A cancelled run gives up the group that it is at, and says what it did before.

    Raises Conflict when every group met one."""
    check_table(table)
    check_options(table, options)
    _remove_leftovers(table, run_id)
    result, limits = CompactionResult(), replace(limits, is_cancelled=is_cancelled)
    with ManifestReader(table.location(), storage_of(table)) as reader:
        plan = _plan(table, options, reader)
        for number, planned in enumerate(plan.groups):
            if is_cancelled():
                break
            report(number, len(plan.groups), result)
            if number:
                table = table.catalog.load_table(table.name())
            task = _Task(table, planned, f"{run_id}-{number}", reader)
            _run_group(task, options, limits=limits, result=result)
    if result.conflicts and not result.groups:
        raise Conflict("Other writers changed every group of files meanwhile.", hint="Run it again when it is quieter.")
    return result


@dataclass(frozen=True, slots=True)
class _Task:
    """A group that is to be rewritten, the table as it was opened for that, and the name of the group's folder."""

    table: Table
    group: FileGroup
    name: str
    reader: ManifestReader


def _plan(table: Table, options: CompactionOptions, reader: ManifestReader) -> CompactionPlan:
    current = read_history(table.metadata_location, storage_of(table)).current
    if current is None:
        return CompactionPlan(None, (), 0)
    entries = reader.entries(reader.manifests(current.manifest_list))
    only = None if not options.where else frozenset(task.file.file_path for task in _scan(table, options))
    return plan_compaction(current.snapshot_id, entries, options, only=only)


def _scan(table: Table, options: CompactionOptions) -> Iterable[FileScanTask]:
    schema = table.schema()
    readable = Schema(*(field for field in schema.fields if options.may_read(field.name)))
    try:
        condition = parser.parse(options.where)
        bind(readable, condition, case_sensitive=True)
        return list(table.scan(row_filter=condition).plan_files())
    except (ValueError, TypeError, ParseBaseException, RecursionError) as error:
        raise Conflict(
            "`where` is not a condition over the table's columns.", hint="For example: day >= '2026-01-01'."
        ) from error


def _as_it_is_now(table: Table, group: FileGroup, reader: ManifestReader) -> tuple[FileGroup, list[FileEntry]]:
    """The group as this very table object lists it, with the deletes that apply, and its partition's other files.

    Commits that came after the plan, our own among them, have moved files to other manifests, and the base from which
    conflicts are looked for. Raises Conflict when a file of the group is gone."""
    current = read_history(table.metadata_location, storage_of(table)).current
    entries = reader.entries(reader.manifests(current.manifest_list)) if current else []
    key, wanted = (group.spec_id, group.partition), {file.path for file in group.files}
    same = [entry for entry in entries if (entry.spec_id, entry.partition) == key]
    files = tuple(entry for entry in same if entry.content == 0 and entry.path in wanted)
    if len(files) != len(wanted):
        raise Conflict("The table changed while it was being rewritten.", hint="Plan it again.")
    oldest = min(file.sequence_number for file in files)
    deletes = tuple(entry for entry in same if entry.content == 1 and entry.sequence_number >= oldest)
    left = [entry for entry in same if entry.content == 0 and entry.path not in wanted]
    return replace(group, files=files, deletes=deletes), left


def _run_group(task: _Task, options: CompactionOptions, *, limits: WriterLimits, result: CompactionResult) -> None:
    table, name = task.table, task.name
    folder = f"compact-{name}"
    try:
        group, left = _as_it_is_now(table, task.group, task.reader)
        sources = _data_files(table, group.files)
        added = write_group(table, group, options, folder=folder, sources=sources, limits=limits)
        limits.check()
        snapshot_id = commit_group(table, group, left, sources=sources, added=added, name=name)
    except (Conflict, Cancelled) as error:
        result.conflicts += isinstance(error, Conflict)
        storage_of(table).remove_tree(f"{table.location()}/data/{folder}")
        return
    result.groups += 1
    result.rewritten_files += len(group.files)
    result.rewritten_bytes += group.size_bytes
    result.new_files += len(added)
    result.new_bytes += sum(file.file_size_in_bytes for file in added)
    result.snapshot_ids.append(snapshot_id)


def commit_group(
    table: Table,
    group: FileGroup,
    left: Sequence[FileEntry],
    *,
    sources: Mapping[str, DataFile],
    added: Sequence[DataFile],
    name: str,
) -> int:
    """Put the written files in the place of the group's. Raises Conflict; then the written files are gone."""
    dangling = _dangling(table, group, left)
    return replace_files(table, removed=sources.values(), added=added, dangling=dangling, properties={GROUP: name})


def _data_files(table: Table, files: Iterable[FileEntry]) -> dict[str, DataFile]:
    """pyiceberg's own entries of those files. Raises Conflict when one is no longer there."""
    wanted = {file.path for file in files}
    found = {file.file_path: file for file in _entries_of(table, files) if file.file_path in wanted}
    if len(found) != len(wanted):
        raise Conflict("The table changed while it was being rewritten.", hint="Plan it again.")
    return found


def _entries_of(table: Table, files: Iterable[FileEntry]) -> Iterator[DataFile]:
    snapshot = table.current_snapshot()
    manifests = {file.manifest for file in files}
    for manifest in snapshot.manifests(table.io) if snapshot else ():
        if storage_of(table).spelled(manifest.manifest_path) in manifests:
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                yield entry.data_file


def _dangling(table: Table, group: FileGroup, left: Sequence[FileEntry]) -> list[DataFile]:
    """Delete files that apply to nothing once the group is gone and only `left` remains of its partition."""
    gone = {file.path for file in group.files}
    numbers = {delete.path: delete.sequence_number for delete in group.deletes}
    return [
        file
        for file in (_entries_of(table, group.deletes) if numbers else ())
        if file.file_path in numbers
        and (
            _referenced_data_file_path(file) in gone
            or all(other.sequence_number > numbers[file.file_path] for other in left)
        )
    ]


def _remove_leftovers(table: Table, run_id: str) -> None:
    """Delete what an earlier, killed attempt of this run wrote but did not commit."""
    storage = storage_of(table)
    folders = [name for name in storage.folders(f"{table.location()}/data") if name.startswith(f"compact-{run_id}-")]
    live = _live_paths(table) if folders else set()
    for name in folders:
        storage.remove_tree(f"{table.location()}/data/{name}", keep=live)


def _live_paths(table: Table) -> set[str]:
    """Every file that some snapshot still refers to."""
    live: set[str] = set()
    with ManifestReader(table.location(), storage_of(table)) as reader:
        for snapshot in read_history(table.metadata_location, storage_of(table)).snapshots.values():
            files = reader.entries(reader.manifests(snapshot.manifest_list))
            live.update(storage_of(table).spelled(file.path) for file in files)
    return live
