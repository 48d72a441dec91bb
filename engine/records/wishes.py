"""What callers ask to be written, and what came of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

OnConflict = Literal["error", "ignore", "update"]
Filters = Sequence[Mapping[str, Any]]
"""Conditions on columns, as in a definition; all of them must hold."""


@dataclass(frozen=True, slots=True)
class Insertion:
    """Records to add. `key_columns` tell records apart; none means the table's own key."""

    records: Sequence[Mapping[str, Any]]
    on_conflict: OnConflict = "error"
    key_columns: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """New values for all records that meet the filters."""

    filters: Filters
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Deletion:
    """The records that meet the filters go."""

    filters: Filters


Wish = Insertion | Change | Deletion


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was written, or with a dry run would be."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    skipped: int = 0
    snapshot_id: int | None = None

    @property
    def affected(self) -> int:
        return self.inserted + self.updated + self.deleted
