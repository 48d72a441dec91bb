"""Orphans: files below a table's folder that no snapshot refers to, left by writers that failed or were killed."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import Conflict
from engine.lake.history import History
from engine.lake.metadata import local_path
from engine.maintenance.entries import ManifestReader

DAY_S = 86_400.0
MIN_AGE_S = 3 * DAY_S  # a writer's files are nobody's until it commits; none takes three days


@dataclass(frozen=True, slots=True)
class Orphan:
    """A file that nothing refers to. `age_s` is counted from its last change."""

    path: Path
    size_bytes: int
    age_s: float


def find_orphans(
    location: str,
    read: Callable[[], tuple[str, History]],
    *,
    older_than_s: float,
    now: float,
    neighbours: Sequence[str] = (),
) -> list[Orphan]:
    """Files of the table that no snapshot, and no kept metadata file, refers to. Deletes nothing. Blocking.

    `read` gives the current metadata file and what it says; it is called after the folder was listed, so that a
    commit in between makes files live rather than orphans. Raises Conflict where others share the folder."""
    root = local_path(location)
    _check_alone(root, neighbours)
    found = [orphan for orphan in _walk(root, now) if orphan.age_s >= older_than_s]
    if not found:
        return []
    metadata_location, history = read()
    live = _live(metadata_location, history, root)
    return [orphan for orphan in found if os.path.realpath(orphan.path) not in live]


def _check_alone(root: Path, neighbours: Sequence[str]) -> None:
    here = os.path.realpath(root)
    for other in neighbours:
        there = os.path.realpath(local_path(other))
        if here == there or there.startswith(f"{here}{os.sep}") or here.startswith(f"{there}{os.sep}"):
            raise Conflict(
                "Another table lies in the same folder, so that no file can be told an orphan.",
                hint="Move one of the two: copy it into a new table.",
            )


def _walk(root: Path, now: float) -> Iterator[Orphan]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue
            yield Orphan(path, status.st_size, now - status.st_mtime)


def _live(metadata_location: str, history: History, root: Path) -> set[str]:
    lists = [entry.manifest_list for entry in history.snapshots.values()]
    live = {metadata_location, *history.metadata_log, *history.statistics, *lists}
    with ManifestReader(history.location) as reader:
        manifests = reader.manifests(*lists)
        live.update(manifest.path for manifest in manifests)
        live.update(file.path for file in reader.entries(manifests))
    paths = {os.path.realpath(local_path(location)) for location in live}
    inside = f"{os.path.realpath(root)}{os.sep}"
    if any(not path.startswith(inside) for path in paths):
        raise Conflict(
            "The table refers to files outside its own folder, so that no file can be told an orphan.",
            hint="Compact the table first: that copies its rows into its own folder.",
        )
    return paths
