"""The words of a source's entries in memory: what holds the words of a question, the best first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nlargest

from engine.catalog.words import WordIndex, combine
from engine.retrieval.source import Entry, Kind

TITLE, ALSO, TEXT = 4.0, 2.0, 1.0


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Made of one version of a source's entries; refs and kinds by the entries' places."""

    version: str
    refs: Sequence[str]
    kinds: Sequence[Kind]
    index: WordIndex

    def find(self, words: Sequence[str], kinds: frozenset[Kind], count: int) -> list[str]:
        """Refs of the entries that hold the words, the best first."""
        totals = combine([scores.items() for scores in self.index.scores(words)])
        wanted = ((score, -place) for place, score in totals.items() if self.kinds[place] in kinds)
        return [self.refs[-place] for _, place in nlargest(count, wanted)]


def make_lexicon(version: str, entries: Iterable[Entry]) -> Lexicon:
    held = list(entries)
    texts = ([(item.title, TITLE), (" ".join(item.also), ALSO), (item.text, TEXT)] for item in held)
    return Lexicon(version, [item.ref for item in held], [item.kind for item in held], WordIndex(texts))
