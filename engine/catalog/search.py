"""Search by word over tables, columns, tags and descriptions of all the tenant's connections."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from itertools import chain

from core.context import Principal
from core.errors import PlatformError
from engine.catalog.annotations import NO_NOTES, Annotations, TableNotes
from engine.catalog.connections import Connections
from engine.catalog.snapshots import Snapshot
from engine.catalog.views import View
from engine.catalog.words import MAX_QUERY_WORDS, WordIndex, combine, match_word, split_words
from engine.connectors.connector import ColumnInfo, RelationInfo
from engine.policy.rules import Governed
from engine.store.flights import Flights

WAIT_S = 5.0  # for sources whose schema is not known yet
MAX_INDEXES = 64
MIN_TABLES = 50
MAX_COLUMNS = 5000  # looked at one by one, in the tables that fit best
CONTEXT_SHARE = 0.5
HIDDEN_WORTH = 2.0  # of a word in a table that is shown in part

_WEIGHTS = {"table": 4.0, "namespace": 1.5, "text": 1.0, "column": 1.5, "tag": 2.0}


@dataclass(frozen=True, slots=True)
class Hit:
    """A table, or a column of one (`column` is then set)."""

    connection_id: str
    table: str
    governed: Governed
    column: ColumnInfo | None
    notes: TableNotes
    score: float

    @property
    def relation(self) -> RelationInfo:
        return self.governed.relation


@dataclass(frozen=True, slots=True)
class Hits:
    """Hits, best first. `unavailable` names connections whose schema could not be read."""

    items: Sequence[Hit]
    unavailable: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Indexed:
    """A snapshot's words, and apart from them the words of its notes, which change more often."""

    snapshot: Snapshot
    base: WordIndex
    noted: Mapping[str, TableNotes]
    numbers: tuple[int, ...]  # of the noted tables in `base`
    overlay: WordIndex


class Search:
    """Keeps one index per snapshot, built by the first search that needs it."""

    def __init__(
        self,
        *,
        connections: Connections,
        view: Callable[[Principal, str], Awaitable[View]],
        annotations: Annotations,
    ):
        self._connections = connections
        self._view = view
        self._annotations = annotations
        self._kept: OrderedDict[tuple[str, str], _Indexed] = OrderedDict()
        self._flights: Flights[tuple[str, str, int, int], _Indexed] = Flights()

    async def search(self, principal: Principal, q: str, limit: int) -> Hits:
        """The best `limit` hits for the words of `q`; equal scores are ordered by name."""
        words = list(dict.fromkeys(split_words(q)))[:MAX_QUERY_WORDS]
        connections = [item.connection_id for item in await self._connections.visible(principal)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._try(principal, connection_id)) for connection_id in connections]
        results = [task.result() for task in tasks]
        found = [hit for result in results if result for hit in find_in(*result, words, limit)]
        missing = [name for name, result in zip(connections, results, strict=True) if result is None]
        return Hits(nsmallest(limit, found, key=_order), missing)

    async def _try(self, principal: Principal, connection_id: str) -> tuple[View, _Indexed] | None:
        """The caller's view and its index, or None where the source does not answer in time."""
        try:
            async with asyncio.timeout(WAIT_S):
                return await self._indexed(principal, connection_id)
        except (PlatformError, TimeoutError):
            return None

    async def _indexed(self, principal: Principal, connection_id: str) -> tuple[View, _Indexed]:
        view = await self._view(principal, connection_id)
        snapshot = view.snapshot
        noted = (await self._annotations.notes(principal.tenant)).at(snapshot)
        key = (principal.tenant, connection_id)
        kept = self._kept.get(key)
        if kept is not None and kept.snapshot is snapshot and kept.noted is noted:
            self._kept.move_to_end(key)
            return view, kept
        base = kept.base if kept is not None and kept.snapshot is snapshot else None
        flight = (*key, id(snapshot), id(noted))
        return view, await self._flights.join(flight, lambda: self._build(key, snapshot, noted, base))

    async def _build(
        self, key: tuple[str, str], snapshot: Snapshot, noted: Mapping[str, TableNotes], base: WordIndex | None
    ) -> _Indexed:
        built = await asyncio.to_thread(build_index, snapshot, noted, base)
        self._kept[key] = built
        self._kept.move_to_end(key)
        while len(self._kept) > MAX_INDEXES:
            self._kept.popitem(last=False)
        return built


