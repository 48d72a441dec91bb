"""Whether a query may be run on rows before a row filter has taken them out, should an engine want to.

Engines move conditions towards the data, past filters that look dearer. A condition that can fail would then
tell by its failing what the rows hold that the caller may not see. A query of nothing but the parts listed
here cannot fail that way: they never fail, or the engine is known to keep them behind what stood before."""

from sqlglot import exp


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STRUCTURE = (
    *(exp.Select, exp.Union, exp.Intersect, exp.Except, exp.Subquery, exp.From, exp.Join, exp.Where, exp.Group),
    *(exp.Having, exp.Qualify, exp.Order, exp.Ordered, exp.Limit, exp.Offset, exp.With, exp.CTE, exp.Table),
    *(exp.TableAlias, exp.Alias, exp.Identifier, exp.Column, exp.Star, exp.Distinct, exp.Values, exp.Tuple),
    *(exp.Window, exp.WindowSpec, exp.Filter, exp.GroupingSets, exp.Rollup, exp.Cube, exp.Var, exp.Interval),
)
_CONDITIONS = (
    *(exp.And, exp.Or, exp.Not, exp.Paren, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Is, exp.In),
    *(exp.Between, exp.Like, exp.ILike, exp.Exists, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Literal, exp.Boolean),
    *(exp.Null, exp.Case, exp.If, exp.DPipe, exp.Placeholder, exp.Anonymous, exp.CurrentDate, exp.Extract),
    *(exp.CurrentTimestamp, exp.DataType, exp.DataTypeParam),
)
# DuckDB keeps these behind the filter, because it knows that they can fail; SQLite's never fail.
_KEPT_BEHIND = (
    *(exp.Cast, exp.TryCast, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.Trim),
    exp.Substring,
)
_CALM = frozenset((*_STRUCTURE, *_CONDITIONS))
_CALM_BY_DIALECT = {
    "duckdb": _CALM.union(_KEPT_BEHIND),
    "sqlite": _CALM.union(_KEPT_BEHIND),
    "postgres": _CALM,
    "spark": frozenset[type[exp.Expr]](),
}
_FUNCTIONS = _words(
    """count sum min max avg stddev stddev_pop stddev_samp variance var_pop var_samp bool_and bool_or any_value
    coalesce nullif lower upper length row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value
    last_value concat greatest least grouping"""
)
_MORE_FUNCTIONS = {
    "duckdb": _words(
        """abs round floor ceil ifnull year month day quarter left right trim ltrim rtrim replace starts_with
        contains count_if median mode first last arg_max arg_min max_by min_by substr substring
        quantile_cont approx_count_distinct string_agg"""
    ),
    "sqlite": _words("ifnull iif substr substring trim ltrim rtrim replace total round instr"),
    "postgres": _words("every string_agg array_agg replace btrim ltrim rtrim"),
}


def is_calm(query: exp.Expr, dialect: str) -> bool:
    """Whether nothing in the query can fail because of what a row holds, ahead of the row filter."""
    kinds = _CALM_BY_DIALECT[dialect]
    functions = _FUNCTIONS | _MORE_FUNCTIONS.get(dialect, frozenset())
    return all(_is_calm(node, kinds, functions, dialect) for node in query.walk())


def _is_calm(node: exp.Expr, kinds: frozenset[type[exp.Expr]], functions: frozenset[str], dialect: str) -> bool:
    if isinstance(node, exp.Anonymous):
        return node.name.lower() in functions
    if dialect == "postgres":
        if isinstance(node, (exp.Cast, exp.TryCast)):
            return isinstance(node.this, exp.Literal)  # tried when the query is planned, whatever the rows
        if isinstance(node, (exp.Like, exp.ILike)):  # a pattern that ends in a backslash fails on rows that fit so far
            return False
    return type(node) in kinds
