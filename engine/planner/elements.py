"""A question as a row of elements: cues, schema phrases, values, numbers, dates, and words that nothing explains."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from engine.dates.calendar import Calendar
from engine.dates.find import find_dates
from engine.dates.ranges import Found, Mention
from engine.planner.definitions import Definition
from engine.planner.linking import LONGEST, Candidate, Linker
from engine.planner.schema import Column, Table, values_of
from engine.planner.words import SCALES, Cues, Token, ngrams, stem_of, tokens_of

MAX_VALUE_TOKENS = 6
WHOLE, HEAD = 0.95, 0.7
"""What a word such as `in` must fit at least to be a name."""
FEW_VALUES = 20
LONGEST_CODE = 4
LEAST_DENIED = 4
SEXES = frozenset(["gender", "sex"])
COUNTRIES = frozenset(["country", "nation", "nationality", "land"])


@dataclass(slots=True)
class Element:
    """One phrase and what it may be. `cues` hold kinds with their values; `is_used` is set by what reads it."""

    text: str
    stems: tuple[str, ...]
    start: int
    end: int
    cues: dict[str, str] = field(default_factory=dict)
    candidates: list[Candidate] = field(default_factory=list)
    values: list[tuple[Column, str]] = field(default_factory=list)
    parts: list[tuple[Column, str]] = field(default_factory=list)  # values that hold it as one of their words
    number: float | int | None = None
    quoted: str | None = None
    date: Mention | None = None
    sign: str = ""
    is_ignored: bool = False
    related: list[Table] = field(default_factory=list)  # `booked` where there are bookings
    is_used: bool = False
    meant: Definition | None = None  # what somebody has defined it as
    is_negated: bool = False  # `inactive`, `unpaid`: what it may be is denied

    @property
    def is_schema(self) -> bool:
        return bool(self.candidates)

    @property
    def is_content(self) -> bool:
        """Whether an answer that leaves it out may be wrong."""
        return not (self.is_ignored or self.sign)


def elements_of(
    question: str, linker: Linker, cues: Cues, now: datetime, calendar: Calendar
) -> tuple[list[Element], Found]:
    """The elements of a question, and what it says about time."""
    dates = find_dates(question, now, calendar)
    reader = _Reader(tokens_of(question), linker, cues, dates, question)
    return reader.read(), dates


class _Reader:
    def __init__(self, tokens: list[Token], linker: Linker, cues: Cues, dates: Found, question: str):
        self._tokens = tokens
        self._linker = linker
        self._cues = cues
        self._dates = dates
        self._question = question

    def read(self) -> list[Element]:
        found: list[Element] = []
        at = 0
        while at < len(self._tokens):
            element, at = self._next(at)
            found.append(element)
        return found

    def _next(self, at: int) -> tuple[Element, int]:
        token = self._tokens[at]
        mention = next((item for item in self._dates.mentions if item.start <= token.start < item.end), None)
        if mention is not None:
            end = at
            while end < len(self._tokens) and self._tokens[end].start < mention.end:
                end += 1
            element = self._element(at, end)
            element.date = mention
            return element, end
        if token.kind == "quoted":
            element = self._element(at, at + 1)
            element.quoted = token.quoted
            element.values = list(values_of(self._linker.schema, token.quoted))
            return element, at + 1
        if token.kind == "sign":
            element = self._element(at, at + 1)
            element.cues = dict(self._cues.phrases.get((token.text,), {}))
            element.sign = "" if element.cues else token.text
            return element, at + 1
        return self._phrase(at)

    def _is_bidding(self, at: int) -> bool:
        """`Return the name`, `Order the shops by`: what is to be done, not a thing of that name."""
        text = self._tokens[at].text.lower()
        if text not in self._cues.sets["bidding"]:
            return False
        is_begin = at == 0 or self._tokens[at - 1].text.lower() in (*".?!;:", "please", "also")
        after = self._tokens[at + 1].text.lower() if at + 1 < len(self._tokens) else ""
        return is_begin and (after in self._cues.sets["determiners"] or (at > 0 and text == "return"))

    def _phrase(self, at: int) -> tuple[Element, int]:
        """The longest of what a phrase may be; a value of two words and more goes before all."""
        if self._is_bidding(at):
            element = self._element(at, at + 1)
            element.is_ignored = True
            if element.text.lower() in ("order", "rank"):
                element.cues = {"order": "by"}
            return element, at + 1
        value_end, values = self._value(at)
        best_end, cue, candidates = at, {}, []
        for end, words, stems in ngrams(self._tokens, at, max(LONGEST, self._cues.longest)):
            cue = self._cues.phrases.get(words, {})
            candidates = self._linker.find(stems)
            if len(stems) == 1 and stems[0] in self._cues.ignored and not self._is_measured(at):
                is_thing = words[0] != stems[0] or self._tokens[at - 1].text.lower() not in ("in", "the", "by")
                least = HEAD if is_thing else WHOLE  # `orders` of sales_order, but not `in order`
                candidates = [item for item in candidates if item.score >= (least if item.table else WHOLE)]
            if cue or candidates:
                best_end = end
                break
        if values and value_end > best_end:
            element = self._element(at, value_end)
            element.values = values
            return element, value_end
        if (both := self._coordinated(at)) and not any(item.column for item in candidates):
            element = self._element(at, at + 1)
            element.candidates = both
            return element, at + 1
        if best_end == at:
            return self._single(at)
        element = self._element(at, best_end)
        element.cues, element.candidates = dict(cue), candidates
        element.values = values if value_end == best_end else []
        element.number = self._tokens[at].number if best_end == at + 1 else None
        if best_end == at + 1 and not any(item.table for item in candidates):
            element.related = self._linker.related(element.text.lower())
        element.is_ignored = best_end == at + 1 and self._tokens[at].stem in self._cues.ignored
        return element, best_end

    def _coordinated(self, at: int) -> list[Candidate]:
        """The first of `first and last name`: what it is with the last word."""
        words = [token.stem for token in self._tokens[at : at + 4]]
        if len(words) < 4 or words[1] not in ("and", "or") or not self._linker.find((words[2], words[3])):
            return []
        found = self._linker.find((words[0], words[3]))
        return [item for item in found if item.column is not None and item.score >= WHOLE]

    def _is_measured(self, at: int) -> bool:
        """`how many kilos`, `total minutes`: what units are of, where they are asked for."""
        before = self._tokens[at - 1].text.lower() if at else ""
        return before in self._cues.sets["measured"] and self._tokens[at].text.lower() in self._cues.units

    def _single(self, at: int) -> tuple[Element, int]:
        token = self._tokens[at]
        element = self._element(at, at + 1)
        element.number = token.number
        end = at + 1
        if token.stem in ("a", "an") and end < len(self._tokens) and self._tokens[end].stem in SCALES:
            element.number = 1
        while element.number is not None and end < len(self._tokens) and self._tokens[end].stem in SCALES:
            element.number *= SCALES[self._tokens[end].stem]
            end += 1
        if element.number is not None:
            element.end = self._tokens[end - 1].end
            element.values = list(values_of(self._linker.schema, token.text))
            return element, end
        element.is_ignored = token.stem in self._cues.ignored
        self._denied(element)
        if not element.is_ignored and not element.is_negated:
            element.related = self._linker.related(token.text.lower())
        if not element.is_ignored and not element.is_negated and at > 0 and token.text[0].isupper():
            holders = self._linker.schema.value_words.get(token.text.lower(), ())
            element.parts = list(holders) if len(holders) <= FEW_VALUES else []
        return element, end

    def _denied(self, element: Element) -> None:
        """`unresolved` where there is something resolved, `inactive` where there is a flag active."""
        word = element.text.lower()
        for prefix in self._cues.denials:
            rest = stem_of(word.removeprefix(prefix).lstrip("-"))
            if not word.startswith(prefix) or len(rest) < LEAST_DENIED or element.is_ignored:
                continue
            element.values = list(values_of(self._linker.schema, rest))
            families = ("boolean", "date", "time")
            found = [item for item in self._linker.find((rest,)) if item.column and item.column.family in families]
            element.candidates = [] if element.values else found
            element.is_negated = bool(element.values or element.candidates)
            return

    def _value(self, at: int) -> tuple[int, list[tuple[Column, str]]]:
        """The longest run of words that some column holds as a value."""
        for end in range(min(len(self._tokens), at + MAX_VALUE_TOKENS), at, -1):
            if self._tokens[at].kind != "word" or self._tokens[end - 1].kind not in ("word", "number"):
                continue
            text = self._question[self._tokens[at].start : self._tokens[end - 1].end]
            is_code = text.isupper() and (len(text) > 1 or (at > 0 and text != "I"))
            is_plain = self._tokens[at].stem in self._cues.ignored and not is_code
            if end == at + 1 and (is_plain or (len(text) < 2 and not is_code)):
                continue
            values = values_of(self._linker.schema, text) or values_of(
                self._linker.schema, self._tokens[at].stem if end == at + 1 else text
            )
            if end == at + 1 and not text.isupper():  # `top` is no airport's code
                values = [item for item in values if not (item[1].isupper() and len(item[1]) <= LONGEST_CODE)]
            if not values and end == at + 1:
                values = self._said_otherwise(text.lower()) or self._inflected(self._tokens[at].stem)
            if values:
                return end, list(values)
        return at, []

    def _said_otherwise(self, word: str) -> Sequence[tuple[Column, str]]:
        """`female` where a column of sexes holds F, `German` where one of countries holds Germany."""
        for known, about in ((self._cues.shortened, SEXES), (self._cues.demonyms, COUNTRIES)):
            for value in known.get(word, ()):
                held = [item for item in values_of(self._linker.schema, value) if set(item[0].words) & about]
                if held:
                    return held
        return ()

    def _inflected(self, stem: str) -> Sequence[tuple[Column, str]]:
        """`successful` for the value success, `failed` for fail: a value that the word begins with."""
        for cut in range(len(stem) - 1, max(3, len(stem) - 5), -1):
            values = values_of(self._linker.schema, stem[:cut])
            if values and stem[cut:] in ("d", "ed", "ful", "s", "es", "ing", "al", "ly", "n", "ion", "r", "er"):
                return values
        return ()

    def _element(self, start: int, end: int) -> Element:
        first, last = self._tokens[start], self._tokens[end - 1]
        stems = tuple(token.stem for token in self._tokens[start:end])
        return Element(self._question[first.start : last.end], stems, first.start, last.end)
