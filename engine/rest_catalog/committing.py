"""Commits, blocking: run in threads, on the tenant's writable catalog."""

import uuid
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import InvalidArgument
from engine.lake.warehouse import TABLE_DEFAULTS
from engine.rest_catalog.making import check_unused, folder_of
from engine.rest_catalog.manifests import check_snapshot
from engine.rest_catalog.names import Parts
from engine.rest_catalog.refusals import AlreadyExists, CommitFailed
from engine.rest_catalog.updates import check_updates, check_version, read_errors

if TYPE_CHECKING:  # pyiceberg comes with the first commit
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.table.metadata import TableMetadata
    from pyiceberg.table.snapshots import Snapshot
    from pyiceberg.table.update import TableRequirement, TableUpdate


@dataclass(frozen=True, slots=True)
class Commit:
    """What a client wants done to one table, if its requirements hold."""

    parts: Parts
    requirements: "tuple[TableRequirement, ...]"
    updates: "tuple[TableUpdate, ...]"


def commit(catalog: "SqlCatalog", asked: Commit, identity: str) -> str:
    """Change a table; where its metadata is now. Raises CommitFailed, InvalidArgument."""
    from pyiceberg.table.update import AssertTableUUID

    table = catalog.load_table(asked.parts)
    base = table.metadata
    if str(base.table_uuid) != identity:
        raise lost()  # another table has taken the name since the caller's rights were looked at
    check_version(base.format_version)
    check_updates(asked.updates, base.location.rstrip("/"), identity)
    _check_files(asked, base, base.location, catalog)
    own = (AssertTableUUID(uuid=base.table_uuid), *_unlost(base, asked))
    with _lost(), read_errors("commit"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an old metadata file that cannot be deleted is an orphan, not a failure
        # It also deletes old metadata files, which clients other than pyiceberg leave to the catalog.
        table._do_commit(asked.updates, (*asked.requirements, *own))
    return table.metadata_location


def _unlost(base: "TableMetadata", asked: Commit) -> "list[TableRequirement]":
    """A branch that moves stands where the client's snapshots begin, also if the client forgot to say so."""
    from pyiceberg.table.update import AssertRefSnapshotId

    added = _added(asked)
    return [
        AssertRefSnapshotId(ref=update.ref_name, snapshot_id=_origin(added, update.snapshot_id))
        for update in asked.updates
        if update.action == "set-snapshot-ref" and update.type == "branch"
        if update.snapshot_id in added and update.ref_name in base.refs
    ]


def _added(asked: Commit) -> "dict[int, Snapshot]":
    return {update.snapshot.snapshot_id: update.snapshot for update in asked.updates if update.action == "add-snapshot"}


def _origin(added: "dict[int, Snapshot]", snapshot_id: int) -> int | None:
    """The snapshot of the table that new ones stand on."""
    at: int | None = snapshot_id
    for _ in range(len(added)):
        if at in added:
            at = added[at].parent_snapshot_id
    return at


def commit_new(catalog: "SqlCatalog", asked: Commit, others: dict[str, str]) -> str:
    """Make a table that was staged; where its metadata is. Raises AlreadyExists, InvalidArgument."""
    from pyiceberg.table import StagedTable
    from pyiceberg.table.update import AssignUUIDUpdate, SetLocationUpdate, SetPropertiesUpdate

    given = next((update.uuid for update in asked.updates if update.action == "assign-uuid"), None)
    identity = uuid.UUID(str(given)) if given else uuid.uuid4()
    location = folder_of(catalog, asked.parts, identity)
    check_updates(asked.updates, location, str(identity))
    check_unused(location, others)
    _check_files(asked, None, location, catalog)
    defaults = {key: value for key, value in TABLE_DEFAULTS.items() if key != "format-version"}
    first: list[TableUpdate] = [SetPropertiesUpdate(updates=defaults), SetLocationUpdate(location=location)]
    if given is None:
        first.append(AssignUUIDUpdate(uuid=identity))
    staged = StagedTable(asked.parts, None, "", None, catalog)  # type: ignore[arg-type]  # only its name is read
    with _lost(), read_errors("commit"):
        made = catalog.commit_table(staged, asked.requirements, (*first, *asked.updates))
    return made.metadata_location


def _check_files(asked: Commit, base: "TableMetadata | None", location: str, catalog: "SqlCatalog") -> None:
    from pyiceberg.io import load_file_io

    added = _added(asked)
    for snapshot in added.values():
        if not snapshot.manifest_list:
            raise InvalidArgument("The snapshot has no manifest list.", hint="Write one, and name it.")
        parent = None if base is None else base.snapshot_by_id(_origin(added, snapshot.snapshot_id) or 0)
        check_snapshot(snapshot, parent, location, load_file_io(catalog.properties, location))


class _lost:  # noqa: N801 - used as a statement
    """Turns a lost race into the words of the protocol."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from pyiceberg.exceptions import CommitFailedException, TableAlreadyExistsError

        if isinstance(error, CommitFailedException):
            raise lost() from error
        if isinstance(error, TableAlreadyExistsError):
            raise AlreadyExists("A table of that name is there.", hint="Choose another name, or load it.") from error


def lost() -> CommitFailed:
    return CommitFailed("Another commit was faster, or a requirement does not hold.", hint="Load the table and retry.")


def insert(catalog: "SqlCatalog", parts: Parts, metadata: "TableMetadata") -> str:
    """Put a new table without rows into the catalog; where its metadata is. Raises AlreadyExists."""
    with _lost():
        made = catalog.create_table(
            parts,
            metadata.schema(),
            location=metadata.location,
            partition_spec=metadata.spec(),
            sort_order=metadata.sort_order(),
            properties={**metadata.properties, "format-version": str(metadata.format_version)},
        )
    return made.metadata_location
