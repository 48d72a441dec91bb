"""Which files a compaction rewrites together: small ones, too large ones, and those with deleted rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from typing import Literal

from core.errors import Conflict
from engine.maintenance.entries import FileEntry

Strategy = Literal["binpack", "sort", "zorder"]
MB = 1024 * 1024
SMALL = 0.75  # of the target: below it a file is worth joining
LARGE = 1.8  # of the target: above it a file is worth splitting
GROUP_TARGETS = 8  # a group holds at most about this many target files, so that each commit is short


@dataclass(frozen=True, slots=True)
class CompactionOptions:
    """How to rewrite. `order_by` names the columns of `sort` and `zorder`.

    `readable`, where given, holds the columns that `where` and `order_by` may name: what is rewritten tells of them."""

    strategy: Strategy = "binpack"
    target_mb: int = 128
    min_input_files: int = 5
    order_by: tuple[str, ...] = ()
    where: str = ""
    readable: frozenset[str] | None = None

    def may_read(self, column: str) -> bool:
        return self.readable is None or column in self.readable

    @property
    def target_bytes(self) -> int:
        return self.target_mb * MB


@dataclass(frozen=True, slots=True)
class FileGroup:
    """Files of one partition that are rewritten and committed together."""

    spec_id: int
    partition: str
    files: tuple[FileEntry, ...]
    deletes: tuple[FileEntry, ...]
    expected_files: int

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def row_count(self) -> int:
        return sum(file.row_count for file in self.files)


@dataclass(frozen=True, slots=True)
class CompactionPlan:
    """What a run would do to one snapshot."""

    snapshot_id: int | None
    groups: tuple[FileGroup, ...]
    file_count: int

    @property
    def rewritten_files(self) -> int:
        return sum(len(group.files) for group in self.groups)

    @property
    def expected_files(self) -> int:
        return sum(group.expected_files for group in self.groups)

    @property
    def size_bytes(self) -> int:
        return sum(group.size_bytes for group in self.groups)


def plan_compaction(
    snapshot_id: int | None,
    entries: Iterable[FileEntry],
    options: CompactionOptions,
    *,
    only: frozenset[str] | None = None,
) -> CompactionPlan:
    """The groups worth rewriting, of all files or of those whose paths are in `only`.

    Raises Conflict for a table with equality deletes: their rows cannot be told from here."""
    data: list[FileEntry] = []
    deletes: dict[tuple[int, str], list[FileEntry]] = {}
    for entry in entries:
        if entry.content == 2:
            raise Conflict(
                "The table has equality deletes, which Headwater does not apply.",
                hint="Compact it with the engine that wrote them, for example Spark or Flink.",
            )
        if entry.content == 1:
            deletes.setdefault((entry.spec_id, entry.partition), []).append(entry)
        else:
            data.append(entry)
    wanted = data if only is None else [file for file in data if file.path in only]
    wanted.sort(key=lambda file: (file.spec_id, file.partition, file.sequence_number, file.path))
    groups: list[FileGroup] = []
    for (spec_id, partition), files in groupby(wanted, key=lambda file: (file.spec_id, file.partition)):
        groups += _groups(spec_id, partition, list(files), deletes.get((spec_id, partition), []), options)
    return CompactionPlan(snapshot_id, tuple(groups), len(data))


def _groups(
    spec_id: int, partition: str, files: Sequence[FileEntry], deletes: Sequence[FileEntry], options: CompactionOptions
) -> list[FileGroup]:
    if options.strategy == "binpack":
        bins = _bins([file for file in files if _is_worth(file, deletes, options)], options)
    else:
        bins = _bins(files, options)
    made = (_group(spec_id, partition, files, deletes, options) for files in bins)
    return [group for group in made if _pays(group, options)]


def _is_worth(file: FileEntry, deletes: Sequence[FileEntry], options: CompactionOptions) -> bool:
    is_odd = not SMALL * options.target_bytes <= file.size_bytes <= LARGE * options.target_bytes
    return is_odd or any(delete.sequence_number >= file.sequence_number for delete in deletes)


def _bins(files: Sequence[FileEntry], options: CompactionOptions) -> list[list[FileEntry]]:
    """Neighbours in order of arrival, so that what was written together stays together."""
    bins: list[list[FileEntry]] = []
    room = 0
    for file in files:
        if not bins or file.size_bytes > room:
            bins.append([])
            room = GROUP_TARGETS * options.target_bytes
        bins[-1].append(file)
        room -= file.size_bytes
    return bins


def _group(
    spec_id: int, partition: str, files: Sequence[FileEntry], deletes: Sequence[FileEntry], options: CompactionOptions
) -> FileGroup:
    oldest = min(file.sequence_number for file in files)
    applying = tuple(delete for delete in deletes if delete.sequence_number >= oldest)
    size_bytes = sum(file.size_bytes for file in files)
    return FileGroup(spec_id, partition, tuple(files), applying, max(1, ceil(size_bytes / options.target_bytes)))


def _pays(group: FileGroup, options: CompactionOptions) -> bool:
    """Rows in another order, deleted rows gone, a large file split, or enough files made fewer."""
    if options.strategy != "binpack" or group.deletes:
        return True
    if any(file.size_bytes > LARGE * options.target_bytes for file in group.files):
        return True
    return len(group.files) >= options.min_input_files and len(group.files) > group.expected_files
