"""PIVOT and UNPIVOT as the plain queries that they stand for, so that all rules see through them.

A pivoted column becomes an aggregate with FILTER, the other columns `* EXCLUDE (...)` under GROUP BY ALL;
unpivoted columns become two lists that are unnested. DuckDB does the same inside."""

from collections.abc import Iterator, Sequence
from itertools import product

from sqlglot import exp

from core.errors import QueryUnauthorized
from engine.sql.dialects import print_sql
from engine.sql.nodes import refuse_part

DIALECT = "duckdb"
MAX_CELLS = 1000
_CARRIED = ("joins", "laterals", "sample", "with_", "order", "limit", "offset")


def expand_pivots(tree: exp.Expr) -> None:
    """Replace every PIVOT and UNPIVOT of the tree. Raises QueryUnauthorized for forms that need values looked up."""
    for pivot in reversed(list(tree.find_all(exp.Pivot))):  # the innermost first
        holder = pivot.parent
        if isinstance(holder, exp.Subquery) and holder.this is pivot:
            if not isinstance(pivot.this, exp.Expr):
                raise refuse_part("pivot")
            holder.set("this", _expanded(pivot, pivot.this, is_statement=True))
    for node in reversed(list(tree.find_all(exp.Table, exp.Subquery))):
        if node.args.get("pivots"):
            _replace_source(node)


def _replace_source(node: exp.Expr) -> None:
    pivots: list[exp.Pivot] = node.args["pivots"]
    if any(node.args.get(part) for part in _CARRIED if not isinstance(node, exp.Subquery)):
        raise refuse_part("pivot")
    source = node.copy()
    source.set("pivots", None)
    for pivot in pivots:
        select = _expanded(pivot, source, is_statement=False)
        source = exp.Subquery(this=select, alias=pivot.args.get("alias"))
    node.replace(source)


def _expanded(pivot: exp.Pivot, source: exp.Expr, *, is_statement: bool) -> exp.Select:
    if pivot.args.get("default_on_null"):
        raise refuse_part("pivot")
    if pivot.args.get("unpivot"):
        return _unpivoted(pivot, source, is_statement=is_statement)
    return _pivoted(pivot, source, is_statement=is_statement)


# PIVOT


def _pivoted(pivot: exp.Pivot, source: exp.Expr, *, is_statement: bool) -> exp.Select:
    fields = pivot.expressions if is_statement else pivot.args.get("fields") or []
    aggregates = (pivot.args.get("using") if is_statement else pivot.expressions) or [_count()]
    if not fields or not all(isinstance(field, exp.In) and field.expressions for field in fields):
        raise QueryUnauthorized(
            "Access denied: a PIVOT names the values that become columns.",
            hint="Select the distinct values first, then write PIVOT t ON c IN ('a', 'b') USING sum(x).",
        )
    cells = [[_cell(field.this, value) for value in field.expressions] for field in fields]
    if _count_cells(cells) * len(aggregates) > MAX_CELLS:
        raise QueryUnauthorized(
            f"Access denied: the PIVOT makes more than {MAX_CELLS:,} columns.", hint="Pivot over fewer values."
        )
    group = pivot.args.get("group")
    if group is not None:
        kept = [item.copy() for item in group.expressions]
    else:
        used = _names([field.this for field in fields] + aggregates)
        kept = [exp.Star(except_=[exp.to_identifier(name, quoted=True) for name in used])]
    made = [_aggregate(item, cell, len(aggregates)) for cell in product(*cells) for item in aggregates]
    select = exp.Select(expressions=[*kept, *made], from_=exp.From(this=source.copy()))
    select.set("group", group.copy() if group is not None else exp.Group(all=True))
    return select


def _count() -> exp.Expr:
    return exp.Anonymous(this="count", expressions=[exp.Star()])


def _count_cells(cells: Sequence[Sequence[object]]) -> int:
    count = 1
    for values in cells:
        count *= len(values)
    return count


