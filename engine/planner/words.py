"""A question as tokens, and the table of what a language's words stand for."""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from engine.catalog.words import split_words

LEXEME = re.compile(
    r"""(?P<quoted>"[^"\n]{1,200}"|'[^'\n]{1,200}'(?!\w)|`[^`\n]{1,200}`|\u201c[^\u201d\n]{1,200}\u201d)
      | (?P<number>\$?\d+(?:,\d{3})+(?:\.\d+)?|\$?\d+(?:\.\d+)?)(?![\w])
      | (?P<word>[^\W_]+(?:[-_'\u2019][^\W_]+)*)
      | (?P<sign>[=<>]=?|[^\w\s])""",
    re.VERBOSE,
)
MAX_CHARS = 4000
LEAST_ROOT = 5
NUMBER_WORDS = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
}
SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}


@dataclass(frozen=True, slots=True)
class Token:
    """A word, number, sign or quoted text. `stem` is in lower case and singular."""

    kind: str
    text: str
    stem: str
    start: int
    end: int

    @property
    def quoted(self) -> str:
        return self.text[1:-1]

    @property
    def number(self) -> float | int | None:
        if self.kind == "number":
            plain = self.text.lstrip("$").replace(",", "")
            return float(plain) if "." in plain else int(plain)
        return NUMBER_WORDS.get(self.text.lower())


@dataclass(frozen=True, slots=True)
class Cues:
    """What phrases stand for, by kind: `aggregates` gives `average` the value `avg`."""

    phrases: dict[tuple[str, ...], dict[str, str]]
    abbreviations: dict[str, str]
    synonyms: dict[str, tuple[str, ...]]
    ignored: frozenset[str]
    ends: dict[str, str]
    agents: frozenset[str]
    verbs: dict[str, tuple[str, ...]]
    natural: tuple[tuple[str, str], ...]
    denials: tuple[str, ...]
    sets: dict[str, frozenset[str]]
    units: dict[str, str]
    persons: dict[str, tuple[str, ...]]
    events: dict[str, tuple[str, ...]]
    shortened: dict[str, tuple[str, ...]]
    demonyms: dict[str, tuple[str, ...]]
    lifecycle: dict[str, frozenset[str]]
    happenings: dict[str, tuple[str, ...]]
    spans: dict[str, frozenset[str]]
    longest: int


def tokens_of(question: str) -> list[Token]:
    """The tokens of a question, at most 4,000 characters of it."""
    found = []
    for match in LEXEME.finditer(question[:MAX_CHARS]):
        text = match.group()
        found.append(Token(match.lastgroup or "", text, stem_of(text), match.start(), match.end()))
    return found


@lru_cache(maxsize=16_384)  # asked of the same words many times for each question
def stem_of(text: str) -> str:
    """A word in lower case and singular; a name such as `device_type` as its words."""
    plain = re.sub(r"['\u2019]s?$", "", text)
    irregular = _irregular().get(plain.lower())
    return irregular or " ".join(split_words(plain)) or text.lower()


@cache
def lemma_of(word: str) -> str:
    """A verb as it is looked up: take of took, taking and takes. A word that is none comes back in some shape."""
    table, known = _table("english"), _verbs()
    plain = word.lower()
    plain = str(table["past"].get(plain, plain))
    roots = [plain, *(plain.removesuffix(end) for end in ("s", "es", "ed", "d", "ing") if plain.endswith(end))]
    roots += [root + "e" for root in roots[1:]]
    roots += [root[:-1] + "y" for root in roots[1:] if root.endswith("i")]
    roots += [root[:-1] for root in roots[1:] if len(root) > 3 and root[-1] == root[-2]]
    return next((root for root in roots if root in known), plain)


@cache
def root_of(word: str) -> str:
    """What a word shares with others that are made of it: consult of consultation, hire of hired."""
    if (verb := lemma_of(word)) in _verbs():
        return verb
    for end in ("ation", "tion", "ion", "ing", "ment", "ence", "ance", "er", "or", "ed", "al", "e", "y"):
        if word.endswith(end) and len(word) - len(end) >= LEAST_ROOT:
            root = word.removesuffix(end) + ("t" if end == "tion" else "")
            return lemma_of(root)
    return word


@cache
def _verbs() -> frozenset[str]:
    return frozenset(_table("english")["sets"]["verbs"])


@cache
def _irregular(name: str = "english") -> dict[str, str]:
    table = _table(name)["irregular"]
    return {plural: word for word, plurals in table.items() for plural in plurals}


@cache
def _table(name: str) -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text())


@cache
def cues(name: str = "english") -> Cues:
    """A language's table. Raises FileNotFoundError when there is none."""
    table = dict(_table(name))
    verbs, happenings = _stemmed(table.pop("verbs")), _stemmed(table.pop("happenings"))
    lifecycle = _roles(table.pop("lifecycle"))
    spans = {kind: frozenset(words) for kind, words in table.pop("spans").items()}
    abbreviations, synonyms = table.pop("abbreviations"), table.pop("synonyms")
    ignored = table.pop("ignored")["words"]
    table.pop("irregular")
    table.pop("past")
    agents = frozenset(table.pop("agents")["words"])
    denials = tuple(table.pop("denials")["prefixes"])
    persons: dict[str, tuple[str, ...]] = {}
    for kind, roles in table.pop("persons").items():
        for role in roles:
            persons[role] = (*persons.get(role, ()), kind)
    events = {verb: tuple(words) for verb, words in table.pop("events").items()}
    shortened = {word: tuple(values) for word, values in table.pop("shortened").items()}
    demonyms = {word: tuple(values) for word, values in table.pop("demonyms").items()}
    units = {word: unit for unit, words in table.pop("units").items() for word in words}
    sets = {kind: frozenset(words) for kind, words in table.pop("sets").items()}
    natural = tuple((begin, name) for name, begins in table.pop("natural").items() for begin in begins)
    ends = {word: side for side, words in table.pop("ends").items() for word in words}
    phrases: dict[tuple[str, ...], dict[str, str]] = {}
    for kind, values in table.items():
        for value, texts in values.items():
            for text in texts:
                key = tuple(text.split())
                phrases.setdefault(key, {})[kind] = value
    return Cues(
        phrases,
        abbreviations,
        {
            stem_of(word): tuple(" ".join(map(stem_of, item.split())) for item in items)
            for word, items in synonyms.items()
        },
        frozenset(stem_of(word) for word in ignored),
        ends,
        agents,
        verbs,
        natural,
        denials,
        sets,
        units,
        persons,
        events,
        shortened,
        demonyms,
        lifecycle,
        happenings,
        spans,
        max(map(len, phrases)),
    )


def _stemmed(table: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {stem_of(word): tuple(map(stem_of, words)) for word, words in table.items()}


def _roles(table: dict[str, list[str]]) -> dict[str, frozenset[str]]:
    """Words, and the roles that they stand for."""
    roles: dict[str, set[str]] = {}
    for role, words in table.items():
        for word in words:
            roles.setdefault(word, set()).add(role)
    return {word: frozenset(found) for word, found in roles.items()}


def ngrams(tokens: Sequence[Token], at: int, longest: int) -> Iterator[tuple[int, tuple[str, ...], tuple[str, ...]]]:
    """The words from a token on, the longest run first: where they end, as written and as stems. Signs end a run."""
    end = at
    while end < len(tokens) and end - at < longest and tokens[end].kind == "word":
        end += 1
    for stop in range(end, at, -1):
        run = tokens[at:stop]
        yield stop, tuple(token.text.lower() for token in run), tuple(token.stem for token in run)
