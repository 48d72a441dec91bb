"""Expressions and conditions of a definition as parts of a tree."""

from collections.abc import Callable, Sequence

from pydantic import JsonValue
from sqlglot import exp

from core.errors import Conflict
from engine.sql.definitions import MAX_VALUES, CastTo, Condition, Expression, Measure, On, Order, Over, Query
from engine.sql.functions import ALLOWED
from engine.sql.literals import literal, pattern
from engine.sql.names import Names, Source, column_of

MAX_TERMS = 10_000
CHAIN = 32  # longer chains of AND are nested, so that no reader of the SQL walks thousands of levels
_COMPARISONS: dict[str, type[exp.Binary]] = {
    "eq": exp.EQ,
    "ne": exp.NEQ,
    "lt": exp.LT,
    "le": exp.LTE,
    "gt": exp.GT,
    "ge": exp.GTE,
    "like": exp.Like,
    "not_like": exp.Like,
    "ilike": exp.ILike,
}
_ARITHMETIC: dict[str, type[exp.Binary]] = {
    "+": exp.Add,
    "-": exp.Sub,
    "*": exp.Mul,
    "/": exp.Div,
    "%": exp.Mod,
    "||": exp.DPipe,
}
_CASTS = {
    "text": "TEXT",
    "integer": "INT",
    "bigint": "BIGINT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}
_AGGREGATE_NAMES = """
    count sum avg min max median mode stddev stddev_pop stddev_samp variance var_pop var_samp any_value first last
    list array_agg string_agg group_concat total bool_and bool_or every corr quantile_cont quantile_disc
    approx_count_distinct approx_quantile arg_max arg_min max_by min_by count_if json_agg jsonb_agg
    json_group_array"""
_AGGREGATES = frozenset(_AGGREGATE_NAMES.split())
Subquery = Callable[[Query, Names | None], tuple[exp.Query, dict[str, str]]]


class Terms:
    """Makes the parts of one statement; `columns` collects the columns that they name."""

    def __init__(self, dialect: str, subquery: Subquery):
        self.dialect = dialect
        self._allowed = ALLOWED.get(dialect, frozenset())
        self._subquery = subquery
        self._left = MAX_TERMS
        self.columns: set[str] = set()

    def use(self, source: Source, column: str) -> exp.Column:
        self._spend()
        if source.is_table:
            self.columns.add(column)
        return column_of(source, column)

    def type_of(self, node: exp.Expr, names: Names) -> str:
        """The type of a plain column; empty for anything else."""
        if not isinstance(node, exp.Column):
            return ""
        scope: Names | None = names
        while scope is not None:
            for source in scope.sources:
                if source.alias == node.table:
                    return source.columns.get(node.name, "")
            scope = scope.outer
        return ""

    # Expressions

    def expression(self, item: Expression, names: Names) -> exp.Expr:
        """Raises QueryUnauthorized, Conflict."""
        self._spend()
        if item.column is not None:
            return self.use(*names.find(item.column))
        if item.function is not None:
            return self._call(item.function, item, names)
        if item.operator is not None:
            left, right = (operand(self.expression(arg, names)) for arg in item.args)
            return _ARITHMETIC[item.operator](this=left, expression=right)
        if item.cast is not None:
            return self._cast(item.cast, self.expression(item.args[0], names))
        if item.case is not None:
            branches = [
                exp.If(this=self.condition(branch.when, names), true=self.expression(branch.then, names))
                for branch in item.case
            ]
            default = None if item.otherwise is None else self.expression(item.otherwise, names)
            return exp.Case(ifs=branches, default=default)
        return exp.Null() if item.value is None else literal(item.value, "", "value")

    def measure(self, measure: Measure, names: Names) -> tuple[exp.Expr, str]:
        """The aggregate, and the name it has unless another is given."""
        function, fraction = measure.aggregate, measure.fraction
        if function == "median" and function not in self._allowed:  # PostgreSQL has no function of that name
            function, fraction = "percentile_cont", 0.5
        self._check_function(function)
        argument: exp.Expr = exp.Star()
        if measure.column is not None:
            argument = self.use(*names.find(measure.column))
        elif measure.expression is not None:
            argument = self.expression(measure.expression, names)
        name = f"{measure.aggregate}_{argument.name}" if isinstance(argument, exp.Column) else measure.aggregate
        if measure.distinct:
            argument = exp.Distinct(expressions=[argument])
        call: exp.Expr = exp.Anonymous(this=function, expressions=[argument])
        if fraction is not None:
            call = exp.Anonymous(this=function, expressions=[exp.Literal.number(fraction)])
            call = exp.WithinGroup(this=call, expression=exp.Order(expressions=[exp.Ordered(this=argument)]))
        if measure.filters:
            call = exp.Filter(this=call, expression=exp.Where(this=self.all_of(measure.filters, names)))
        return call, name

    def sort_key(self, order: Order, names: Names) -> exp.Expr:
        if order.expression is not None:
            node = self.expression(order.expression, names)
        else:
            node = self.use(*names.find(order.column or ""))
        if is_constant(node):
            raise Conflict("A query is not sorted by a constant.", hint="Order by a column or an alias.")
        return node

    def aggregates(self, node: exp.Expr) -> bool:
        """Whether an expression is over a whole group, or over a window."""
        calls = node.find_all(exp.Anonymous, exp.Window)
        return any(isinstance(call, exp.Window) or call.name.lower() in _AGGREGATES for call in calls)

    def _call(self, name: str, item: Expression, names: Names) -> exp.Expr:
        self._check_function(name)
        arguments = [self.expression(arg, names) for arg in item.args]
        if name.lower() == "count" and not arguments:
            arguments = [exp.Star()]
        if item.distinct:
            arguments = [exp.Distinct(expressions=arguments)]
        call = exp.Anonymous(this=name.lower(), expressions=arguments)
        return call if item.over is None else self._window(call, item.over, names)

    def _window(self, call: exp.Expr, over: Over, names: Names) -> exp.Window:
        window = exp.Window(this=call, partition_by=[self.expression(item, names) for item in over.partition_by])
        if over.order:
            keys = [
                exp.Ordered(
                    this=self.sort_key(key, names), desc=key.direction == "desc", nulls_first=key.nulls == "first"
                )
                for key in over.order
            ]
            window.set("order", exp.Order(expressions=keys))
        if over.rows_before is not None:
            start = exp.Literal.number(over.rows_before)
            window.set("spec", exp.WindowSpec(kind="ROWS", start=start, start_side="PRECEDING", end="CURRENT ROW"))
        return window

    def _cast(self, wanted: str, node: exp.Expr) -> exp.Expr:
        if self.dialect == "sqlite" and wanted in ("boolean", "date", "timestamp"):
            raise Conflict(f"SQLite has no type {wanted}.", hint="Its dates are texts: compare them as such.")
        return exp.Cast(this=node, to=exp.DataType.build(_CASTS[wanted]))

    def given(self, row: Sequence[JsonValue]) -> list[exp.Expr]:
        """One of some given rows."""
        self._spend()
        return [exp.Null() if value is None else literal(value, "", "values") for value in row]

    def typed(self, node: exp.Expr, wanted: CastTo) -> exp.Expr:
        """A value of that type. SQLite's times are texts."""
        is_as_it_is = self.dialect == "sqlite" and wanted in ("boolean", "date", "timestamp")
        return node if is_as_it_is else exp.Cast(this=node, to=exp.DataType.build(_CASTS[wanted]))

    def _check_function(self, name: str) -> None:
        if name.lower() not in self._allowed:
            raise Conflict(
                f"The connection has no function {name[:64]!r} that may be used.",
                hint="Use a standard scalar, aggregate or window function of the connection's dialect.",
            )

    # Conditions

    def all_of(self, conditions: Sequence[Condition], names: Names, *, in_having: bool = False) -> exp.Expr:
        return chain(exp.And, [self.condition(each, names, in_having=in_having) for each in conditions])

    def pair(self, pair: On, names: Names) -> exp.Expr:
        left, right = self.use(*names.find(pair.left)), self.use(*names.find(pair.right))
        return _COMPARISONS[pair.operator](this=left, expression=right)

    def condition(self, item: Condition, names: Names, *, in_having: bool = False) -> exp.Expr:
        """Raises QueryUnauthorized, Conflict."""
        self._spend()
        if item.all_of is not None:
            return chain(exp.And, [self.condition(each, names, in_having=in_having) for each in item.all_of])
        if item.any_of is not None:
            return chain(exp.Or, [self.condition(each, names, in_having=in_having) for each in item.any_of])
        if item.none_of is not None:
            return exp.Not(this=exp.Paren(this=self.condition(item.none_of, names, in_having=in_having)))
        if item.exists is not None:
            return exp.Exists(this=self._subquery(item.exists, names)[0])
        return self._comparison(item, names, in_having=in_having)

    def _comparison(self, item: Condition, names: Names, *, in_having: bool) -> exp.Expr:
        where, data_type = item.column or "the expression", ""
        if in_having and item.column is not None and item.column in names.measures:
            left = names.measures[item.column].copy()
        elif item.expression is not None:
            left = self.expression(item.expression, names)
        else:
            source, column = names.find(item.column or "")
            left, data_type = self.use(source, column), source.columns[column]
        left = operand(left)
        if item.operator in ("is_null", "not_null"):
            return _null_test(left, item)
        if item.operator in ("in", "not_in"):
            found = self._in(left, item, data_type, where, names)
            return exp.Not(this=found) if item.operator == "not_in" else found
        if item.operator == "between":
            low, high = self._values(item, data_type, where, count=2)
            return exp.Between(this=left, low=low, high=high)
        made = _COMPARISONS[item.operator or "eq"](this=left, expression=self._right(item, data_type, where, names))
        return exp.Not(this=made) if item.operator == "not_like" else made

    def _right(self, item: Condition, data_type: str, where: str, names: Names) -> exp.Expr:
        if item.other is not None:
            return operand(self.expression(item.other, names))
        if item.query is not None:
            return exp.Subquery(this=self._one_column(item.query, names))
        if item.operator in ("like", "not_like", "ilike"):
            return pattern(item.value, where)
        if item.value is None:
            raise Conflict(
                f"The comparison with {where[:80]!r} lacks a value.", hint="Use is_null or not_null to test for null."
            )
        return literal(item.value, data_type, where)

    def _in(self, left: exp.Expr, item: Condition, data_type: str, where: str, names: Names) -> exp.Expr:
        if item.query is not None:
            return exp.In(this=left, query=exp.Subquery(this=self._one_column(item.query, names)))
        return exp.In(this=left, expressions=self._values(item, data_type, where))

    def _values(self, item: Condition, data_type: str, where: str, *, count: int | None = None) -> list[exp.Expr]:
        values = item.value
        if not isinstance(values, list) or not values or (count is not None and len(values) != count):
            wanted = "one value or more" if count is None else f"{count} values"
            raise Conflict(f"{item.operator} takes a list of {wanted}.", hint="Send them as a JSON array.")
        if len(values) > MAX_VALUES:
            raise Conflict(f"A list holds more than {MAX_VALUES} values.", hint="Put them in a table and join it.")
        self._spend(len(values))
        return [literal(value, data_type, where) for value in values]

    def _one_column(self, query: Query, names: Names) -> exp.Query:
        tree, outputs = self._subquery(query, names)
        if len(outputs) != 1:
            raise Conflict("A query that is compared with selects one column.", hint="Select one item or measure.")
        return tree

    def _spend(self, count: int = 1) -> None:
        self._left -= count
        if self._left < 0:
            raise Conflict(
                f"The definition has more than {MAX_TERMS} parts.", hint="Put long lists in a table and join it."
            )


def chain(kind: type[exp.Connector], parts: list[exp.Expr]) -> exp.Expr:
    """AND or OR over all parts, in groups where there are many."""
    while len(parts) > CHAIN:
        groups = [parts[start : start + CHAIN] for start in range(0, len(parts), CHAIN)]
        parts = [exp.Paren(this=chain(kind, group)) for group in groups]
    if len(parts) == 1:
        return parts[0]
    made, *rest = (exp.Paren(this=part) if isinstance(part, exp.Connector) else part for part in parts)
    for part in rest:
        made = kind(this=made, expression=part)
    return made


def operand(node: exp.Expr) -> exp.Expr:
    """In parentheses where another operator might otherwise take a part of it."""
    is_compound = isinstance(node, (exp.Binary, exp.Not, exp.Neg, exp.Between, exp.In, exp.Case))
    return exp.Paren(this=node) if is_compound else node


def is_constant(node: exp.Expr) -> bool:
    """Whether it is the same in every row, as a literal is."""
    return node.find(exp.Column, exp.Anonymous, exp.Query) is None


def _null_test(left: exp.Expr, item: Condition) -> exp.Expr:
    if item.other is not None or item.query is not None or item.value not in (None, True, False):
        raise Conflict("is_null and not_null compare with nothing.", hint="Leave the value out, or send true or false.")
    test = exp.Is(this=left, expression=exp.Null())
    return exp.Not(this=test) if (item.operator == "not_null") != (item.value is False) else test
