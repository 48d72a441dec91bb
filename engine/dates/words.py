"""A text as tokens whose roles a language's table gives: units, numbers, months, `last`, `since`."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

LEXEME = re.compile(
    r"""(?P<date>\d{4}-\d{1,2}-\d{1,2}(?!\d)|\d{4}/\d{1,2}/\d{1,2}(?!\d))
      | (?P<slashed>\d{1,2}/\d{1,2}/\d{4}(?!\d)|\d{1,2}/\d{1,2}/\d{2}(?!\d))
      | (?P<year_month>\d{4}[-/](?:0[1-9]|1[0-2])(?![\d-]))
      | (?P<quarter>\bq[1-4]\b)
      | (?P<half>\bh[12]\b)
      | (?P<week>\bw(?:k)?\d{1,2}\b)
      | (?P<fiscal_year>\bfy\s?'?\d{4}\b|\bfy\s?'?\d{2}\b)
      | (?P<decade>\b(?:19|20)\d0s\b)
      | (?P<nth>\b\d{1,2}(?:st|nd|rd|th)\b)
      | (?P<digits>\b\d+(?:[.,]\d+)*)
      | (?P<word>y/y|[^\W\d_]+(?:['\u2019][^\W\d_]+)*)
      | (?P<sign>[^\w\s])""",
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A word or phrase, where it stands, and the roles it may have with their values."""

    text: str  # in lower case
    start: int
    end: int
    roles: dict[str, Any]
    is_capital: bool

    def __contains__(self, role: str) -> bool:
        return role in self.roles

    def __getitem__(self, role: str) -> Any:
        return self.roles[role]


@dataclass(frozen=True, slots=True)
class Language:
    """Phrases of a language by their first word, longest first."""

    phrases: dict[str, list[tuple[tuple[str, ...], dict[str, Any]]]]
    doubtful: frozenset[str]
    number_before: frozenset[str]


@cache
def language(name: str = "english") -> Language:
    """A language's table. Raises FileNotFoundError when there is none."""
    table = tomllib.loads((Path(__file__).parent / f"{name}.toml").read_text())
    doubtful = table.pop("doubtful")
    roles: dict[tuple[str, ...], dict[str, Any]] = {}
    for phrase, role, value in _rows(table):
        roles.setdefault(tuple(phrase.replace("-", " - ").split()), {})[role] = value
    phrases: dict[str, list[tuple[tuple[str, ...], dict[str, Any]]]] = {}
    for words in sorted(roles, key=len, reverse=True):
        phrases.setdefault(words[0], []).append((words, roles[words]))
    return Language(phrases, frozenset(doubtful["words"]), frozenset(doubtful["number_before"]))


def _rows(table: dict[str, dict[str, list[str]]]) -> list[tuple[str, str, Any]]:
    rows: list[tuple[str, str, Any]] = []
    for kind, values in table.items():
        for value, phrases in values.items():
            role, meant = (value, True) if kind == "role" else (kind, int(value) if _is_int(value) else value)
            rows += [(phrase, role, meant) for phrase in phrases]
    return rows


def _is_int(text: str) -> bool:
    return text.lstrip("-").isdigit()


def tokens_of(text: str, spoken: Language) -> list[Token]:
    """The tokens of a text, phrases as one."""
    lexemes = list(LEXEME.finditer(text))
    words = [_bare(lexeme) for lexeme in lexemes]
    found: list[Token] = []
    at = 0
    while at < len(lexemes):
        count, roles = _phrase(words, at, spoken)
        first, last = lexemes[at], lexemes[at + count - 1]
        shape = first.lastgroup or ""
        if shape not in ("word", "sign"):
            number = {"number": int(first.group())} if first.group().isdecimal() else {}
            roles = {shape: first.group()} | number | roles
        is_capital = first.group()[0].isupper()
        found.append(Token(" ".join(words[at : at + count]), first.start(), last.end(), roles, is_capital))
        at += count
    return found


def _bare(lexeme: "re.Match[str]") -> str:
    return re.sub(r"['\u2019]s?$", "", lexeme.group().lower()) or lexeme.group()


def _phrase(words: list[str], at: int, spoken: Language) -> tuple[int, dict[str, Any]]:
    for phrase, roles in spoken.phrases.get(words[at], ()):
        if tuple(words[at : at + len(phrase)]) == phrase:
            return len(phrase), roles
    return 1, {}
