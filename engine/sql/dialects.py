"""The SQL dialects as sqlglot parses and prints them for us: functions keep the names they were called by.

sqlglot maps functions to its own classes and back, to translate between engines. We parse and print the
same dialect, so that mapping could only change a name after it was checked; with it gone, what is
checked is what runs."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from sqlglot import ErrorLevel, exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.dialects.postgres import Postgres
from sqlglot.dialects.sqlite import SQLite
from sqlglot.generator import Generator
from sqlglot.generators.duckdb import DuckDBGenerator
from sqlglot.parsers.duckdb import DuckDBParser
from sqlglot.parsers.postgres import PostgresParser
from sqlglot.parsers.sqlite import SQLiteParser

from core.errors import InvalidArgument

# Its warnings quote statements, which may hold what nobody should read in a log.
logging.getLogger("sqlglot").disabled = True

# Calls whose arguments are not a plain list and so need a parser of their own.
_SPECIAL = ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "SUBSTRING", "POSITION", "OVERLAY")


def _special(parsers: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    return {name: parsers[name] for name in _SPECIAL if name in parsers}


def _inside(text: str, expression: exp.IgnoreNulls | exp.RespectNulls, words: str) -> str:
    """DuckDB takes the words inside the call: `lag(x, 1 IGNORE NULLS) OVER ...`."""
    is_call = isinstance(expression.this, exp.Anonymous) and text.endswith(")")
    return f"{text[:-1]} {words})" if is_call else f"{text} {words}"


class GovernedDuckDB(DuckDB):
    class Parser(DuckDBParser):
        FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = _special(DuckDBParser.FUNCTION_PARSERS)

    class Generator(DuckDBGenerator):
        # DuckDB's own versions of these decide by sqlglot's function classes, which we do not use.
        withingroup_sql = Generator.withingroup_sql

        def ignorenulls_sql(self, expression: exp.IgnoreNulls) -> str:
            return _inside(self.sql(expression, "this"), expression, "IGNORE NULLS")

        def respectnulls_sql(self, expression: exp.RespectNulls) -> str:
            return _inside(self.sql(expression, "this"), expression, "RESPECT NULLS")


class GovernedPostgres(Postgres):
    class Parser(PostgresParser):
        FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = _special(PostgresParser.FUNCTION_PARSERS)


class GovernedSQLite(SQLite):
    class Parser(SQLiteParser):
        FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = _special(SQLiteParser.FUNCTION_PARSERS)


_DIALECTS: Mapping[str, Dialect] = {
    "duckdb": GovernedDuckDB(version="1.5.5"),
    "postgres": GovernedPostgres(),
    "sqlite": GovernedSQLite(),
}


def dialect_of(name: str) -> Dialect:
    try:
        return _DIALECTS[name]
    except KeyError:
        raise InvalidArgument(f"Queries in the dialect {name!r} are not supported.") from None


def print_sql(node: exp.Expr, dialect: str) -> str:
    """The statement as text. Raises sqlglot.UnsupportedError rather than print something else than was meant."""
    return dialect_of(dialect).generate(
        node, comments=False, normalize_functions=False, unsupported_level=ErrorLevel.RAISE
    )
