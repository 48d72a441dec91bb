"""A connection through one caller's eyes: what policies leave of its relations."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from core.context import Principal
from engine.catalog.snapshots import Snapshot
from engine.connectors.connector import ConnectionSpec
from engine.policy.rules import Governed

Decide = Callable[[str], Governed | None]
"""For the key of a relation, what the caller may see of it; None when it does not exist for them."""


@dataclass(slots=True)
class Seen:
    """What was decided so far for all callers of one key and one snapshot."""

    relations: dict[str, Governed | None] = field(default_factory=dict)
    names: Sequence[str] | None = None


@dataclass(slots=True)
class View:
    """Callers with equal `key` see the same of one snapshot, so plans made for one serve the other."""

    principal: Principal
    snapshot: Snapshot
    key: Hashable
    decide: Decide
    seen: Seen = field(default_factory=Seen)

    @property
    def spec(self) -> ConnectionSpec:
        return self.snapshot.spec

    def find(self, parts: tuple[str, ...]) -> Governed | None:
        """The relation that `parts` name, or None when there is none for this caller."""
        key = self.locate(parts)
        return None if key is None else self.get(key)

    def locate(self, parts: tuple[str, ...]) -> str | None:
        """The key of the relation that `parts` name; what the caller may not see makes no name ambiguous."""
        return self.snapshot.key(parts, lambda key: self.get(key) is not None)

    def get(self, key: str) -> Governed | None:
        """The relation with that key in the snapshot, or None."""
        known = self.seen.relations
        if key not in known:
            known[key] = self.decide(key)
        return known[key]

    @property
    def names(self) -> Sequence[str]:
        """The keys of the relations that the caller sees, in order."""
        if self.seen.names is None:
            self.seen.names = [key for key in self.snapshot.names if self.get(key) is not None]
        return self.seen.names
