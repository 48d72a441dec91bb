"""What an index is made of: sources name entries, and say at each read which of them a caller may see."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from core.context import Principal

Kind = Literal["table", "column", "value", "metric", "verified_query", "knowledge", "document"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that can be found. `ref` names it within its source and is all that an index hands back: a name or
    an id; of a part, the id of the whole, a tab, and what tells the parts apart.

    Words of `title` and `also` (synonyms, tags) weigh more than those of `text`."""

    kind: Kind
    ref: str
    title: str
    text: str = ""
    also: tuple[str, ...] = ()
    connection_id: str = ""
    table: str = ""
    column: str = ""
    page: int = 0


class IndexSource(Protocol):
    """Where entries come from, and the only judge of who sees them: what an index says is never shown as it is."""

    @property
    def name(self) -> str:
        """One word, another for each source."""
        ...

    @property
    def kinds(self) -> frozenset[Kind]:
        """The kinds of its entries."""
        ...

    async def version(self, tenant: str) -> str:
        """Another text whenever the tenant's entries may be others. Asked at each search, so cheap."""
        ...

    def entries(self, tenant: str) -> AsyncIterator[Entry]:
        """All of the tenant's entries, whoever may see them. An async generator."""
        ...

    async def show(self, principal: Principal, refs: Sequence[str]) -> Mapping[str, Entry]:
        """Of these refs, the entries that the caller may see now, as they may see them; the others are left out.

        The index may be older than a deletion or a policy: look each up afresh."""
        ...


@runtime_checkable
class WordSource(Protocol):
    """A source that has a search by words of its own, through the caller's eyes."""

    async def find(
        self, principal: Principal, words: Sequence[str], kinds: frozenset[Kind], count: int
    ) -> tuple[Sequence[str], Sequence[str]]:
        """Refs of what holds the words, the best first, and the names of connections that did not answer."""
        ...

    async def within(self, principal: Principal, refs: Sequence[str]) -> Sequence[str]:
        """Refs of what lies inside these, such as the columns of tables."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A source that keeps something of a tenant's in memory."""

    def forget(self, tenant: str) -> None: ...
