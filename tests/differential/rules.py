"""What a caller may see of each table, worked out in Python: as a physical copy of the data."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from engine.policy.rules import Mask
from tests.differential.choices import Choices
from tests.differential.conditions import Condition
from tests.differential.masks import masked_column, masked_value
from tests.differential.policies import Book, conditions_of, make_book, rule_of
from tests.differential.worlds import Column, Row, Table, Value, World

DEFAULT_GROUP = 5


@dataclass(frozen=True, slots=True)
class TableRules:
    """What one caller may do with one table. `aggregate_only`: the smallest group, by column."""

    is_hidden: bool = False
    hidden: frozenset[str] = frozenset()
    masks: Mapping[str, Mask] = field(default_factory=dict)
    aggregate_only: Mapping[str, int] = field(default_factory=dict)
    filters: tuple[Condition, ...] = ()

    def keeps(self, row: Mapping[str, Value]) -> bool:
        return all(condition.test(row) is True for condition in self.filters)


@dataclass(frozen=True, slots=True)
class Rules:
    book: Book
    tables: Mapping[str, TableRules]  # by dotted name


def make_rules(choices: Choices, world: World) -> Rules:
    book = make_book(choices, world)
    return Rules(book, {table.dotted: rules_of(table, book) for table in world.tables})


def rules_of(table: Table, book: Book) -> TableRules:
    held = {column.name: rule_of(table, column, book) for column in table.columns}
    hidden = frozenset(name for name, rule in held.items() if rule is not None and rule.privacy == "hidden")
    masks = {
        name: rule.mask for name, rule in held.items() if rule is not None and rule.privacy == "masked" and rule.mask
    }
    groups = {
        name: rule.min_group_size or DEFAULT_GROUP
        for name, rule in held.items()
        if rule is not None and rule.privacy == "aggregate_only"
    }
    return TableRules(len(hidden) == len(held), hidden, masks, groups, tuple(conditions_of(table, book)))


def visible(table: Table, rules: TableRules) -> Table:
    """The table as a physical copy of what the caller may see; without the columns that only aggregates may read."""
    kept = [column for column in table.columns if column.name not in {*rules.hidden, *rules.aggregate_only}]
    columns = tuple(_masked(column, rules) for column in kept)
    rows = tuple(_row(rules, kept, values) for row in table.rows if rules.keeps(values := table.values(row)))
    return replace(table, columns=columns, rows=rows)


def _masked(column: Column, rules: TableRules) -> Column:
    mask = rules.masks.get(column.name)
    return column if mask is None else masked_column(column, mask)


def _row(rules: TableRules, kept: list[Column], values: Mapping[str, Value]) -> Row:
    found = []
    for column in kept:
        mask = rules.masks.get(column.name)
        value = values[column.name]
        found.append(value if mask is None else masked_value(column, mask, value))
    return tuple(found)
