"""A definition as SQL: made as a tree from checked names and typed literals, never by joining texts."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from core.errors import Conflict, QueryUnauthorized
from engine.catalog.views import View
from engine.lake.names import split_name
from engine.policy.rules import Governed
from engine.sql.definitions import Join, Order, Query, Selected, Values
from engine.sql.dialects import print_sql
from engine.sql.names import Names, Source, find_table, quoted
from engine.sql.terms import Terms, is_constant

MAX_SQL_CHARS = 256 * 1024
_SET_OPERATIONS: dict[str, tuple[type[exp.SetOperation], bool]] = {
    "union": (exp.Union, True),
    "union_all": (exp.Union, False),
    "intersect": (exp.Intersect, True),
    "except": (exp.Except, True),
}


@dataclass(frozen=True, slots=True)
class Built:
    """SQL of a dialect, and what it names."""

    sql: str
    tables: list[str]
    columns: list[str]


def build(definition: Query, view: View, dialect: str) -> Built:
    """The SQL of a definition. Raises QueryUnauthorized for names that the caller does not see, Conflict."""
    builder = _Builder(view, dialect)
    try:
        tree, _ = builder.query(definition, None)
        sql = print_sql(tree, dialect)
    except RecursionError:
        raise Conflict("The definition nests too deep.", hint="Nest less.") from None
    if len(sql) > MAX_SQL_CHARS:
        raise Conflict("The SQL of this definition would be too long.", hint="Use fewer conditions, or a join.")
    return Built(sql, sorted(builder.tables), sorted(builder.terms.columns))


def readable(governed: Governed) -> list[str]:
    """The columns whose values the caller may read, masked ones among them."""
    names = [column.name for column in governed.relation.columns]
    return [name for name in names if governed.privacy(name) in ("public", "masked")]


class _Builder:
    def __init__(self, view: View, dialect: str):
        self._view = view
        self._readable: dict[int, list[str]] = {}  # by identity of the source
        self.terms = Terms(dialect, self.query)
        self.tables: set[str] = set()

    def query(self, definition: Query, outer: Names | None) -> tuple[exp.Query, dict[str, str]]:
        """A query, and its columns with their types."""
        names = Names(outer)
        select = exp.Select()
        select.set("from_", exp.From(this=self._source(definition, names)))
        select.set("joins", [self._join(join, names) for join in definition.joins])
        outputs = self._select(select, definition, names)
        if definition.filters:
            select.set("where", exp.Where(this=self.terms.all_of(definition.filters, names)))
        if definition.having:
            select.set("having", exp.Having(this=self._having(select, definition, names)))
        if definition.distinct:
            select.set("distinct", exp.Distinct())
        tree = self._with_set_operations(select, definition, outputs, outer)
        own = Names() if definition.set_operations else names
        self._order(tree, definition, outputs, own)
        return tree, outputs

    # FROM

    def _source(self, item: Query | Join, names: Names) -> exp.Expr:
        """A table, subquery or given rows, put among the names."""
        if item.values is not None:
            return self._given(item.values, item.alias or "v", names)
        if item.table is None:
            assert item.subquery is not None, "the model demands one of both"
            inner, outputs = self.query(item.subquery, names.outer)
            alias = item.alias or "q"
            self._add(names, Source(alias, outputs), list(outputs))
            return exp.Subquery(this=inner, alias=exp.TableAlias(this=quoted(alias)))
        governed = find_table(self._view, item.table)
        parts = split_name(governed.relation.name)
        types = {
            column.name: column.data_type if governed.privacy(column.name) != "masked" else ""
            for column in governed.relation.columns
        }
        source = Source(item.alias or parts[-1], types, () if item.alias else parts[:-1], is_table=True)
        self._add(names, source, readable(governed))
        self.tables.add(governed.relation.name)
        table = exp.Table(**dict(zip(("this", "db", "catalog"), map(quoted, reversed(parts)), strict=False)))
        if len(parts) > 3:
            raise Conflict(
                "A namespace this deep cannot be used in a definition.", hint="Write the SQL and use execute_query."
            )
        if item.alias:
            table.set("alias", exp.TableAlias(this=quoted(item.alias)))
        return table

    def _given(self, given: Values, alias: str, names: Names) -> exp.Subquery:
        """Rows under names of their own: sources differ in how they call the columns of VALUES."""
        rows = [exp.Tuple(expressions=self.terms.given(row)) for row in given.rows]
        called = "col" if self.terms.dialect in ("duckdb", "spark") else "column"
        first = 0 if self.terms.dialect == "duckdb" else 1
        columns = [
            exp.Alias(this=self.terms.typed(exp.column(f"{called}{number}", quoted=True), kind), alias=quoted(name))
            for number, (name, kind) in enumerate(zip(given.columns, given.types, strict=True), first)
        ]
        values = exp.Values(expressions=rows, alias=exp.TableAlias(this=quoted("given")))
        self._add(names, Source(alias, dict.fromkeys(given.columns, "")), list(given.columns))
        inner = exp.Select(expressions=columns, from_=exp.From(this=values))
        return exp.Subquery(this=inner, alias=exp.TableAlias(this=quoted(alias)))

    def _add(self, names: Names, source: Source, columns: list[str]) -> None:
        names.add(source)
        self._readable[id(source)] = columns

    def _join(self, join: Join, names: Names) -> exp.Join:
        item = self._source(join, names)
        made = exp.Join(this=item)
        if join.type in ("left", "right", "full"):
            made.set("side", join.type.upper())
        else:
            made.set("kind", join.type.upper())
        if join.on:
            made.set("on", exp.and_(*(self.terms.pair(pair, names) for pair in join.on), copy=False))
        return made

    # SELECT

    def _select(self, select: exp.Select, definition: Query, names: Names) -> dict[str, str]:
        outputs: dict[str, str] = {}
        items: list[exp.Expr] = []

        def add(node: exp.Expr, alias: str | None, default: str, data_type: str) -> str:
            name = _free(alias or default, outputs, is_chosen=alias is not None)
            outputs[name] = data_type
            is_plain = isinstance(node, exp.Column) and node.name == name
            items.append(node if is_plain else exp.Alias(this=node, alias=quoted(name)))
            return name

        plain = self._plain(definition, names, add)
        measures: dict[str, exp.Expr] = {}
        for measure in definition.measures:
            node, default = self.terms.measure(measure, names)
            measures[add(node, measure.alias, default, "")] = node
        names.measures = measures
        group = [self.terms.expression(item, names) for item in definition.group]
        if not group and (measures or definition.having):
            group = [node.copy() for node in plain if not (is_constant(node) or self.terms.aggregates(node))]
        if any(is_constant(node) for node in group):
            raise Conflict("A query is not grouped by a constant.", hint="Leave it out of group.")
        select.set("expressions", items)
        if group:
            select.set("group", exp.Group(expressions=group))
        return outputs

    def _plain(
        self, definition: Query, names: Names, add: Callable[[exp.Expr, str | None, str, str], str]
    ) -> list[exp.Expr]:
        """The items that are no measures; without any item, every column that can be read."""
        made = []
        for item in definition.select:
            node = self.terms.expression(item, names)
            add(node, item.alias, _default_name(item, node), self.terms.type_of(node, names))
            made.append(node)
        if definition.select or definition.measures:
            return made
        for source in names.sources:
            for column in self._readable[id(source)]:
                add(self.terms.use(source, column), None, column, source.columns[column])
        if not names.sources or not any(self._readable[id(source)] for source in names.sources):
            raise QueryUnauthorized(hint="None of the columns can be read as values; ask for measures.")
        return made

    def _having(self, select: exp.Select, definition: Query, names: Names) -> exp.Expr:
        if not definition.measures and select.args.get("group") is None:
            raise Conflict("having needs measures or a group.", hint="Conditions on rows go under filters.")
        return self.terms.all_of(definition.having, names, in_having=True)

    # What follows

    def _with_set_operations(
        self, tree: exp.Query, definition: Query, outputs: dict[str, str], outer: Names | None
    ) -> exp.Query:
        for number, operation in enumerate(definition.set_operations):
            right, columns = self.query(operation.query, outer)
            if len(columns) != len(outputs):
                raise Conflict(
                    f"The queries around {operation.type} have different numbers of columns.",
                    hint="Select the same columns in each.",
                )
            if number or tree.args.get("order"):
                tree = _wrapped(tree, f"left_{number}")
            if not isinstance(right, exp.Select) or right.args.get("order") or right.args.get("limit"):
                right = _wrapped(right, f"right_{number}")
            kind, is_distinct = _SET_OPERATIONS[operation.type]
            tree = kind(this=tree, expression=right, distinct=is_distinct)
        return tree

    def _order(self, tree: exp.Query, definition: Query, outputs: dict[str, str], names: Names) -> None:
        keys = [self._key(order, outputs, names) for order in definition.order]
        if keys:
            tree.set("order", exp.Order(expressions=keys))
        if definition.limit is not None:
            tree.set("limit", exp.Limit(expression=exp.Literal.number(definition.limit)))
        if definition.offset:
            tree.set("offset", exp.Offset(expression=exp.Literal.number(definition.offset)))

    def _key(self, order: Order, outputs: dict[str, str], names: Names) -> exp.Ordered:
        if order.column is not None and order.column in outputs:
            node: exp.Expr = exp.Column(this=quoted(order.column))
        else:
            node = self.terms.sort_key(order, names)
        return exp.Ordered(this=node, desc=order.direction == "desc", nulls_first=order.nulls == "first")


def _default_name(item: Selected, node: exp.Expr) -> str:
    if isinstance(node, exp.Column):
        return node.name
    return item.function or item.cast or "value"


def _free(name: str, taken: dict[str, str], *, is_chosen: bool) -> str:
    """The name, or name_2 and so on where it is taken and nobody chose it."""
    lowered = {known.lower() for known in taken}
    if name.lower() not in lowered:
        return name
    if is_chosen:
        raise Conflict(f"Two columns of the query are called {name[:80]!r}.", hint="Give each its own alias.")
    return next(made for number in range(2, len(taken) + 3) if (made := f"{name}_{number}").lower() not in lowered)


def _wrapped(tree: exp.Query, alias: str) -> exp.Select:
    """`SELECT * FROM (...)`: not every dialect takes parentheses around one side of a set operation."""
    inner = exp.Subquery(this=tree, alias=exp.TableAlias(this=quoted(alias)))
    return exp.Select(expressions=[exp.Star()], from_=exp.From(this=inner))
