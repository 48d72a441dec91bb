"""Names for columns that the query leaves unnamed and that an engine would name after what it runs.

DuckDB, SQLite and Spark name a bare expression by its text. Where that text reads a table, it is ours, with the
filters and masks of the caller's policies in it: so the query's own text is given as the name."""

from sqlglot import exp
from sqlglot.errors import UnsupportedError

from engine.sql.dialects import print_sql

MAX_TITLE = 120


def name_outputs(query: exp.Expr, dialect: str) -> None:
    """Give every unnamed output that reads a table in a query of its own a name, in the whole tree."""
    for select in list(query.find_all(exp.Select)):
        if any(_is_unnamed(item) for item in select.expressions):
            select.set("expressions", [_named(item, dialect) for item in select.expressions])


def _is_unnamed(item: exp.Expr) -> bool:
    return not isinstance(item, (exp.Alias, exp.Aliases)) and not item.is_star and item.find(exp.Table) is not None


def _named(item: exp.Expr, dialect: str) -> exp.Expr:
    if not _is_unnamed(item):
        return item
    try:
        title = print_sql(item, dialect)[:MAX_TITLE]
    except (UnsupportedError, RecursionError):
        title = "column"
    return exp.Alias(this=item, alias=exp.to_identifier(title, quoted=True))
