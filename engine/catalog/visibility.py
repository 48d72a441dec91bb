"""What of a connection a caller may see: the one place that policies will narrow."""

from collections.abc import Sequence

from core.context import Principal
from engine.catalog.snapshots import Snapshot
from engine.connectors.connector import RelationInfo


def sees_all(principal: Principal) -> bool:
    """Whether nothing of the tenant's own connections is hidden from the caller."""
    return bool(principal.tenant)


def visible(principal: Principal, relation: RelationInfo) -> bool:
    """Whether the caller may know of this relation. A snapshot is of the caller's own tenant already."""
    return sees_all(principal)


def visible_names(principal: Principal, snapshot: Snapshot) -> Sequence[str]:
    """The keys that the caller may see, in order."""
    if sees_all(principal):
        return snapshot.names
    return [name for name in snapshot.names if visible(principal, snapshot.relations[name])]
