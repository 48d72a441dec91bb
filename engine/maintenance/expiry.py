"""Expiry: snapshots that nobody needs any more, and the files that only they used."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.update import (
    AssertRefSnapshotId,
    RemoveSnapshotsUpdate,
    UpdatesAndRequirements,
    UpdateTableMetadata,
    ValidatableTableRequirement,
)

from core.errors import Conflict
from engine.lake.history import History, Ref, SnapshotEntry
from engine.lake.storage import Storage
from engine.maintenance.entries import ManifestReader, entries_sql


@dataclass(frozen=True, slots=True)
class ExpiryPlan:
    """Which snapshots go. `manifest_lists` are theirs: once they are gone, only these tell which files were theirs."""

    snapshot_ids: tuple[int, ...]
    manifest_lists: tuple[str, ...]
    kept: int


def plan_expiry(history: History, *, retain_last: int, older_than: float | None) -> ExpiryPlan:
    """Snapshots beyond the last `retain_last` of every branch and older than `older_than` (UTC seconds; None: any age).

    What a branch or tag names always stays, and so does what a branch's own settings keep."""
    kept: set[int] = set()
    for ref in history.refs.values():
        kept.update(entry.snapshot_id for entry in _kept_by(history, ref, retain_last))
    gone = [
        entry
        for entry in history.snapshots.values()
        if entry.snapshot_id not in kept and (older_than is None or entry.at < older_than)
    ]
    return ExpiryPlan(
        tuple(entry.snapshot_id for entry in gone),
        tuple(entry.manifest_list for entry in gone),
        len(history.snapshots) - len(gone),
    )


def _kept_by(history: History, ref: Ref, retain_last: int) -> Iterable[SnapshotEntry]:
    lineage = history.lineage(ref.snapshot_id)
    if ref.kind == "tag":
        return lineage[:1]
    newest = lineage[0].at if lineage else 0.0
    count = max(retain_last, ref.min_snapshots or 1)
    age_s = (ref.max_snapshot_age_ms or 0) / 1000
    return [entry for place, entry in enumerate(lineage) if place < count or (age_s and newest - entry.at < age_s)]


class _NoOtherRefs(ValidatableTableRequirement):
    """No branch or tag has come that the plan did not know: it could name a snapshot that goes."""

    type: Literal["headwater-no-other-refs"] = "headwater-no-other-refs"
    names: frozenset[str]

    def validate(self, base_metadata: TableMetadata | None) -> None:  # type: ignore[override]
        if base_metadata is None or not set(base_metadata.refs) <= self.names:
            raise CommitFailedException("A branch or tag was made meanwhile.")


class _Expiry(UpdateTableMetadata["_Expiry"]):
    """pyiceberg's own takes 8 ms for each snapshot and does not look at branches and tags made meanwhile."""

    def __init__(self, transaction: Transaction, snapshot_ids: Collection[int]):
        super().__init__(transaction)
        self._snapshot_ids = set(snapshot_ids)

    def _commit(self) -> UpdatesAndRequirements:
        refs = self._transaction.table_metadata.refs
        update = RemoveSnapshotsUpdate(snapshot_ids=list(self._snapshot_ids))
        heads = [AssertRefSnapshotId(ref=name, snapshot_id=ref.snapshot_id) for name, ref in refs.items()]
        return (update,), (*heads, _NoOtherRefs(names=frozenset(refs)))  # type: ignore[arg-type]


def expire(table: Table, plan: ExpiryPlan) -> None:
    """Take the snapshots out of the table. Deletes no file. Raises Conflict when branches or tags changed."""
    try:
        with table.transaction() as transaction:
            _Expiry(transaction, plan.snapshot_ids).commit()
    except (CommitFailedException, ValueError) as error:
        raise Conflict("The table's snapshots changed meanwhile.", hint="Plan it again.") from error


def files_of_expired(history: History, manifest_lists: Sequence[str]) -> list[str]:
    """Files that only the snapshots with those lists used; `history` is the table's after they went.

    Data and delete files first, then manifests, then the lists, so that a stop in between can be taken up again."""
    storage = history.storage
    kept = {storage.spelled(entry.manifest_list) for entry in history.snapshots.values()}
    lists = [place for place in manifest_lists if storage.spelled(place) not in kept and _is_there(storage, place)]
    with ManifestReader(history.location, storage) as reader:
        live = reader.manifests(*(entry.manifest_list for entry in history.snapshots.values()))
        live_paths = {manifest.path for manifest in live}
        dead = [manifest for manifest in reader.manifests(*lists) if manifest.path not in live_paths]
        dead = [manifest for manifest in dead if _is_there(storage, manifest.path)]
        files: list[str] = []
        if dead:
            sql = f"SELECT DISTINCT path FROM ({entries_sql(dead, with_deleted=True)})"  # noqa: S608 - ours
            if live:
                sql += f" WHERE path NOT IN (SELECT path FROM ({entries_sql(live)}))"  # noqa: S608
            files = [str(row[0]) for row in reader.rows(sql)]
    return [*files, *(manifest.path for manifest in dead), *lists]


def _is_there(storage: Storage, location: str) -> bool:
    return storage.size(location) is not None
