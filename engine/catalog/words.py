"""An index of words over named things: splits names, matches prefixes, ranks as BM25 does."""

import math
import re
import unicodedata
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import lru_cache

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])(?![A-Z]s(?![a-z]))")
_WORD = re.compile(r"[^\W_]+")

_SAME = frozenset(["series", "species", "news", "lens", "gas", "diabetes"])  # no plurals of something else
_IN_IE = frozenset(["movies", "cookies", "calories", "rookies", "zombies", "selfies", "hoodies", "smoothies", "ties"])

MAX_QUERY_WORDS = 16
LONGEST_NAME = 200  # characters of what is remembered: names come again, whole texts do not
MAX_POSTINGS = 40_000  # looked at for one word; keeps a search bounded when a prefix fits everything
MAX_EXPANSIONS = 64
PREFIX_FACTOR = 0.6
K1, B = 1.2, 0.4


def split_words(text: str) -> tuple[str, ...]:
    """The words of a name or a sentence: `lineItems_2` gives line, item, 2. Plurals become singular."""
    return _remembered(text) if len(text) <= LONGEST_NAME else _split(text)


def _split(text: str) -> tuple[str, ...]:
    plain = text if text.isascii() else unicodedata.normalize("NFKC", text)
    spaced = plain if plain.islower() else _CAMEL.sub(" ", plain)
    return tuple(_singular(word) for word in _WORD.findall(spaced.casefold()))


_remembered = lru_cache(maxsize=16_384)(_split)


def _singular(word: str) -> str:
    if len(word) <= 3 or not word.endswith("s") or word.endswith(("ss", "us", "is")) or word in _SAME:
        return word
    if word.endswith("ies") and word not in _IN_IE:
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("sses", "xes", "ches", "shes")) else word[:-1]


def match_word(wanted: str, word: str) -> float:
    """How well a word of a thing fits a word that was asked for: 1 exactly, less by prefix, else 0."""
    if word == wanted:
        return 1.0
    return PREFIX_FACTOR * len(wanted) / len(word) if is_prefix(wanted) and word.startswith(wanted) else 0.0


def is_prefix(wanted: str) -> bool:
    """One ASCII letter says too little to search by prefix; one sign of another script may be a word."""
    return len(wanted) > 1 or not wanted.isascii()


class WordIndex:
    """Scores documents, numbered from 0 as they were given, against a few words."""

    def __init__(self, documents: Iterable[Iterable[tuple[str, float]]]):
        """Each document is a list of texts with their weights."""
        weights: dict[str, tuple[array[int], array[float]]] = {}
        lengths = array("f")
        for number, document in enumerate(documents):
            words: dict[str, float] = {}
            for text, weight in document:
                for word in split_words(text):
                    words[word] = words.get(word, 0.0) + weight
            lengths.append(sum(words.values()))
            for word, weight in words.items():
                numbers, values = weights.setdefault(word, (array("I"), array("f")))
                numbers.append(number)
                values.append(weight)
        self.size = len(lengths)
        self._impacts = {
            word: (numbers, self._impact(numbers, values, lengths)) for word, (numbers, values) in weights.items()
        }
        self._vocabulary = sorted(weights)

    def scores(self, words: Sequence[str]) -> list[dict[int, float]]:
        """For each word, the documents that hold it and how much it says about them."""
        return [self._scores_of(word) for word in words]

    def _impact(self, numbers: "array[int]", values: "array[float]", lengths: "array[float]") -> "array[float]":
        mean = sum(lengths) / len(lengths) if lengths else 1.0
        rarity = math.log(1 + (self.size - len(numbers) + 0.5) / (len(numbers) + 0.5))
        return array(
            "f",
            (
                rarity * value * (K1 + 1) / (value + K1 * (1 - B + B * lengths[number] / mean))
                for number, value in zip(numbers, values, strict=True)
            ),
        )

    def _scores_of(self, wanted: str) -> dict[int, float]:
        best: dict[int, float] = {}
        seen = 0
        for word in self._expand(wanted):
            numbers, impacts = self._impacts[word]
            factor = match_word(wanted, word)
            for number, impact in zip(numbers, impacts, strict=True):
                score = impact * factor
                if score > best.get(number, 0.0):
                    best[number] = score
            seen += len(numbers)
            if seen > MAX_POSTINGS:
                break
        return best

    def _expand(self, wanted: str) -> list[str]:
        """The words of the index that fit, the closest first."""
        if not is_prefix(wanted):
            return [wanted] if wanted in self._impacts else []
        start = bisect_left(self._vocabulary, wanted)
        found = []
        for word in self._vocabulary[start : start + 4 * MAX_EXPANSIONS]:
            if not word.startswith(wanted):
                break
            found.append(word)
        return sorted(found, key=lambda word: (len(word), word))[:MAX_EXPANSIONS]


def combine(per_word: Sequence[Iterable[tuple[int, float]]]) -> dict[int, float]:
    """Sum the scores of all words; a document that misses some of them counts for less."""
    totals: dict[int, float] = {}
    hits: dict[int, int] = {}
    for scores in per_word:
        for number, score in scores:
            totals[number] = totals.get(number, 0.0) + score
            hits[number] = hits.get(number, 0) + 1
    share = [(count / len(per_word)) ** 2 if per_word else 0.0 for count in range(len(per_word) + 1)]
    return {number: total * share[hits[number]] for number, total in totals.items()}
