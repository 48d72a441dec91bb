"""Phrases of a definition as measures, read as questions are: `total revenue`, `number of successful transactions`."""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime

from engine.dates.calendar import Calendar
from engine.planner import reading
from engine.planner.calculations import Calculation, Said, phrases_in
from engine.planner.definitions import Definition, stems_of
from engine.planner.elements import Element, elements_of
from engine.planner.formulas import Formula
from engine.planner.intent import Condition, Measure
from engine.planner.linking import LONGEST, Linker
from engine.planner.meanings import expand
from engine.planner.measures import count_again
from engine.planner.missing import scope_missing
from engine.planner.moments import begin_of, end_of
from engine.planner.ranking import read_limit, read_order, read_ranking
from engine.planner.rules import tables_in
from engine.planner.scene import Scene
from engine.planner.schema import Column, Schema, Table
from engine.planner.showing import read_groups
from engine.planner.spans import span
from engine.planner.sqltext import read_call, read_conditions
from engine.planner.subjects import find_entity
from engine.planner.words import Cues, ngrams, tokens_of

MAX_NESTED = 3
_LENGTH = re.compile(
    r"^(?:the )?(?:total |average |mean |overall )?(?:number of )?(?P<unit>second|minute|hour|day|week|month|year)s?"
    r" (?:of|per|for|in) (?:the |a |an |each |one )?(?P<thing>[\w ]{3,40})$",
    re.I,
)
_NUMBERED = re.compile(
    r"^(?:the )?(?P<head>(?:average|mean|total|median|maximum|minimum|max|min) )?(?P<base>[\w ]+?) (?:on|at|in|for|of) "
    r"(?P<unit>day|week|month|quarter|year|visit|round|phase|level) (?P<number>\d{1,4})$",
    re.I,
)
_SHARE = re.compile(
    r"^(?:the )?(?P<kind>percentage|percent|share|proportion|fraction) of (?P<of>[^()+*/]{3,80})$", re.I
)
_UNIT = r"(?:month|week|quarter|year|day|period)"
_PREVIOUS = re.compile(
    rf"(?:\b(?:of|in|for|from) )?(?:\bthe )?\b(?:previous|prev|prior|last|preceding)\s+{_UNIT}\b"
    r"(?:'s|s')?(?:\s+values?\b)?",
    re.I,
)
_CURRENT = re.compile(
    rf"(?:\b(?:of|in|for|from) )?(?:\bthe )?\b(?:current|given|this)\s+{_UNIT}\b(?:'s|s')?(?:\s+values?\b)?", re.I
)
LEAST_PLAIN = 0.6
_WHOLE = (read_limit, read_ranking, count_again, read_groups, read_order, scope_missing)
STEPS = tuple(step for step in reading.STEPS if step not in _WHOLE)
"""Of reading a question, those that a part of one takes."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What phrases are read against."""

    linker: Linker
    cues: Cues
    now: datetime
    calendar: Calendar
    said: dict[str, tuple[Definition, Said]]  # by the stems of a term
    phrases: tuple[Definition, ...]  # that stand for words

    @property
    def schema(self) -> Schema:
        return self.linker.schema


def compared(text: str, linker: Linker) -> tuple[list[Condition], str]:
    """The comparisons that a text spells out with names of columns, and the text without them."""
    return read_conditions(text, linker.schema, tables_named(text, linker))


def tables_named(text: str, linker: Linker) -> dict[str, float]:
    """The tables that a text may name, and how well."""
    named: dict[str, float] = {}
    words = tokens_of(text)
    for at in range(len(words)):
        for _, _, stems in ngrams(words, at, LONGEST):
            for item in linker.find(stems):
                if item.table is not None:
                    named[item.table.name] = max(named.get(item.table.name, 0.0), item.score)
    return named


class Unreadable(Exception):
    """A phrase of a definition that nothing stands for."""


