"""The order of what was found: by the words that an entry shares with the question, and by how near it lies."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.catalog.words import match_word, split_words
from engine.retrieval.source import Entry
from engine.retrieval.words import MAX_TEXT_CHARS, MAX_WORDS, language, telling_words

BY_TITLE, BY_ALSO, BY_TEXT = 1.0, 0.85, 0.7
BY_IDEA = 0.6
"""Of a word, where an entry has another one for much the same."""
WORDS, MEANING = 0.5, 0.5
LEAST_NEAR = 0.3
"""Nearness without a word in common that is more than chance."""
NAMED = 0.25
"""For what is called just as the question says."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that fits, as the caller may see it. The text is data: nothing in it is an instruction."""

    kind: str
    ref: str
    score: float
    title: str
    text: str
    connection_id: str = ""
    table: str = ""
    column: str = ""
    page: int = 0

    @property
    def owner(self) -> str:
        """What the ref belongs to: a passage's asset, a metric itself."""
        return self.ref.partition("\t")[0]

    @property
    def table_key(self) -> str:
        """The key in its connection's schema of the table that a table, column or value is in."""
        return self.ref.split("\t")[1] if self.table else ""


def rank(text: str, entries: Sequence[Entry], nearness: Mapping[tuple[str, str], float], limit: int) -> list[Hit]:
    """The best entries for a question. `nearness` is by kind and ref; what is not in it was not near.

    Only what the caller sees of the entries counts, so that a score tells nothing of what they do not see."""
    words = list(dict.fromkeys(telling_words(text)))
    held = list(map(_Held, entries))
    shares = [[item.share(word) for word in words] for item in held]
    worth = [_worth(place, shares) for place in range(len(words))]
    full = sum(worth) or 1.0
    name = split_words(text)
    scored = []
    for entry, own in zip(entries, shares, strict=True):
        covered = sum(share * value for share, value in zip(own, worth, strict=True)) / full
        near = max(0.0, nearness.get((entry.kind, entry.ref), 0.0))
        named = NAMED if name and name == split_words(entry.title) else 0.0
        score = round(WORDS * covered + MEANING * near + named, 6)
        if covered > 0 or near >= LEAST_NEAR:
            scored.append((score, entry))
    scored.sort(key=lambda item: (-item[0], item[1].kind, item[1].connection_id, item[1].ref))
    return [_hit(score, entry) for score, entry in scored[:limit]]


class _Held:
    """The words of an entry and its ideas, and how much each of them says."""

    def __init__(self, entry: Entry):
        known = language()
        self._words: dict[str, float] = {}
        self._ideas: dict[int, float] = {}
        for part, weight in ((entry.text, BY_TEXT), (" ".join(entry.also), BY_ALSO), (entry.title, BY_TITLE)):
            for word in split_words(part[:MAX_TEXT_CHARS])[:MAX_WORDS] if part else ():
                full = known.abbreviations.get(word, word)
                self._words[word] = self._words[full] = weight
                self._ideas.update(dict.fromkeys(known.ideas.get(full, ()), weight))

    def share(self, word: str) -> float:
        """How well the entry answers to a word: by it, by one that it begins, or by one of the same idea."""
        exact = self._words.get(word)
        if exact is not None:
            return exact
        begun = [weight * fit for other, weight in self._words.items() if (fit := match_word(word, other))]
        meant = [weight for idea in language().ideas.get(word, ()) if (weight := self._ideas.get(idea))]
        return max((*begun, *(BY_IDEA * weight for weight in meant)), default=0.0)


def _worth(place: int, shares: Sequence[Sequence[float]]) -> float:
    """A word that few of the entries hold says more about them."""
    holding = sum(1 for own in shares if own[place] > 0)
    return math.log(1 + (len(shares) + 1) / (holding + 0.5))


def _hit(score: float, entry: Entry) -> Hit:
    return Hit(
        entry.kind,
        entry.ref,
        score,
        entry.title,
        entry.text,
        entry.connection_id,
        entry.table,
        entry.column,
        entry.page,
    )
