"""Aggregate-only columns: queries whose groups are worked out in Python, and uses that must be refused."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.differential.choices import Choices
from tests.differential.expressions import Expressions, Field, Relation
from tests.differential.rules import TableRules
from tests.differential.worlds import Column, Row, Table, Value, quote

TABLE, ROW_ID = "\0table\0", "row id"
Numbers = Sequence[float]
FUNCTIONS: Mapping[str, Callable[[Numbers], float]] = {
    "count": len,
    "sum": sum,
    "avg": lambda values: sum(values) / len(values),
    "var_pop": lambda values: statistics.pvariance(values),
    "stddev_pop": lambda values: statistics.pstdev(values),
}
ARITHMETIC: Sequence[tuple[str, Callable[[float], float]]] = (
    ("{0}", lambda value: value),
    ("{0}", lambda value: value),
    ("{0} * 2", lambda value: value * 2),
    ("({0} + 1.5)", lambda value: value + 1.5),
)
# {a}: the column, {t}: the table, {k}: another column of it. None of these is an aggregate over enough rows.
MISUSES = """
SELECT {a} FROM {t}
SELECT * FROM {t}
SELECT t.* FROM {t} AS t
SELECT {k} FROM {t} WHERE {a} > 1
SELECT {k} FROM {t} ORDER BY {a}
SELECT count(*) FROM {t} GROUP BY {a}
SELECT DISTINCT {a} FROM {t}
SELECT min({a}) FROM {t}
SELECT max({a}) FROM {t}
SELECT sum({a}) OVER () FROM {t}
SELECT rank() OVER (ORDER BY {a}) FROM {t}
SELECT count(*) OVER (PARTITION BY {a}) FROM {t}
SELECT sum({a}) FILTER (WHERE {k} IS NOT NULL) FROM {t}
SELECT count(*) FILTER (WHERE {a} > 2) FROM {t}
SELECT sum(CASE WHEN {a} > 2 THEN 1 ELSE 0 END) FROM {t}
SELECT sum({a} * {a}) FROM {t}
SELECT avg(abs({a})) FROM {t}
SELECT count(nullif({a}, 2)) FROM {t}
SELECT sum(x.{a}) FROM (SELECT {a} FROM {t} LIMIT 3) AS x WHERE x.{a} < 2
SELECT x.{a} FROM (SELECT {a}, {k} FROM {t}) AS x
WITH c AS (SELECT {a} AS b FROM {t}) SELECT b FROM c
WITH c AS (SELECT {a} AS b FROM {t}) SELECT max(b) FROM c
SELECT (SELECT {a} FROM {t} LIMIT 1)
SELECT {k} FROM {t} WHERE {k} IN (SELECT {a} FROM {t})
SELECT {k} FROM {t} WHERE EXISTS (SELECT 1 FROM {t} AS i WHERE i.{a} = 3)
SELECT x.{k} FROM {t} AS x JOIN {t} AS y ON x.{a} = y.{a}
SELECT x.{k} FROM {t} AS x JOIN {t} AS y USING ({a})
SELECT {a} FROM {t} UNION SELECT {a} FROM {t}
SELECT 1 FROM {t} HAVING max({a}) > 2
SELECT x.s FROM (SELECT {k}, {a} AS s FROM {t} GROUP BY 1, 2) AS x
SELECT {a} + 0 FROM {t}
SELECT CAST({a} AS VARCHAR) FROM {t}
SELECT coalesce({a}, 0) FROM {t}
SELECT (SELECT sum(o.{a})) FROM {t} AS o
""".strip().splitlines()


@dataclass(frozen=True, slots=True)
class Grouped:
    """A grouped query for the platform; one for the copy, which lists the rows of the groups; and how to join them."""

    sql: str
    listing: str
    keys: int
    function: str
    step: Callable[[float], float]
    least: int
    having: int


def private_table(table: Table, rules: TableRules, shown: Table) -> Table | None:
    """For the copy: the visible table with the columns that only aggregates may read, and the identity of each row."""
    if not rules.aggregate_only or rules.is_hidden:
        return None
    kept = [row for row in table.rows if rules.keeps(table.values(row))]
    columns = [column for column in table.columns if column.name in rules.aggregate_only]
    rows: list[Row] = []
    for number, (seen, row) in enumerate(zip(shown.rows, kept, strict=True)):
        values = table.values(row)
        rows.append((*seen, *(values[column.name] for column in columns), number))
    return Table(
        {"hr": "hr"}.get(table.schema, table.schema),
        f"agg:{table.name}",
        (*shown.columns, *columns, Column(ROW_ID, "int")),
        tuple(rows),
    )


def make_grouped(
    choices: Choices, dialect: str, table: Table, rules: TableRules, shown: Table, others: Sequence[Table]
) -> Grouped:
    """One table with such a column, perhaps joined, under a WHERE, grouped by public columns."""
    column = choices.pick([item for item in table.columns if item.name in rules.aggregate_only])
    scope = [Relation("p", tuple(Field(item) for item in shown.columns))]
    text = f"{TABLE} AS p"
    usable = [other for other in others if other.columns]
    if usable and choices.chance(35):
        other = choices.pick(usable)
        scope.append(Relation("o", tuple(Field(item) for item in other.columns)))
        condition = Expressions(choices, dialect, scope).value("bool", 1)
        kind = choices.pick(["JOIN", "LEFT JOIN"])
        text += f" {kind} {quote(other.schema)}.{quote(other.name)} AS o ON {condition}"
    make = Expressions(choices, dialect, scope)
    where = f" WHERE {make.value('bool', 1)}" if choices.chance(40) else ""
    simple = [item for item in shown.columns if item.family in ("int", "text", "date", "bool")]
    keys = [f"p.{quote(item.name)}" for item in choices.some(simple, 0, 1)] if simple else []
    function = choices.pick(list(FUNCTIONS)[: 3 if dialect == "sqlite" else None])
    shape, step = choices.pick(ARITHMETIC if function != "count" else ARITHMETIC[:1])
    having = choices.number(0, 3) if choices.chance(25) else 0
    column_sql = f"p.{quote(column.name)}"
    listed = "".join(f"{key} AS k{number}, " for number, key in enumerate(keys))
    sql = f"SELECT {listed}{function}({shape.format(column_sql)}) AS v, count(*) AS n FROM {text}{where}"
    sql += " GROUP BY 1" if keys else ""
    sql += f" HAVING count(*) >= {having}" if having else ""
    listing = f"SELECT {listed}{column_sql}, p.{quote(ROW_ID)} FROM {text}{where}"
    default = f"{quote(table.schema)}." if choices.chance(30) or table.schema == "hr" else ""
    return Grouped(
        sql.replace(TABLE, f"{default}{quote(table.name)}"),
        listing.replace(TABLE, f"{quote(table.schema)}.{quote('agg:' + table.name)}"),
        len(keys),
        function,
        step,
        rules.aggregate_only[column.name],
        having,
    )


def expected(query: Grouped, rows: Sequence[tuple[Any, ...]]) -> tuple[list[tuple[Value, ...]], int]:
    """The answer, and how many groups are suppressed in it."""
    groups: dict[tuple[Value, ...], list[tuple[Value, Value]]] = {}
    if query.keys == 0:
        groups[()] = []
    for row in rows:
        groups.setdefault(tuple(row[: query.keys]), []).append((row[query.keys], row[query.keys + 1]))
    found, suppressed = [], 0
    for key, members in groups.items():
        present = [(value, identity) for value, identity in members if value is not None]
        is_told = len(present) >= max(query.least, 2) and len({identity for _, identity in present}) == len(present)
        suppressed += not is_told  # of all groups, before HAVING chooses among them
        if len(members) < query.having:
            continue
        values = [query.step(float(value)) for value, _ in present]
        found.append((*key, FUNCTIONS[query.function](values) if is_told else None, len(members)))
    return found, suppressed


def rounded(rows: Sequence[tuple[Any, ...]], keys: int) -> list[str]:
    """Answers as text; aggregates to six digits, since engines add in ways of their own."""
    found = []
    for row in rows:
        value = row[keys]
        shown = "None" if value is None else f"{float(value):.6g}"
        found.append(f"{row[:keys]!r} {'0' if shown == '-0' else shown} {int(row[keys + 1])}")
    return sorted(found)


def misuses(choices: Choices, table: Table, rules: TableRules, shown: Table, count: int) -> list[str]:
    """Statements that must be refused."""
    name = choices.pick(list(rules.aggregate_only))
    other = choices.pick(shown.columns).name if shown.columns else name
    target = f"{quote(table.schema)}.{quote(table.name)}"
    return [
        choices.pick(MISUSES).format(a=quote(name), k=quote(other), t=target).replace("VARCHAR", "TEXT")
        for _ in range(count)
    ]
