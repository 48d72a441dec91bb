"""Aggregate-only columns: which aggregates may read them, and how groups that are too small are taken out.

Every such aggregate is replaced, where it stands, by one that is NULL unless its group is large enough. So all
that comes after it, such as HAVING, ORDER BY and outer queries, sees only what may be seen."""

import secrets
from dataclasses import dataclass

from sqlglot import exp

from core.errors import QueryUnauthorized
from engine.sql.labels import Block, Leaf, Protected, Use
from engine.sql.scopes import Source

# They say something of all values together. The least, the first or the most frequent value would be one of them.
_AGGREGATES = "count sum avg mean favg fsum kahan_sum sumkahan stddev stddev_pop stddev_samp variance var_pop var_samp"
AGGREGATES = frozenset(_AGGREGATES.split())
# What differs each time it is computed: a group could be checked with other rows than it is computed from.
_VOLATILE = "random gen_random_uuid uuid uuidv4 uuidv7 reservoir_quantile clock_timestamp randomblob rand randn shuffle"
VOLATILE = frozenset(_VOLATILE.split())
# Calls in a select list that repeat its rows.
_SPREADING = "unnest explode explode_outer posexplode posexplode_outer inline inline_outer"
SPREADING = frozenset(_SPREADING.split())  # and that can be more than one column
REPEATING = SPREADING | {"generate_series"}
_BATCH = secrets.token_hex(8)  # nobody can guess the names made of it, so no query can use them
Star = tuple[exp.Star, list[tuple[str, Source]]]
MAX_STEPS = 4
MAX_CONSTANT = 1e15
MIN_CONSTANT = 1e-15
MIN_GROUP = 2  # a group of one would be the value itself


@dataclass(frozen=True, slots=True)
class Argument:
    """The column inside an aggregate; `is_computed` when arithmetic with constants stands around it."""

    column: exp.Column
    is_computed: bool


def aggregate_argument(call: exp.Anonymous) -> Argument | None:
    """The column that an allowed aggregate reads, alone or in plain arithmetic; None for any other call."""
    if call.name.lower() not in AGGREGATES or len(call.expressions) != 1:
        return None
    node = call.expressions[0]
    if isinstance(node, exp.Distinct) and call.name.lower() == "count":
        node = node.expressions[0] if len(node.expressions) == 1 and not node.args.get("on") else node
    steps = 0
    while steps <= MAX_STEPS:
        if isinstance(node, exp.Column):
            return None if isinstance(node.this, exp.Star) else Argument(node, steps > 0)
        if not isinstance(node, exp.Paren):
            steps += 1
        inner = _operand(node)
        if inner is None:
            return None
        node = inner
    return None


def _operand(node: exp.Expr) -> exp.Expr | None:
    """What a step of arithmetic is done to. Others could fail, or say of one row whether it is above a value."""
    is_cast = isinstance(node, exp.Cast) and not isinstance(node, exp.TryCast) and node.to.this is exp.DType.DOUBLE
    if is_cast or isinstance(node, (exp.Paren, exp.Neg)):
        inner: exp.Expr = node.this
        return inner
    if isinstance(node, (exp.Add, exp.Sub, exp.Mul, exp.Div)) and _is_constant(node.right):
        return node.left
    if isinstance(node, (exp.Add, exp.Sub, exp.Mul)) and _is_constant(node.left):
        return node.right
    return None


def _is_constant(node: exp.Expr) -> bool:
    if isinstance(node, (exp.Paren, exp.Neg)):
        return _is_constant(node.this)
    if not isinstance(node, exp.Literal) or node.is_string:
        return False
    try:
        return MIN_CONSTANT <= abs(float(node.this)) <= MAX_CONSTANT
    except ValueError:
        return False


def check_block(block: Block, *, is_correlated: bool) -> None:
    """Raises QueryUnauthorized for a select whose groups cannot be told to be large enough."""
    select = block.select
    group = select.args.get("group")
    if is_correlated:
        raise _refuse("that depends on an outer query", "Join, and group by what you would compare with.")
    if select.args.get("sample"):
        raise _refuse("with a sample", "Leave the sample out.")
    if group is not None and group.find(exp.Rollup, exp.Cube, exp.GroupingSets):
        raise _refuse("with ROLLUP, CUBE or GROUPING SETS", "Group once per statement, by plain columns.")


