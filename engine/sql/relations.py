"""The FROM of a query: tables, CTEs, subqueries, joins and what is unnested, each put into the scope."""

from collections.abc import Sequence
from typing import Protocol

from sqlglot import exp

from core.errors import QueryUnauthorized
from engine.policy.rules import ColumnRule, Governed
from engine.sql.aggregates import MIN_GROUP
from engine.sql.calls import check_series
from engine.sql.expressions import Expressions, unresolved
from engine.sql.functions import SPARK_COLUMNS, TABLE_FUNCTIONS
from engine.sql.labels import NOTHING, PLAIN, Column, Columns, Label, Leaf, Protected, misused, union
from engine.sql.nodes import PARTS, check_parts, refuse_part
from engine.sql.scopes import Ctes, Scope, Source, column_aliases, fold, fold_identifier, shadowed

Weighed = tuple[Columns, int]


class Visible(Protocol):
    """What of a connection a caller may see."""

    @property
    def names(self) -> Sequence[str]: ...

    def find(self, parts: tuple[str, ...]) -> Governed | None: ...


class Queries(Protocol):
    """Resolves queries in FROM: gives their columns, and how many tables reading them once reads."""

    def query(self, node: exp.Expr, ctes: Ctes, outer: Scope | None) -> Weighed: ...

    def define(self, node: exp.With | None, ctes: Ctes, outer: Scope | None) -> Ctes: ...

    def arrange(self, node: exp.Expr, columns: Columns, ctes: Ctes, outer: Scope | None) -> None: ...


