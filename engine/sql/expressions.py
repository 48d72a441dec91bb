"""Checks the expressions of a query and labels their values; queries inside them go back to `resolve`."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from sqlglot import exp

from core.errors import QueryUnauthorized
from engine.sql.aggregates import aggregate_argument
from engine.sql.calls import check_call
from engine.sql.labels import PLAIN, Block, Columns, Label, Leaf, Origin, Use, misused, union
from engine.sql.nodes import EXPRESSIONS, PARTS, check_type, refuse_part
from engine.sql.scopes import Cte, Ctes, Found, Scope, Source, fold, fold_identifier

HINT = "list_tables and list_columns show what you can query; names in quotes must match exactly."
_NEAR = 0.78  # how alike a name must be to be suggested
_AGGREGATED_IN = ("expressions", "having", "order", "qualify")


@dataclass(slots=True)
class Resolved:
    """What was found in a query: the relations and columns it reads, its parameters, and its result."""

    leaves: list[Leaf] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)
    origins: set[Origin] = field(default_factory=set)
    output: Columns = field(default_factory=Columns)
    ctes: list[tuple[exp.CTE, Cte]] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    stars: list[tuple[exp.Star, list[tuple[str, Source]]]] = field(default_factory=list)


def unresolved(name: str = "", known: Iterable[str] = ()) -> QueryUnauthorized:
    """One text for what is hidden and what does not exist; a near name is suggested, if one is visible."""
    near = difflib.get_close_matches(name.lower(), sorted({item for item in known if item}), 3, _NEAR)
    guess = f"Did you mean {' or '.join(near)}? " if near else ""
    return QueryUnauthorized(hint=guess + HINT)


class Expressions:
    """`found` collects what is used; `subquery` resolves a query that stands inside an expression."""

    def __init__(self, dialect: str, found: Resolved, subquery: Callable[[exp.Expr, Ctes, Scope], Columns]):
        self._dialect = dialect
        self._subquery = subquery
        self.found = found
        self._special: dict[type[exp.Expr], Callable[[Any, Ctes, Scope], Label]] = {
            exp.Column: self._column,
            exp.Star: self._star,
            exp.Anonymous: self._call,
            exp.Lambda: self._lambda,
            exp.Comprehension: self._comprehension,
            exp.Dot: self._dot,
            exp.DataType: self._type,
            exp.PropertyEQ: self._named,
            exp.Kwarg: self._named,
            exp.Placeholder: self._parameter,
        }

    def check_all(self, nodes: Iterable[exp.Expr | None], ctes: Ctes, scope: Scope) -> Label:
        label = PLAIN
        for node in nodes:
            if node is not None:
                label = label.plus(self.check(node, ctes, scope))
        return label

    def decide(self, nodes: Iterable[exp.Expr | None], ctes: Ctes, scope: Scope) -> Label:
        """Check what decides on rows without being shown, such as WHERE."""
        label = self.check_all(nodes, ctes, scope)
        scope.influence |= label.origins
        return label

    def check(self, node: exp.Expr, ctes: Ctes, scope: Scope) -> Label:
        """The label of a value. Raises QueryUnauthorized for anything that is not known, visible and allowed."""
        kind = type(node)
        special = self._special.get(kind)
        if special is not None:
            return special(node, ctes, scope)
        if kind in PARTS:
            columns = self._subquery(node, ctes, scope)
            if columns.protected:
                raise misused(columns.protected)
            label = union(item.label for item in columns.items)
            return label.plus(Label(indirect=columns.influence)) if columns.influence else label
        if kind in EXPRESSIONS:
            return self.check_all(node.iter_expressions(), ctes, scope)
        raise refuse_part(node.key)

    def raw(self, node: exp.Column, scope: Scope) -> Found:
        """What a column reference stands for, also when it may not be used here."""
        parts = [fold_identifier(part, self._dialect) for part in node.parts]
        found, drop = (scope.find(parts[0]), 0) if len(parts) == 1 else scope.find_qualified(parts) or (None, 0)
        if found is None:
            raise unresolved(parts[-1], _visible_names(scope))
        _shorten(node, drop)
        self.found.columns.add(found.name)
        self.found.origins |= found.label.direct
        return found

    def _column(self, node: exp.Column, ctes: Ctes, scope: Scope) -> Label:
        if isinstance(node.this, exp.Star):
            return self._rows(node, scope)
        label = self.raw(node, scope).label
        if label.protected:
            raise misused(label.protected)
        return label

    def _call(self, node: exp.Anonymous, ctes: Ctes, scope: Scope) -> Label:
        check_call(node, self._dialect)
        argument = aggregate_argument(node)
        if argument is not None:
            found = self.raw(argument.column, scope)
            if found.label.protected:
                return self._aggregate(node, argument.column, found, scope, is_computed=argument.is_computed)
        return self.check_all(node.expressions, ctes, scope)

    def _aggregate(
        self, node: exp.Anonymous, column: exp.Column, found: Found, scope: Scope, *, is_computed: bool
    ) -> Label:
        """An allowed aggregate over an aggregate-only column is public, once small groups are taken out."""
        label, protected = found.label, found.label.protected
        assert protected is not None
        source = scope.sources.get(found.alias)
        is_plain = not isinstance(node.parent, (exp.Filter, exp.Window, exp.WithinGroup, exp.IgnoreNulls))
        is_here = source is not None and not source.is_sampled and not found.is_outer and not scope.bound
        if not (is_plain and is_here and scope.clause in _AGGREGATED_IN):
            raise misused(protected)
        if scope.block is None:
            raise misused(protected)
        scope.block.uses.append(Use(node, column, found.alias, protected, is_computed))
        return Label(label.is_masked, label.direct, label.indirect)

    def _lambda(self, node: exp.Lambda, ctes: Ctes, scope: Scope) -> Label:
        return self._bound(
            frozenset(fold(item.name, self._dialect) for item in node.expressions), [node.this], ctes, scope
        )

    def _bound(self, names: frozenset[str], nodes: Sequence[exp.Expr | None], ctes: Ctes, scope: Scope) -> Label:
        scope.bound.append(names)
        try:
            return self.check_all(nodes, ctes, scope)
        finally:
            scope.bound.pop()

    def _dot(self, node: exp.Dot, ctes: Ctes, scope: Scope) -> Label:
        if not isinstance(node.expression, exp.Identifier):
            raise refuse_part("call")  # schema.function(...)
        return self.check(node.this, ctes, scope)

    def _type(self, node: exp.DataType, ctes: Ctes, scope: Scope) -> Label:
        check_type(node)
        return PLAIN

    def _named(self, node: exp.PropertyEQ | exp.Kwarg, ctes: Ctes, scope: Scope) -> Label:
        is_name = isinstance(node.this, (exp.Identifier, exp.Literal, exp.Var))
        return self.check_all([None if is_name else node.this, node.expression], ctes, scope)

    def _parameter(self, node: exp.Placeholder, ctes: Ctes, scope: Scope) -> Label:
        name = node.this
        if not isinstance(name, str) or not name.isidentifier():
            raise QueryUnauthorized("Access denied: parameters have names.", hint="Write $name, and give its value.")
        self.found.parameters.add(name)
        return PLAIN

    def _comprehension(self, node: exp.Comprehension, ctes: Ctes, scope: Scope) -> Label:
        label = self.check_all([node.args.get("iterator")], ctes, scope)
        names = {fold(part.name, self._dialect) for key in ("expression", "position") if (part := node.args.get(key))}
        return label.plus(self._bound(frozenset(names), [node.this, node.args.get("condition")], ctes, scope))

    def _star(self, node: exp.Star, ctes: Ctes, scope: Scope) -> Label:
        """In an expression a star is that of count(*): it stands for rows, not for what is in them."""
        if not _is_count(node.parent) or any(node.args.values()):
            raise refuse_part("star")
        return PLAIN

    def _rows(self, node: exp.Column, scope: Scope) -> Label:
        parts = list(node.parts)
        source = scope.source(fold_identifier(parts[0], self._dialect)) if len(parts) == 2 else None
        if source is None:
            raise unresolved()
        if not _is_count(node.parent) or any(node.this.args.values()) or source.columns.protected:
            raise refuse_part("star")
        return PLAIN


def _is_count(node: exp.Expr | None) -> bool:
    return isinstance(node, exp.Anonymous) and node.name.lower() == "count"


def _visible_names(scope: Scope) -> list[str]:
    sources = [source for item in scope.chain() for source in item.sources.values()]
    return [column.name for source in sources for column in source.columns.items]


def _shorten(node: exp.Column, drop: int) -> None:
    """`schema.table.column` becomes `table.column`: the leaf is put in under the table's last name."""
    if drop:
        kept = list(node.parts)[drop:]
        for name, part in zip_longest(("this", "table", "db", "catalog"), reversed(kept)):
            node.set(name, part)
