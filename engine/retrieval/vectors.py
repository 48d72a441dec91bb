"""The seam of vector stores: what is near a vector, of one tenant and one source."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from core.errors import Unavailable

if TYPE_CHECKING:
    import numpy as np


class Broken(Unavailable):
    """What a store holds cannot be read; it is to be made anew."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What the vectors of a source were made of: with other marks they are older, or another embedder's."""

    embedder: str
    version: str


@dataclass(frozen=True, slots=True)
class Place:
    """Whose vectors, of which source."""

    tenant: str
    source: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What an index lacks: by kind refs with digests and vectors, and refs that are gone."""

    added: "Mapping[str, tuple[Sequence[str], Sequence[str], np.ndarray]]" = field(default_factory=dict)
    removed: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any(len(refs) for refs, _, _ in self.added.values()) or any(self.removed.values())


class VectorStore(Protocol):
    """Keeps vectors under refs, by kind. One writer at a time; what it has not finished is not seen."""

    async def mark(self, place: Place) -> Mark | None:
        """What is there now, or None. Cheap: asked at each search. Raises Unavailable."""
        ...

    async def digests(self, place: Place) -> Mapping[str, Mapping[str, str]]:
        """By kind, every ref with the digest of its text. Raises Unavailable, Broken."""
        ...

    def turn(self, place: Place) -> AbstractAsyncContextManager[bool]:
        """Wait a moment to be the one that writes; whether one is. It ends with the process that has it."""
        ...

    async def change(self, place: Place, mark: Mark, changes: Changes, *, since: Mark | None) -> bool:
        """Apply changes to what was marked `since`, or to nothing, whatever was there. To be called in one's turn.

        False where it is marked otherwise. Raises Unavailable."""
        ...

    async def nearest(self, place: Place, kind: str, vector: "np.ndarray", count: int) -> list[tuple[str, float]]:
        """Refs with their similarity, the nearest first. Raises Unavailable, Broken."""
        ...

    def forget(self, tenant: str) -> None:
        """Give back what this process holds of a tenant's."""
        ...

    async def drop(self, tenant: str) -> None:
        """Forget all of a tenant's vectors."""
        ...

    async def aclose(self) -> None: ...