@dataclass(slots=True)
class Leaves:
    """Reads the phrases of one definition where a question uses it."""

    frame: Frame
    scene: Scene
    joined: list[frozenset[str]] = field(default_factory=list)  # what each phrase needs a row of
    is_calculated: bool = False

    def measure(self, said: Said, name: str) -> Measure:
        """What a term is calculated of, as one measure. Raises Unreadable."""
        if said.operator == "is":
            return self._single(said, name)
        self.is_calculated = said.operator in ("/", "-", "+", "*")
        made = self._made(said, name, 0)
        if not isinstance(made, Calculation) or _multiplies_sums(made):
            raise Unreadable(name)
        table = next((item for item in map(self._table_of, _flat(made)) if item is not None), None)
        made = _counting(made, table or self._main())
        return Measure("sum", table=table, calculation=replace(made, name=name))

    def _single(self, said: Said, name: str) -> Measure:
        made = self._made(said.parts[0], name, 0)
        if isinstance(made, Calculation):
            table = next((item for item in map(self._table_of, _flat(made)) if item is not None), None)
            return Measure("sum", table=table, calculation=replace(made, name=name))
        if not isinstance(made, Measure):
            raise Unreadable(name)
        return made if made.column or made.table else replace(made, table=self._main())

    def row_value(self, said: Said, name: str) -> Formula | None:
        """What a term is of each row, where all its phrases are plainly columns of numbers of one table."""
        columns = [self._plain(phrase) for phrase in phrases_in(said)]
        if said.operator in ("rank", "is") or not columns or any(column is None for column in columns):
            return None
        if len(set(columns)) < len({phrase.lower() for phrase in phrases_in(said)}):
            return None  # one column for two phrases
        tables = {column.table for column in columns if column is not None}
        if len(tables) != 1 and not any(
            {item.child.table, item.parent.table} == tables for item in self.frame.schema.links
        ):
            return None
        made = self._of_row(said, [column for column in columns if column is not None], name)
        return made if isinstance(made, Formula) else None

    def _of_row(self, said: Said | str | float, columns: list[Column], name: str) -> Column | Formula | float | int:
        if isinstance(said, str):
            return columns.pop(0)
        if not isinstance(said, Said):
            return said
        parts = tuple(self._of_row(part, columns, name) for part in said.parts)
        return Formula(said.operator, parts, tuple(name.split("_")))  # type: ignore[arg-type]

    def _plain(self, phrase: str) -> Column | None:
        stems = tuple(stem for stem in stems_of(phrase) if stem not in ("the", "a", "an", "its", "their"))
        if not stems or any(
            self.frame.cues.phrases.get((stem,), {}).keys() & {"aggregates", "count"} for stem in stems
        ):
            return None
        found = [
            item
            for item in self.frame.linker.find(stems)
            if isinstance(item.column, Column) and item.column.family == "number" and item.score >= LEAST_PLAIN
        ]
        best = max(found, key=lambda item: item.score + self._nearness(item.column), default=None)  # type: ignore[arg-type]
        return best.column if best is not None and isinstance(best.column, Column) else None

    def _nearness(self, column: Column) -> float:
        return 0.15 * self.scene.named.get(column.table, 0.0)

    def _made(self, said: Said | str | float, name: str, depth: int) -> Calculation | Measure | float | int:
        if isinstance(said, str):
            return self._phrase(said, depth)
        if not isinstance(said, Said):
            return said
        parts = tuple(self._made(part, name, depth) for part in said.parts)
        return Calculation(said.operator, parts, name, said.is_descending)

    def _phrase(self, phrase: str, depth: int) -> Measure | Calculation:
        """A phrase as a measure, in the period before where it says so."""
        told = phrase.replace("_", " ")
        previous = _PREVIOUS.search(told)
        if previous is None:
            return self._now(_CURRENT.sub(" ", told) if _CURRENT.search(told) else phrase, depth)
        return Calculation("previous", (self._now(_PREVIOUS.sub(" ", told), depth),))

    def _now(self, phrase: str, depth: int) -> Measure | Calculation:
        plain = re.sub(r"^(?:the|a|an|for|in|of|this|value|values|\s)+\s*$", "", phrase.strip(" '"), flags=re.I)
        if not plain:  # `current month's value`: of what the question measures
            return self._measured()
        return self._named(plain, depth)

    def _measured(self) -> Measure:
        measures = [item for item in self.scene.intent.measures if item.calculation is None]
        if len(measures) != 1:
            raise Unreadable("value")
        return measures[0]

    def _named(self, phrase: str, depth: int) -> Measure | Calculation:
        key = " ".join(stems_of(re.sub(r"^(?:the|a|an)\s+", "", phrase, flags=re.I)))
        nested = self.frame.said.get(key)
        if depth < MAX_NESTED and nested is not None:
            made = self._made(nested[1], nested[0].names[0], depth + 1)
            if isinstance(made, (Calculation, Measure)):
                return made
        share = _SHARE.match(phrase)
        if share is not None and depth < MAX_NESTED:
            return self._share(share["of"], is_percent="perc" in share["kind"].lower())
        length = self._length(re.sub(r"\s*\([^()]*\)", "", phrase).strip())
        if length is not None:
            return length
        call = read_call(phrase, self.frame.schema, self.scene.named)
        return call if call is not None else self.read(phrase)

    def _length(self, phrase: str) -> Measure | None:
        """`total days of treatment`: from where each begins to where it ends."""
        match = _LENGTH.match(phrase)
        tables = tables_in(match["thing"], self.frame.linker) if match else []
        start, end = (
            (begin_of(tables[0], self.frame.cues), end_of(tables[0], self.frame.cues)) if tables else (None, None)
        )
        if match is None or start is None or end is None:
            return None
        kind = "avg" if re.search(r"\b(?:average|mean)\b", phrase, re.I) else "sum"
        return Measure(kind, span(start, end, match["unit"].lower()))  # type: ignore[arg-type]

    def _share(self, things: str, *, is_percent: bool) -> Calculation:
        """`percentage of finished trips`: of all trips, those that are."""
        such = self.read(f"number of {things}")
        if not such.conditions or such.table is None:
            raise Unreadable(things)
        share = Calculation("/", (such, replace(such, conditions=())))
        return Calculation("*", (share, 100)) if is_percent else share

    def read(self, phrase: str) -> Measure:
        """A phrase that is read as a question of its own, in which the tables of the question are near."""
        frame = self.frame
        told = expand(re.sub(r"\s*\([^()]*\)", "", phrase).strip() or phrase, frame.phrases)
        conditions, plain = compared(self._numbered(told), frame.linker)
        elements, dates = elements_of(plain, frame.linker, frame.cues, frame.now, frame.calendar)
        inner = Scene(elements, dates, frame.schema, frame.cues, frame.now)
        for name, fit in self.scene.named.items():
            inner.named[name] = max(inner.named.get(name, 0.0), fit)
        find_entity(inner)
        for step in STEPS:
            step(inner)
        measure = self._measure_of(inner, phrase)
        for element in elements:
            if _is_open(element, frame.cues):
                self.scene.intent.doubt(f"{element.text} of {phrase[:60]!r} is not read", 0.75)
        for why, factor in inner.intent.doubts:
            self.scene.intent.doubt(why, factor)
        own = measure.column.table if measure.column is not None else measure.table.name if measure.table else ""
        joined = [table for table in inner.intent.joined if table.name != own]
        self.joined.append(frozenset(table.name for table in joined))
        if (having := self._having(measure, joined)) is not None:
            measure = having
        else:
            self.scene.intent.joined += [table for table in joined if table not in self.scene.intent.joined]
        told_of = (*measure.conditions, *inner.intent.conditions, *conditions)
        return replace(measure, conditions=tuple(map(_hashable, told_of)))

    def _numbered(self, phrase: str) -> str:
        """`score on day 7` as the day7 score, where a column is called so."""
        match = _NUMBERED.match(phrase)
        if match is None or not self.frame.linker.find((f"{match['unit'].lower()}{match['number']}",)):
            return phrase
        return f"{match['head'] or ''}{match['unit'].lower()}{match['number']} {match['base']}"

    def _having(self, measure: Measure, joined: list[Table]) -> Measure | None:
        """`trips with stops`, of all trips: those that a stop refers to, without leaving out the others."""
        schema = self.frame.schema
        if len(joined) != 1 or measure.table is None or measure.column is not None or not self.is_calculated:
            return None
        link = next(
            (
                item
                for item in schema.links
                if (item.child.table, item.parent.table) == (joined[0].name, measure.table.name)
            ),
            None,
        )
        if link is None or joined[0].name in self.scene.intent.tables():
            return None
        self.scene.intent.optional.add(joined[0].name)
        return replace(measure, table=None, column=link.child, is_distinct=True)

    def _measure_of(self, inner: Scene, phrase: str) -> Measure:
        """The measure of a phrase: the one that it names, else the sum of its column or the count of its things."""
        intent = inner.intent
        if intent.ratio:
            share = Calculation("/", intent.ratio)
            whole = share if intent.ratio_scale == 1 else Calculation("*", (share, intent.ratio_scale))
            return Measure("sum", table=intent.ratio[1].table, calculation=replace(whole, name="share"))
        if intent.measures:
            return intent.measures[0]
        columns = [
            item.column for item in intent.dimensions if item.column.family == "number" and not item.column.is_id
        ]
        if columns:
            return Measure("sum", columns[-1])
        table = intent.entity or self._counted(inner.intent.conditions)
        if table is None or not any(inner.is_table(item, table.name) for item in inner.elements):
            raise Unreadable(phrase)
        is_distinct = any("distinct" in item.cues for item in inner.elements)
        return Measure("count", table=table, is_distinct=is_distinct)

    def _counted(self, conditions: list[Condition]) -> Table | None:
        return self.frame.schema.tables.get(conditions[0].column.table) if conditions else None

    def _table_of(self, measure: Measure) -> Table | None:
        if measure.table is not None:
            return measure.table
        return None if measure.column is None else self.frame.schema.tables.get(measure.column.table)

    def _main(self) -> Table | None:
        named = self.scene.named
        return self.scene.intent.entity or self.frame.schema.tables.get(
            max(named, key=lambda item: named[item], default="")
        )


