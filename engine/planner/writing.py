"""An intent as a definition of a query, and how sure it is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine.planner.calculations import Calculation, measures_in
from engine.planner.computing import Inexpressible, expression
from engine.planner.formulas import Formula, Value, columns_of
from engine.planner.intent import Condition, Dimension, Intent, Lack, Level, Measure, Sort
from engine.planner.joins import ThroughLink, doubts_of, far_values, join_tree, multiplies, ties
from engine.planner.lacks import path, write_lack
from engine.planner.nesting import average_count, first_of_each, over_groups
from engine.planner.schema import Column, Schema, Table

if TYPE_CHECKING:
    from engine.planner.latest import Latest

Definition = dict[str, Any]
REPEATED = "joins may repeat what is summed"
TIED = 0.83
UNNAMED = (0.97, 0.95, 0.85, 0.7)
"""Of one table and more that are joined though nothing names them."""
OVER_ROWS = 0.9
"""Of a sum over the rows of another table that a calculation is about as well."""


@dataclass(slots=True)
class Written:
    """A definition as `build_query` takes it, and doubts that came up while it was written."""

    definition: Definition
    doubts: list[tuple[str, float]] = field(default_factory=list)


class Impossible(Exception):
    """Why the question cannot be answered from this schema."""


def write(intent: Intent, schema: Schema) -> Written:
    """The definition of an intent. Raises Impossible."""
    return _Writer(intent, schema).write()


class _Writer:
    def __init__(self, intent: Intent, schema: Schema):
        self._intent = intent
        self._schema = schema
        self._doubts: list[tuple[str, float]] = []
        self._names = intent.tables()
        if not self._names:
            raise Impossible("no table is about this")
        tree = join_tree(schema, self._names)
        if tree is None:
            raise Impossible("the tables that this is about are not connected")
        self._tree = tree
        self._doubts += doubts_of(schema, tree)
        self._doubts += [(f"{name} is reached in more than one way", TIED) for name in ties(schema, self._names)]
        self._doubts += [(f"{value[:60]} may be of something else", TIED) for value in far_values(tree, intent)]
        joined = list(dict.fromkeys([self._names[0], *(step[2] for step in tree)]))
        if (more := len(joined) - len(self._names)) > 0:
            factor = UNNAMED[min(more, len(UNNAMED)) - 1]
            self._doubts.append(("tables are joined that the question does not name", factor))
        self._alias = {name: f"t{number}" for number, name in enumerate(joined)}
        self._outputs: dict[Dimension | Measure, str] = {}

    def write(self) -> Written:
        intent = self._intent
        definition: Definition = {"table": self._schema.base(self._names[0]), "alias": self._alias[self._names[0]]}
        if self._tree:
            definition["joins"] = [self._join(step) for step in self._tree]
        if intent.ratio:
            definition["select"] = [*self._dimensions(), self._ratio(*intent.ratio)]
            if intent.dimensions:
                definition["group"] = [self._term(item) for item in intent.dimensions]
        else:
            self._select(definition)
        if (intent.measures or intent.ratio or intent.havings) and (keys := self._keys_of_labels(intent.dimensions)):
            definition["group"] = [*(self._term(item) for item in intent.dimensions), *keys]
        conditions = [self._condition(item) for item in intent.conditions] + [
            self._lacks(lack) for lack in intent.missing
        ]
        conditions += [self._is_last(item) for item in intent.latest if item.table.name in self._alias]
        if conditions:
            definition["filters"] = conditions
        if intent.havings:
            definition["having"] = [self._having(item.measure, item.operator, item.value) for item in intent.havings]
            definition.setdefault("group", [self._term(item) for item in intent.dimensions])
        times = [Sort(item, is_descending=False) for item in intent.dimensions if item.unit is not None]
        orders = [self._order(sort, definition) for sort in intent.sorts or times]
        if orders:
            definition["order"] = orders
        if intent.limit is not None:
            definition["limit"] = intent.limit
        return Written(self._nested(definition), self._doubts)

    def _nested(self, definition: Definition) -> Definition:
        """The definition, or one over its rows."""
        nested = self._intent.nested
        if nested is None:
            return definition
        if nested.kind == "first" and nested.by is not None:
            by = self._term(nested.by) if isinstance(nested.by, Dimension) else self._call(nested.by)
            within = [self._term(item) for item in nested.within]
            if not [item for item in self._outputs if item not in (*nested.within, nested.by)]:
                self._doubts.append(("what is first in each is not read", 0.5))
            return first_of_each(definition, nested, [*within, *self._keys_of_labels(nested.within)], by)
        outer = [self._outputs[item] for item in nested.within]
        measures = [name for item, name in self._outputs.items() if isinstance(item, Measure)]
        return over_groups(definition, nested, outer, measures[0] if measures else nested.label)

    def _keys_of_labels(self, groups: Sequence[Dimension]) -> list[dict[str, Any]]:
        """Two people of one name are two groups."""
        shown = {item.column for item in groups if item.unit is None}
        tables = [self._schema.tables[name] for name in self._alias]
        return [
            {"column": self._path(table.key[0])}
            for table in tables
            if len(table.key) == 1
            and table.key[0].is_readable
            and table.key[0] not in shown
            and table.labels
            and set(table.labels) <= shown
        ]

    def _join(self, step: ThroughLink) -> dict[str, Any]:
        link, _, target = step
        is_left = target in self._intent.optional and all(table.name != target for table in self._intent.joined)
        return {
            **({"type": "left"} if is_left else {}),
            "table": self._schema.base(target),
            "alias": self._alias[target],
            "on": [{"left": self._path(link.child), "right": self._path(link.parent)}],
        }

    def _path(self, column: Column) -> str:
        return path(self._alias[column.table], column)

    def _value(self, value: Value, alias: str = "") -> dict[str, Any]:
        """A column or formula as an expression; `alias` stands in the place of its table's own."""
        try:
            return expression(value, (lambda item: path(alias, item)) if alias else self._path, self._schema.dialect)
        except Inexpressible as error:
            raise Impossible(str(error)) from None

    def _term(self, item: Dimension) -> dict[str, Any]:
        if item.unit is None:
            return self._value(item.column)
        if self._schema.dialect == "sqlite":
            return self._text_term(item)
        if item.unit.grain == "year" and not item.unit.is_fiscal:  # people write 2026, not its first day
            return self._value(Formula("part", (item.column,), ("year",), "year"))
        grain = {"half": "quarter"}.get(item.unit.grain, item.unit.grain)
        return {"function": "date_trunc", "args": [{"value": grain}, self._value(item.column)]}

    def _text_term(self, item: Dimension) -> dict[str, Any]:
        """SQLite cuts texts."""
        pattern = {"day": "%Y-%m-%d", "month": "%Y-%m-01", "year": "%Y-01-01"}.get(item.unit.grain if item.unit else "")
        if pattern is None:
            raise Impossible("SQLite knows days, months and years to group by")
        return {"function": "strftime", "args": [{"value": pattern}, self._value(item.column)]}

    def _name(self, item: Dimension | Measure) -> str:
        """A name for an output that is not taken."""
        if isinstance(item, Dimension):
            wanted = item.unit.grain if item.unit else item.column.name
        elif item.calculation is not None:
            wanted = item.calculation.name
        elif item.column is not None:
            wanted = f"{item.aggregate}_{'_'.join(item.column.words)}"
        else:
            wanted = f"{'_'.join(item.table.words) if item.table else 'row'}_count"
        if isinstance(item, Measure) and item.label:
            wanted = f"{wanted}_{item.label}"
        taken = set(self._outputs.values())
        name = next(
            made for number in range(1, 100) if (made := wanted if number == 1 else f"{wanted}_{number}") not in taken
        )
        self._outputs[item] = name
        return name

    def _dimensions(self) -> list[dict[str, Any]]:
        return [{**self._term(item), "alias": self._name(item)} for item in self._intent.dimensions]

    def _select(self, definition: Definition) -> None:
        intent = self._intent
        for sort in intent.sorts:  # what things are ordered by is worth seeing
            if isinstance(sort.by, Dimension) and not intent.measures and sort.by not in intent.dimensions:
                intent.dimensions.append(sort.by)
        select = self._dimensions()
        if select:
            definition["select"] = select
        if any(item.calculation or item.conditions for item in intent.measures):
            calls = [{**self._call(item), "alias": self._name(item)} for item in intent.measures]
            definition["select"] = [*select, *calls]
            if select:
                definition["group"] = [self._term(item) for item in intent.dimensions]
        elif intent.measures:
            definition["measures"] = [{**self._measure(item), "alias": self._name(item)} for item in intent.measures]
        elif intent.havings:
            definition["group"] = [self._term(item) for item in intent.dimensions]
        elif not intent.sorts and self._repeats():
            definition["distinct"] = True
        if not select and not intent.measures:
            raise Impossible("nothing to show was found")

    def _repeats(self) -> bool:
        """Whether joins or a narrow choice of columns may show a thing twice."""
        intent = self._intent
        shown = {item.column for item in intent.dimensions}
        tables = {column.table for column in shown}
        if intent.is_distinct or intent.is_grouped or len(tables) != 1:
            return True
        return multiplies(self._tree, next(iter(tables)))

    def _measure(self, item: Measure) -> dict[str, Any]:
        if item.column is not None:
            tables = {column.table for column in columns_of(item.column)}
            is_repeated = all(multiplies(self._tree, name) for name in tables)
            is_one = is_repeated and len(tables) == 1 and self._is_grouped_by(next(iter(tables)))
            if item.aggregate in ("sum", "avg", "median") and is_repeated and not is_one:
                self._doubts.append((REPEATED, 0.6))
            value = self._value(item.column)
            made: dict[str, Any] = {
                "aggregate": "max" if is_one and not item.is_distinct else item.aggregate,
                **(value if "column" in value else {"expression": value}),
            }
            return {**made, "distinct": True} if item.is_distinct else made
        assert item.table is not None
        return self._row_count(item.table, item.is_distinct)

    def _is_grouped_by(self, name: str) -> bool:
        """Whether each group has one row of a table: the capacity of a room is not summed over its bookings."""
        table = self._schema.tables[name]
        shown = {item.column for item in self._intent.dimensions if item.unit is None}
        labels = bool(table.labels) and set(table.labels) <= shown and len(table.key) == 1
        return labels or (bool(table.key) and set(table.key) <= shown)

    def _row_count(self, table: Table, is_distinct: bool) -> dict[str, Any]:
        if not multiplies(self._tree, table.name):
            return {"aggregate": "count"}
        key = table.key or table.labels
        if len(key) != 1:
            self._doubts.append((f"rows of {table.name} have no key to count them by", 0.6))
            return {"aggregate": "count"}
        return {"aggregate": "count", "column": self._path(key[0]), "distinct": True}

    def _ratio(self, above: Measure, below: Measure) -> dict[str, Any]:
        if above.table is not None and below.table is not None and above.table != below.table:
            self._doubts.append(("things without a partner may be left out of the ratio", 0.6))
        zero = {"function": "nullif", "args": [self._call(below), {"value": 0}]}
        top: dict[str, Any] = {"cast": "double", "args": [self._call(above)]}
        reached = {item.column.table for item in above.conditions} - {above.table.name if above.table else ""}
        if above.table is not None and reached and multiplies(self._tree, above.table.name):
            self._doubts.append(("things without a partner may be left out of the share", 0.6))
        if self._intent.ratio_scale != 1:
            top = {"operator": "*", "args": [{"value": self._intent.ratio_scale}, top]}
        return {"operator": "/", "args": [top, zero], "alias": "ratio"}

    def _call(self, item: Measure) -> dict[str, Any]:
        """A measure as an expression; with conditions, over the rows that meet them."""
        if item.calculation is not None:
            before = self._doubts[:]
            made = self._calculated(item.calculation)
            self._doubts = [*before, *self._repeated(item, self._doubts[len(before) :])]
            return made
        made = self._measure(item)
        argument: dict[str, Any] | None = {"column": made["column"]} if "column" in made else made.get("expression")
        if item.conditions:
            when: dict[str, Any] = {"and": [self._condition(condition) for condition in item.conditions]}
            argument = {"case": [{"when": when, "then": argument or {"value": 1}}]}
        return {
            "function": made["aggregate"],
            "args": [argument] if argument else [],
            "distinct": made.get("distinct", False),
        }

    def _repeated(self, item: Measure, doubts: list[tuple[str, float]]) -> list[tuple[str, float]]:
        """Doubts once. The cost of each sold thing is summed over what is sold, if the rest is about that."""
        tables = {part.table.name for part in measures_in(item) if part.table is not None}
        tables |= {column.table for part in measures_in(item) for column in columns_of(part.column)}
        is_over_rows = len(tables) > 1 and any(not multiplies(self._tree, name) for name in tables)
        found = [(why, OVER_ROWS if is_over_rows and why == REPEATED else factor) for why, factor in doubts]
        return [each for each in dict.fromkeys(found) if each not in self._doubts[: -len(doubts) or None]]

    def _calculated(self, item: Any) -> dict[str, Any]:
        """What is calculated of measures; nothing is divided by zero."""
        if isinstance(item, Measure):
            return self._call(item)
        if not isinstance(item, Calculation):
            return {"value": item}
        made = [self._calculated(part) for part in item.parts]
        if item.operator == "rank":
            order = {"expression": made[0], "direction": "desc" if item.is_descending else "asc", "nulls": "last"}
            return {"function": "rank", "over": {"order": [order]}}
        if item.operator in ("previous", "running", "moving"):
            return self._windowed(item, made)
        if item.operator == "/":
            is_number = isinstance(item.parts[1], (int, float)) and item.parts[1] != 0
            below = made[1] if is_number else {"function": "nullif", "args": [made[1], {"value": 0}]}
            made = [{"cast": "double", "args": [made[0]]}, below]
        return {"operator": item.operator, "args": made}

    def _windowed(self, item: Calculation, made: list[dict[str, Any]]) -> dict[str, Any]:
        """A measure of each period beside those before it, within what else is grouped by."""
        times = [part for part in self._intent.dimensions if part.unit is not None]
        if not times:
            raise Impossible("the periods that follow each other are not said")
        others = [self._term(part) for part in self._intent.dimensions if part not in times]
        over: dict[str, Any] = {"partition_by": others, "order": [{"expression": self._term(part)} for part in times]}
        if item.operator == "moving":
            over["rows_before"] = made[1]["value"] - 1
        name = {"previous": "lag", "running": "sum", "moving": "avg"}[item.operator]
        return {"function": name, "args": made[:1], "over": over}

    def _condition(self, item: Condition, alias: str = "") -> dict[str, Any]:
        if item.operator in ("or", "and"):
            return {item.operator: [self._condition(option, alias) for option in item.options]}
        value = self._value(item.column, alias)
        left = value if "column" in value else {"expression": value}
        if item.operator in ("is_null", "not_null"):
            return {**left, "operator": item.operator}
        if isinstance(item.other, Level):
            return {**left, "operator": item.operator, "query": self._level(item.other)}
        if item.other is not None:
            return {**left, "operator": item.operator, "other": self._value(item.other, alias)}
        if item.range is None:
            given = list(item.value) if isinstance(item.value, tuple) else item.value
            return {**left, "operator": item.operator, "value": given}
        ends = [
            {**left, "operator": operator, "value": _literal(moment, item.column)}
            for operator, moment in (("ge", item.range.start), ("lt", item.range.end))
            if moment is not None
        ]
        return ends[0] if len(ends) == 1 else {"and": ends}

    def _level(self, level: Level) -> Definition:
        """The one number as a query of its own."""
        if level.column is not None:
            value = self._value(level.column, "a")
            said = value if "column" in value else {"expression": value}
            made: Definition = {"table": level.column.table, "alias": "a"}
            made["measures"] = [{"aggregate": level.aggregate, **said}]
            filters = [self._condition(item, "a") for item in level.conditions]
            if level.within is not None:
                other = {"column": self._path(level.within)}
                filters.append({"column": path("a", level.within), "operator": "eq", "other": other})
            return {**made, "filters": filters}
        assert level.table is not None and level.owner is not None
        for link in self._schema.links:
            if (link.child.table, link.parent.table) == (level.table.name, level.owner.name):
                return average_count(level.table.name, path("a", link.child))
        raise Impossible(f"nothing says which {level.owner.name} a row of {level.table.name} is of")

    def _having(self, measure: Measure, operator: str, value: float | int | Level) -> dict[str, Any]:
        call = self._call(measure)
        if isinstance(value, Level):
            return {"expression": call, "operator": operator, "query": self._level(value)}
        return {"expression": call, "operator": operator, "value": value}

    def _is_last(self, item: "Latest") -> dict[str, Any]:
        """No later row of the same thing is there."""
        same = {"column": path("n", item.thing), "operator": "eq", "other": {"column": self._path(item.thing)}}
        later = {"column": path("n", item.moment), "operator": "gt", "other": {"column": self._path(item.moment)}}
        query = {"table": item.table.name, "alias": "n", "select": [{"value": 1}], "filters": [same, later]}
        return {"not": {"exists": query}}

    def _lacks(self, lack: Lack) -> dict[str, Any]:
        """No row of a table belongs to the thing: its own column is null, or nothing refers to it."""
        made = write_lack(lack, self._schema, self._alias, self._condition)
        if lack.reference is None and ties(self._schema, [self._names[0], lack.table.name]):
            self._doubts.append((f"{lack.table.name} is reached in more than one way", TIED))
        if made is None:
            raise Impossible(f"nothing connects {lack.table.name} with what is asked for")
        return made

    def _order(self, sort: Sort, definition: Definition) -> dict[str, Any]:
        direction = "desc" if sort.is_descending else "asc"
        name = self._outputs.get(sort.by)
        if name is not None:
            return {"column": name, "direction": direction, "nulls": "last"}
        if isinstance(sort.by, Dimension):
            return {"expression": self._term(sort.by), "direction": direction, "nulls": "last"}
        if sort.by.calculation is not None:
            return {"expression": self._call(sort.by), "direction": direction, "nulls": "last"}
        made = self._measure(sort.by)
        definition.setdefault("measures", []).append({**made, "alias": self._name(sort.by)})
        return {"column": self._outputs[sort.by], "direction": direction, "nulls": "last"}


def _literal(moment: datetime, column: Value) -> str:
    if column.family == "date" or moment == moment.replace(hour=0, minute=0, second=0, microsecond=0):
        return f"{moment:%Y-%m-%d}"
    return moment.isoformat(sep=" ", timespec="seconds")
