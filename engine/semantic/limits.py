"""Figures that a question sets a limit to: `customers with revenue over 100`, `shops with at least 3 orders`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.planner.words import SCALES, cues
from engine.semantic.sentence import Sentence
from engine.sql.definitions import Condition

BETWEEN = frozenset(["of", "is", "are", "was", "were", "the", "a", "an"])


@dataclass(frozen=True, slots=True)
class Limit:
    """`at least 3`: the places of its words, from `start` to before `end`."""

    operator: str
    value: int | float
    start: int
    end: int


def limits(sentence: Sentence) -> list[Limit]:
    """All that is compared with a number, from left to right."""
    found: list[Limit] = []
    for at in range(len(sentence)):
        limit = _limit(sentence, at)
        if limit is not None and (not found or limit.start >= found[-1].end):
            found.append(limit)
    return found


def read_limits(sentence: Sentence, metrics: Mapping[int, str]) -> Iterator[tuple[Limit, Condition]]:
    """Conditions on figures; their words are used then. metrics: what the words at some places name."""
    said = {sentence.words[at].word: name for at, name in metrics.items()}
    for limit in limits(sentence):
        before = limit.start - 1
        while before > 0 and sentence.words[before].token.text.lower() in BETWEEN:
            before -= 1
        name = metrics.get(limit.end) or (said.get(sentence.words[before].word) if before >= 0 else None)
        if name is None and len(set(metrics.values())) == 1:
            name = next(iter(metrics.values()))
        if name is not None and all(word.use in ("", "group") for word in sentence.words[limit.start : limit.end]):
            sentence.use(range(limit.start, limit.end), "limit")
            condition = {"column": name, "operator": limit.operator, "value": limit.value}
            yield limit, Condition.model_validate(condition)


def _limit(sentence: Sentence, at: int) -> Limit | None:
    """`more than 3`, `3 or more`."""
    after = _number(sentence, at)
    if after is not None:
        operator, end = _operator(sentence, after[1], begins="or")
        return Limit(operator, after[0], at, end) if operator else None
    operator, end = _operator(sentence, at)
    number = _number(sentence, end) if operator else None
    return None if number is None else Limit(operator, number[0], at, number[1])


def _operator(sentence: Sentence, at: int, begins: str = "") -> tuple[str, int]:
    """The comparison whose words stand at a place, the longest first, and where they end; empty where there is none."""
    table = cues()
    texts = [word.token.text.lower() for word in sentence.words[at : at + table.longest]]
    for length in range(len(texts), 0, -1):
        operator = table.phrases.get(tuple(texts[:length]), {}).get("compare", "")
        if operator and (texts[0] == "or") == (begins == "or"):
            return operator, at + length
    return "", at


def _number(sentence: Sentence, at: int) -> tuple[int | float, int] | None:
    """A number and where it ends: `3`, `2 million`."""
    if at >= len(sentence) or sentence.words[at].use == "time":
        return None
    number, end = sentence.words[at].token.number, at + 1
    if number is None:
        return None
    while end < len(sentence) and sentence.words[end].word in SCALES:
        number, end = number * SCALES[sentence.words[end].word], end + 1
    return number, end
