"""Branches, tags and going back: names for snapshots."""

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table

from core.errors import Conflict, NotFound
from engine.lake.history import MAIN, History, Ref, SnapshotEntry

DAY_MS = 86_400_000


def find_snapshot(history: History, snapshot_id: int | None, at: float | None = None) -> SnapshotEntry:
    """The snapshot by id, or main's last one at a time, or the current one. Raises NotFound."""
    if snapshot_id is not None:
        found = history.snapshots.get(snapshot_id)
    elif at is not None:
        found = next((entry for entry in history.lineage(history.current_id) if entry.at <= at), None)
    else:
        found = history.current
    if found is None:
        raise NotFound("The table has no such snapshot.", hint="list_snapshots shows those that are kept.")
    return found


def create_ref(table: Table, name: str, kind: str, snapshot_id: int, *, max_age_days: int | None) -> Ref:
    """Name a snapshot. Raises Conflict when the name is taken."""
    if name in table.metadata.refs:
        raise Conflict(f"The table has a {table.metadata.refs[name].snapshot_ref_type} {name!r} already.")
    max_age_ms = max_age_days * DAY_MS if max_age_days else None
    try:
        with table.manage_snapshots() as change:
            if kind == "tag":
                change.create_tag(snapshot_id, name, max_ref_age_ms=max_age_ms)
            else:
                change.create_branch(snapshot_id, name, max_ref_age_ms=max_age_ms)
    except (CommitFailedException, ValueError) as error:
        raise Conflict("The table's branches and tags changed meanwhile.", hint="List them and try again.") from error
    return Ref(name, kind, snapshot_id, max_age_ms)


def delete_ref(table: Table, name: str) -> None:
    """Take a name away; the snapshot stays until it expires. Raises NotFound, Conflict for main."""
    if name == MAIN:
        raise Conflict("The branch main is the table itself.", hint="delete_managed_table deletes a table.")
    ref = table.metadata.refs.get(name)
    if ref is None:
        raise NotFound(f"The table has no branch or tag {name[:80]!r}.", hint="list_table_refs shows them.")
    try:
        with table.manage_snapshots() as change:
            if ref.snapshot_ref_type == "tag":
                change.remove_tag(name)
            else:
                change.remove_branch(name)
    except (CommitFailedException, ValueError) as error:
        raise Conflict("The table's branches and tags changed meanwhile.", hint="List them and try again.") from error


def roll_back(table: Table, history: History, snapshot_id: int) -> None:
    """Make an earlier snapshot of main the current one. Raises Conflict when it is not an ancestor of it."""
    if snapshot_id not in {entry.snapshot_id for entry in history.lineage(history.current_id)}:
        raise Conflict(
            "Only an earlier snapshot of the branch main can become the current one.",
            hint="list_snapshots says which are its ancestors.",
        )
    try:
        with table.manage_snapshots() as change:
            change.rollback_to_snapshot(snapshot_id)
    except (CommitFailedException, ValueError) as error:
        raise Conflict("Another writer was faster.", hint="Look at the table again, then retry.") from error
