"""Which tables a statement reads."""

from collections.abc import Sequence


def tables_of(sql: str) -> set[str]:
    """The bare names of the tables that a statement reads; none when it cannot be parsed."""
    from sqlglot import exp, parse_one  # lazily: only runs of suites parse here
    from sqlglot.errors import SqlglotError

    try:
        tree = parse_one(sql, dialect="duckdb")
    except SqlglotError:
        return set()
    defined = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    return {table.name.lower() for table in tree.find_all(exp.Table)} - defined - {""}


def bare_names(tables: Sequence[str]) -> set[str]:
    """Names of tables without their schema, in small letters."""
    return {name.rpartition(".")[2].strip('"').lower() for name in tables}