class Relations:
    """Each item of FROM that is put into a scope returns how many tables it reads."""

    def __init__(self, visible: Visible, dialect: str, expressions: Expressions, queries: Queries):
        self._visible = visible
        self._dialect = dialect
        self._expressions = expressions
        self._queries = queries

    def read(self, node: exp.Select, scope: Scope, ctes: Ctes) -> int:
        """Everything in a select's FROM."""
        start = node.args.get("from_")
        weight = self._source(start.this, scope, ctes) if start else 0
        weight += self._joins(node.args.get("joins") or [], set(scope.sources), scope, ctes)
        return weight + sum(self._source(lateral, scope, ctes) for lateral in node.args.get("laterals") or [])

    def _joins(self, joins: Sequence[exp.Join], left: set[str], scope: Scope, ctes: Ctes) -> int:
        """Joins to what is in `left`. In some dialects a comma starts anew: ON and USING do not look across it."""
        weight = 0
        for join in joins:
            check_parts(join)
            before = set(scope.sources)
            weight += self._source(join.this, scope, ctes)
            added = set(scope.sources) - before
            if not any(join.args.get(part) for part in ("on", "using", "side", "kind", "method")):
                left = added if self._dialect in ("postgres", "spark") else left | added
                continue
            self._merge(join, left, added, scope)
            left = left | added
            if join.args.get("on") is not None:
                self._condition(join.args["on"], left, scope, ctes)
            if join.kind in ("SEMI", "ANTI"):
                _leave_out(added, scope)
                left -= added
        return weight

    def _condition(self, node: exp.Expr, aliases: set[str], scope: Scope, ctes: Ctes) -> None:
        """ON sees what it joins and, past it, only outer queries."""
        sources = {alias: source for alias, source in scope.sources.items() if alias in aliases}
        inner = Scope(self._dialect, scope.outer, sources, influence=scope.influence)
        self._expressions.decide([node], ctes, inner)
        scope.is_correlated |= inner.is_correlated

    def _merge(self, join: exp.Join, left: set[str], added: set[str], scope: Scope) -> None:
        """Columns joined by their name are one column, whose value comes from both sides."""
        names = [fold_identifier(name, self._dialect) for name in join.args.get("using") or []]
        if join.method == "NATURAL":
            known = {column.name for alias, column in scope.row if alias in left and column.name}
            names = [column.name for alias, column in scope.row if alias in added and column.name in known]
        for name in dict.fromkeys(names):
            for label in (_find(scope, left, name), _find(scope, added, name)):
                if label is None:
                    raise unresolved(name, (column.name for _, column in scope.row))
                if label.protected:
                    raise misused(label.protected)
                scope.influence |= label.origins
                self._expressions.found.origins |= label.direct
                self._expressions.found.columns.add(name)
            _merge_in_row(name, left, added, scope)

    def _source(self, node: exp.Expr, scope: Scope, ctes: Ctes) -> int:
        if type(node) not in PARTS:
            raise refuse_part(node.key)
        check_parts(node)
        before = set(scope.sources)
        weight = self._one(node, scope, ctes)
        sample = node.args.get("sample")
        if sample is not None:
            self._expressions.decide([sample], ctes, scope)
            for alias in set(scope.sources) - before:
                scope.sources[alias].is_sampled = True
        weight += self._joins(node.args.get("joins") or [], set(scope.sources) - before, scope, ctes)
        return weight + sum(self._source(lateral, scope, ctes) for lateral in node.args.get("laterals") or [])

    def _one(self, node: exp.Expr, scope: Scope, ctes: Ctes) -> int:
        if isinstance(node, exp.Lateral):
            return self._lateral(node, scope, ctes)
        if isinstance(node, exp.Table):
            read = self._table if isinstance(node.this, exp.Identifier) else self._function
            return read(node, scope, ctes)
        if isinstance(node, exp.Unnest):
            label = self._expressions.check_all(node.expressions, ctes, scope)
            self._computed("unnest", label, node, scope, place=node.args.get("offset"))
            return 0
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):
            if node.alias:
                raise refuse_part("alias")
            return self._source(node.this, scope, ctes)
        inner = node if isinstance(node, exp.Values) else node.this
        outer = scope if self._dialect == "duckdb" else scope.outer  # elsewhere the word LATERAL is needed
        columns, weight = self._queries.query(inner, self._queries.define(node.args.get("with_"), ctes, outer), outer)
        if any(node.args.get(part) for part in ("order", "limit", "offset")):
            if columns.protected:
                raise misused(columns.protected)
            self._queries.arrange(node, columns, ctes, outer)
        self._add(scope, node, "", Source(columns))
        return weight

    def _lateral(self, node: exp.Lateral, scope: Scope, ctes: Ctes) -> int:
        inner = node.this
        if isinstance(inner, exp.Subquery):
            columns, weight = self._queries.query(inner, ctes, scope)
            if columns.protected:
                raise misused(columns.protected)
            self._add(scope, node, "", Source(columns))
            return weight
        if isinstance(inner, exp.Unnest):
            check_parts(inner)
            label = self._expressions.check_all(inner.expressions, ctes, scope)
            self._computed("unnest", label, node, scope, place=inner.args.get("offset") or node.args.get("ordinality"))
        elif isinstance(inner, exp.Anonymous):
            label = self._checked(inner, scope, ctes)
            self._computed(inner.name.lower(), label, node, scope, place=node.args.get("ordinality"))
        else:
            raise refuse_part("lateral")
        return 0

    def _table(self, node: exp.Table, scope: Scope, ctes: Ctes) -> int:
        names = tuple(part.name for part in node.parts)
        folded = tuple(fold_identifier(part, self._dialect) for part in node.parts)
        cte = ctes.get(folded[0]) if len(names) == 1 else None
        if cte is not None:
            cte.readers.append(node)
            self._add(scope, node, folded[0], Source(cte.columns))
            return cte.weight
        governed = self._visible.find(names)
        if governed is None or not all(names):
            raise unresolved(names[-1], [*list(self._visible.names)[:2000], *ctes])
        leaf = Leaf(node, governed)
        path = () if node.alias else folded[:-1]
        self._add(scope, node, folded[-1], Source(self._columns(leaf), path))
        self._expressions.found.leaves.append(leaf)
        return 1

    def _columns(self, leaf: Leaf) -> Columns:
        """A base relation's columns as this caller may use them."""
        governed, found = leaf.governed, []
        unreadable = shadowed(governed.source, self._dialect)
        for info in governed.relation.columns:
            if info.name in unreadable:
                continue
            rule = governed.columns.get(info.name)
            origin = frozenset({(governed.relation.name, info.name)})
            label = Label(direct=origin) if rule is None else _ruled(leaf, info.name, rule, origin)
            found.append(Column(fold(info.name, self._dialect, is_quoted=True), label, info.name))
        return Columns(tuple(found))

    def _function(self, node: exp.Table, scope: Scope, ctes: Ctes) -> int:
        if not isinstance(node.this, exp.Anonymous) or node.args.get("db"):
            raise unresolved()
        label = self._checked(node.this, scope, ctes)
        self._computed(node.this.name.lower(), label, node, scope, place=node.args.get("ordinality"))
        return 0

    def _checked(self, call: exp.Anonymous, scope: Scope, ctes: Ctes) -> Label:
        if call.name.lower() not in TABLE_FUNCTIONS[self._dialect]:
            raise QueryUnauthorized(
                "Access denied: the query reads from a function that is not allowed in FROM.",
                hint="Read tables by their names; list_tables shows them.",
            )
        check_series(call)
        return self._expressions.check_all(call.expressions, ctes, scope)

    def _computed(
        self, name: str, label: Label, node: exp.Expr, scope: Scope, *, place: exp.Expr | bool | None = None
    ) -> None:
        """What a function gives is called as the function or as its alias; `place` is its WITH ORDINALITY."""
        alias = node.args.get("alias")
        own = fold_identifier(alias.this, self._dialect) if alias is not None and alias.this is not None else ""
        # DuckDB takes an alias for the whole row of the function, PostgreSQL for its column.
        named = [Column(own, label)] if own and own != name and not node.alias_column_names else []
        if self._dialect == "spark":
            names = node.alias_column_names or SPARK_COLUMNS.get(name, ("",))
            items = tuple(Column(fold(item, "spark"), label) for item in names)
            scope.influence |= label.origins
            self._add(scope, node, name, Source(Columns(items, label.indirect or NOTHING), is_exact=False))
            return
        is_struct = label is not PLAIN and self._dialect == "postgres"
        # sqlglot takes the last of the alias's columns for the ordinality's name, where it knows the function.
        number = fold_identifier(place, self._dialect) if isinstance(place, exp.Expr) else "ordinality"
        counted = [Column(number, label)] if place else []
        columns = Columns((Column(name, label), *named, *counted), label.indirect or NOTHING, is_open=is_struct)
        scope.influence |= label.origins
        self._add(scope, node, name, Source(columns, is_exact=False))

    def _add(self, scope: Scope, node: exp.Expr, name: str, source: Source) -> None:
        """Put a source into the scope, under its alias where it has one."""
        alias = node.args.get("alias")
        key = fold_identifier(alias.this, self._dialect) if alias is not None and alias.this is not None else name
        key = key or f"?{len(scope.sources)}"
        source.columns = source.columns.renamed(column_aliases(alias, self._dialect))
        if key in scope.sources:
            raise QueryUnauthorized(
                "Access denied: two tables of one FROM have the same name.", hint="Give each an alias of its own."
            )
        scope.add(key, source)