def _multiplies_sums(item: Calculation) -> bool:
    """A sum times a sum: what was meant is of each row."""
    sums = [part for part in item.parts if isinstance(part, Measure) and part.aggregate == "sum" and part.column]
    inner = [part for part in item.parts if isinstance(part, Calculation)]
    return (item.operator == "*" and len(sums) > 1) or any(map(_multiplies_sums, inner))


def _counting(item: Calculation, table: Table | None) -> Calculation:
    """`count(*)` counts the rows that the rest is about. Raises Unreadable."""
    parts: list[Calculation | Measure | float | int] = []
    for part in item.parts:
        if isinstance(part, Calculation):
            parts.append(_counting(part, table))
        elif isinstance(part, Measure) and part.column is None and part.table is None and part.calculation is None:
            if table is None:
                raise Unreadable("count(*)")
            parts.append(replace(part, table=table))
        else:
            parts.append(part)
    return replace(item, parts=tuple(parts))


def _hashable(item: Condition) -> Condition:
    return replace(item, value=tuple(item.value)) if isinstance(item.value, list) else item


def _flat(item: Calculation | Measure | float) -> list[Measure]:
    if isinstance(item, Calculation):
        return [measure for part in item.parts for measure in _flat(part)]
    return [item] if isinstance(item, Measure) else []


def _is_open(element: Element, cues: Cues) -> bool:
    if element.is_used or not element.is_content or element.cues:
        return False
    return not element.text.lower().endswith(("ed", "ing")) and element.stems[-1] not in cues.verbs
