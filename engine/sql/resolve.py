"""Resolves every relation and column of a query against what its caller may see; whatever is left over is refused.

Unknown and invisible are one thing here, with one text, so that a refusal tells nothing."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from sqlglot import exp

from core.errors import QueryUnauthorized
from engine.policy.rules import Governed
from engine.sql.calls import check_series
from engine.sql.expressions import Expressions, Leaf, Resolved, unresolved
from engine.sql.functions import TABLE_FUNCTIONS
from engine.sql.nodes import PARTS, check_parts, refuse_part
from engine.sql.parse import too_complex
from engine.sql.scopes import Columns, Cte, Ctes, Scope, Source

MAX_TABLES_READ = 300


class Visible(Protocol):
    """What of a connection a caller may see."""

    def find(self, parts: tuple[str, ...]) -> Governed | None: ...


def resolve(query: exp.Query, visible: Visible, dialect: str) -> Resolved:
    """Raises QueryUnauthorized for anything that is not known, visible and allowed."""
    resolver = _Resolver(visible, dialect)
    try:
        output, _ = resolver.query(query, {}, None)
    except RecursionError:
        raise too_complex() from None
    resolver.found.output = output
    return resolver.found


class _Resolver:
    def __init__(self, visible: Visible, dialect: str):
        self._visible = visible
        self._dialect = dialect
        self.found = Resolved()
        self._expressions = Expressions(dialect, self.found, self.query)

    # Queries. Each returns its columns and how many tables reading it once reads.

    def query(self, node: exp.Expr, ctes: Ctes, outer: Scope | None) -> tuple[Columns, int]:
        if type(node) not in PARTS:
            raise refuse_part(node.key)
        check_parts(node)
        ctes = self._with(node.args.get("with_"), ctes, outer)
        if isinstance(node, exp.Select):
            return self._select(node, ctes, outer)
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, ctes, outer)
        if isinstance(node, exp.Subquery) and not isinstance(node.this, exp.Table):
            columns, weight = self.query(node.this, ctes, outer)
            self._order(node, columns, ctes, outer)
            return columns, weight
        if isinstance(node, exp.Values):
            self._expressions.check_all(node.expressions, ctes, outer or Scope())
            width = max((len(row.expressions) for row in node.expressions), default=0)
            start = 0 if self._dialect == "duckdb" else 1
            prefix = "col" if self._dialect == "duckdb" else "column"
            return Columns(tuple(f"{prefix}{number + start}" for number in range(width))), 0
        raise refuse_part(node.key)

    def _with(self, node: exp.With | None, ctes: Ctes, outer: Scope | None) -> Ctes:
        if node is None:
            return ctes
        check_parts(node)
        known = dict(ctes)
        for cte in node.expressions:
            check_parts(cte)
            name, aliases = cte.alias.lower(), cte.alias_column_names
            body = dict(known)
            if node.args.get("recursive"):
                body[name] = Cte(Columns(tuple(map(str.lower, aliases)), is_open=not aliases), 1)
                anchor = cte.this
                while isinstance(anchor, exp.SetOperation):
                    anchor = anchor.this
                if isinstance(cte.this, exp.SetOperation) and not aliases:
                    body[name] = Cte(self._preview(anchor, known, outer), 1)
            columns, weight = self.query(cte.this, body, outer)
            known[name] = Cte(columns.renamed(aliases), self._bounded(weight))
        return known

    def _preview(self, anchor: exp.Expr, ctes: Ctes, outer: Scope | None) -> Columns:
        """Columns of a recursive query's first part, without counting its tables twice."""
        return _Resolver(self._visible, self._dialect).query(anchor, ctes, outer)[0]

    def _set_operation(self, node: exp.SetOperation, ctes: Ctes, outer: Scope | None) -> tuple[Columns, int]:
        left, left_weight = self.query(node.this, ctes, outer)
        right, right_weight = self.query(node.expression, ctes, outer)
        columns = left.plus(right) if node.args.get("by_name") else left
        self._order(node, columns, ctes, outer)
        return columns, self._bounded(left_weight + right_weight)

    def _order(self, node: exp.Expr, columns: Columns, ctes: Ctes, outer: Scope | None) -> None:
        """ORDER BY, LIMIT and OFFSET after a set operation see its result's columns."""
        scope = Scope(outer, {"": Source(columns)})
        self._expressions.check_all(
            [node.args.get(part) for part in ("order", "limit", "offset", "sample")], ctes, scope
        )

    def _select(self, node: exp.Select, ctes: Ctes, outer: Scope | None) -> tuple[Columns, int]:
        scope = Scope(outer)
        start = node.args.get("from_")
        joins: list[exp.Join] = node.args.get("joins") or []
        laterals: list[exp.Expr] = node.args.get("laterals") or []
        weight = sum(self._source(item, scope, ctes) for item in ([start.this] if start else []))
        weight += sum(self._join(join, scope, ctes) for join in joins)
        weight += sum(self._source(lateral, scope, ctes) for lateral in laterals)
        self._conditions(joins, scope, ctes)
        scope.aliases = {item.alias.lower() for item in node.expressions if item.alias}
        for name in ("expressions", "distinct", "where", "group", "having", "qualify", "windows", "order", "limit"):
            parts = node.args.get(name)
            self._expressions.check_all(parts if isinstance(parts, list) else [parts], ctes, scope)
        self._expressions.check_all([node.args.get("offset"), node.args.get("sample")], ctes, scope)
        return self._output(node, scope), self._bounded(weight)

    def _output(self, node: exp.Select, scope: Scope) -> Columns:
        columns = Columns(())
        for item in node.expressions:
            if item.is_star:
                columns = columns.plus(_star(item, scope))
            elif item.alias_or_name:
                columns = columns.plus(Columns((item.alias_or_name.lower(),)))
            else:
                columns = columns.plus(Columns((f"?{len(columns.names)}",), is_open=True))
        return columns

    # FROM

    def _join(self, join: exp.Join, scope: Scope, ctes: Ctes) -> int:
        check_parts(join)
        return self._source(join.this, scope, ctes)

    def _conditions(self, joins: Sequence[exp.Join], scope: Scope, ctes: Ctes) -> None:
        for join in joins:
            self._expressions.check_all([join.args.get("on")], ctes, scope)
            for name in join.args.get("using") or []:
                if not scope.names_column(name.name):
                    raise unresolved()

    def _source(self, node: exp.Expr, scope: Scope, ctes: Ctes) -> int:
        """Put one item of FROM into the scope; returns how many tables it reads."""
        if type(node) not in PARTS:
            raise refuse_part(node.key)
        check_parts(node)
        weight = self._one_source(node, scope, ctes)
        self._expressions.check_all([node.args.get("sample")], ctes, scope)
        joins: list[exp.Join] = node.args.get("joins") or []
        weight += sum(self._join(join, scope, ctes) for join in joins)
        weight += sum(self._source(lateral, scope, ctes) for lateral in node.args.get("laterals") or [])
        self._conditions(joins, scope, ctes)
        return weight

    def _one_source(self, node: exp.Expr, scope: Scope, ctes: Ctes) -> int:
        alias, renames = node.alias, node.alias_column_names
        if isinstance(node, exp.Lateral):
            return self._lateral(node, scope, ctes)
        if isinstance(node, exp.Table):
            if isinstance(node.this, exp.Identifier):
                return self._table(node, scope, ctes)
            self._table_function(node, scope, ctes)
            return 0
        if isinstance(node, exp.Unnest):
            self._expressions.check_all(node.expressions, ctes, scope)
            names = Columns(("unnest", *([alias.lower()] if alias else []))).renamed(renames)
            self._add(scope, alias or "unnest", Source(names))
            return 0
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):
            if alias:
                raise refuse_part("alias")
            return self._source(node.this, scope, ctes)
        inner = node if isinstance(node, exp.Values) else node.this
        columns, weight = self.query(inner, self._with(node.args.get("with_"), ctes, scope), scope)
        self._order(node, columns, ctes, scope)
        self._add(scope, alias, Source(columns.renamed(renames)))
        return weight

    def _lateral(self, node: exp.Lateral, scope: Scope, ctes: Ctes) -> int:
        alias, inner = node.alias, node.this
        if isinstance(inner, exp.Subquery):
            columns, weight = self.query(inner, ctes, scope)
            self._add(scope, alias, Source(columns.renamed(node.alias_column_names)))
            return weight
        if isinstance(inner, exp.Unnest):
            check_parts(inner)
            self._expressions.check_all(inner.expressions, ctes, scope)
            name = "unnest"
        elif isinstance(inner, exp.Anonymous):
            name = self._checked_table_function(inner, scope, ctes)
        else:
            raise refuse_part("lateral")
        names = Columns((name, *([alias.lower()] if alias else []))).renamed(node.alias_column_names)
        self._add(scope, alias or name, Source(names))
        return 0

    def _table(self, node: exp.Table, scope: Scope, ctes: Ctes) -> int:
        parts = tuple(part.name for part in node.parts)
        alias = node.alias or parts[-1]
        cte = ctes.get(parts[0].lower()) if len(parts) == 1 else None
        if cte is not None:
            self._add(scope, alias, Source(cte.columns.renamed(node.alias_column_names)))
            return cte.weight
        governed = self._visible.find(parts)
        if governed is None or not all(parts):
            raise unresolved()
        names = Columns(tuple(column.name.lower() for column in governed.relation.columns))
        path = () if node.alias else tuple(part.lower() for part in parts[:-1])
        self._add(scope, alias, Source(names.renamed(node.alias_column_names), path))
        self.found.leaves.append(Leaf(node, governed))
        return 1

    def _table_function(self, node: exp.Table, scope: Scope, ctes: Ctes) -> None:
        if not isinstance(node.this, exp.Anonymous) or node.args.get("db"):
            raise unresolved()
        name = self._checked_table_function(node.this, scope, ctes)
        names = Columns((name, *([node.alias.lower()] if node.alias else []))).renamed(node.alias_column_names)
        self._add(scope, node.alias or name, Source(names))

    def _checked_table_function(self, call: exp.Anonymous, scope: Scope, ctes: Ctes) -> str:
        name = call.name.lower()
        if name not in TABLE_FUNCTIONS[self._dialect]:
            raise QueryUnauthorized(
                "Access denied: the query reads from a function that is not allowed in FROM.",
                hint="Read tables by their names; list_tables shows them.",
            )
        check_series(call)
        self._expressions.check_all(call.expressions, ctes, scope)
        return name

    def _add(self, scope: Scope, alias: str, source: Source) -> None:
        key = alias.lower() or f"?{len(scope.sources)}"
        if key in scope.sources:
            raise QueryUnauthorized(
                "Access denied: two tables of one FROM have the same name.", hint="Give each an alias of its own."
            )
        scope.sources[key] = source

    def _bounded(self, weight: int) -> int:
        """CTEs that read each other multiply: 30 lines can ask for a billion tables."""
        if weight > MAX_TABLES_READ:
            raise too_complex()
        return weight


def _star(item: exp.Expr, scope: Scope) -> Columns:
    """The columns of `*` or `t.*`; those renamed or left out only make the list a little too long."""
    star = item.this if isinstance(item, exp.Column) else item
    if isinstance(item, exp.Column):
        source = scope.source(item.table)
        columns = source.columns if source else Columns(())
    else:
        columns = Columns(tuple(name for source in scope.sources.values() for name in source.columns.names))
        columns = Columns(columns.names, any(source.columns.is_open for source in scope.sources.values()))
    return columns.plus(Columns(tuple(alias.alias.lower() for alias in _renamed(star))))


def _renamed(star: exp.Expr) -> Iterator[exp.Expr]:
    yield from star.args.get("rename") or []
