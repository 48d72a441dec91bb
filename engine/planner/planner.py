"""Questions in plain words as queries, without a model: what is understood, how sure it is, or why it is declined."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engine.dates.calendar import Calendar
from engine.dates.ranges import Mention
from engine.planner.doubts import doubts_of, is_unexplained
from engine.planner.elements import elements_of
from engine.planner.intent import Intent
from engine.planner.knowing import Knowing, know
from engine.planner.linking import Linker
from engine.planner.reading import read_intent
from engine.planner.schema import Schema
from engine.planner.words import cues
from engine.planner.writing import Impossible, write

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
    ways = know(question, knowledge, schema, now, calendar or Calendar())
    planned = max((_plan(way.question, way) for way in ways), key=_sureness)
    if planned.definition is not None and planned.intent is not None and ways[0].heard.notes.sentences:
        # What is left out of some rows is known only when it is known that they are needed.
        things = [schema.tables[name].words[-1] for name in planned.intent.tables() if schema.tables[name].words]
        more = know(question, knowledge, schema, now, calendar or Calendar(), things=things)
        if more[0].heard.rules != ways[0].heard.rules:
            again = max((_plan(way.question, way) for way in more), key=_sureness)
            ways, planned = (more, again) if again.definition is not None else (ways, planned)
    if planned.definition is not None or not ways[0].is_used:
        return planned
    without = ways[0].without()
    plain = _plan(without.question, without)
    return planned if plain.definition is None else plain


def _sureness(planned: Planned) -> tuple[bool, float]:
    return planned.definition is not None, planned.confidence


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
    doubts = [*intent.doubts, *written.doubts, *doubts_of(elements, intent, table)]
    confidence = 0.95
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
