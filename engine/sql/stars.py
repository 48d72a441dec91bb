"""What `*` and `t.*` stand for, with EXCLUDE, REPLACE and RENAME."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlglot import exp

from core.errors import QueryUnauthorized
from engine.sql.labels import Column, Label, Protected
from engine.sql.scopes import Scope, Source, fold_identifier

Check = Callable[[exp.Expr], Label]


def star_of(item: exp.Expr) -> exp.Star | None:
    """The star that an item of a select list is, alone or after a table's name."""
    star = item.this if isinstance(item, exp.Column) else item
    return star if isinstance(star, exp.Star) else None


@dataclass(frozen=True, slots=True)
class Entry:
    """A column that a star gives: of which item of FROM, its name there, what it is here, and what replaces it."""

    alias: str
    name: str
    column: Column
    value: exp.Expr | None = None


def expand(item: exp.Expr, star: exp.Star, scope: Scope, check: Check) -> tuple[list[Entry], list[tuple[str, Source]]]:
    """The columns that a star stands for, and the items of FROM they are of. Raises QueryUnauthorized."""
    labels = {id(node.this): check(node.this) for node in star.args.get("replace") or []}
    found = [
        entry if entry.value is None else replace(entry, column=entry.column.labelled(labels[id(entry.value)]))
        for entry in entries(item, star, scope)
    ]
    protected = [entry.column.label.protected for entry in found if entry.column.label.protected]
    if protected:
        raise _refuse(protected, scope.dialect)
    return found, [(alias, scope.sources[alias]) for alias in dict.fromkeys(alias for alias, _ in _row(item, scope))]


def _row(item: exp.Expr, scope: Scope) -> list[tuple[str, Column]]:
    """The columns that the star alone stands for."""
    if not isinstance(item, exp.Column):
        return scope.row
    parts = list(item.parts)
    alias = fold_identifier(parts[0], scope.dialect)
    source = scope.sources.get(alias) if len(parts) == 2 else None
    if source is None:
        raise QueryUnauthorized(hint="Before .* stands the name or alias of a table in FROM of the same SELECT.")
    return [(alias, column) for column in source.columns.items]


def entries(item: exp.Expr, star: exp.Star, scope: Scope) -> list[Entry]:
    """The columns of a star after EXCLUDE, REPLACE and RENAME. Raises QueryUnauthorized."""
    row, dialect = _row(item, scope), scope.dialect
    excluded = {_excluded(node, dialect) for node in star.args.get("except_") or []}
    replaced = {fold_identifier(node.args["alias"], dialect): node for node in star.args.get("replace") or []}
    renamed = {fold_identifier(_last(node.this), dialect): node for node in star.args.get("rename") or []}
    names = {name for _, name in excluded}
    known = {column.name for _, column in row}
    if names & (set(replaced) | set(renamed)):
        raise QueryUnauthorized(hint="A column is either left out of * or renamed or replaced in it.")
    is_open = any(scope.sources[alias].unnamed() for alias in dict.fromkeys(alias for alias, _ in row))
    if not (names | set(replaced) | set(renamed)) <= known and not is_open:
        raise QueryUnauthorized(hint="EXCLUDE, REPLACE and RENAME name columns of the tables that * stands for.")
    found = []
    for alias, column in row:
        if ("", column.name) in excluded or ((alias, column.name) in excluded and column.name not in scope.merged):
            continue
        new = replaced.get(column.name) or renamed.get(column.name)
        entry = Entry(alias, column.name, column)
        if new is not None:
            name = fold_identifier(new.args["alias"], dialect)
            value = new.this if column.name in replaced else None
            entry = Entry(alias, column.name, Column(name, column.label, new.alias), value)
        found.append(entry)
    return found


def _excluded(node: exp.Expr, dialect: str) -> tuple[str, str]:
    """The item of FROM, where it is named, and the column."""
    parts = list(node.parts) if isinstance(node, exp.Column) else [node]
    return fold_identifier(parts[-2], dialect) if len(parts) > 1 else "", fold_identifier(parts[-1], dialect)


def _last(node: exp.Expr) -> exp.Expr:
    return list(node.parts)[-1] if isinstance(node, exp.Column) else node


def _refuse(protected: list[Protected], dialect: str) -> QueryUnauthorized:
    names = ", ".join(sorted({item.column for item in protected}))
    word = {"duckdb": "EXCLUDE", "spark": "EXCEPT"}.get(dialect)
    without = f", or leave them out: * {word} ({names})" if word else ""
    return QueryUnauthorized(
        f"Access denied: * covers columns that may be read only in aggregates: {names}.",
        hint=f"Name the columns you need{without}.",
    )
