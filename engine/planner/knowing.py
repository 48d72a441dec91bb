"""Knowledge beside the data while a question is planned: what of it belongs to the question, and what it does."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from engine.dates.calendar import Calendar, Unit
from engine.dates.ranges import Found, Range
from engine.planner.calculations import measures_in, read_calculation
from engine.planner.codes import read_codes
from engine.planner.defined_times import defined_dates, is_time, read_span
from engine.planner.definitions import Definition, content_of, stems_of
from engine.planner.elements import Element
from engine.planner.formulas import columns_of
from engine.planner.intent import Condition, Intent, Measure
from engine.planner.latest import Latest, read_latest, settle_latest
from engine.planner.leaves import Frame, compared, tables_named
from engine.planner.linking import Linker
from engine.planner.meanings import Heard, hear
from engine.planner.phrasing import plain_question, plain_text
from engine.planner.rules import Rules, read_rules, settle_filters, settle_joins, settle_matching
from engine.planner.scene import Scene
from engine.planner.schema import Schema
from engine.planner.terms import Terms
from engine.planner.those import split_those
from engine.planner.told_joins import with_joins
from engine.planner.words import cues

UNUSED = 0.7
"""Of a plan that leaves out what a term was defined as."""
UNREAD = 0.85
"""Of a sentence that speaks of what is asked, and was not understood."""
FORMULA = 0.85
"""Of a term that is read by its words, though it is calculated too."""
LEAST_SHARED, LEAST_SHARE = 2, 0.6
MAX_SHOWN = 120
_NOT_NULL = re.compile(r"\bnon[- ]?null\b|\bnot null\b|\bnot missing\b|\bhave (?:both|all) (?:values|scores)\b", re.I)
_RESTRICTS = re.compile(
    r"\b(?:only|never|exclud\w+|ignor\w+|not count\w*|leave out|must|do not|does not|without)\b", re.I
)
_PER = re.compile(r"^per (month|week|quarter|year|day)\b", re.I)
_BEFORE = re.compile(r"\b(?:previous|prev|prior|preceding) (month|week|quarter|year|day)\b", re.I)


@dataclass(frozen=True, slots=True)
class Knowing:
    """A question with what is known of its words."""

    heard: Heard
    schema: Schema
    now: datetime
    calendar: Calendar
    rules: Rules = field(default_factory=Rules)
    spans: Mapping[str, Range] = field(default_factory=dict)  # by the phrase, in lower case
    latest: tuple[Latest, ...] = ()
    those: tuple[tuple[str, str], ...] = ()  # what is counted again
    asked: str = ""  # without what is counted again
    left_out: tuple[str, ...] = ()

    @property
    def question(self) -> str:
        return self.heard.question

    @property
    def is_used(self) -> bool:
        return bool(self.heard.used or self.heard.rules)

    def without(self) -> "Knowing":
        """The same for the question as it was asked, and what is therefore left out."""
        names = (*(definition.names[0] for definition in self.heard.used), *self.heard.rules)
        return replace(self, heard=Heard(self.asked), left_out=names)

    def mark(self, elements: list[Element], dates: Found) -> tuple[list[Element], Found]:
        """The elements and times of the question, where knowledge says what they are."""
        if self.spans:
            defined = defined_dates(self.question, dates, self.spans)
            for element in elements:
                if element.date in dates.mentions:
                    element.date = defined.mentions[dates.mentions.index(element.date)]
            dates = defined
        if dates.grain is None:
            dates = replace(dates, grain=self._grain())
        if any(place.start <= dates.compares_at[0] < place.end for place in self.heard.places):
            dates = replace(dates, compares=None)  # what a term is called
        return self.heard.mark(elements), dates

    def _grain(self) -> Unit | None:
        """The period that a calculated term is told by, where the question says none."""
        for definition in self.heard.used:
            if definition.text in self.heard.said:
                for text in (*definition.names, *definition.bodies):
                    told = _PER.match(text) or _BEFORE.search(text.replace("_", " "))
                    if told is not None:
                        return Unit(told[1].lower())  # type: ignore[arg-type]
        return None

    @property
    def terms(self) -> Callable[[Scene], None] | None:
        """The step that reads calculated terms."""
        if not (self.heard.said or self.heard.conditions or self.those):
            return None
        said = {
            " ".join(stems_of(name)): (definition, self.heard.said[definition.text])
            for definition in self.heard.used
            if definition.text in self.heard.said
            for name in definition.names
        }
        phrases = tuple(
            definition
            for definition in self.heard.notes.definitions
            if definition.text not in self.heard.said and not definition.is_recipe
        )
        frame = Frame(Linker(self.schema, cues()), cues(), self.now, self.calendar, said, phrases)
        return Terms(self.heard, frame, self.those).read

    def _goes_on(self, sentence: str, intent: Intent) -> bool:
        """Whether a sentence goes on about a definition that is used, and is read or makes the answer less sure."""
        about = dict(self.heard.notes.more).get(sentence)
        if about is None or all(definition.text != about for definition in self.heard.used):
            return False
        if _NOT_NULL.search(sentence):
            _need_values(intent)
            intent.doubt(f"by what is known: {sentence[:MAX_SHOWN]}", 1.0)
        else:
            intent.doubt(f"{sentence[:MAX_SHOWN]!r} is not read", UNREAD)
        return True

    def settle(self, intent: Intent) -> None:
        """Rules put to what was read, and what an answer says of the knowledge that it uses or leaves out."""
        for definition in self.heard.used:
            intent.doubt(f"{definition.names[0]} is read as {_shown(definition)}", 1.0)
            if len(definition.bodies) > 1 and definition.text not in self.heard.said and _is_formula(definition):
                intent.doubt(f"what {definition.names[0]} is calculated as is not used", FORMULA)
        for name in self.left_out:
            intent.doubt(f"what is known of {name[:MAX_SHOWN]} is not used", UNUSED)
        named = [item for item in self.heard.used if item.names[0].isupper()]
        if len(named) > 1 and len(intent.measures) + bool(intent.ratio) < len(named):
            intent.doubt(f"not all of {', '.join(item.names[0] for item in named)} are read", UNUSED)
        _hoist(intent)
        asked = content_of(self.question)
        used = list(self.heard.rules)
        used += settle_joins(intent, self.rules)
        used += settle_latest(intent, self.latest)
        used += settle_filters(intent, self.rules, asked)
        used += settle_matching(intent, self.rules, self.schema)
        for rule in used:
            intent.doubt(f"by what is known: {rule[:MAX_SHOWN]}", 1.0)
        rest = [sentence for sentence in self.rules.rest if not self._goes_on(sentence, intent)]
        for sentence in rest:
            content = content_of(sentence)
            shared = len(content & asked)
            is_near = shared >= LEAST_SHARED and shared >= LEAST_SHARE * len(content)
            if is_near or (shared and _RESTRICTS.search(sentence)):
                intent.doubt(f"{sentence[:MAX_SHOWN]!r} is not read", UNREAD)


def _need_values(intent: Intent) -> None:
    """What is calculated of several columns is of rows that have them all."""
    for measure in intent.measures:
        parts = list(measures_in(measure)) if measure.calculation is not None else []
        for column in dict.fromkeys(column for part in parts for column in columns_of(part.column)):
            needed = Condition(column, "not_null")
            if needed not in intent.conditions:
                intent.conditions.append(needed)


def know(
    question: str,
    knowledge: Sequence[str],
    schema: Schema,
    now: datetime,
    calendar: Calendar,
    *,
    things: Sequence[str] = (),
) -> list[Knowing]:
    """What of some texts, and of what a question says itself, belongs to the question: the ways to read it.

    `things` are what rows are of that it turned out to need."""
    first = _know(question, knowledge, schema, now, calendar, things=things)
    ways = [first]
    if first.heard.is_open:
        ways.append(_know(question, knowledge, schema, now, calendar, by_phrase=True, things=things))
    if first.heard.has_recipes:
        ways.append(_know(question, knowledge, schema, now, calendar, with_recipes=True, things=things))
    return ways


def _know(
    question: str,
    knowledge: Sequence[str],
    schema: Schema,
    now: datetime,
    calendar: Calendar,
    *,
    by_phrase: bool = False,
    with_recipes: bool = False,
    things: Sequence[str] = (),
) -> Knowing:
    linker = Linker(schema, cues())
    spans: dict[str, Range] = {}

    def is_span(definition: Definition) -> bool:
        found = read_span(definition.bodies[-1], now) if is_time(definition.names[0], now) else None
        if found is not None:
            spans[" ".join(definition.names[0].lower().split()).removeprefix("the ")] = found
        return found is not None

    question, those = split_those(plain_question(question))
    codes, texts = read_codes(question, [plain_text(text) for text in knowledge], linker)
    heard = hear(
        question,
        texts,
        lambda text: compared(text, linker),
        is_span,
        by_phrase=by_phrase,
        with_recipes=with_recipes,
        things=things,
        given=codes,
    )
    sentences = heard.notes.sentences
    latest = read_latest(sentences, linker)
    taken = {item.text for item in latest}
    rules = read_rules([item for item in sentences if item not in taken], linker) if sentences else Rules()
    if rules.joining or rules.filtering:
        schema = with_joins(schema, rules, list(tables_named(heard.question, linker)), linker)
    return Knowing(heard, schema, now, calendar, rules, spans, tuple(latest), tuple(those), question)


def _hoist(intent: Intent) -> None:
    """Conditions that all measures share hold for the query as a whole."""
    measures = [*intent.measures, *(item.measure for item in intent.havings)]
    measures += [item.by for item in intent.sorts if isinstance(item.by, Measure)]
    if not measures or intent.ratio or any(item.calculation or not item.conditions for item in measures):
        return
    shared = measures[0].conditions
    if any(item.conditions != shared for item in measures):
        return
    intent.conditions += [item for item in shared if item not in intent.conditions]
    intent.measures = [replace(item, conditions=()) for item in intent.measures]
    intent.havings = [replace(item, measure=replace(item.measure, conditions=())) for item in intent.havings]
    intent.sorts = [
        replace(item, by=replace(item.by, conditions=())) if isinstance(item.by, Measure) else item
        for item in intent.sorts
    ]


def _is_formula(definition: Definition) -> bool:
    return any(read_calculation(body) is not None for body in definition.bodies)


def _shown(definition: Definition) -> str:
    text = definition.bodies[0]
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