def _ruled(leaf: Leaf, column: str, rule: ColumnRule, origin: frozenset[tuple[str, str]]) -> Label:
    if rule.privacy == "aggregate_only":
        least = max(rule.min_group, leaf.governed.min_group, MIN_GROUP)
        return Label(direct=origin, protected=Protected(leaf, column, least))
    if rule.privacy == "masked":
        return Label(is_masked=True, direct=origin)
    return Label(direct=origin)


def _find(scope: Scope, aliases: set[str], name: str) -> Label | None:
    sources = [source for alias, source in scope.sources.items() if alias in aliases]
    found = [label for source in sources if (label := source.find(name) or source.unnamed())]
    return union(found) if found else None


def _merge_in_row(name: str, left: set[str], added: set[str], scope: Scope) -> None:
    """One column stands for both in `*`, where the left one was; PostgreSQL and Spark put it first."""
    label = union(column.label for alias, column in scope.row if alias in left | added and column.name == name)
    row = []
    for alias, column in scope.row:
        if column.name != name or alias not in left | added:
            row.append((alias, column))
        elif alias not in added:
            row.append((alias, column.labelled(label)))
    if scope.dialect in ("postgres", "spark"):
        row.sort(key=lambda entry: not (entry[1].name == name and entry[0] in left))
    scope.row = row
    scope.merged.add(name)


def _leave_out(aliases: set[str], scope: Scope) -> None:
    """After a semi or anti join the right side is gone."""
    for alias in aliases:
        del scope.sources[alias]
    scope.row = [(alias, column) for alias, column in scope.row if alias not in aliases]
