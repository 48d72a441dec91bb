"""Whether a question is one that was asked before: word for word, or with other values where values are declared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from engine.dates.calendar import Calendar
from engine.dates.find import find_dates
from engine.planner.words import Token, tokens_of

ParameterKind = Literal["value", "number", "date", "date_range"]
MAX_SLOT = 8
MAX_STEPS = 20_000
FILLERS = frozenset(["please", "the", "a", "an"])
LEADS = (
    ("show", "me"),
    ("tell", "me"),
    ("give", "me"),
    ("can", "you", "tell", "me"),
    ("what", "is"),
    ("what", "are"),
    ("what", "was"),
    ("what", "were"),
    ("show",),
    ("list",),
    ("return",),
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A part of a question that may be another. Its example stands in the question.

    column: `table.column` that holds the values, so that one that is none is no match."""

    name: str
    kind: ParameterKind
    example: str
    column: str = ""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A question with gaps: stems of words, and parameters."""

    parts: tuple[str | Parameter, ...]
    words: frozenset[str]


@dataclass(frozen=True, slots=True)
class Filled:
    """Values for a query's parameters, and how phrases about time were read."""

    values: Mapping[str, str]
    conventions: tuple[str, ...] = ()


Find = Callable[[str, str], str | None]
"""For `table.column` and a text, how the column spells that value; None when it has none such."""


def pattern_of(question: str, parameters: Sequence[Parameter]) -> Pattern:
    """Raises ValueError when an example does not stand in the question."""
    tokens = _content(question)
    places: dict[int, tuple[int, Parameter]] = {}
    for parameter in parameters:
        wanted = [token.stem for token in _content(parameter.example)]
        at = next((n for n in range(len(tokens)) if [t.stem for t in tokens[n : n + len(wanted)]] == wanted), None)
        if not wanted or at is None:
            raise ValueError(parameter.name)
        places[at] = (len(wanted), parameter)
    parts: list[str | Parameter] = []
    at = 0
    while at < len(tokens):
        if at in places:
            parts.append(places[at][1])
            at += places[at][0]
        else:
            parts.append(tokens[at].stem)
            at += 1
    return Pattern(tuple(parts), frozenset(part for part in parts if isinstance(part, str)))


def fill(pattern: Pattern, question: str, now: datetime, calendar: Calendar, find: Find) -> Filled | None:
    """The values that make the pattern this question; None when it is another."""
    return _Match(pattern, question, now, calendar, find).run()


def stems(question: str) -> tuple[str, ...]:
    """What must be equal for two questions to be the same."""
    return tuple(token.stem for token in _content(question))


class _Match:
    def __init__(self, pattern: Pattern, question: str, now: datetime, calendar: Calendar, find: Find):
        self._parts = pattern.parts
        self._question = question
        self._tokens = _content(question)
        self._now = now
        self._calendar = calendar
        self._find = find
        self._left = MAX_STEPS

    def run(self) -> Filled | None:
        found = self._from(0, 0)
        if found is None:
            return None
        values: dict[str, str] = {}
        conventions: list[str] = []
        for filled in found:
            values |= filled.values
            conventions += filled.conventions
        return Filled(values, tuple(conventions))

    def _from(self, part: int, at: int) -> list[Filled] | None:
        self._left -= 1
        if self._left < 0:
            return None
        if part == len(self._parts):
            return [] if at == len(self._tokens) else None
        wanted = self._parts[part]
        if isinstance(wanted, str):
            is_same = at < len(self._tokens) and self._tokens[at].stem == wanted
            return self._from(part + 1, at + 1) if is_same else None
        for end in range(at + 1, min(len(self._tokens), at + MAX_SLOT) + 1):
            value = self._value(wanted, self._tokens[at:end])
            rest = None if value is None else self._from(part + 1, end)
            if value is not None and rest is not None:
                return [value, *rest]
        return None

    def _value(self, wanted: Parameter, tokens: Sequence[Token]) -> Filled | None:
        text = self._question[tokens[0].start : tokens[-1].end]
        if wanted.kind in ("date", "date_range"):
            return self._time(wanted, text)
        if wanted.kind == "number":
            number = tokens[0].number if len(tokens) == 1 else None
            return None if number is None else Filled({wanted.name: str(number)})
        plain = tokens[0].quoted if len(tokens) == 1 and tokens[0].kind == "quoted" else text
        if wanted.column:
            found = self._find(wanted.column, plain)
            return None if found is None else Filled({wanted.name: found})
        return Filled({wanted.name: plain})

    def _time(self, wanted: Parameter, text: str) -> Filled | None:
        found = find_dates(text, self._now, self._calendar).mentions
        if len(found) != 1 or text[: found[0].start].strip() or text[found[0].end :].strip() or found[0].versus:
            return None
        meant = found[0].range
        if meant.start is None or meant.end is None:
            return None
        start, end = (moment.isoformat(sep=" ").removesuffix(" 00:00:00") for moment in (meant.start, meant.end))
        why = f" ({meant.convention})" if meant.convention else ""
        conventions = (f"{text}: [{start}, {end}){why}",)
        if wanted.kind == "date":
            return Filled({wanted.name: start}, conventions) if (meant.end - meant.start).days == 1 else None
        return Filled({f"{wanted.name}_start": start, f"{wanted.name}_end": end}, conventions)


def _content(question: str) -> list[Token]:
    """The words that count: not signs, articles, or how one begins to ask."""
    tokens = [t for t in tokens_of(question) if t.kind != "sign" and t.text.lower() not in FILLERS]
    words = tuple(token.text.lower() for token in tokens)
    lead = next((lead for lead in LEADS if words[: len(lead)] == lead and len(words) > len(lead)), ())
    return tokens[len(lead) :]
