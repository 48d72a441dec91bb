"""Checks the expressions of a query: columns, calls, casts, parameters; queries inside them go back to `resolve`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from sqlglot import exp

from core.errors import QueryUnauthorized
from engine.policy.rules import Governed
from engine.sql.calls import check_call
from engine.sql.nodes import EXPRESSIONS, PARTS, check_type, refuse_part
from engine.sql.scopes import Columns, Ctes, Scope

HINT = "list_tables and list_columns show what you can query; names in quotes must match exactly."


@dataclass(slots=True)
class Leaf:
    """A place in the tree where a base relation is read, and which."""

    node: exp.Table
    governed: Governed


@dataclass(slots=True)
class Resolved:
    """The query's relations and columns, and its parameters by name."""

    leaves: list[Leaf] = field(default_factory=list)
    columns: set[str] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)
    output: Columns = field(default_factory=lambda: Columns(()))


def unresolved() -> QueryUnauthorized:
    return QueryUnauthorized(hint=HINT)


class Expressions:
    """`found` collects what is used; `subquery` resolves a query that stands inside an expression."""

    def __init__(self, dialect: str, found: Resolved, subquery: Callable[[exp.Expr, Ctes, Scope], object]):
        self._dialect = dialect
        self._subquery = subquery
        self.found = found
        self._special: dict[type[exp.Expr], Callable[[Any, Ctes, Scope], None]] = {
            exp.Column: self._column,
            exp.Star: self._star,
            exp.Anonymous: self._call,
            exp.Lambda: self._lambda,
            exp.Comprehension: self._comprehension,
            exp.Dot: self._dot,
            exp.DataType: lambda node, ctes, scope: check_type(node),
            exp.PropertyEQ: self._named,
            exp.Kwarg: self._named,
            exp.Placeholder: self._parameter,
        }

    def check_all(self, nodes: Sequence[exp.Expr | None], ctes: Ctes, scope: Scope) -> None:
        for node in nodes:
            if node is not None:
                self.check(node, ctes, scope)

    def check(self, node: exp.Expr, ctes: Ctes, scope: Scope) -> None:
        """Raises QueryUnauthorized for anything that is not known, visible and allowed."""
        special = self._special.get(type(node))
        if special is not None:
            special(node, ctes, scope)
        elif type(node) in PARTS:
            self._subquery(node, ctes, scope)
        elif type(node) in EXPRESSIONS:
            for child in node.iter_expressions():
                self.check(child, ctes, scope)
        else:
            raise refuse_part(node.key)

    def _call(self, node: exp.Anonymous, ctes: Ctes, scope: Scope) -> None:
        check_call(node, self._dialect)
        self.check_all(node.expressions, ctes, scope)

    def _lambda(self, node: exp.Lambda, ctes: Ctes, scope: Scope) -> None:
        names = frozenset(item.name.lower() for item in node.expressions)
        self.check(node.this, ctes, scope.inner(names))

    def _dot(self, node: exp.Dot, ctes: Ctes, scope: Scope) -> None:
        if not isinstance(node.expression, exp.Identifier):
            raise refuse_part("call")  # schema.function(...)
        self.check(node.this, ctes, scope)

    def _named(self, node: exp.PropertyEQ | exp.Kwarg, ctes: Ctes, scope: Scope) -> None:
        if not isinstance(node.this, (exp.Identifier, exp.Literal, exp.Var)):
            self.check(node.this, ctes, scope)
        self.check(node.expression, ctes, scope)

    def _parameter(self, node: exp.Placeholder, ctes: Ctes, scope: Scope) -> None:
        name = node.this
        if not isinstance(name, str) or not name.isidentifier():
            raise QueryUnauthorized("Access denied: parameters have names.", hint="Write $name, and give its value.")
        self.found.parameters.add(name)

    def _comprehension(self, node: exp.Comprehension, ctes: Ctes, scope: Scope) -> None:
        self.check_all([node.args.get("iterator")], ctes, scope)
        names = {part.name.lower() for name in ("expression", "position") if (part := node.args.get(name))}
        self.check_all([node.this, node.args.get("condition")], ctes, scope.inner(frozenset(names)))

    def _star(self, node: exp.Star, ctes: Ctes, scope: Scope) -> None:
        """A star stands for columns in a select list and for rows in count(*); elsewhere it would be a whole row."""
        holder = node.parent.parent if isinstance(node.parent, exp.Column) else node.parent
        is_count = isinstance(holder, exp.Anonymous) and holder.name.lower() == "count"
        if node.args.get("ilike") or not (is_count or isinstance(holder, exp.Select)):
            raise refuse_part("star")
        for name in ("except_", "replace", "rename"):
            self.check_all(node.args.get(name) or [], ctes, scope)

    def _column(self, node: exp.Column, ctes: Ctes, scope: Scope) -> None:
        parts = [part.name for part in node.parts]
        if isinstance(node.this, exp.Star):
            if len(parts) != 2 or scope.source(parts[0]) is None:
                raise unresolved()
            self._star(node.this, ctes, scope)
        elif len(parts) > 1:
            self._qualified(node, parts, scope)
        elif scope.names_column(parts[0]):
            self.found.columns.add(parts[0].lower())
        else:
            raise unresolved()

    def _qualified(self, node: exp.Column, parts: list[str], scope: Scope) -> None:
        for end in range(len(parts) - 1, 0, -1):
            source = scope.source(parts[end - 1])
            path = tuple(part.lower() for part in parts[: end - 1])
            if source is not None and _ends_with(source.path, path) and source.columns.has(parts[end]):
                self.found.columns.add(parts[end].lower())
                _shorten(node, end - 1)
                return
        # Otherwise the first part may be a column that holds a struct.
        if not scope.names_column(parts[0]):
            raise unresolved()
        self.found.columns.add(parts[0].lower())


def _ends_with(path: tuple[str, ...], part: tuple[str, ...]) -> bool:
    return not part or path[-len(part) :] == part


def _shorten(node: exp.Column, drop: int) -> None:
    """`schema.table.column` becomes `table.column`: the leaf is put in under the table's last name."""
    if drop:
        kept = list(node.parts)[drop:]
        for name, part in zip_longest(("this", "table", "db", "catalog"), reversed(kept)):
            node.set(name, part)
