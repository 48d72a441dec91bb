"""A question as words, and what each of them has been used for."""

from collections.abc import Iterable
from dataclasses import dataclass

from engine.dates.ranges import Found
from engine.planner.words import NUMBER_WORDS, Token, cues, stem_of, tokens_of
from engine.semantic.lexicon import Words, ignored, words_of

NEGATIONS = frozenset(["not", "no", "without", "never", "except", "excluding", "neither", "nor", "other", "lack"])
COUNTS = frozenset(["count"])  # `customer count` asks for another figure than one of customers
UNEXPLAINED, UNEXPLAINED_AGENT, UNEXPLAINED_VERB, UNEXPLAINED_NAME = 0.55, 0.85, 0.7, 0.3
MAX_NUMBER = 10_000
MAX_WORDS = 150
MAX_UNREAD = 5


@dataclass(slots=True)
class Word:
    """A word of the question, and what it was used for."""

    token: Token
    word: str
    use: str = ""


class Sentence:
    """The words of a question; those that say when are used already."""

    def __init__(self, question: str, dates: Found):
        self.text = question
        tokens = tokens_of(question)
        self.words = [Word(token, _plain(token)) for token in tokens[:MAX_WORDS]]
        self._unread = tokens[MAX_WORDS:]
        spans = [(mention.start, mention.end) for mention in dates.mentions]
        spans += [dates.grain_at] if dates.grain is not None else []
        spans += [dates.compares_at] if dates.compares is not None else []
        for word in self.words:
            if any(start <= word.token.start < end for start, end in spans):
                word.use = "time"

    def __len__(self) -> int:
        return len(self.words)

    def stands(self, words: Words, at: int) -> bool:
        """Whether these words stand at a place, and are free."""
        there = self.words[at : at + len(words)]
        return len(there) == len(words) and all(
            word.word == wanted and word.use in ("", "role") for word, wanted in zip(there, words, strict=True)
        )

    def use(self, places: Iterable[int], use: str) -> None:
        for place in places:
            if self.words[place].use in ("", "role"):
                self.words[place].use = use

    def is_free(self, start: int, end: int) -> bool:
        return not any(word.use for word in self.words[start:end])

    def number(self, at: int) -> int | None:
        if at >= len(self.words):
            return None
        number = self.words[at].token.number or NUMBER_WORDS.get(self.words[at].word)
        return int(number) if number is not None and 0 < number <= MAX_NUMBER else None

    def is_of_all(self) -> bool:
        """Whether there stands something such as `of all orders`, whose last word has been understood."""
        texts = [word.token.text.lower() for word in self.words]
        return any(texts[at - 2 : at] == ["of", "all"] and word.use for at, word in enumerate(self.words))

    def left(self) -> tuple[str, ...]:
        """The words that nothing stands for."""
        said = [word for word in self.words if not word.use and word.token.kind != "sign"]
        left = [
            word.token.text
            for word in said
            if word.token.text.lower() in NEGATIONS or word.word in COUNTS or word.word not in _empty()
        ]
        return (*left, *(token.text for token in self._unread[:MAX_UNREAD]))


def weight(text: str) -> float:
    """What a word that nothing stands for leaves of the confidence."""
    if text[:1].isupper() or text.lower() in NEGATIONS:
        return UNEXPLAINED_NAME
    if stem_of(text) in cues().agents:  # `placed`, `sold`: what is done to such things anyway
        return UNEXPLAINED_AGENT
    is_verb = text.islower() and (text.endswith(("ed", "en", "ing")) or stem_of(text) in cues().verbs)
    return UNEXPLAINED_VERB if is_verb else UNEXPLAINED


def _empty() -> frozenset[str]:
    """Words that leave nothing open where nothing stands for them."""
    return ignored() | {"sum", "number"}


def _plain(token: Token) -> str:
    if token.kind == "sign":
        return token.text
    words = words_of(token.text)
    return words[0] if len(words) == 1 else token.stem
