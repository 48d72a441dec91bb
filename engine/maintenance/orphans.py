"""Orphans: files below a table's folder that no snapshot refers to, left by writers that failed or were killed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.errors import Conflict
from engine.lake.history import History
from engine.lake.storage import ANYWHERE, Storage
from engine.maintenance.entries import ManifestReader

DAY_S = 86_400.0
MIN_AGE_S = 3 * DAY_S  # a writer's files are nobody's until it commits; none takes three days


@dataclass(frozen=True, slots=True)
class Orphan:
    """A file that nothing refers to. `age_s` is counted from its last change."""

    path: str
    size_bytes: int
    age_s: float


def find_orphans(
    location: str,
    read: Callable[[], tuple[str, History]],
    *,
    older_than_s: float,
    now: float,
    neighbours: Sequence[str] = (),
    storage: Storage = ANYWHERE,
) -> list[Orphan]:
    """Files of the table that no snapshot, and no kept metadata file, refers to. Deletes nothing. Blocking.

    `read` gives the current metadata file and what it says; it is called after the folder was listed, so that a
    commit in between makes files live rather than orphans. Raises Conflict where others share the folder."""
    _check_alone(location, neighbours, storage)
    listed = storage.walk(location)
    found = [Orphan(file.location, file.size_bytes, now - file.modified_at) for file in listed]
    found = [orphan for orphan in found if orphan.age_s >= older_than_s]
    if not found:
        return []
    metadata_location, history = read()
    live = _live(metadata_location, history, location, storage)
    return [orphan for orphan in found if storage.spelled(orphan.path) not in live]


def _check_alone(location: str, neighbours: Sequence[str], storage: Storage) -> None:
    here = storage.spelled(location).rstrip("/")
    for other in neighbours:
        there = storage.spelled(other).rstrip("/")
        if here == there or there.startswith(f"{here}/") or here.startswith(f"{there}/"):
            raise Conflict(
                "Another table lies in the same folder, so that no file can be told an orphan.",
                hint="Move one of the two: copy it into a new table.",
            )


def _live(metadata_location: str, history: History, location: str, storage: Storage) -> set[str]:
    lists = [entry.manifest_list for entry in history.snapshots.values()]
    live = {metadata_location, *history.metadata_log, *history.statistics, *lists}
    with ManifestReader(history.location, storage) as reader:
        manifests = reader.manifests(*lists)
        live.update(manifest.path for manifest in manifests)
        live.update(file.path for file in reader.entries(manifests))
    paths = {storage.spelled(place) for place in live}
    inside = f"{storage.spelled(location).rstrip('/')}/"
    if any(not path.startswith(inside) for path in paths):
        raise Conflict(
            "The table refers to files outside its own folder, so that no file can be told an orphan.",
            hint="Compact the table first: that copies its rows into its own folder.",
        )
    return paths
