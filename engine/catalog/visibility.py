"""What of a connection a caller may see: the one place that policies will narrow."""

from core.context import Principal
from engine.catalog.snapshots import Snapshot
from engine.connectors.connector import RelationInfo


def visible(principal: Principal, relation: RelationInfo) -> bool:
    """Whether the caller may know of this relation. A snapshot is of the caller's own tenant already."""
    return bool(principal.tenant)


def visible_names(principal: Principal, snapshot: Snapshot) -> list[str]:
    """The keys that the caller may see, in order."""
    return [name for name in snapshot.names if visible(principal, snapshot.relations[name])]