def check_volatile(tree: exp.Expr) -> None:
    """Raises QueryUnauthorized when a statement with such aggregates could see other rows at each look."""
    if any(call.name.lower() in VOLATILE for call in tree.find_all(exp.Anonymous)) or tree.find(exp.TableSample):
        raise _refuse("with random values or samples", "Leave them out.")


def repeats(select: exp.Select) -> bool:
    """Whether one row of a table may be several in this select."""
    sources = [*(select.args.get("joins") or []), *(select.args.get("laterals") or [])]
    start = select.args.get("from_")
    if sources or (start is not None and (start.this.args.get("joins") or start.this.args.get("laterals"))):
        return True
    calls = (call.name.lower() for item in select.expressions for call in item.find_all(exp.Anonymous, exp.Unnest))
    return any(name in REPEATING or not name for name in calls)


def _refuse(what: str, hint: str) -> QueryUnauthorized:
    return QueryUnauthorized(f"Access denied: an aggregate-only column is read {what}.", hint=hint)


def suppress(blocks: list[Block], stars: list[Star]) -> list[tuple[exp.Select, exp.Expr]]:
    """Put a check of its group into each aggregate over a protected value.

    Returns for each block what is true of its groups that are large enough."""
    identities = Identities()
    for use in [use for block in blocks for use in block.uses if _needs_identity(use, block)]:
        identities.name(use.protected.leaf, use.protected.carriers)
    for star, sources in stars:
        _leave_out(
            star, [column.label.protected for _, source in sources for column in source.columns.items], identities
        )
    checked: list[tuple[exp.Select, exp.Expr]] = []
    for block in blocks:  # those inside come first, so that what is copied from FROM is complete
        checks = [_check(use, block, identities) for use in block.uses]
        checked.append((block.select, exp.and_(*(check.copy() for check in checks))))
        _name_items(block)
        for use, check in zip(block.uses, checks, strict=True):
            _guard(use, check)
    return checked


def _leave_out(star: exp.Star, covered: list[Protected | None], identities: "Identities") -> None:
    """A star does not show the identities that came to its tables."""
    names = {name for item in covered if item and (name := identities.known(item.leaf, item.carriers))}
    if names:
        star.set("except_", [*(star.args.get("except_") or []), *(exp.column(name) for name in sorted(names))])


def count_suppressed(checked: list[tuple[exp.Select, exp.Expr]]) -> exp.Expr:
    """A query for how many groups are too small, before HAVING and LIMIT and what else chooses among them."""
    total: exp.Expr | None = None
    for select, check in checked:
        inner = select.copy()
        for part in ("with_", "having", "qualify", "order", "limit", "offset", "distinct"):
            inner.set(part, None)
        flag = exp.Case(ifs=[exp.If(this=check, true=exp.Literal.number(0))], default=exp.Literal.number(1))
        inner.append("expressions", exp.alias_(flag, "is_small"))
        where = exp.Where(this=exp.EQ(this=exp.column("is_small"), expression=exp.Literal.number(1)))
        counted = exp.Select(expressions=[exp.Anonymous(this="count", expressions=[exp.Star()])], where=where)
        counted.set("from_", exp.From(this=exp.Subquery(this=inner, alias=exp.TableAlias(this=exp.to_identifier("g")))))
        found = exp.Subquery(this=_within_ctes(counted, select))
        total = found if total is None else exp.Add(this=total, expression=found)
    return exp.Select(expressions=[exp.alias_(total or exp.Literal.number(0), "private_row_count")])


def _within_ctes(query: exp.Select, place: exp.Expr) -> exp.Select:
    """The query with the common table expressions that are known at a place around it."""
    node: exp.Expr | None = place
    passed: exp.CTE | None = None
    while node is not None:
        with_ = node.args.get("with_")
        if with_ is not None:
            known = []
            for cte in with_.expressions:
                if cte is passed:
                    break
                known.append(cte.copy())
            if known:
                kept = exp.With(expressions=known, recursive=with_.args.get("recursive"))
                if query.args.get("with_"):
                    alias = exp.TableAlias(this=exp.to_identifier("q"))
                    start = exp.From(this=exp.Subquery(this=query, alias=alias))
                    query = exp.Select(expressions=[exp.Star()], from_=start)
                query.set("with_", kept)
        if isinstance(node, exp.CTE):
            passed = node
        node = node.parent
    return query