def _cell(column: exp.Expr, value: exp.Expr) -> tuple[str, exp.Expr]:
    """The name of a cell, and the condition for a row to be in it."""
    name = ""
    if isinstance(value, (exp.PivotAlias, exp.Alias)):
        name, value = value.args["alias"].name, value.this
    if isinstance(value, exp.Tuple) and isinstance(column, exp.Tuple):
        parts = [_cell(*pair) for pair in zip(column.expressions, value.expressions, strict=False)]
        if len(column.expressions) != len(value.expressions):
            raise refuse_part("pivot")
        return name or "_".join(part for part, _ in parts), exp.and_(*(test for _, test in parts))
    if isinstance(value, exp.Column) and len(value.parts) == 1:
        value = exp.Literal.string(value.name)  # IN (north, south): DuckDB takes names for texts
    if not isinstance(value, exp.Literal):
        raise QueryUnauthorized(
            "Access denied: the values of a PIVOT are texts or numbers.", hint="Cast the column to VARCHAR first."
        )
    return name or value.this, exp.EQ(this=column.copy(), expression=value.copy())


def _aggregate(item: exp.Expr, cell: tuple[tuple[str, exp.Expr], ...], count: int) -> exp.Expr:
    value = item.this if isinstance(item, exp.Alias) else item
    test = exp.and_(*(condition.copy() for _, condition in cell))
    name = "_".join(part for part, _ in cell)
    if isinstance(item, exp.Alias):
        name += f"_{item.alias}"
    elif count > 1:
        name += f"_{print_sql(value, DIALECT)}"
    filtered = exp.Filter(this=value.copy(), expression=exp.Where(this=test))
    return exp.Alias(this=filtered, alias=exp.to_identifier(name, quoted=True))


# UNPIVOT


def _unpivoted(pivot: exp.Pivot, source: exp.Expr, *, is_statement: bool) -> exp.Select:
    into = pivot.args.get("into")
    if is_statement:
        columns = pivot.expressions or []
        name = into.this if into is not None else exp.to_identifier("name")
        values = into.expressions if into is not None else [exp.to_identifier("value")]
    else:
        fields = pivot.args.get("fields") or []
        columns = fields[0].expressions if len(fields) == 1 and isinstance(fields[0], exp.In) else []
        name, values = fields[0].this if columns else None, pivot.expressions
    rows = [_row(item) for item in columns or []]
    if not rows or any(len(parts) != len(values) for _, parts in rows):
        raise QueryUnauthorized(
            "Access denied: an UNPIVOT names its columns, as many in each group as there are values.",
            hint="Write UNPIVOT t ON a, b INTO NAME n VALUE v.",
        )
    used = [exp.to_identifier(part.name, quoted=True) for _, parts in rows for part in parts]
    outputs = [exp.Star(except_=used), _unnested([exp.Literal.string(label) for label, _ in rows], name)]
    lists = [[parts[place].copy() for _, parts in rows] for place in range(len(values))]
    outputs += [_unnested(items, value) for items, value in zip(lists, values, strict=True)]
    inner = exp.Select(expressions=outputs, from_=exp.From(this=source.copy()))
    if pivot.args.get("include_nulls"):
        return inner
    tests = [exp.Not(this=exp.Is(this=exp.column(value.name, quoted=True), expression=exp.Null())) for value in values]
    return exp.select("*").from_(exp.Subquery(this=inner), copy=False).where(exp.or_(*tests), copy=False)


def _row(item: exp.Expr) -> tuple[str, list[exp.Expr]]:
    """What a row that comes from these columns is called, and the columns."""
    label = ""
    if isinstance(item, (exp.Alias, exp.PivotAlias)):
        label, item = item.args["alias"].name, item.this
    parts = list(item.expressions) if isinstance(item, exp.Tuple) else [item]
    if not all(isinstance(part, (exp.Column, exp.Identifier)) and not part.is_star for part in parts):
        raise QueryUnauthorized(
            "Access denied: UNPIVOT takes names of columns.", hint="Write the columns out: UNPIVOT t ON a, b."
        )
    names = [part.name for part in parts]
    return label or "_".join(names), [exp.column(part.name, quoted=True) for part in parts]


def _unnested(items: Sequence[exp.Expr], name: exp.Expr | None) -> exp.Expr:
    if not isinstance(name, exp.Expr) or not name.name:
        raise refuse_part("unpivot")
    call = exp.Anonymous(this="unnest", expressions=[exp.Array(expressions=list(items))])
    return exp.Alias(this=call, alias=exp.to_identifier(name.name, quoted=True))


def _names(nodes: Sequence[exp.Expr]) -> Iterator[str]:
    columns = (column.name for node in nodes for column in node.find_all(exp.Column) if not column.is_star)
    yield from dict.fromkeys(columns)
