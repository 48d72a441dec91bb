"""Random databases: a few small tables with awkward names, every common type, NULLs and repeated values."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from engine.connectors.connector import ColumnInfo, RelationInfo
from engine.lake.names import join_name
from tests.differential.choices import Choices

Value = Any  # a cell as the drivers give it: None, bool, int, float, Decimal, str, date, datetime, list or dict
Row = tuple[Value, ...]

MOST_ROWS = 7  # joins multiply
FAMILIES = ("int", "text", "dec", "date", "bool", "ts", "dbl", "list", "struct")
TYPES: Mapping[str, Mapping[str, str]] = {
    "duckdb": {
        "int": "INTEGER",
        "big": "BIGINT",
        "text": "VARCHAR",
        "dec": "DECIMAL(9,2)",
        "date": "DATE",
        "bool": "BOOLEAN",
        "ts": "TIMESTAMP",
        "dbl": "DOUBLE",
        "list": "VARCHAR[]",
        "struct": "STRUCT(k INTEGER, name VARCHAR)",
    },
    "postgres": {
        "int": "integer",
        "big": "bigint",
        "text": "text",
        "dec": "numeric(9,2)",
        "date": "date",
        "bool": "boolean",
        "ts": "timestamp",
        "dbl": "double precision",
    },
    "sqlite": {"int": "INTEGER", "big": "INTEGER", "text": "TEXT", "dbl": "REAL"},
}
# Names that look alike, need quotes, or are words of SQL; some are unequal only to a computer.
COLUMN_NAMES = (
    *("id", "name", "region", "amount", "note", "ssn", "Mixed Case", "select", "größe", "na me", "name ", "n\u0430me"),
    *('a"b', "x.y", "order", "k", "_", "名前", "name_2", "rowid2", "UPPER", "group"),
)
TABLE_NAMES = ("orders", "customers", "T able", "sal", "ord\u0435rs", "from", "x.y", "Straße", "name")
TEXTS = ("EU", "US", "APAC", "", "eu", "O'Hara", "日本", "a%b", "A-1234", "x" * 12, "ann@shop.example", " ")


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    family: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its rows, outside any policy."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def dotted(self) -> str:
        """The name by which connectors know it."""
        return join_name((self.name,) if self.schema in ("main", "public") else (self.schema, self.name))

    def values(self, row: Row) -> dict[str, Value]:
        return dict(zip((column.name for column in self.columns), row, strict=True))

    def relation(self, dialect: str) -> RelationInfo:
        kinds = TYPES[dialect]
        infos = [
            ColumnInfo(column.name, kinds[column.family].lower(), True, number)
            for number, column in enumerate(self.columns)
        ]
        return RelationInfo(self.dotted, tuple(infos))


@dataclass(frozen=True, slots=True)
class World:
    dialect: str
    tables: tuple[Table, ...]


def make_world(choices: Choices, dialect: str) -> World:
    default = {"duckdb": "main", "postgres": "public", "sqlite": "main"}[dialect]
    names = choices.some(TABLE_NAMES, 2, 3)
    tables = [_table(choices, dialect, default, name) for name in names]
    if dialect != "sqlite" and choices.chance(40):
        # The second schema repeats a name, so that a lookup by the last part alone would find the wrong one.
        tables.append(_table(choices, dialect, "hr", choices.pick([names[0], "salaries"])))
    return World(dialect, tuple(tables))


def _table(choices: Choices, dialect: str, schema: str, name: str) -> Table:
    families = [family for family in FAMILIES if family in TYPES[dialect]]
    common = [("id", "int"), ("region", "text")]
    others = [other for other in choices.some(COLUMN_NAMES, 1, 4) if other not in ("id", "region")]
    extra = [(other, choices.pick(families)) for other in others]
    columns = tuple(Column(*item) for item in [*common[: choices.number(1, 2)], *extra])
    source = random.Random(choices.number(0, 10**6))
    rows = tuple(
        tuple(_value(source, column) for column in columns) for _ in range(source.choice((0, *range(3, MOST_ROWS + 1))))
    )
    return Table(schema, name, columns, rows)


def _value(source: random.Random, column: Column) -> Value:
    if source.random() < 0.15:
        return None
    return VALUES[column.family](source)


VALUES: Mapping[str, Callable[[random.Random], Value]] = {
    "int": lambda source: source.choice((source.randint(-3, 9), source.randint(0, 3))),
    "text": lambda source: source.choice(TEXTS),
    "dec": lambda source: Decimal(source.randint(-400, 4000)) / 4,
    "date": lambda source: date(2024, 1, 1) + timedelta(days=source.choice((0, 1, 30, 31, 200, 366, -20000))),
    "bool": lambda source: source.random() < 0.5,
    "ts": lambda source: datetime(2024, 2, 28, 23) + timedelta(minutes=source.randint(-90, 60 * 24 * 400)),
    "dbl": lambda source: source.randint(-40, 400) / 4,  # quarters add up exactly in any order
    "list": lambda source: [source.choice(("a", "b", None, "EU")) for _ in range(source.randint(0, 3))],
    "struct": lambda source: {"k": source.randint(0, 5), "name": source.choice(TEXTS)},
}


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def create(table: Table, dialect: str, columns: Sequence[Column], schema: str) -> str:
    kinds = TYPES[dialect]
    listed = ", ".join(f"{quote(column.name)} {kinds[column.family]}" for column in columns)
    return f"CREATE TABLE {quote(schema)}.{quote(table.name)} ({listed})"
