"""Search by words and by meaning over everything that a tenant may look for, as one caller may see it.

Words are read in this process and are always of now. Vectors are kept and follow a moment later; where they are missing
or another embedder's, words alone decide. What either finds is only a ref: its source shows it, or not."""

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from core.context import Principal
from core.errors import PlatformError, Unavailable
from engine.retrieval.embedding import Embedder
from engine.retrieval.lexical import LexicalEmbedder
from engine.retrieval.lexicon import Lexicon, make_lexicon
from engine.retrieval.ranking import Hit, rank
from engine.retrieval.source import Entry, IndexSource, Kind, Remembering, WordSource
from engine.retrieval.vectors import Broken, Changes, Mark, Place, VectorStore
from engine.retrieval.words import telling_words
from engine.store.flights import Flights

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger("headwater.retrieval")

KINDS: frozenset[Kind] = frozenset(("table", "column", "value", "metric", "verified_query", "knowledge", "document"))
MAX_QUERY_CHARS = 2_000
MAX_QUERY_WORDS = 32
CANDIDATES = 60
WIDER = 8  # times as many, where the caller sees few of the nearest
MAX_CANDIDATES = 4_000
WITHIN = 8  # tables whose columns are looked at one by one
FIRST_WAIT_S, NEXT_WAIT_S = 4.0, 1.0
RETRY_S = 30.0
DOWN_S = 10.0  # for which a store that does not answer is not asked
EMBED_BATCH = 256
MAX_LEXICONS = 64


@dataclass(frozen=True, slots=True)
class Found:
    """Hits, the best first. `unavailable` names connections that did not answer."""

    hits: Sequence[Hit]
    unavailable: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Asked:
    """One search: what is wanted, how many, and the vector of the question where there is one."""

    principal: Principal
    text: str
    kinds: frozenset[Kind]
    limit: int
    connection_id: str
    owner: str
    vector: "np.ndarray | None" = None

    def wants(self, entry: Entry) -> bool:
        is_within = not self.owner or entry.ref.partition("\t")[0] == self.owner
        return is_within and entry.kind in self.kinds and self.connection_id in ("", entry.connection_id)


@dataclass(slots=True)
class _Candidates:
    shown: dict[str, Entry] = field(default_factory=dict)
    nearness: dict[tuple[str, str], float] = field(default_factory=dict)
    unavailable: Sequence[str] = ()


