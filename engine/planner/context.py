"""What of a schema a question is about: tables with their columns and samples, joins, values, and words left over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.dates.calendar import Calendar
from engine.planner.doubts import is_unexplained
from engine.planner.elements import Element, elements_of
from engine.planner.linking import Linker
from engine.planner.schema import Column, Schema
from engine.planner.words import cues

ALL_TABLES, ALL_COLUMNS = 14, 160  # a schema of this size is shown whole
MAX_VALUES = 24
SAMPLES = 3
FEW = 8  # so many different values are all shown
MAX_SAMPLE_CHARS = 40

Samples = Mapping[tuple[str, str], Sequence[str]]
"""Values of columns, by table and column."""


@dataclass(frozen=True, slots=True)
class LinkedTable:
    """A table, and how much the question speaks of it."""

    name: str
    score: float
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class LinkedValue:
    """Words of the question that a column holds as a value."""

    text: str
    column: Column
    value: str


@dataclass(frozen=True, slots=True)
class Linked:
    """A question's part of a schema. `unlinked` are its words that stand for nothing there."""

    tables: tuple[LinkedTable, ...]
    joins: tuple[tuple[Column, Column], ...]
    values: tuple[LinkedValue, ...]
    unlinked: tuple[str, ...]
    ranges: tuple[tuple[str, datetime | None, datetime | None, str], ...]


def link(question: str, schema: Schema, now: datetime, *, limit: int = 8) -> Linked:
    """The part of a schema that a question is about, with what joins it; a small schema whole."""
    table = cues()
    elements, dates = elements_of(question, Linker(schema, table), table, now, Calendar())
    scores = _scores(elements, schema)
    names = _chosen(schema, scores, limit)
    links = [item for item in schema.links if item.child.table in names and item.parent.table in names]
    values = [LinkedValue(item.text, column, value) for item in elements for column, value in item.values]
    return Linked(
        tables=tuple(LinkedTable(name, round(scores.get(name, 0.0), 3), schema.tables[name].columns) for name in names),
        joins=tuple((item.child, item.parent) for item in sorted(links, key=lambda item: item.cost)),
        values=tuple(item for item in values if item.column.table in names)[:MAX_VALUES],
        unlinked=tuple(
            item.text for item in elements if not _stands_for_something(item) and is_unexplained(item, table)
        ),
        ranges=tuple(
            (question[item.start : item.end], item.range.start, item.range.end, item.range.convention)
            for item in dates.mentions
        ),
    )


def samples_of(schema: Schema) -> Samples:
    """A few values of each column: all where there are few, else the shortest."""
    held: dict[tuple[str, str], list[str]] = {}
    for holders in schema.values.values():
        for column, value in holders:
            held.setdefault(column.path, []).append(value)
    return {path: _few(values) for path, values in held.items()}


def _few(values: list[str]) -> list[str]:
    known = sorted(set(values), key=lambda value: (len(value), value))
    return [value[:MAX_SAMPLE_CHARS] for value in (known if len(known) <= FEW else known[:SAMPLES])]


def _stands_for_something(element: Element) -> bool:
    return bool(
        element.cues
        or element.candidates
        or element.values
        or element.parts
        or element.date
        or element.number is not None
    )


def _scores(elements: Sequence[Element], schema: Schema) -> dict[str, float]:
    scores: dict[str, float] = {}
    for element in elements:
        found: dict[str, float] = {}
        for item in element.candidates:
            name = item.table.name if item.table is not None else item.column.table if item.column is not None else ""
            name = schema.base(name)
            found[name] = max(found.get(name, 0.0), item.score * (1.5 if item.table is not None else 1.0))
        for column, _ in [*element.values, *element.parts]:
            found[column.table] = max(found.get(column.table, 0.0), 1.0)
        for name, score in found.items():
            scores[name] = scores.get(name, 0.0) + score
    return scores


def _chosen(schema: Schema, scores: Mapping[str, float], limit: int) -> list[str]:
    if len(schema.tables) <= ALL_TABLES and sum(len(item.columns) for item in schema.tables.values()) <= ALL_COLUMNS:
        return sorted(schema.tables, key=lambda name: (-scores.get(name, 0.0), name))
    best = sorted(scores, key=lambda name: (-scores[name], name))[:limit]
    between = {
        link.parent.table
        for link in schema.links
        for other in schema.links
        if link.parent.table == other.parent.table
        and link.child.table != other.child.table
        and {link.child.table, other.child.table} <= set(best)
    } | {
        link.child.table
        for link in schema.links
        for other in schema.links
        if link.child.table == other.child.table
        and link.parent.table != other.parent.table
        and {link.parent.table, other.parent.table} <= set(best)
    }
    return best + sorted(between - set(best))[:limit]
