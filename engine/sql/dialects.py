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
from sqlglot.dialects.spark import Spark
from sqlglot.dialects.sqlite import SQLite
from sqlglot.generator import Generator
from sqlglot.generators.duckdb import DuckDBGenerator
from sqlglot.generators.spark import SparkGenerator
from sqlglot.parsers.duckdb import DuckDBParser
from sqlglot.parsers.postgres import PostgresParser
from sqlglot.parsers.spark import SparkParser
from sqlglot.parsers.sqlite import SQLiteParser
from sqlglot.tokenizer_core import TokenType

from core.errors import InvalidArgument

# Its warnings quote statements, which may hold what nobody should read in a log.
logging.getLogger("sqlglot").disabled = True

# Calls whose arguments are not a plain list and so need a parser of their own.
_SPECIAL = ("CAST", "TRY_CAST", "EXTRACT", "TRIM", "SUBSTRING", "POSITION", "OVERLAY")


# Whose arguments may be `x -> x + 1`; in any other call, and in other dialects, an arrow reads JSON.
_TAKE_LAMBDAS = frozenset(
    [
        "apply",
        "array_apply",
        "array_filter",
        "array_reduce",
        "array_transform",
        "columns",
        "filter",
        "list_apply",
        "list_filter",
        "list_reduce",
        "list_transform",
        "reduce",
    ]
)


def _special(parsers: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    return {name: parsers[name] for name in _SPECIAL if name in parsers}


_LAMBDAS: dict[Any, Any] = dict(DuckDBParser.LAMBDAS)
_NO_LAMBDAS: dict[Any, Any] = {token: parser for token, parser in _LAMBDAS.items() if token != TokenType.ARROW}


def _inside(text: str, expression: exp.IgnoreNulls | exp.RespectNulls, words: str) -> str:
    """DuckDB takes the words inside the call: `lag(x, 1 IGNORE NULLS) OVER ...`."""
    is_call = isinstance(expression.this, exp.Anonymous) and text.endswith(")")
    return f"{text[:-1]} {words})" if is_call else f"{text} {words}"


def _operator(word: str) -> Callable[[Any, Any], str]:
    return lambda printer, node: printer.binary(node, word)


class GovernedDuckDB(DuckDB):
    """Prints what was written wherever DuckDB names a column after it: `2 ** 3`, `INTERVAL 3 DAY`, `doc -> 'k'`."""

    def to_json_path(self, path: exp.Expr | None) -> exp.Expr | None:
        return path

    class Parser(DuckDBParser):
        FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = _special(DuckDBParser.FUNCTION_PARSERS)

        def _parse_function_call(self, *arguments: Any, **options: Any) -> Any:
            kept = self.LAMBDAS
            name = self._curr.text.lower() if self._curr else ""
            self.LAMBDAS = _LAMBDAS if name in _TAKE_LAMBDAS else _NO_LAMBDAS  # type: ignore[misc]
            try:
                return super()._parse_function_call(*arguments, **options)
            finally:
                self.LAMBDAS = kept  # type: ignore[misc]

        def _parse_interval_span(self, this: exp.Expr, parse_function_unit: bool = True) -> exp.Interval:
            found = super()._parse_interval_span(this, parse_function_unit)
            if this is not None and this.is_number:
                found.set("this", this)
            elif this is not None and this.is_string and len(exp.INTERVAL_STRING_RE.findall(this.name)) == 1:
                found.set("this", this)
                found.set("unit", None)
            return found

        def _parse_simplified_pivot(self, is_unpivot: bool | None = None) -> Any:
            """PIVOT and UNPIVOT as statements are what they are in FROM, and may be ordered and limited."""
            found = super()._parse_simplified_pivot(is_unpivot)
            return self._parse_query_modifiers(exp.select("*").from_(exp.Subquery(this=found), copy=False))

    class Generator(DuckDBGenerator):
        # DuckDB's own versions of these decide by sqlglot's function classes, which we do not use.
        withingroup_sql = Generator.withingroup_sql
        interval_sql = Generator.interval_sql
        extract_sql = Generator.extract_sql
        NORMALIZE_EXTRACT_DATE_PARTS = False
        MULTI_ARG_DISTINCT = True
        TRANSFORMS: ClassVar[dict[type[exp.Expr], Callable[..., str]]] = {
            **DuckDBGenerator.TRANSFORMS,
            exp.Pow: _operator("**"),
            exp.StartsWith: _operator("^@"),
            exp.Abs: lambda printer, node: f"@({printer.sql(node, 'this')})",
            exp.StrPosition: lambda printer, node: (
                f"position({printer.sql(node, 'substr')} IN {printer.sql(node, 'this')})"
            ),
        }

        def currentdate_sql(self, expression: exp.CurrentDate) -> str:
            return super().currentdate_sql(expression) if expression.this else "current_date"

        def not_sql(self, expression: exp.Not) -> str:
            inner = expression.this
            if isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null):
                return f"{self.sql(inner, 'this')} IS NOT NULL"
            return super().not_sql(expression)

        def ignorenulls_sql(self, expression: exp.IgnoreNulls) -> str:
            return _inside(self.sql(expression, "this"), expression, "IGNORE NULLS")

        def respectnulls_sql(self, expression: exp.RespectNulls) -> str:
            return _inside(self.sql(expression, "this"), expression, "RESPECT NULLS")


class GovernedPostgres(Postgres):
    class Parser(PostgresParser):
        FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = _special(PostgresParser.FUNCTION_PARSERS)
        LAMBDAS: ClassVar[dict[Any, Any]] = _NO_LAMBDAS


class GovernedSQLite(SQLite):
    class Parser(SQLiteParser):
        FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = _special(SQLiteParser.FUNCTION_PARSERS)
        LAMBDAS: ClassVar[dict[Any, Any]] = _NO_LAMBDAS


_AS_WRITTEN = frozenset((exp.Select, exp.Table, exp.From, exp.WithinGroup, exp.Array, exp.Exists))


class GovernedSpark(Spark):
    """Prints what was written: sqlglot would rewrite whole selects, after we have checked them."""

    class Parser(SparkParser):
        FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = _special(SparkParser.FUNCTION_PARSERS)
        # TRANSFORM is a call like any other; what it runs after USING does not parse.
        NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = {
            name: parser for name, parser in SparkParser.NO_PAREN_FUNCTION_PARSERS.items() if name != "TRANSFORM"
        }
        LAMBDAS: ClassVar[dict[Any, Any]] = {TokenType.ARROW: _LAMBDAS[TokenType.ARROW]}

    class Generator(SparkGenerator):
        TRANSFORMS: ClassVar[dict[type[exp.Expr], Callable[..., str]]] = {
            kind: printer for kind, printer in SparkGenerator.TRANSFORMS.items() if kind not in _AS_WRITTEN
        }


_DIALECTS: Mapping[str, Dialect] = {
    "duckdb": GovernedDuckDB(version="1.5.5"),
    "postgres": GovernedPostgres(),
    "sqlite": GovernedSQLite(),
    "spark": GovernedSpark(),
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
