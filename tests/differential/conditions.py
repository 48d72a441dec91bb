"""Random row filters: each as the SQL that a policy holds, and as Python that decides the same without any engine."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from tests.differential.choices import Choices
from tests.differential.worlds import TEXTS, Column, Table, Value, quote

Truth = bool | None
Values = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Condition:
    """`test` answers True, False, or None where SQL says unknown."""

    sql: str
    test: Callable[[Values], Truth]
    columns: frozenset[str] = frozenset()
    facts: frozenset[str] = frozenset()


def make_condition(choices: Choices, table: Table, attributes: Values, dialect: str, depth: int = 2) -> Condition:
    """A condition over any column of the table, hidden ones too, and `principal.<attribute>`."""
    if depth and choices.chance(35):
        left = make_condition(choices, table, attributes, dialect, depth - 1)
        right = make_condition(choices, table, attributes, dialect, depth - 1)
        return choices.pick([_and, _or])(left, right)
    if depth and choices.chance(12):
        return _not(make_condition(choices, table, attributes, dialect, depth - 1))
    usable = [column for column in table.columns if column.family in ("int", "text", "dec", "date", "bool")]
    return _simple(choices, choices.pick(usable), attributes)


def _simple(choices: Choices, column: Column, attributes: Values) -> Condition:
    name, used = quote(column.name), frozenset({column.name})
    if choices.chance(12):
        return Condition(f"{name} IS NULL", lambda row: row[column.name] is None, used)
    if choices.chance(12):
        return Condition(f"{name} IS NOT NULL", lambda row: row[column.name] is not None, used)
    if column.family == "bool":
        return Condition(name, lambda row: row[column.name], used)
    if column.family in ("int", "text") and choices.chance(40):
        return _by_attribute(choices, column, attributes)
    value, literal = _literal(choices, column)
    word, compare = _comparison(choices, column)
    return Condition(f"{name} {word} {literal}", lambda row: _lifted(compare, row[column.name], value), used)


def _by_attribute(choices: Choices, column: Column, attributes: Values) -> Condition:
    word, compare = _comparison(choices, column)
    name = "missing" if choices.chance(8) else {"int": "level", "text": "region"}[column.family]
    given, sql = attributes.get(name), f"principal.{name}"
    if column.family == "int":
        given, sql = None if given is None else int(given), f"CAST({sql} AS INTEGER)"
    return Condition(
        f"{quote(column.name)} {word} {sql}",
        lambda row: _lifted(compare, row[column.name], given),
        frozenset({column.name}),
        frozenset({name}),
    )


def _comparison(choices: Choices, column: Column) -> tuple[str, Callable[[Value, Value], bool]]:
    """Texts are only compared for being equal: their order is the business of each database's collation."""
    return choices.pick(_COMPARISONS[:3] if column.family == "text" else _COMPARISONS)


def _literal(choices: Choices, column: Column) -> tuple[Value, str]:
    if column.family == "int":
        number = choices.number(-3, 9)
        return number, str(number)
    if column.family == "dec":
        amount = Decimal(choices.number(-400, 4000)) / 4
        return amount, str(amount)
    if column.family == "date":
        day = date(2024, choices.number(1, 12), 1)
        return day, f"DATE '{day}'"
    text = choices.pick(TEXTS)
    return text, "'" + text.replace("'", "''") + "'"


_COMPARISONS: Sequence[tuple[str, Callable[[Value, Value], bool]]] = (
    ("=", lambda left, right: left == right),
    ("<>", lambda left, right: left != right),
    ("<>", lambda left, right: left != right),
    ("<", lambda left, right: left < right),
    (">=", lambda left, right: left >= right),
)


def _lifted(compare: Callable[[Value, Value], bool], left: Value, right: Value) -> Truth:
    return None if left is None or right is None else compare(left, right)


def _and(left: Condition, right: Condition) -> Condition:
    def test(row: Values) -> Truth:
        found = (left.test(row), right.test(row))
        return False if False in found else None if None in found else True

    return Condition(f"({left.sql}) AND ({right.sql})", test, left.columns | right.columns, left.facts | right.facts)


def _or(left: Condition, right: Condition) -> Condition:
    def test(row: Values) -> Truth:
        found = (left.test(row), right.test(row))
        return True if True in found else None if None in found else False

    # Without parentheses around it, as somebody would write it: the platform must add them.
    return Condition(f"{left.sql} OR {right.sql}", test, left.columns | right.columns, left.facts | right.facts)


def _not(inner: Condition) -> Condition:
    def test(row: Values) -> Truth:
        found = inner.test(row)
        return None if found is None else not found

    return Condition(f"NOT ({inner.sql})", test, inner.columns, inner.facts)
