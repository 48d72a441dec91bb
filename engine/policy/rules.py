"""What a policy decides for one caller and one relation: plain data that catalog and SQL both read."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from engine.connectors.connector import RelationInfo

Privacy = Literal["public", "masked", "aggregate_only", "hidden"]
STRICTNESS: Mapping[str, int] = {"public": 0, "masked": 1, "aggregate_only": 2, "hidden": 3}


@dataclass(frozen=True, slots=True)
class Mask:
    """How a masked value is made. Options depend on the kind: `value`, `keep_first`, `keep_last`, `grain`, `step`."""

    kind: Literal["null", "constant", "hash", "partial", "date", "number"]
    options: tuple[tuple[str, str], ...] = ()

    def option(self, name: str, default: str = "") -> str:
        return dict(self.options).get(name, default)


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """How one column may be used, and the policies that say so."""

    privacy: Privacy
    mask: Mask | None = None
    min_group: int = 1
    policies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RowFilter:
    """A condition that every row must meet, over the relation's own columns and `principal.<attribute>`."""

    policy_id: str
    expression: str
    columns: tuple[tuple[str, str], ...] = ()  # names in lower case as written, and what the columns are called now


@dataclass(frozen=True, slots=True)
class Governed:
    """A relation as one caller may see it.

    `relation` has the visible columns only; `source` is the relation as it is, for filters and masks. `columns`
    holds the rules of columns that are not public, by exact name. `min_group` is the smallest number of rows
    that an aggregate over an aggregate-only column may stand for. `facts` are the caller's attributes that the
    filters use; `mask_key` is the tenant's, for hashes."""

    relation: RelationInfo
    source: RelationInfo
    columns: Mapping[str, ColumnRule] = field(default_factory=dict)
    filters: tuple[RowFilter, ...] = ()
    min_group: int = 1
    facts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mask_key: str = field(default="", repr=False, compare=False)
    policies: tuple[str, ...] = ()  # all that had a say, for those who manage them
    # Kept by who prints it. No copy with changes takes it along: it is not theirs.
    printed: dict[Hashable, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def is_open(self) -> bool:
        """Whether no policy changes what this caller reads."""
        return not self.columns and not self.filters and self.relation is self.source

    def privacy(self, column: str) -> Privacy:
        """The privacy of a visible column, by its exact name."""
        rule = self.columns.get(column)
        return "public" if rule is None else rule.privacy


def open_to_all(relation: RelationInfo) -> Governed:
    """The relation where no policy applies."""
    return Governed(relation, relation)
