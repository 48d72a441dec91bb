"""What a question asks for: measures, dimensions, conditions, order and limits, before it is a query."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from engine.dates.calendar import Unit
from engine.dates.ranges import Range
from engine.planner.calculations import Calculation, measures_in
from engine.planner.formulas import Value, columns_of
from engine.planner.schema import Column, Table

if TYPE_CHECKING:
    from engine.planner.latest import Latest

Aggregate = Literal["count", "sum", "avg", "min", "max", "median", "stddev"]


@dataclass(frozen=True, slots=True)
class Measure:
    """An aggregate of a column, or of a table's rows; or what is calculated of such, mostly of that table."""

    aggregate: Aggregate
    column: Value | None = None
    table: Table | None = None
    is_distinct: bool = False
    conditions: tuple["Condition", ...] = ()
    calculation: Calculation | None = None
    label: str = ""  # which of several alike it is


@dataclass(frozen=True, slots=True)
class Dimension:
    """What rows are grouped by or shown with; dates by a unit."""

    column: Value
    unit: Unit | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """One number that things are compared with: the average of a column, or of how many rows each owner has."""

    aggregate: Aggregate
    column: Value | None = None
    table: Table | None = None
    owner: Table | None = None
    conditions: tuple["Condition", ...] = ()
    within: Column | None = None  # of those that hold the same here


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of a column with a value (a tuple for several), with a range of time, or with another column.

    The operators `or` and `and` are over its `options`."""

    column: Value
    operator: str
    value: Any = None
    range: Range | None = None
    other: Value | Level | None = None
    options: tuple["Condition", ...] = ()
    at: int = field(default=-1, compare=False)  # the place of the question that says it


@dataclass(frozen=True, slots=True)
class Having:
    """A comparison of a measure with a number."""

    measure: Measure
    operator: str
    value: float | int | Level


@dataclass(frozen=True, slots=True)
class Sort:
    """By a measure or a column."""

    by: Measure | Dimension
    is_descending: bool


@dataclass(frozen=True, slots=True)
class TimePart:
    """A part of time that is said at a place: to group by where it has no hours or days."""

    at: int
    unit: str
    days: tuple[int, ...] = ()
    hours: tuple[int, int] | None = None


@dataclass(slots=True)
class Lack:
    """A table that must have no row for a thing, or none that meets the conditions."""

    table: Table
    conditions: list[Condition] = field(default_factory=list)
    at: int = -1  # the place of the question that says so
    reference: Column | None = None  # where there are several, the one that is meant


@dataclass(slots=True)
class Nested:
    """What is asked of the rows of a query: the first of each group `within`, how many groups there are, or, for each
    of `within`, an aggregate of what groups have."""

    kind: Literal["first", "count", "aggregate"]
    within: tuple[Dimension, ...] = ()
    by: Measure | Dimension | None = None
    is_descending: bool = True
    count: int = 1
    aggregate: Aggregate = "avg"
    label: str = ""


@dataclass(slots=True)
class Intent:
    """Everything that was understood.

    `missing` are tables that must have no row for a thing, `joined` ones that must have one."""

    entity: Table | None = None
    measures: list[Measure] = field(default_factory=list)
    dimensions: list[Dimension] = field(default_factory=list)
    conditions: list[Condition] = field(default_factory=list)
    havings: list[Having] = field(default_factory=list)
    missing: list[Lack] = field(default_factory=list)
    joined: list[Table] = field(default_factory=list)
    optional: set[str] = field(default_factory=set)  # tables that may have no row for a thing
    latest: list["Latest"] = field(default_factory=list)
    ratio: tuple[Measure, Measure] | None = None
    ratio_scale: int = 1
    sorts: list[Sort] = field(default_factory=list)
    limit: int | None = None
    nested: Nested | None = None
    is_distinct: bool = False
    is_grouped: bool = False
    doubts: list[tuple[str, float]] = field(default_factory=list)

    def doubt(self, why: str, factor: float) -> None:
        """Note a choice that may be wrong, and what it does to confidence."""
        if (why, factor) not in self.doubts:
            self.doubts.append((why, factor))

    def parts(self) -> tuple[list[Measure], list[Dimension | Condition]]:
        """All measures, and all that speaks of single columns."""
        measures = [*self.measures, *(having.measure for having in self.havings), *(self.ratio or ())]
        measures += [sort.by for sort in self.sorts if isinstance(sort.by, Measure)]
        if self.nested is not None and isinstance(self.nested.by, Measure):
            measures.append(self.nested.by)
        measures = [part for item in measures for part in measures_in(item)]
        others = [*self.dimensions, *self.conditions, *(part for item in measures for part in item.conditions)]
        if self.nested is not None:
            others += [*self.nested.within, *([self.nested.by] if isinstance(self.nested.by, Dimension) else [])]
        return measures, [*others, *(sort.by for sort in self.sorts if isinstance(sort.by, Dimension))]

    def columns(self) -> list[Column]:
        """All columns that a query of this reads."""
        measures, others = self.parts()
        values: list[object] = [item.column for item in (*measures, *others)]
        values += [value for item in conditions_in(others) for value in (item.column, item.other)]
        return [column for value in values for column in columns_of(value)]

    def tables(self) -> list[str]:
        """Names of all tables that a query of this needs, the entity's first."""
        measures, _ = self.parts()
        counted = [item.table for item in measures if item.table is not None]
        tables = [*([self.entity] if self.entity else []), *counted]
        first = [table.name for table in (*tables, *self.joined)]  # they decide the way to the rest
        return list(dict.fromkeys([*first, *(column.table for column in self.columns())]))


def conditions_in(items: Iterable[object]) -> Iterator[Condition]:
    """The conditions among some parts of an intent, and those that they are made of."""
    for item in items:
        if isinstance(item, Condition):
            yield item
            yield from conditions_in(item.options)
