"""A question while it is read: its elements, which table or column each most likely is, and the intent so far."""

import re
from datetime import datetime

from engine.dates.calendar import Unit
from engine.dates.ranges import Found
from engine.planner.elements import Element
from engine.planner.intent import Condition, Dimension, Intent, Measure, Sort, TimePart
from engine.planner.linking import GENERIC, Candidate
from engine.planner.schema import Column, Schema, Table
from engine.planner.words import Cues, lemma_of

NEAR = 6
STRONG = 0.85
WORSE = 0.2
RIVALLED, WEAK, LITTLE = 0.83, 0.6, 0.5
TIME_UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")


class Scene:
    """What all readers of a question share. Each marks the elements that it has understood."""

    def __init__(self, elements: list[Element], dates: Found, schema: Schema, cues: Cues, now: datetime):
        self.elements = elements
        self.verbs = cues.sets["verbs"]
        self.cues = cues
        self.dates = dates
        self.schema = schema
        self.now = now
        self.intent = Intent()
        self.named = self.mentioned()
        self.reach: frozenset[str] = frozenset()
        self.read_at: dict[int, Measure] = {}
        self.kinds: dict[int, Table] = {}  # values that stand for things, as `receptionists` do for staff
        self.sides: tuple[range, ...] = ()  # of a ratio: what is said of what is divided, and of what divides it
        self.rivalled: dict[tuple[int, Column], str] = {}
        self.wants_most = True
        self.negators: set[int] = set()
        self.days: list[TimePart] = []
        self.is_compared = False
        self.trend = ""  # running, moving or rank
        self.window = 0
        self.inner: list[Dimension] = []  # groups inside of those that are shown
        self.grain = self.grouping_unit()

    def mentioned(self) -> dict[str, float]:
        """Tables that the question names, and how plainly."""
        found: dict[str, float] = {}
        for element in self.elements:
            best = max((item.score for item in element.candidates), default=0.0)
            for item in element.candidates:
                if item.table is not None and item.score >= best - 0.1:
                    found[item.table.name] = max(found.get(item.table.name, 0.0), item.score)
        return found

    def grouping_unit(self) -> Unit | None:
        """The unit of `by month`; none where `daily` is part of a name, as in daily prices."""
        start, end = self.dates.grain_at
        for element in self.elements:
            is_there = element.start < end and start < element.end
            is_name = (element.is_schema and len(element.stems) > 1) or bool(element.values)
            if is_there and (is_name or "order" in element.cues):
                return None
        for element in self.elements:
            if self.dates.grain is not None and element.start < end and start < element.end:
                element.is_used = True
                element.candidates = []
        for element in self.elements:  # said again: `the month and the count for each month`
            if self.dates.grain is not None and element.stems == (self.dates.grain.grain,) and not element.date:
                element.is_used = element.is_used or not element.is_schema
        return self.dates.grain

    def near(self, at: int, table: str) -> float:
        distance = min(
            (abs(at - place) for place, element in enumerate(self.elements) if self.is_table(element, table)),
            default=99,
        )
        return 0.15 if distance <= 2 else 0.1 if distance <= NEAR else 0.0

    def is_table(self, element: Element, table: str) -> bool:
        return any(item.table is not None and item.table.name == table for item in element.candidates)

    def fit(self, at: int, item: Candidate) -> float:
        name = item.table.name if item.table is not None else item.column.table if item.column is not None else ""
        is_main = self.intent.entity is not None and self.intent.entity.name == name
        main = 0.0 if not is_main else 0.4 if self.elements[at].stems[-1] in GENERIC else 0.12
        if self.intent.entity is not None and name not in self.reach:
            return item.score - 0.5
        used = 0.15 if name in self.used_tables() else 0.0
        used += 0.2 if item.score < STRONG and self.is_said_elsewhere(at, item) else 0.0
        used += 0.25 if item.score >= 0.97 and len(self.elements[at].stems) > 1 else 0.0
        used += 0.3 if item.column is not None and self.owner_before(at) == name else 0.0
        return used + item.score + 0.25 * self.named.get(name, 0.0) + self.near(at, name) + main

    def is_said_elsewhere(self, at: int, item: Candidate) -> bool:
        """Whether other words say the rest of a column's name: `how many minutes were watched`."""
        stems = {stem for place, element in enumerate(self.elements) if place != at for stem in element.stems}
        return item.column is not None and any(
            word in stems for word in item.column.words if word not in self.elements[at].stems and word not in GENERIC
        )

    def owner_before(self, at: int) -> str:
        """The table that a place is said to belong to: `states with an area of`, `hotels whose rating`."""
        if at and re.search(r"(?:['\u2019]s|s['\u2019])$", self.elements[at - 1].text) and self.is_table_first(at - 1):
            owner = self.elements[at - 1].candidates[0].table  # `the owner's name`
            return owner.name if owner is not None else ""
        for place in range(at - 1, max(-1, at - 4), -1):
            element = self.elements[place]
            if element.text.lower() in self.cues.sets["having"]:
                named = next((p for p in range(place - 1, max(-1, place - 3), -1) if self.elements[p].is_schema), None)
                table = self.elements[named].candidates[0].table if named is not None else None
                return table.name if table is not None else ""
            if not element.is_ignored and not element.cues:
                return ""
        return ""

    def used_tables(self) -> set[str]:
        """Tables of measures so far: what else is asked is rather about them."""
        columns = {measure.column.table for measure in self.intent.measures if measure.column}
        return columns | {measure.table.name for measure in self.intent.measures if measure.table}

    def column(self, at: int, *families: str) -> Column | None:
        """The column that the element at a place most likely is."""
        items = [
            item
            for item in self.elements[at].candidates
            if item.column is not None and item.column.is_readable and (not families or item.column.family in families)
        ]
        best = max(items, key=lambda item: self.fit(at, item), default=None)
        if best is None or best.column is None:
            return None
        rivals = [
            item
            for item in items
            if item.column is not None
            and (self.schema.base(item.column.table), item.column.name)
            != (self.schema.base(best.column.table), best.column.name)
            and (self.fit(at, item) > self.fit(at, best) - 0.05 or item.score > best.score + WORSE)
        ]
        if rivals:
            self.rivalled[at, best.column] = f"{self.elements[at].text} may be another column"
        else:
            self.rivalled.pop((at, best.column), None)
        return best.column

    def doubt_rivals(self) -> None:
        """Columns that came to be used though others fit as well."""
        used = self.intent.columns()
        for (at, column), why in self.rivalled.items():
            if column in used and self.elements[at].is_used and not self.is_table_first(at):
                self.intent.doubt(why, RIVALLED)
        for at, element in enumerate(self.elements):
            fits = [item.score for item in element.candidates if item.column in used]
            if element.is_used and fits and max(fits) < WEAK and not self.is_table_first(at):
                factor = 0.9 if max(fits) >= LITTLE else 0.8
                self.intent.doubt(f"{element.text} fits little of what it is read as", factor)

    def score(self, at: int, column: Column) -> float:
        """How well the element at a place fits a column."""
        return max((item.score for item in self.elements[at].candidates if item.column == column), default=0.0)

    def table(self, at: int) -> Table | None:
        items = [item for item in self.elements[at].candidates if item.table is not None]
        best = max(items, key=lambda item: self.fit(at, item), default=None)
        if best is not None and max(item.score for item in items) > best.score + WORSE:
            self.intent.doubt(f"{self.elements[at].text} may be another table", 0.75)
        return best.table if best else None

    def is_table_first(self, at: int) -> bool:
        """Whether an element is rather a table than a column."""
        table = max((item.score for item in self.elements[at].candidates if item.table is not None), default=0.0)
        column = max((item.score for item in self.elements[at].candidates if item.column is not None), default=0.0)
        return table >= column and table > 0

    def cue(self, at: int, kind: str) -> str | None:
        """What the element at a place stands for as a word of that kind."""
        return self.elements[at].cues.get(kind) if 0 <= at < len(self.elements) else None

    def word(self, at: int) -> str:
        """The text at a place in lower case; nothing outside of the question."""
        return self.elements[at].text.lower() if 0 <= at < len(self.elements) else ""

    def unit(self, at: int) -> str:
        """The unit of time that a word is by itself, as in `how many days`."""
        if not 0 <= at < len(self.elements) or len(self.elements[at].stems) != 1:
            return ""
        stem = self.elements[at].stems[0]
        return stem if stem in TIME_UNITS and self.elements[at].date is None else ""

    def use(self, *places: int) -> None:
        """Mark elements as understood; values stay, for they are conditions of their own."""
        for place in places:
            element = self.elements[place]
            is_value = bool(element.values) and not element.is_schema and element.number is None
            element.is_used = element.is_used or not is_value or len(places) == 1

    def following(self, at: int, *, over: tuple[str, ...] = ()) -> int | None:
        """The next element from a place on that may be part of the schema, over words without weight."""
        over_or_hedges = {*over, "hedges"}
        for place in range(at, min(len(self.elements), at + NEAR)):
            element = self.elements[place]
            if element.is_schema and not element.is_used:
                return self.head(place)
            if element.sign and element.sign not in "(":
                return None
            if element.values or element.date or element.is_ignored or not over_or_hedges.isdisjoint(element.cues):
                continue
            if not element.cues and (element.text.lower().endswith("ed") or lemma_of(element.text) in self.verbs):
                continue  # `total confirmed amount`, `not taken a ride`
            if element.cues or element.number is not None or not element.is_ignored:
                return None
        return None

    def between(self, at: int, place: int) -> list[int]:
        """Two places and what is between them, but for words that say more: `how many cancelled flights`."""
        inner = (p for p in range(at + 1, place) if not self.elements[p].values and not self._says_more(p))
        return [at, *inner, place]

    def _says_more(self, at: int) -> bool:
        element = self.elements[at]
        return element.is_content and not element.cues and not element.is_schema and element.number is None

    def head(self, at: int) -> int:
        """`population density` is about the density: the last of numbers that stand side by side."""
        while (
            at + 1 < len(self.elements)
            and self.elements[at + 1].is_schema
            and not self.is_table_first(at)
            and not self.is_table_first(at + 1)
            and self.elements[at].text.lower() not in self.cues.sets["money"]
            and self.column(at, "number") is not None
            and self.column(at + 1, "number") is not None
        ):
            self.use(at)
            at += 1
        return at

    def set_entity(self, table: Table) -> None:
        self.intent.entity = table
        self.reach = self.schema.reachable(table.name)

    def side_of_ratio(self, at: int) -> int:
        """Which side of a ratio a place speaks of, from 1; 0 where it speaks of both."""
        return next((number for number, places in enumerate(self.sides, 1) if at in places), 0)

    def value_of(self, at: int) -> Condition:
        column, value = max(self.elements[at].values, key=lambda item: self.value_fit(at, item[0]))
        return Condition(column, "eq", value)

    def add(self, measure: Measure) -> None:
        if measure not in self.intent.measures:
            self.intent.measures.append(measure)

    def rank(self, by: Measure | Dimension, is_descending: bool) -> None:
        if not self.intent.sorts:
            self.intent.sorts.append(Sort(by, is_descending))

    def subject_column(self, before: int) -> Column | None:
        """The column that a question begins with: `Which country has the most customers`."""
        for at in range(before):
            if self.elements[at].is_schema:
                return None if self.is_table_first(at) else self.column(at)
        return None

    def is_singular(self) -> bool:
        """`Which author had the most` wants one; `which lakes have the largest` an order."""
        for at, element in enumerate(self.elements):
            if (element.is_schema and "superlatives" not in element.cues) or at in self.kinds:
                last = element.text.lower().split()[-1]
                return not (last.endswith("s") and not last.endswith("ss"))
        return False

    def show(self, columns: list[Column], place: int) -> None:
        for column in columns:
            unit = self.grain if column.family in ("date", "time") else None
            dimension = Dimension(column, unit)
            if dimension not in self.intent.dimensions:
                self.intent.dimensions.append(dimension)

    def value_fit(self, at: int, column: Column) -> float:
        tables = self.intent.tables()
        fit = 0.6 if column.table in tables else 0.3 * self.named.get(column.table, 0.0)
        fit += self.near(at, column.table)
        for place in range(max(0, at - 3), min(len(self.elements), at + 4)):
            if any(item.column == column and item.score > 0.6 for item in self.elements[place].candidates):
                fit += 0.5
                if not self.is_table_first(place):
                    break
        return fit + self.side_of(at, column) + (0.05 if column in self.schema.table_of(column).labels else 0.0)

    def side_of(self, at: int, column: Column) -> float:
        """`to Boston` is a destination, `from Boston` an origin."""
        said = next((self.cue(p, "toward") for p in range(at - 1, max(-1, at - 3), -1) if self.cue(p, "toward")), None)
        sides = {self.cues.ends[word] for word in column.words if word in self.cues.ends}
        return 0.0 if said is None or not sides else 0.4 if said in sides else -0.4
