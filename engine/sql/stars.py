"""What `*` and `t.*` stand for, with EXCLUDE, REPLACE and RENAME."""

from collections.abc import Callable

from sqlglot import exp

from core.errors import QueryUnauthorized
from engine.sql.labels import Column, Label, Protected
from engine.sql.nodes import refuse_part
from engine.sql.scopes import Scope, Source, fold_identifier

Check = Callable[[exp.Expr], Label]


def star_of(item: exp.Expr) -> exp.Star | None:
    """The star that an item of a select list is, alone or after a table's name."""
    star = item.this if isinstance(item, exp.Column) else item
    return star if isinstance(star, exp.Star) else None


def expand(item: exp.Expr, star: exp.Star, scope: Scope, check: Check) -> tuple[list[Column], list[tuple[str, Source]]]:
    """The columns that a star stands for, and the items of FROM they are of. Raises QueryUnauthorized."""
    if star.args.get("ilike"):
        raise refuse_part("star")
    if isinstance(item, exp.Column):
        parts = list(item.parts)
        alias = fold_identifier(parts[0], scope.dialect)
        source = scope.sources.get(alias) if len(parts) == 2 else None
        if source is None:
            raise QueryUnauthorized(hint="Before .* stands the name or alias of a table in FROM of the same SELECT.")
        covered, found = [(alias, source)], list(source.columns.items)
    else:
        covered, found = list(scope.sources.items()), [column for _, column in scope.row]
    excluded = {fold_identifier(_last(node), scope.dialect) for node in star.args.get("except_") or []}
    replaced = {node.args["alias"]: check(node.this) for node in star.args.get("replace") or []}
    labels = {fold_identifier(name, scope.dialect): label for name, label in replaced.items()}
    renamed = dict(_renames(star, scope.dialect))
    known = {column.name for column in found}
    if excluded & (set(labels) | set(renamed)):
        raise QueryUnauthorized(hint="A column is either left out of * or renamed or replaced in it.")
    if not (excluded | set(labels) | set(renamed)) <= known and not any(source.unnamed() for _, source in covered):
        raise QueryUnauthorized(hint="EXCLUDE, REPLACE and RENAME name columns of the tables that * stands for.")
    kept = [
        Column(renamed.get(column.name, column.name), labels.get(column.name, column.label))
        for column in found
        if column.name not in excluded
    ]
    protected = [column.label.protected for column in kept if column.label.protected]
    if protected:
        raise _refuse(protected, scope.dialect)
    return kept, covered


def _last(node: exp.Expr) -> exp.Expr:
    return list(node.parts)[-1] if isinstance(node, exp.Column) else node


def _renames(star: exp.Star, dialect: str) -> list[tuple[str, str]]:
    return [
        (fold_identifier(_last(node.this), dialect), fold_identifier(node.args["alias"], dialect))
        for node in star.args.get("rename") or []
    ]


def _refuse(protected: list[Protected], dialect: str) -> QueryUnauthorized:
    names = ", ".join(sorted({item.column for item in protected}))
    word = {"duckdb": "EXCLUDE", "spark": "EXCEPT"}.get(dialect)
    without = f", or leave them out: * {word} ({names})" if word else ""
    return QueryUnauthorized(
        f"Access denied: * covers columns that may be read only in aggregates: {names}.",
        hint=f"Name the columns you need{without}.",
    )
