"""Which tables and columns a statement reads."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlglot import exp


def tables_of(sql: str) -> set[str]:
    """The bare names of the tables that a statement reads; none when it cannot be parsed."""
    from sqlglot import exp  # lazily: only runs of suites parse here

    tree = _tree(sql)
    if tree is None:
        return set()
    defined = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    return {table.name.lower() for table in tree.find_all(exp.Table)} - defined - {""}


def columns_of(sql: str) -> set[str]:
    """The bare names of the columns that a statement reads, without names that it makes itself."""
    from sqlglot import exp  # lazily: only runs of suites parse here

    tree = _tree(sql)
    if tree is None:
        return set()
    read = {column.name.lower() for column in tree.find_all(exp.Column)}
    read |= {name.name.lower() for join in tree.find_all(exp.Join) for name in join.args.get("using") or ()}
    made = {alias.alias.lower() for alias in tree.find_all(exp.Alias) if _is_made(alias)}
    return read - made - {"", "*"}


def _is_made(alias: "exp.Alias") -> bool:
    """Whether an alias names something else than what it is: `sum(x) AS total`, not `max(x) AS x`."""
    from sqlglot import exp

    return alias.alias.lower() not in {column.name.lower() for column in alias.this.find_all(exp.Column)}


@lru_cache(maxsize=1024)
def _tree(sql: str) -> "exp.Expr | None":
    from sqlglot import parse_one
    from sqlglot.errors import SqlglotError

    try:
        return parse_one(sql, dialect="duckdb")
    except SqlglotError:
        return None


def bare_names(tables: Sequence[str]) -> set[str]:
    """Names of tables without their schema, in small letters."""
    return {name.rpartition(".")[2].strip('"').lower() for name in tables}
