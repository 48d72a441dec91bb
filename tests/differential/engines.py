"""Two databases of one kind: the data as it is, which governed SQL reads, and the copy of what the caller may see."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Protocol

import duckdb
import psycopg

from engine.connectors.sqlite import _hashed
from tests.differential.worlds import Table, create, quote

Rows = list[tuple[Any, ...]]


class EngineError(Exception):
    """The engine refused or failed; equal failures on both sides are no difference."""


class Database(Protocol):
    def load(self, tables: tuple[Table, ...]) -> None: ...

    def run(self, sql: str) -> tuple[list[str], Rows]: ...

    def source(self, table: Table) -> str:
        """The FROM item that reads a table, as a connector would say it."""
        ...


class DuckSide:
    def __init__(self) -> None:
        self._connection = duckdb.connect(":memory:", config={"threads": "1", "python_enable_replacements": "false"})
        self._count = 0

    def load(self, tables: tuple[Table, ...]) -> None:
        run = self._connection.execute
        self._count += 1
        run(f"ATTACH ':memory:' AS w{self._count}")
        run(f"USE w{self._count}")
        if self._count > 1:
            run(f"DETACH w{self._count - 1}")
        run("CREATE SCHEMA hr")
        for table in tables:
            if not table.columns:
                continue
            run(create(table, "duckdb", table.columns, table.schema))
            if table.rows:
                marks = ", ".join("?" for _ in table.columns)
                rows = ", ".join(f"({marks})" for _ in table.rows)
                target = f"{quote(table.schema)}.{quote(table.name)}"
                run(f"INSERT INTO {target} VALUES {rows}", [cell for row in table.rows for cell in row])

    def run(self, sql: str) -> tuple[list[str], Rows]:
        try:
            cursor = self._connection.execute(sql)
            return [item[0] for item in cursor.description or ()], cursor.fetchall()
        except duckdb.Error as error:
            raise EngineError(str(error)) from None

    def source(self, table: Table) -> str:
        return f"w{self._count}.{quote(table.schema)}.{quote(table.name)}"

    def close(self) -> None:
        self._connection.close()


class SqliteSide:
    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:")

    def load(self, tables: tuple[Table, ...]) -> None:
        self._connection.close()
        self._connection = sqlite3.connect(":memory:")
        self._connection.create_function("headwater_hash", 2, _hashed, deterministic=True)
        for table in tables:
            if table.columns:
                self._connection.execute(create(table, "sqlite", table.columns, "main"))
                marks = ", ".join("?" for _ in table.columns)
                self._connection.executemany(f"INSERT INTO main.{quote(table.name)} VALUES ({marks})", table.rows)

    def run(self, sql: str) -> tuple[list[str], Rows]:
        try:
            with closing(self._connection.execute(sql)) as cursor:
                return [item[0] for item in cursor.description or ()], cursor.fetchall()
        except sqlite3.Error as error:
            raise EngineError(str(error)) from None

    def source(self, table: Table) -> str:
        return f"main.{quote(table.name)}"

    def close(self) -> None:
        self._connection.close()


class PostgresSide:
    """One database of a server; its schemas are emptied before each load."""

    def __init__(self, url: str):
        self._connection = psycopg.connect(url, autocommit=True, options="-c timezone=UTC -c client_min_messages=error")

    def load(self, tables: tuple[Table, ...]) -> None:
        run = self._connection.execute
        script = ["DROP SCHEMA IF EXISTS public CASCADE", "DROP SCHEMA IF EXISTS hr CASCADE"]
        script += ["CREATE SCHEMA public", "CREATE SCHEMA hr"]
        script += [create(table, "postgres", table.columns, table.schema) for table in tables if table.columns]
        run("; ".join(script).encode())
        for table in tables:
            if table.rows and table.columns:
                marks = ", ".join("%s" for _ in table.columns)
                rows = ", ".join(f"({marks})" for _ in table.rows)
                cells = [cell for row in table.rows for cell in row]
                run(f"INSERT INTO {self.source(table).replace('%', '%%')} VALUES {rows}".encode(), cells)

    def run(self, sql: str) -> tuple[list[str], Rows]:
        try:
            cursor = self._connection.execute(sql.encode(), prepare=False)
            names = [item.name for item in cursor.description or ()]
            return names, cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise EngineError(str(error)) from None

    def source(self, table: Table) -> str:
        return f"{quote(table.schema)}.{quote(table.name)}"

    def close(self) -> None:
        self._connection.close()


@contextmanager
def sides(dialect: str, urls: tuple[str, str] = ("", "")) -> Iterator[tuple[Database, Database]]:
    """The data and the copy, for many worlds one after the other."""
    kinds: dict[str, Any] = {"duckdb": DuckSide, "sqlite": SqliteSide}
    if dialect == "postgres":
        both: Any = tuple(PostgresSide(url) for url in urls)
    else:
        both = kinds[dialect](), kinds[dialect]()
    try:
        yield both
    finally:
        for side in both:
            side.close()


def normal(rows: Rows) -> list[str]:
    """Cells as comparable text; floats less the last digits."""
    return ["|".join(_cell(cell) for cell in row) for row in rows]


def _cell(cell: Any) -> str:
    if isinstance(cell, bool) or cell is None:
        return repr(cell)
    if isinstance(cell, float):
        return f"{cell + 0.0 if cell else 0.0:.9g}"  # zero has one sign here
    return repr(cell)