def build_index(snapshot: Snapshot, noted: Mapping[str, TableNotes], base: WordIndex | None = None) -> _Indexed:
    """Index a snapshot with its notes; `base` is the index of the snapshot alone where it is there already."""
    position = {name: number for number, name in enumerate(snapshot.names)}
    numbered = sorted((position[name], notes) for name, notes in noted.items() if name in position)
    return _Indexed(
        snapshot=snapshot,
        base=base or WordIndex(_texts(snapshot.relations[name]) for name in snapshot.names),
        noted=noted,
        numbers=tuple(number for number, _ in numbered),
        overlay=WordIndex(_noted_texts(notes) for _, notes in numbered),
    )


def find_in(view: View, indexed: _Indexed, words: Sequence[str], limit: int) -> list[Hit]:
    """Hits of one connection: tables that fit best, then their columns one by one."""
    per_word = _scores(indexed, words)
    names = indexed.snapshot.names
    totals = {
        number: score
        for number, score in combine([scores.items() for scores in per_word]).items()
        if view.get(names[number]) is not None
    }
    best = nsmallest(max(MIN_TABLES, limit), totals, key=lambda number: (-totals[number], number))
    hits: list[Hit] = []
    looked_at = 0
    for number in best:
        governed = view.get(names[number])
        if governed is not None and looked_at < MAX_COLUMNS:
            looked_at += len(governed.relation.columns)
            worth = [scores.get(number, 0.0) for scores in per_word]
            hits += _hits_of(indexed, names[number], governed, words, worth)
    return nsmallest(limit, hits, key=_order)


def _scores(indexed: _Indexed, words: Sequence[str]) -> list[dict[int, float]]:
    per_word = indexed.base.scores(words)
    for scores, extra in zip(per_word, indexed.overlay.scores(words), strict=True):
        for place, score in extra.items():
            number = indexed.numbers[place]
            scores[number] = scores.get(number, 0.0) + score
    return per_word


def _hits_of(
    indexed: _Indexed, key: str, governed: Governed, words: Sequence[str], worth: Sequence[float]
) -> list[Hit]:
    """The table and those of its columns that hold a word themselves; the other's words count as context."""
    relation = governed.relation
    notes = indexed.noted.get(key, NO_NOTES)
    own = _fits(words, [relation.name, relation.comment, notes.description])
    columns = [(column, _fits(words, _column_texts(column, notes))) for column in relation.columns]
    inside = [max((fits[place] for _, fits in columns), default=0.0) for place in range(len(words))]
    if len(relation.columns) < len(governed.source.columns):
        # The index knows the words of hidden columns too, and a score must not tell of them.
        worth = [HIDDEN_WORTH * max(mine, other) for mine, other in zip(own, inside, strict=True)]
    connection_id = indexed.snapshot.spec.connection_id
    hits = []
    if any(own):
        hits.append(Hit(connection_id, key, governed, None, notes, _score(own, inside, worth)))
    for column, fits in columns:
        if any(fits):
            hits.append(Hit(connection_id, key, governed, column, notes, _score(fits, own, worth)))
    return hits


def _fits(words: Sequence[str], texts: Sequence[str | None]) -> list[float]:
    held = set(chain.from_iterable(split_words(text) for text in texts if text))
    return [1.0 if word in held else max((match_word(word, item) for item in held), default=0.0) for word in words]


def _score(own: Sequence[float], context: Sequence[float], worth: Sequence[float]) -> float:
    shares = [max(mine, CONTEXT_SHARE * other) for mine, other in zip(own, context, strict=True)]
    covered = sum(1 for share in shares if share) / len(shares)
    return round(covered**2 * sum(share * value for share, value in zip(shares, worth, strict=True)), 6)


def _order(hit: Hit) -> tuple[float, str, str, str]:
    return -hit.score, hit.connection_id, hit.table, hit.column.name if hit.column else ""


def _texts(relation: RelationInfo) -> list[tuple[str, float]]:
    namespace, _, table = relation.name.rpartition(".")
    texts = [(table, _WEIGHTS["table"]), (namespace, _WEIGHTS["namespace"]), (relation.comment or "", _WEIGHTS["text"])]
    for column in relation.columns:
        texts.append((column.name, _WEIGHTS["column"]))
        if column.comment:
            texts.append((column.comment, _WEIGHTS["text"]))
    return texts


def _noted_texts(notes: TableNotes) -> list[tuple[str, float]]:
    texts = [(notes.description or "", _WEIGHTS["text"])]
    texts += [(text, _WEIGHTS["text"]) for text in notes.column_descriptions.values()]
    texts += [(tag, _WEIGHTS["tag"]) for tags in notes.column_tags.values() for tag in tags]
    return texts


def _column_texts(column: ColumnInfo, notes: TableNotes) -> list[str | None]:
    tags = notes.column_tags.get(column.name, ())
    return [column.name, column.comment, notes.column_descriptions.get(column.name), *tags]
