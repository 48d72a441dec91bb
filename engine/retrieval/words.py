"""What a language's words mean to an index: those that say nothing, short forms, and groups of one idea."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from engine.catalog.words import split_words

MAX_TEXT_CHARS = 8_000
MAX_WORDS = 1_000


@dataclass(frozen=True, slots=True)
class Language:
    """A language's table. `ideas` gives the groups that a word is in."""

    stop: frozenset[str]
    abbreviations: dict[str, str]
    ideas: dict[str, tuple[int, ...]]


@cache
def language(name: str = "english") -> Language:
    """Raises FileNotFoundError when there is no such table."""
    table = tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text())
    ideas: dict[str, list[int]] = {}
    for number, group in enumerate(table["groups"]):
        for word in group:
            ideas.setdefault("".join(split_words(word)), []).append(number)
    stop = frozenset(word for text in table["stop"] for word in (text, *split_words(text)))
    return Language(stop, table["abbreviations"], {word: tuple(numbers) for word, numbers in ideas.items()})


def telling_words(text: str) -> Sequence[str]:
    """The words of a text that say something, written out; all of them where none does."""
    known = language()
    words = [known.abbreviations.get(word, word) for word in split_words(text[:MAX_TEXT_CHARS])[:MAX_WORDS]]
    return [word for word in words if word not in known.stop] or words
