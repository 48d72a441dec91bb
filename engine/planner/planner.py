"""Questions in plain words as queries, without a model: what is understood, how sure it is, or why it is declined."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from engine.dates.calendar import Calendar
from engine.dates.ranges import Mention
from engine.planner.elements import Element, elements_of
from engine.planner.intent import Intent
from engine.planner.knowing import Knowing, know
from engine.planner.linking import Linker
from engine.planner.reading import read_intent
from engine.planner.schema import Schema
from engine.planner.words import Cues, cues, stem_of
from engine.planner.writing import Impossible, write

UNEXPLAINED = 0.55
"""What each word that nothing explains leaves of the confidence."""
UNEXPLAINED_VERB = 0.85
"""Of words like `published`, which mostly say again what the tables around them do."""
HEDGED = 0.8
"""Of `still` or `already`, where nothing says what is in that state."""
LEAST_CONFIDENCE = 0.53
"""Below it a question is declined: one noun that nothing stands for is enough."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A definition with its confidence, or none and why. `unexplained` are words that nothing stands for."""

    definition: dict[str, Any] | None
    confidence: float
    doubts: tuple[str, ...] = ()
    unexplained: tuple[str, ...] = ()
    conventions: tuple[str, ...] = ()
    intent: Intent | None = field(default=None, repr=False)


def plan(
    question: str,
    schema: Schema,
    now: datetime,
    calendar: Calendar | None = None,
    *,
    knowledge: Sequence[str] = (),
) -> Planned:
    """The query that a question asks for. A question of other things is declined: no definition.

    Of `knowledge`, texts that define terms or say how to match, what belongs to the question is used."""
    knowing = know(question, knowledge, schema, now, calendar or Calendar())
    if not knowing.is_used:
        return _plan(question, knowing)
    planned = _plan(knowing.question, knowing)
    if planned.definition is not None:
        return planned
    plain = _plan(question, knowing.without(question))
    return planned if plain.definition is None else plain


def _plan(question: str, knowing: Knowing) -> Planned:
    table, schema = cues(), knowing.schema
    elements, dates = elements_of(question, Linker(schema, table), table, knowing.now, knowing.calendar)
    elements, dates = knowing.mark(elements, dates)
    intent = read_intent(elements, dates, schema, table, knowing.now, terms=knowing.terms)
    knowing.settle(intent)
    unexplained = tuple(element.text for element in elements if is_unexplained(element, table))
    conventions = tuple(_as_read(question, item) for item in dates.mentions)
    try:
        written = write(intent, schema)
    except Impossible as error:
        return Planned(None, 0.0, (str(error),), unexplained, conventions, intent)
    doubts = [*intent.doubts, *written.doubts]
    confidence = 0.95
    things = _after_articles(elements)
    for word in unexplained:
        confidence *= UNEXPLAINED_VERB if _is_verb(word, table) and word not in things else UNEXPLAINED
    hedges = [element for element in elements if "hedges" in element.cues and not element.is_used]
    if hedges and not any(item.operator in ("is_null", "not_null") for item in intent.conditions):
        doubts.append((f"{hedges[0].text} may mean a state or a time", HEDGED))
    doubts += _left_open(elements, intent)
    for _, factor in doubts:
        confidence *= factor
    said = tuple(why for why, _ in doubts)
    if confidence < LEAST_CONFIDENCE:
        return Planned(None, confidence, said, unexplained, conventions, intent)
    return Planned(written.definition, confidence, said, unexplained, conventions, intent)


def _as_read(question: str, said: Mention) -> str:
    """A phrase about time, its half-open range, and the convention where there is a choice."""
    start, end = (
        moment.isoformat(sep=" ").removesuffix(" 00:00:00") if moment else ""
        for moment in (said.range.start, said.range.end)
    )
    convention = f" ({said.range.convention})" if said.range.convention else ""
    return f"{question[said.start : said.end]}: [{start}, {end}){convention}"


def _left_open(elements: list[Element], intent: Intent) -> list[tuple[str, float]]:
    """A total that nothing sums up, and a time of something that was not understood."""
    found = []
    sums = [item for item in intent.measures if item.aggregate in ("sum", "count")]
    totals = [item for item in elements if item.cues.get("aggregates") == "sum" and not item.is_used]
    if totals and (not sums or len(sums) < len(totals) or _is_added(totals[-1], elements, "and")):
        found.append((f"{totals[0].text} is not read", 0.8))
    if any(item.range for item in intent.conditions) and any(
        item.text.endswith("ing") and is_unexplained(item, cues()) for item in elements
    ):
        found.append(("the time may be of something else", 0.9))
    return found


def _is_added(word: Element, elements: list[Element], joint: str) -> bool:
    """Whether a word stands in what a joint adds: `and for what total`."""
    return any(item.text.lower() == joint and item.end < word.start for item in elements)


def _after_articles(elements: list[Element]) -> set[str]:
    """Words such as the `waiting` of `the waiting list`: they are no verbs."""
    return {
        after.text
        for before, after in pairwise(elements)
        if before.text.lower() in ("a", "an", "the", "their", "our") and after.text.endswith("ing")
    }


def _is_verb(word: str, table: Cues) -> bool:
    return word.islower() and (word.endswith(("ed", "en", "ing")) or stem_of(word) in table.verbs)


def is_unexplained(element: Element, table: Cues) -> bool:
    """Whether a word that matters was not used by anything."""
    if element.is_used:
        return False
    if set(element.cues) & {"missing", "negation"}:  # what an answer may never leave out
        return True
    if not element.is_content:
        return False
    return not set(element.cues) & {"hedges", "group", "distinct", "names", "ids", "text"}
