"""What a query reads in the place of a relation: the one place where policies change what comes out."""

from engine.policy.rules import ColumnRule, Governed
from engine.sql.expressions import unresolved
from engine.sql.filters import SOURCE, print_filter
from engine.sql.masks import mask_sql
from engine.sql.scopes import shadowed

_PLACE = "\0source\0"
NO_KEY = "<the tenant's key>"
_BARRIERS = {
    "duckdb": " LIMIT 9223372036854775807",  # materialised CTEs are seen through, this is not
    "postgres": " OFFSET 0",
    "sqlite": " LIMIT -1",
}


def govern(
    governed: Governed, source: str, dialect: str = "duckdb", *, is_calm: bool = False, shows_key: bool = True
) -> str:
    """The visible columns of a relation and nothing else; `source` is the FROM item that reads it.

    Masks replace columns in this list, row filters become its WHERE. All that the query does happens
    outside, so it sees only what comes out of here. A query that is not calm, whose expressions may fail,
    is kept from being run on rows before the filter: its errors would tell what they hold."""
    key = (dialect, is_calm, shows_key)
    text = governed.printed.get(key)
    if text is None:
        text = governed.printed[key] = _print(governed, dialect, is_calm=is_calm, shows_key=shows_key)
    return text.replace(_PLACE, source)


def _print(governed: Governed, dialect: str, *, is_calm: bool, shows_key: bool) -> str:
    unreadable = shadowed(governed.source, dialect)
    names = [column.name for column in governed.relation.columns if column.name not in unreadable]
    if not names:
        raise unresolved()
    if governed.is_open:
        columns = ", ".join(quote_name(name, dialect) for name in names)
        return f"(SELECT {columns} FROM {_PLACE})"  # noqa: S608 - names are quoted, the source is the connector's
    types = {column.name: column.data_type for column in governed.source.columns}
    key = governed.mask_key if shows_key else NO_KEY
    shown = []
    for name in names:
        shown.append(_column(name, governed.columns.get(name), types[name], dialect, key))
    text = f"SELECT {', '.join(shown)} FROM {_PLACE} AS {quote_name(SOURCE, dialect)}"  # noqa: S608 - as above
    if governed.filters:
        conditions = [print_filter(item, governed.source, governed.facts, dialect) for item in governed.filters]
        text += f" WHERE {' AND '.join(conditions)}"
        text = _guarded(text, names, dialect, is_calm=is_calm)
    return f"({text})"


def _guarded(text: str, names: list[str], dialect: str, *, is_calm: bool) -> str:
    if is_calm:
        return text
    if dialect == "spark":  # predicates do not pass a condition that is not deterministic
        columns = ", ".join(quote_name(name, dialect) for name in names)
        return f"SELECT {columns} FROM ({text}) WHERE rand() >= 0"  # noqa: S608 - as above
    return text + _BARRIERS[dialect]


def _column(name: str, rule: ColumnRule | None, data_type: str, dialect: str, key: str) -> str:
    quoted = quote_name(name, dialect)
    column = f"{quote_name(SOURCE, dialect)}.{quoted}"
    if rule is None or rule.privacy in ("public", "aggregate_only"):
        return f"{column} AS {quoted}"
    if rule.privacy != "masked" or rule.mask is None:
        raise unresolved()
    return f"{mask_sql(column, rule.mask, data_type, dialect, key)} AS {quoted}"


def describe(governed: Governed) -> str:
    """What policies do to a relation, in words that tell nothing of the conditions or of what is hidden."""
    parts = []
    if governed.filters:
        parts.append("rows are filtered by policy")
    for privacy, word in (("masked", "masked"), ("aggregate_only", "only in aggregates")):
        names = [column.name for column in governed.relation.columns if governed.privacy(column.name) == privacy]
        if names:
            parts.append(f"{word}: {', '.join(names)}")
    return f"{governed.relation.name}: {'; '.join(parts) or 'as it is'}"


def quote_name(name: str, dialect: str = "duckdb") -> str:
    if dialect == "spark":
        return "`" + name.replace("`", "``") + "`"
    return '"' + name.replace('"', '""') + '"'
