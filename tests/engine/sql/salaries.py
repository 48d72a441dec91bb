"""A table of salaries that may be read only in aggregates, and the engines that governed statements run on."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from engine.connectors.connector import ColumnInfo, RelationInfo
from engine.policy.rules import ColumnRule, Governed, open_to_all
from engine.sql.bind import Prepared, prepare

STAFF = [  # id, name, dept_id, city, salary
    *((number, f"n{number}", 1, "oslo" if number % 2 else "bern", 1000 + number) for number in range(1, 9)),
    *((number, f"n{number}", 2, "bern", 2000 + number) for number in range(9, 15)),
    *((number, f"n{number}", 3, "rome", 70_000 + number) for number in range(15, 17)),
    *((number, f"n{number}", 4, "rome", None) for number in range(17, 22)),
    (22, "n22", 4, "rome", 90_022),
]
SECRETS = frozenset(salary for *_, salary in STAFF if salary)
SCHEMA = """
CREATE TABLE staff (id INTEGER, name VARCHAR(20), dept_id INTEGER, city VARCHAR(20), salary INTEGER, email VARCHAR(20));
CREATE TABLE dept (dept_id INTEGER, title VARCHAR(20), salary INTEGER);
INSERT INTO dept VALUES (1, 'one', 5), (2, 'two', 6), (3, 'three', 7), (4, 'four', 8);
CREATE TABLE hits (id INTEGER, grp INTEGER);
INSERT INTO hits VALUES (1, 1), (1, 1), (1, 1), (1, 2), (2, 1), (3, 1), (4, 2), (5, 2), (6, 2), (7, 2), (8, 2);
"""


def column(name: str, ordinal: int, data_type: str = "integer") -> ColumnInfo:
    return ColumnInfo(name=name, data_type=data_type, nullable=True, ordinal=ordinal)


def relation(name: str, *columns: str) -> RelationInfo:
    return RelationInfo(name, tuple(column(item, place) for place, item in enumerate(columns, start=1)))


@dataclass(slots=True)
class Seen:
    """What a caller may see: salaries in aggregates over five rows or more, e-mail addresses masked."""

    relations: dict[str, Governed] = field(default_factory=dict)

    @property
    def names(self) -> Sequence[str]:
        return list(self.relations)

    def find(self, parts: tuple[str, ...]) -> Governed | None:
        return self.relations.get(parts[-1].lower()) if len(parts) <= 2 else None


def seen(*, min_group: int = 5) -> Seen:
    staff = relation("staff", "id", "name", "dept_id", "city", "salary", "email")
    rules = {"salary": ColumnRule("aggregate_only", min_group=min_group)}
    open_ones = (relation("dept", "dept_id", "title", "salary"), relation("hits", "id", "grp"))
    governed = {item.name: open_to_all(item) for item in open_ones}
    return Seen({"staff": Governed(staff, staff, rules), **governed})


@dataclass(slots=True)
class Salaries:
    """Runs statements as they come out of `prepare`."""

    connection: Any
    dialect: str
    seen: Seen

    def prepare(self, sql: str) -> Prepared:
        return prepare(sql, self.seen, self.dialect, max_rows=1000)

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        return self._rows(self.prepare(sql))

    def count_suppressed(self, sql: str) -> int:
        counting = self.prepare(sql).suppressed
        assert counting is not None
        return int(self._rows(counting)[0][0])

    def _rows(self, prepared: Prepared) -> list[tuple[Any, ...]]:
        filled = prepared.fill({name: f'"{name}"' for name in prepared.tables})
        return list(self.connection.execute(filled).fetchall())


def on_duckdb(**options: int) -> Salaries:
    connection = duckdb.connect()
    connection.execute(SCHEMA)
    connection.executemany("INSERT INTO staff VALUES (?, ?, ?, ?, ?, 'e@x.no')", STAFF)
    return Salaries(connection, "duckdb", seen(**options))


def on_sqlite() -> Salaries:
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    connection.executemany("INSERT INTO staff VALUES (?, ?, ?, ?, ?, 'e@x.no')", STAFF)
    return Salaries(connection, "sqlite", seen())
