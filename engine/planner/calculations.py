"""What is calculated of measures: shares of totals, margins, differences, ranks; and how people write such down."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from engine.planner.intent import Measure

Operator = Literal["+", "-", "*", "/", "rank", "is", "previous", "running", "moving"]
MAX_PARTS = 40
MAX_DEPTH = 12
_PIECE = re.compile(
    r"(?P<open>\()|(?P<close>\))"
    r"|(?P<number>(?<![\w.])\d+(?:\.\d+)?(?![\w.%])(?=\s*(?:[-+*/\u00d7\u00f7\u2212)]|$)))"
    r"|(?P<sign>[*\u00d7\u00f7\u2212+]|(?<=[\s)])-(?=[\s(\d])|/(?=[\s(])|(?<=[\s)])/)"
    r"|(?P<word>\b(?:divided by|multiplied by|(?<!number of )(?<!many )times|minus|plus)\b)"
    r"|(?P<call>\b(?:count|sum|avg|min|max|median)\s*\()"
    r"|(?P<text>[^\s()*+\u00d7\u00f7\u2212]+|\s+)",
    re.I,
)
_SIGNS = {"\u00d7": "*", "\u00f7": "/", "\u2212": "-", "divided by": "/", "multiplied by": "*", "times": "*"}
_SIGNS |= {"minus": "-", "plus": "+"}
_PERCENT = re.compile(
    r",?\s*(?:and )?(?:expressed |given |shown )?(?:as|in) (?:a )?(?:percentage|percent|per cent|%)s?\b", re.I
)
_TIMES = re.compile(
    r",?\s*(?:(?:and )?(?:then )?|all )(?:multipl(?:y|ied|ying)"
    r"(?: (?:it|this|that|the result|everything))?(?: by)?|times)\s+(?P<by>\d+)\s*$",
    re.I,
)
_DIVIDED = re.compile(r",?\s*(?:and )?then (?:divided?|dividing) (?:it |this |that |the result )?by (?P<by>.+)$", re.I)
_FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^(?:divid(?:e|ing)) (?P<a>.+?) by (?P<b>.+)$", re.I), "/"),
    (re.compile(r"^(?:the )?(?:ratio|quotient) of (?P<a>.+?) (?:to|over|and|divided by) (?P<b>.+)$", re.I), "/"),
    (re.compile(r"^(?:subtract(?:ing)?) (?P<b>.+?) from (?P<a>.+)$", re.I), "-"),
    (re.compile(r"^(?:the )?difference (?:between|of) (?P<a>.+?) and (?P<b>.+)$", re.I), "-"),
    (re.compile(r"^(?:multiply(?:ing)?) (?P<a>.+?) (?:by|with) (?P<b>.+)$", re.I), "*"),
    (re.compile(r"^(?:the )?product of (?P<a>.+?) and (?P<b>.+)$", re.I), "*"),
    (re.compile(r"^add(?:ing)? (?P<a>.+?) (?:to|and) (?P<b>.+)$", re.I), "+"),
)


_CALL = re.compile(
    r"^(?:count|sum|avg|min|max|median)\s*\((?:[^()]|\([^()]*\))*\)?(?:\s*(?:\.\.\.)?\s*(?:filter\s*\(\s*)?where\s.+)?$",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Calculation:
    """An operator over measures, numbers and further calculations. A `rank` and what just `is` something have one part,
    and the first rank is 1.

    `previous` is a measure in the period before, `running` its sum so far, `moving` its average over some periods."""

    operator: Operator
    parts: "tuple[Measure | Calculation | float | int, ...]"
    name: str = ""
    is_descending: bool = True


@dataclass(frozen=True, slots=True)
class Said:
    """The same in words: parts are phrases, numbers, or what is calculated of such."""

    operator: Operator
    parts: "tuple[Said | str | float | int, ...]"
    is_descending: bool = True


def measures_in(item: object) -> "Iterator[Measure]":
    """The measures that something is calculated of; of a plain measure, itself."""
    if isinstance(item, Calculation):
        for part in item.parts:
            yield from measures_in(part)
    elif (inner := getattr(item, "calculation", None)) is not None:
        yield from measures_in(inner)
    elif hasattr(item, "aggregate"):
        yield item  # type: ignore[misc]


def phrases_in(said: Said | str | float) -> Iterator[str]:
    """The phrases of what is calculated, from left to right."""
    if isinstance(said, str):
        yield said
    elif isinstance(said, Said):
        for part in said.parts:
            yield from phrases_in(part)


def read_calculation(text: str) -> Said | None:
    """What a text calculates; None where it is a phrase like any other, or cannot be read."""
    rank = _read_rank(text)
    if rank is not None:
        return rank
    if _CALL.match(text.strip()):
        return Said("is", (text.strip(),))
    found = _read(text, 0)
    return found if isinstance(found, Said) and len(list(phrases_in(found))) <= MAX_PARTS else None


def is_divided(said: Said | str | float) -> bool:
    """Whether something is divided: then a total is not the sum of what it is of each row."""
    return isinstance(said, Said) and (said.operator == "/" or any(map(is_divided, said.parts)))


def _read(text: str, depth: int) -> Said | str | None:
    """A calculation, or the text as a phrase; None where it is neither."""
    plain = text.strip(" .,;")
    if depth > MAX_DEPTH or not plain:
        return None
    percent = _PERCENT.search(plain)
    times = _TIMES.search(plain)
    if times is not None or percent is not None:
        at, factor = (times.start(), int(times["by"])) if times else (percent.start() if percent else 0, 100)
        inner = _read(plain[:at], depth + 1)
        is_hundred = isinstance(inner, Said) and inner.operator == "*" and 100 in inner.parts
        if percent is not None and times is None and (is_hundred or not isinstance(inner, Said)):
            return inner if is_hundred else plain
        return None if inner is None else Said("*", (inner, factor))
    then = _DIVIDED.search(plain)
    if then is not None:
        above, below = _read(plain[: then.start()], depth + 1), _read(then["by"], depth + 1)
        return None if above is None or below is None else Said("/", (above, below))
    for pattern, operator in _FORMS:
        match = pattern.match(plain)
        if match is not None:
            sides = _read(match["a"], depth + 1), _read(match["b"], depth + 1)
            if sides[0] is None or sides[1] is None:
                return None
            return Said(operator, (sides[0], sides[1]))  # type: ignore[arg-type]
    return _Parser(plain).parse()


class _Parser:
    """Operators by their precedence; what stands between them are phrases."""

    def __init__(self, text: str):
        self._pieces = [(match.lastgroup or "", match.group()) for match in _PIECE.finditer(text)]
        self._at = 0
        self._depth = 0

    def parse(self) -> Said | str | None:
        try:
            found = self._sum()
        except ValueError:
            return None
        return None if self._at < len(self._pieces) or isinstance(found, (int, float)) else found

    def _peek(self) -> tuple[str, str]:
        while self._at < len(self._pieces) and self._pieces[self._at][1].isspace():
            self._at += 1
        return self._pieces[self._at] if self._at < len(self._pieces) else ("end", "")

    def _operator(self, among: str) -> Operator | None:
        kind, text = self._peek()
        sign = _SIGNS.get(text.lower(), text)
        if kind not in ("sign", "word") or sign not in among:
            return None
        self._at += 1
        return sign  # type: ignore[return-value]

    def _sum(self) -> Said | str | float | int:
        left = self._product()
        while (operator := self._operator("+-")) is not None:
            left = Said(operator, (left, self._product()))
        return left

    def _product(self) -> Said | str | float | int:
        left = self._operand()
        while (operator := self._operator("*/")) is not None:
            left = Said(operator, (left, self._operand()))
        return left

    def _operand(self) -> Said | str | float | int:
        kind, text = self._peek()
        if kind == "number":
            self._at += 1
            return float(text) if "." in text else int(text)
        if kind == "open":
            self._at += 1
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise ValueError
            inner = self._sum()
            if self._peek()[0] != "close":
                raise ValueError
            self._at += 1
            self._depth -= 1
            return inner
        return self._phrase()

    def _phrase(self) -> str:
        """Words up to an operator; brackets after words, as of a call or a unit, belong to them."""
        words: list[str] = []
        depth = 0
        while self._at < len(self._pieces):
            kind, text = self._pieces[self._at]
            if depth == 0 and (kind in ("sign", "word", "close") or (kind == "open" and not words)):
                break
            depth += (kind in ("open", "call")) - (kind == "close")
            words.append(text)
            self._at += 1
        phrase = "".join(words).strip()
        if not phrase or depth:
            raise ValueError
        return phrase


_RANK = re.compile(r"\brank(?:s|ed|ing|ings)?\b", re.I)
_RANKED_BY = re.compile(
    r"\b(?:rank(?:s|ed|ing|ings)?|ordered|sorted|determined)\b[^,;.()]{0,60}?"
    r"\b(?:by|based on|according to|in order of|on)\s+(?P<by>.+)$",
    re.I,
)
_UPWARD = re.compile(r"\basc(?:ending)?\b|\b(?:lowest|smallest|fewest|least|shortest|earliest|cheapest)\b", re.I)
_DOWNWARD = re.compile(r"\bdesc(?:ending)?\b|\b(?:highest|largest|most|biggest|greatest|top)\b", re.I)


def _read_rank(text: str) -> Said | None:
    """`customer rank by total amount, with rank 1 being the highest`"""
    match = _RANKED_BY.search(text) if _RANK.search(text) else None
    if match is None:
        return None
    by, _, rest = match["by"].partition(",")
    by = re.split(
        r"\b(?:with|where|so that|in (?:a )?(?:de|a)scending|(?:de|a)sc(?:ending)?)\b", by, maxsplit=1, flags=re.I
    )[0]
    by = re.sub(r"^(?:the|their|its|his|her)\s+", "", by.strip(" .;"), flags=re.I)
    by = re.sub(r"^(?:determined|based|ranked|ordered)\s+(?:by|on)\s+", "", by)
    told = match["by"][len(by) :] + rest
    is_upward = bool(_UPWARD.search(told)) and not _DOWNWARD.search(told)
    return Said("rank", (by,), is_descending=not is_upward) if by else None
