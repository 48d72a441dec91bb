"""Metrics, verified queries and knowledge as entries of a search index."""

from collections.abc import AsyncIterator, Mapping, Sequence

from core.context import Principal
from core.errors import NotFound
from engine.retrieval.retrieval import Retrieval
from engine.retrieval.source import Entry, Kind
from engine.semantic.service import Semantic
from engine.semantic.store import Kind as Stores
from engine.semantic.store import SemanticStore, Stored

MAX_TEXT = 4000


class _Source:
    """Entries are of what is active; who sees one is decided afresh at each look."""

    stores: Stores

    def __init__(self, semantic: Semantic):
        self._semantic = semantic

    @property
    def _items(self) -> SemanticStore:
        return self._semantic.items

    async def version(self, tenant: str) -> str:
        return str(await self._items.revision(tenant))

    async def entries(self, tenant: str) -> AsyncIterator[Entry]:
        for stored in await self._items.all(tenant, self.stores):
            if stored.status == "active":
                yield self.entry(stored)

    async def show(self, principal: Principal, refs: Sequence[str]) -> Mapping[str, Entry]:
        if not principal.may("semantic.read"):
            return {}
        found = {}
        for ref in refs:
            try:
                stored = await self.look(principal, ref)
            except NotFound:  # gone, or not for this caller
                continue
            if stored.status == "active":
                found[ref] = self.entry(stored)
        return found

    async def look(self, principal: Principal, name: str) -> Stored:
        """Raises NotFound."""
        raise NotImplementedError

    def entry(self, stored: Stored) -> Entry:
        raise NotImplementedError


class MetricSource(_Source):
    """Metrics by their names, synonyms and descriptions."""

    name = "metrics"
    kinds: frozenset[Kind] = frozenset(("metric",))
    stores = "metric"

    async def look(self, principal: Principal, name: str) -> Stored:
        return (await self._semantic.definitions.metric(principal, name)).stored

    def entry(self, stored: Stored) -> Entry:
        said = stored.definition
        also = [str(text) for text in (said.get("label"), *_texts(said.get("synonyms"))) if text]
        text = f"{said.get('description') or ''} {stored.subject_path.replace('/', ' ')}"
        return Entry("metric", stored.name, stored.name, text.strip()[:MAX_TEXT], tuple(also), stored.connection_id)


class VerifiedSource(_Source):
    """Verified queries by their questions. Their SQL is not searched."""

    name = "verified_queries"
    kinds: frozenset[Kind] = frozenset(("verified_query",))
    stores = "verified_query"

    async def look(self, principal: Principal, name: str) -> Stored:
        return await self._semantic.verified.get(principal, name)

    def entry(self, stored: Stored) -> Entry:
        said = stored.definition
        return Entry(
            "verified_query",
            stored.name,
            str(said["question"]),
            str(said["description"])[:MAX_TEXT],
            tuple(_texts(said["other_questions"])),
            stored.connection_id,
        )


class KnowledgeSource(_Source):
    """Texts of people by their titles, synonyms and words."""

    name = "knowledge"
    kinds: frozenset[Kind] = frozenset(("knowledge",))
    stores = "knowledge"

    async def look(self, principal: Principal, name: str) -> Stored:
        return await self._semantic.knowledge.get(principal, name)

    def entry(self, stored: Stored) -> Entry:
        said = stored.definition
        return Entry(
            "knowledge",
            stored.name,
            str(said["title"]),
            str(said["text"])[:MAX_TEXT],
            tuple(_texts(said["synonyms"])),
            stored.connection_id,
        )


def register_sources(retrieval: Retrieval, semantic: Semantic) -> None:
    """Metrics, verified queries and knowledge are searched too."""
    for source in (MetricSource(semantic), VerifiedSource(semantic), KnowledgeSource(semantic)):
        retrieval.register(source)


def _texts(given: object) -> list[str]:
    return [str(text) for text in given] if isinstance(given, list) else []
