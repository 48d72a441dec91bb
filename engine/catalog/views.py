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
class View:
    """Callers with equal `key` see the same of one snapshot, so plans made for one serve the other."""

    principal: Principal
    snapshot: Snapshot
    key: Hashable
    decide: Decide
    _known: dict[str, Governed | None] = field(default_factory=dict)

    @property
    def spec(self) -> ConnectionSpec:
        return self.snapshot.spec

    def find(self, parts: tuple[str, ...]) -> Governed | None:
        """The relation that `parts` name, or None when there is none for this caller."""
        key = self.snapshot.key(parts)
        return None if key is None else self.get(key)

    def get(self, key: str) -> Governed | None:
        """The relation with that key in the snapshot, or None."""
        if key not in self._known:
            self._known[key] = self.decide(key)
        return self._known[key]

    @property
    def names(self) -> Sequence[str]:
        """The keys of the relations that the caller sees, in order."""
        return [key for key in self.snapshot.names if self.get(key) is not None]