def _needs_identity(use: Use, block: Block) -> bool:
    return block.is_multiplied or use.protected.is_multiplied


def _check(use: Use, block: Block, identities: "Identities") -> exp.Expr:
    """Whether the group stands for enough rows of the table, none of them twice."""
    large = exp.GTE(this=_count(use.column), expression=exp.Literal.number(use.protected.min_group))
    if not _needs_identity(use, block):
        return large
    identity = _reference(identities.name(use.protected.leaf, use.protected.carriers), use.alias)
    present = exp.Not(this=exp.Is(this=use.column.copy(), expression=exp.Null()))
    told_apart = exp.Case(ifs=[exp.If(this=present, true=identity)])
    once: exp.Expr = exp.EQ(this=_count(use.column), expression=_count(exp.Distinct(expressions=[told_apart])))
    if block.overlaps:
        once = exp.Subquery(this=_ungrouped(block.select, once))
    return exp.and_(large, once)


def _ungrouped(select: exp.Select, item: exp.Expr) -> exp.Select:
    """The item over all rows that the select groups."""
    start = exp.Select(expressions=[item])
    for part in ("from_", "joins", "laterals", "where"):
        value = select.args.get(part)
        start.set(part, [each.copy() for each in value] if isinstance(value, list) else value.copy() if value else None)
    return start


def _guard(use: Use, check: exp.Expr) -> None:
    if use.is_computed:
        # Without errors of range, which would tell of a single row whether it is above a constant.
        double = exp.Cast(this=exp.Null(), to=exp.DataType.build("double"))
        use.column.replace(double)
        double.set("this", use.column)
    case = exp.Case(ifs=[exp.If(this=check, true=exp.Null())])
    use.call.replace(case)
    case.args["ifs"][0].set("true", use.call)


def _count(node: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="count", expressions=[node.copy()])


def _reference(name: str, alias: str) -> exp.Column:
    """A column of one item of FROM, which may have no alias."""
    table = None if alias.startswith("?") else exp.to_identifier(alias, quoted=True)
    return exp.Column(this=exp.to_identifier(name), table=table)


class Identities:
    """Names for the identities of rows, which are carried from the leaf to the selects that need them."""

    def __init__(self) -> None:
        self._names: dict[tuple[int, str, str], str] = {}

    def name(self, leaf: Leaf, carriers: tuple[tuple[exp.Select, str], ...]) -> str:
        """What the identity is called after it came through `carriers`."""
        if not carriers:
            if not leaf.identity:
                leaf.identity = self._new((id(leaf), "", ""))
            return leaf.identity
        inner = self.name(leaf, carriers[:-1])
        select, alias = carriers[-1]
        key = (id(select), alias, inner)
        known = self._names.get(key)
        if known is None:
            known = self._new(key)
            select.append("expressions", exp.alias_(_reference(inner, alias), known))
        return known

    def known(self, leaf: Leaf, carriers: tuple[tuple[exp.Select, str], ...]) -> str:
        """The same, or nothing when no aggregate needs it there."""
        if not carriers:
            return leaf.identity
        inner = self.known(leaf, carriers[:-1])
        select, alias = carriers[-1]
        return self._names.get((id(select), alias, inner), "") if inner else ""

    def _new(self, key: tuple[int, str, str]) -> str:
        name = self._names[key] = f"row_{_BATCH}_{len(self._names)}_"
        return name


def _name_items(block: Block) -> None:
    """An item that is not called anything keeps the name that it would have had."""
    calls = {id(use.call) for use in block.uses}
    for item in list(block.select.expressions):
        if isinstance(item, exp.Alias) or not any(id(call) in calls for call in item.find_all(exp.Anonymous)):
            continue
        alias = exp.Alias(this=exp.Null(), alias=exp.to_identifier(item.sql(normalize_functions=False), quoted=True))
        item.replace(alias)
        alias.set("this", item)
