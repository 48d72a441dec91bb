"""A connection through one caller's eyes: what policies leave of its relations."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from core.context import Principal
from engine.catalog.snapshots import Snapshot
from engine.connectors.connector import ConnectionSpec, RelationInfo
from engine.policy.rules import Governed, open_to_all

Decide = Callable[[str], Governed | None]
"""For the key of a relation, what the caller may see of it; None when it does not exist for them."""


@dataclass(slots=True)
class Seen:
    """What was decided so far for all callers of one key and one snapshot."""

    relations: dict[str, Governed | None] = field(default_factory=dict)
    names: Sequence[str] | None = None
    past: dict[str, Governed | None] = field(default_factory=dict)


@dataclass(slots=True)
class View:
    """Callers with equal `key` see the same of one snapshot, so plans made for one serve the other."""

    principal: Principal
    snapshot: Snapshot
    key: Hashable
    decide: Decide
    seen: Seen = field(default_factory=Seen)
    judge: Callable[[str, RelationInfo], Governed | None] = lambda key, relation: open_to_all(relation)
    """For a key and what that relation was, what the caller may see of it."""
    recall: Decide | None = None
    """Of a view of the past: what of a relation as it was may be seen. Blocking. Raises NotFound, Conflict."""

    @property
    def spec(self) -> ConnectionSpec:
        return self.snapshot.spec

    def find(self, parts: tuple[str, ...]) -> Governed | None:
        """The relation that `parts` name as queries read it, or None when there is none for this caller.

        In a view of the past that is the relation as it was, which takes a look into a file, and may raise NotFound
        or Conflict; names are those of now, and so is whether a relation exists for the caller at all."""
        key = self.locate(parts)
        return None if key is None else self.read(key)

    def read(self, key: str) -> Governed | None:
        """As `find`, by the relation's key."""
        if self.recall is None:
            return self.get(key)
        known = self.seen.past
        if key not in known:
            known[key] = self.recall(key)
        return known[key]

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