class Retrieval:
    """All sources of one deployment. Without `vectors`, words alone decide."""

    def __init__(
        self,
        sources: Iterable[IndexSource] = (),
        *,
        vectors: VectorStore | None = None,
        embedder: Embedder | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._sources = {source.name: source for source in sources}
        self._vectors = vectors
        self._embedder: Embedder = embedder or LexicalEmbedder()
        self._clock = clock
        self._lexicons: OrderedDict[Place, Lexicon] = OrderedDict()
        self._reads: Flights[tuple[Place, str], Lexicon] = Flights()
        self._builds: Flights[Place, None] = Flights()
        self._resting: dict[Place, float] = {}
        self._down_until = 0.0
        self._empty: dict[Place, str] = {}  # at which version a source had nothing

    def register(self, source: IndexSource) -> None:
        """Let a source be searched too."""
        self._sources[source.name] = source

    def source(self, name: str) -> IndexSource:
        """A source by its name. Raises KeyError."""
        return self._sources[name]

    async def search(
        self,
        principal: Principal,
        text: str,
        kinds: Iterable[Kind] = KINDS,
        limit: int = 20,
        connection_id: str = "",
        *,
        owner: str = "",
    ) -> list[Hit]:
        """The best hits for a question, of what the caller may see now; with `owner`, of the parts of that alone."""
        return list((await self.look(principal, text, kinds, limit, connection_id, owner=owner)).hits)

    async def look(
        self,
        principal: Principal,
        text: str,
        kinds: Iterable[Kind] = KINDS,
        limit: int = 20,
        connection_id: str = "",
        *,
        owner: str = "",
    ) -> Found:
        """As `search`, with the names of connections that did not answer."""
        plain = " ".join(text[: 2 * MAX_QUERY_CHARS].split())[:MAX_QUERY_CHARS]
        asked = _Asked(principal, plain, frozenset(kinds), limit, connection_id, owner, await self._vector(plain))
        sources = [source for source in self._sources.values() if source.kinds & asked.kinds]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._from(source, asked)) for source in sources]
        found = [task.result() for task in tasks]
        entries = [entry for part in found for entry in part.shown.values()]
        nearness = {key: near for part in found for key, near in part.nearness.items()}
        if self._embedder.is_cheap and asked.vector is not None:
            # Of what the caller sees: how near a text is must not tell of its other parts.
            nearness = await asyncio.to_thread(self._near_now, asked.vector, entries)
        hits = await asyncio.to_thread(rank, plain, entries, nearness, limit)
        return Found(hits, sorted({name for part in found for name in part.unavailable}))

    async def refresh(self, tenant: str) -> None:
        """Bring a tenant's vectors to what its sources hold now, if they are older. Raises Unavailable."""
        for source in self._sources.values():
            place = Place(tenant, source.name)
            self._resting.pop(place, None)
            await self._build(place, source, _digest(await source.version(tenant)))

    def forget(self, tenant: str) -> None:
        """Drop what this process remembers of a tenant."""
        for place in [place for place in self._lexicons if place.tenant == tenant]:
            del self._lexicons[place]
        for source in self._sources.values():
            self._empty.pop(Place(tenant, source.name), None)
            if isinstance(source, Remembering):
                source.forget(tenant)
        if self._vectors is not None:
            self._vectors.forget(tenant)

    async def drop(self, tenant: str) -> None:
        """Delete a tenant's index."""
        self.forget(tenant)
        if self._vectors is not None:
            await self._vectors.drop(tenant)

    async def aclose(self) -> None:
        """Wait for what is being written, and give back memory and files."""
        await self._reads.settle()
        await self._builds.settle()
        if self._vectors is not None:
            await self._vectors.aclose()
        await self._embedder.aclose()

    async def _vector(self, text: str) -> "np.ndarray | None":
        if self._vectors is None and not self._embedder.is_cheap:
            return None
        try:
            return (await self._embedder.embed([text]))[0]  # type: ignore[no-any-return]
        except PlatformError as error:
            log.warning("a question was not embedded: %s", error)
            return None

    def _near_now(self, vector: "np.ndarray", entries: Sequence[Entry]) -> dict[tuple[str, str], float]:
        from engine.retrieval.lexical import embed_words

        near = embed_words([_text(entry) for entry in entries]) @ vector
        return {(entry.kind, entry.ref): float(value) for entry, value in zip(entries, near, strict=True)}

    async def _from(self, source: IndexSource, asked: _Asked) -> _Candidates:
        """What one source has; nothing where it fails, so that the others still answer."""
        found = _Candidates()
        try:
            version = _digest(await source.version(asked.principal.tenant))
            by_word = await self._by_word(source, version, asked, found)
            await self._show(source, asked, by_word, found)
            if self._vectors is None or asked.vector is None:
                return found
            for is_last in (False, True):
                if not await self._is_ready(source, version, asked.principal.tenant):
                    break
                try:
                    await self._add_near(source, asked, found)
                    break
                except Broken:  # the store has thrown it away: it is made anew, once
                    if is_last:
                        raise
        except PlatformError as error:
            log.warning("%s were not searched: %s", source.name, error)
        return found

    async def _by_word(self, source: IndexSource, version: str, asked: _Asked, found: _Candidates) -> Sequence[str]:
        words = list(islice(dict.fromkeys(telling_words(asked.text)), MAX_QUERY_WORDS))
        count = max(CANDIDATES, 3 * asked.limit)
        if isinstance(source, WordSource):
            refs, found.unavailable = await source.find(asked.principal, words, asked.kinds, count)
            return refs
        try:
            async with asyncio.timeout(FIRST_WAIT_S):  # reading goes on for those who come later
                lexicon = await self._lexicon(source, Place(asked.principal.tenant, source.name), version)
        except TimeoutError:
            return ()
        for wanted in (count, WIDER * count):
            refs = lexicon.find(words, asked.kinds, wanted)
            shown = await source.show(asked.principal, refs)
            if sum(map(asked.wants, shown.values())) >= asked.limit or len(refs) < wanted:
                break
        return list(shown)

    async def _show(self, source: IndexSource, asked: _Asked, refs: Iterable[str], found: _Candidates) -> int:
        """Add those of the refs that the caller sees and wants; says how many they see."""
        new = [ref for ref in refs if ref not in found.shown]
        shown = await source.show(asked.principal, new)
        wanted = {ref: entry for ref, entry in shown.items() if asked.wants(entry)}
        found.shown.update(wanted)
        return len(wanted)

    async def _add_near(self, source: IndexSource, asked: _Asked, found: _Candidates) -> None:
        place = Place(asked.principal.tenant, source.name)
        kinds = set(source.kinds & asked.kinds)
        if "column" in kinds and isinstance(source, WordSource):
            kinds.add("table")  # whose columns are looked at too
        for kind in sorted(kinds):
            near = await self._nearest(source, place, kind, asked, found)
            found.nearness.update({(kind, ref): value for ref, value in near.items()})
            if kind == "table" and "column" in kinds and isinstance(source, WordSource):
                best = list(islice(near, WITHIN))
                await self._show(source, asked, await source.within(asked.principal, best), found)

    async def _nearest(
        self, source: IndexSource, place: Place, kind: str, asked: _Asked, found: _Candidates
    ) -> Mapping[str, float]:
        """The nearest of a kind, of which the caller sees enough."""
        assert self._vectors is not None and asked.vector is not None
        count = max(CANDIDATES, 2 * asked.limit)
        near: dict[str, float] = {}
        while count <= MAX_CANDIDATES:
            near = dict(await self._vectors.nearest(place, kind, asked.vector, count))
            if await self._show(source, asked, near, found) >= asked.limit or len(near) < count:
                break
            count *= WIDER
        return near

    async def _lexicon(self, source: IndexSource, place: Place, version: str) -> Lexicon:
        kept = self._lexicons.get(place)
        if kept is not None and kept.version == version:
            self._lexicons.move_to_end(place)
            return kept
        return await self._reads.join((place, version), lambda: self._read(source, place, version))

    async def _read(self, source: IndexSource, place: Place, version: str) -> Lexicon:
        entries = [entry async for entry in source.entries(place.tenant)]
        made = await asyncio.to_thread(make_lexicon, version, entries)
        self._lexicons[place] = made
        while len(self._lexicons) > MAX_LEXICONS:
            self._lexicons.popitem(last=False)
        return made

    async def _is_ready(self, source: IndexSource, version: str, tenant: str) -> bool:
        """Whether vectors can be asked; brings them up to date, and waits a moment for that."""
        assert self._vectors is not None, "asked for with a store alone"
        place = Place(tenant, source.name)
        now = Mark(self._embedder.digest, version)
        if self._down_until > self._clock() or self._empty.get(place) == version:
            return False
        try:
            mark = await self._vectors.mark(place)
        except Unavailable:
            self._down_until = self._clock() + DOWN_S
            raise
        if mark == now:
            return True
        is_usable = mark is not None and mark.embedder == now.embedder
        if self._resting.get(place, 0.0) > self._clock():
            return is_usable
        try:
            async with asyncio.timeout(NEXT_WAIT_S if is_usable else FIRST_WAIT_S):
                await self._build(place, source, version)
        except TimeoutError:
            mark = await self._vectors.mark(place)  # perhaps another process was quicker
            return mark is not None and mark.embedder == now.embedder
        except PlatformError as error:
            self._resting[place] = self._clock() + RETRY_S
            log.warning("the index of %s was not brought up to date: %s", source.name, error)
            return is_usable and not isinstance(error, Broken)
        return await self._vectors.mark(place) is not None

    async def _build(self, place: Place, source: IndexSource, version: str) -> None:
        await self._builds.join(place, lambda: self._bring(place, source, version))

    async def _bring(self, place: Place, source: IndexSource, version: str) -> None:
        """Write what is new, changed or gone since the vectors were made. A second run changes nothing."""
        if self._vectors is None:
            return
        now = Mark(self._embedder.digest, version)
        async with self._vectors.turn(place) as is_ours:
            since = await self._vectors.mark(place)
            if since == now:
                return
            if not is_ours:
                raise Unavailable("Another process is writing the index.", hint="Retry in a moment.")
            if since is not None and since.embedder != now.embedder:
                since = None
            try:
                held = {} if since is None else await self._vectors.digests(place)
            except Broken:
                held, since = {}, None
            changes = await self._changes(await _all(source, place.tenant), held)
            if since is None and not changes:
                self._empty[place] = version  # most tenants lack most kinds: no file, no memory for them
            else:
                await self._vectors.change(place, now, changes, since=since)

    async def _changes(
        self, wanted: Mapping[str, Mapping[str, Entry]], held: Mapping[str, Mapping[str, str]]
    ) -> Changes:
        import numpy as np  # lazily: 10 MB, for searches alone

        removed = {kind: [ref for ref in digests if ref not in wanted.get(kind, {})] for kind, digests in held.items()}
        added = {}
        for kind, entries in wanted.items():
            known = held.get(kind, {})
            texts = {ref: _text(entry) for ref, entry in entries.items()}
            new = [ref for ref, text in texts.items() if known.get(ref) != _digest(text)]
            if new:
                first = await self._embedder.embed([texts[ref] for ref in new[:EMBED_BATCH]])
                vectors = np.empty((len(new), first.shape[1]), dtype=np.float32)
                vectors[:EMBED_BATCH] = first
                for at in range(EMBED_BATCH, len(new), EMBED_BATCH):
                    piece = slice(at, at + EMBED_BATCH)
                    vectors[piece] = await self._embedder.embed([texts[ref] for ref in new[piece]])
                added[kind] = (new, [_digest(texts[ref]) for ref in new], vectors)
        return Changes(added, removed)


async def _all(source: IndexSource, tenant: str) -> dict[str, dict[str, Entry]]:
    """A source's entries by kind and ref."""
    found: dict[str, dict[str, Entry]] = {}
    async for entry in source.entries(tenant):
        found.setdefault(entry.kind, {})[entry.ref] = entry
    return found


def _text(entry: Entry) -> str:
    """What of an entry is embedded: its name in the first line."""
    return f"{entry.title}\n{' '.join(entry.also)} {entry.text}"


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()
