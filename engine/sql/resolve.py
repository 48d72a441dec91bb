"""Resolves every relation and column of a query against what its caller may see; whatever is left over is refused.

Each value gets a label on the way: the base columns it comes from, and how private they are. Unknown and
invisible are one thing here, with one text, so that a refusal tells nothing."""

from sqlglot import exp

from engine.sql.aggregates import SPREADING, check_block, check_volatile, repeats
from engine.sql.expressions import Expressions, Resolved
from engine.sql.labels import PLAIN, Block, Column, Columns, Label, Protected, misused, union
from engine.sql.nodes import PARTS, check_parts, refuse_part
from engine.sql.parse import too_complex
from engine.sql.relations import Relations, Visible, Weighed
from engine.sql.scopes import Cte, Ctes, Scope, Source, column_aliases, fold_identifier
from engine.sql.stars import expand, star_of
from engine.sql.wildcards import MAX_SPREAD, spread, write_out

MAX_TABLES_READ = 300
_ARRANGED = ("order", "limit", "offset", "sample")
# What may not stand between an aggregate-only column and the aggregate that reads it.
_CHANGES_ROWS = ("distinct", "group", "having", "qualify", "windows", "limit", "offset", "sample")


def resolve(query: exp.Query, visible: Visible, dialect: str) -> Resolved:
    """Raises QueryUnauthorized for anything that is not known, visible and allowed."""
    resolver = _Resolver(visible, dialect)
    try:
        output, _ = resolver.query(query, {}, None)
    except RecursionError:
        raise too_complex() from None
    if output.protected:
        raise misused(output.protected)
    if resolver.found.blocks:
        check_volatile(query)
    resolver.found.output = output
    return resolver.found


class _Resolver:
    def __init__(self, visible: Visible, dialect: str):
        self._dialect = dialect
        self._spread_count = 0
        self.found = Resolved()
        self._expressions = Expressions(dialect, self.found, lambda node, ctes, scope: self.query(node, ctes, scope)[0])
        self._relations = Relations(visible, dialect, self._expressions, self)

    # Queries. Each returns its columns and how many tables reading it once reads.

    def query(self, node: exp.Expr, ctes: Ctes, outer: Scope | None) -> Weighed:
        if type(node) not in PARTS:
            raise refuse_part(node.key)
        check_parts(node)
        ctes = self.define(node.args.get("with_"), ctes, outer)
        if isinstance(node, exp.Select):
            return self._select(node, ctes, outer)
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, ctes, outer)
        if isinstance(node, exp.Subquery) and not isinstance(node.this, exp.Table):
            columns, weight = self.query(node.this, ctes, outer)
            if columns.protected and any(node.args.get(part) for part in _ARRANGED):
                raise misused(columns.protected)
            self.arrange(node, columns, ctes, outer)
            return columns, weight
        if isinstance(node, exp.Values):
            return self._values(node, ctes, outer), 0
        raise refuse_part(node.key)

    def _values(self, node: exp.Values, ctes: Ctes, outer: Scope | None) -> Columns:
        scope = Scope(self._dialect, outer)
        columns: list[Label] = []
        for row in node.expressions:
            for position, item in enumerate(row.expressions):
                label = self._expressions.check(item, ctes, scope)
                if position == len(columns):
                    columns.append(PLAIN)
                columns[position] = columns[position].plus(label)
        start = 0 if self._dialect == "duckdb" else 1
        prefix = "col" if self._dialect in ("duckdb", "spark") else "column"
        return Columns(tuple(Column(f"{prefix}{place + start}", label) for place, label in enumerate(columns)))

    def define(self, node: exp.With | None, ctes: Ctes, outer: Scope | None) -> Ctes:
        """The common table expressions that are known after WITH."""
        if node is None:
            return ctes
        check_parts(node)
        known = dict(ctes)
        for item in node.expressions:
            check_parts(item)
            name = fold_identifier(item.args["alias"].this, self._dialect)
            aliases = column_aliases(item.args["alias"], self._dialect)
            is_recursive = node.args.get("recursive") and isinstance(item.this, exp.SetOperation)
            if is_recursive:
                known[name] = self._recursive(item, name, aliases, known, outer)
            else:
                columns, weight = self.query(item.this, known, outer)
                known[name] = Cte(columns.renamed(aliases), self._bounded(weight))
                self.found.ctes.append((item, known[name]))
        return known

    def _recursive(
        self, item: exp.CTE, name: str, aliases: list[tuple[str, str]], known: Ctes, outer: Scope | None
    ) -> Cte:
        """Only the part after UNION reads the query itself: before it, the name is that of another relation."""
        check_parts(item.this)
        inner = self.define(item.this.args.get("with_"), known, outer)
        anchor, weight = self.query(item.this.this, inner, outer)
        own = Cte(anchor.renamed(aliases), 1)
        step, more = self.query(item.this.expression, {**inner, name: own}, outer)
        # What the first round's values depend on, a later round may put into any of its columns.
        again = Cte(_aligned(anchor, step, is_recursive=True).renamed(aliases), 1, own.readers)
        self.arrange(item.this, again.columns, inner, outer)
        again.weight = self._bounded(weight + more)
        self.found.ctes.append((item, again))
        return again

    def _set_operation(self, node: exp.SetOperation, ctes: Ctes, outer: Scope | None) -> Weighed:
        left, left_weight = self.query(node.this, ctes, outer)
        right, right_weight = self.query(node.expression, ctes, outer)
        columns = _by_name(left, right) if node.args.get("by_name") else _aligned(left, right)
        self.arrange(node, columns, ctes, outer, also=right)
        return columns, self._bounded(left_weight + right_weight)

    def arrange(
        self, node: exp.Expr, columns: Columns, ctes: Ctes, outer: Scope | None, *, also: Columns | None = None
    ) -> None:
        """ORDER BY, LIMIT and OFFSET after a query see its result's columns; of a union, those of both sides."""
        scope = Scope(self._dialect, outer, {"": Source(columns)})
        if also is not None:
            scope.sources[" "] = Source(also)
        self._expressions.decide([node.args.get(part) for part in _ARRANGED], ctes, scope)

    def _select(self, node: exp.Select, ctes: Ctes, outer: Scope | None) -> Weighed:
        scope = Scope(self._dialect, outer, block=Block(node))
        weight = self._relations.read(node, scope, ctes)
        items = self._items(node, scope, ctes)
        for name in ("where", "group", "having", "qualify", "windows", "limit", "offset", "sample"):
            scope.clause = name
            parts = node.args.get(name)
            self._expressions.decide(parts if isinstance(parts, list) else [parts], ctes, scope)
        self._sorted_by(node.args.get("order"), "order", ctes, scope)
        distinct = node.args.get("distinct")
        if distinct is not None:
            check_distinct = distinct.args.get("on")
            self._sorted_by(check_distinct, "distinct", ctes, scope)
        columns = self._outputs(node, items, scope)
        self._finish(node, scope)
        return columns, self._bounded(weight)

    def _items(self, node: exp.Select, scope: Scope, ctes: Ctes) -> list[Column]:
        """The select list; DuckDB's later items may use the aliases of earlier ones."""
        scope.clause = "expressions"
        scope.later = {fold_identifier(item.args["alias"], self._dialect) for item in node.expressions if item.alias}
        found: list[Column] = []
        written: list[exp.Expr] = []
        for item in self._spread(node.expressions, scope):
            star = star_of(item)
            if star is not None:
                columns, items = self._starred(item, star, scope, ctes)
                found += columns
                written += items
                continue
            written.append(item)
            label = self._item(item, scope, ctes)
            name = shown = ""
            if isinstance(item, exp.Alias):
                name, shown = fold_identifier(item.args["alias"], self._dialect), item.alias
                scope.aliases.setdefault(name, label)
                scope.later.discard(name)
            elif isinstance(item, exp.Column):
                name = fold_identifier(item.this, self._dialect)
                shown = next((column.title for _, column in scope.row if column.name == name), item.name)
            if name:
                scope.outputs.setdefault(name, label)
            found.append(Column(name, label, shown))
        node.set("expressions", written)
        return found

    def _spread(self, items: list[exp.Expr], scope: Scope) -> list[exp.Expr]:
        """The items with what COLUMNS and patterns stand for in their places."""
        found: list[exp.Expr] = []
        for item in items:
            several = spread(item, scope)
            found += [item] if several is None else several
            self._spread_count += len(several or ())
            if self._spread_count > MAX_SPREAD:
                raise too_complex()
        return found

    def _starred(self, item: exp.Expr, star: exp.Star, scope: Scope, ctes: Ctes) -> tuple[list[Column], list[exp.Expr]]:
        """The columns of a star, and what is written in its place."""
        chosen, covered = expand(item, star, scope, lambda part: self._expressions.check(part, ctes, scope))
        columns = [entry.column for entry in chosen]
        self.found.origins.update(origin for column in columns for origin in column.label.direct)
        items = write_out(star, chosen, scope)
        if items is None:
            self.found.stars.append((star, covered))
        return columns, [item] if items is None else items

    def _item(self, item: exp.Expr, scope: Scope, ctes: Ctes) -> Label:
        """One item of a select list; a column that stands there alone may be aggregate-only, for a query outside."""
        value = item.this if isinstance(item, exp.Alias) else item
        if not isinstance(value, exp.Column):
            return self._expressions.check(item, ctes, scope)
        found = self._expressions.raw(value, scope)
        protected = found.label.protected
        if protected is None:
            return found.label
        source = scope.sources.get(found.alias)
        if source is None or source.is_sampled:
            raise misused(protected)
        carried = protected.through(scope.block.select, found.alias, is_multiplied=False) if scope.block else protected
        return Label(found.label.is_masked, found.label.direct, found.label.indirect, carried)

    def _sorted_by(self, node: exp.Expr | None, clause: str, ctes: Ctes, scope: Scope) -> None:
        """In ORDER BY and DISTINCT ON a name that stands alone is first one of the select list."""
        if node is None:
            return
        scope.clause = clause
        for item in node.expressions if isinstance(node, (exp.Order, exp.Tuple)) else [node]:
            value = item.this if isinstance(item, exp.Ordered) else item
            label = None
            if isinstance(value, exp.Column) and len(value.parts) == 1:
                label = scope.outputs.get(fold_identifier(value.this, self._dialect))
            if label is None:
                self._expressions.decide([item], ctes, scope)
            elif label.protected:
                raise misused(label.protected)
            else:
                scope.influence |= label.origins

    def _outputs(self, node: exp.Select, items: list[Column], scope: Scope) -> Columns:
        self.found.origins |= scope.influence
        influence = frozenset(scope.influence)
        is_open = any(
            call.name.lower() in SPREADING for item in node.expressions for call in item.find_all(exp.Anonymous)
        )
        columns = Columns(tuple(items), influence, is_open=is_open)
        protected = columns.protected
        if protected is None:
            return _deduplicated(columns, self._dialect)
        if scope.is_correlated or any(node.args.get(part) for part in _CHANGES_ROWS):
            raise misused(protected)
        if any(item.find(exp.Window) for item in node.expressions):
            raise misused(protected)
        is_multiplied = repeats(node) or not all(_is_column(item) for item in node.expressions)
        carried = tuple(item.labelled(_multiplied(item.label, is_multiplied)) for item in items)
        return _deduplicated(Columns(carried, influence, is_open), self._dialect)

    def _finish(self, node: exp.Select, scope: Scope) -> None:
        """Check the aggregates over aggregate-only columns, now that all of their select is known."""
        block = scope.block
        if block is None or not block.uses:
            return
        check_block(block, is_correlated=scope.is_correlated)
        block.is_multiplied = repeats(node)
        block.overlaps = node.args.get("group") is not None and not _is_one_group_each(block, scope, self._dialect)
        if block.overlaps and scope.filters_by_alias:
            raise refuse_part("alias in WHERE")
        self.found.blocks.append(block)

    def _bounded(self, weight: int) -> int:
        """CTEs that read each other multiply: 30 lines can ask for a billion tables."""
        if weight > MAX_TABLES_READ:
            raise too_complex()
        return weight


def _is_column(item: exp.Expr) -> bool:
    return isinstance(item.this if isinstance(item, exp.Alias) else item, exp.Column)


def _multiplied(label: Label, is_multiplied: bool) -> Label:
    protected = label.protected
    if protected is None or not is_multiplied:
        return label
    *before, (select, alias) = protected.carriers
    carried = Protected(protected.leaf, protected.column, protected.min_group, (*before, (select, alias)), True)
    return Label(label.is_masked, label.direct, label.indirect, carried)


def _is_one_group_each(block: Block, scope: Scope, dialect: str) -> bool:
    """Whether a row is in one group only: it is not repeated, or all keys are columns of its own source."""
    if not block.is_multiplied and not any(use.protected.is_multiplied for use in block.uses):
        return True
    aliases = {use.alias for use in block.uses}
    if len(aliases) != 1 or any(use.protected.is_multiplied for use in block.uses):
        return False
    group = block.select.args["group"]
    if group.args.get("all") or not group.expressions:
        return False
    return all(_key_source(key, block.select, scope, dialect) in aliases for key in group.expressions)


def _key_source(key: exp.Expr, select: exp.Select, scope: Scope, dialect: str) -> str:
    """The item of FROM that a plain key is a column of."""
    if isinstance(key, exp.Literal) and key.is_int and 0 < int(key.this) <= len(select.expressions):
        key = select.expressions[int(key.this) - 1]
        key = key.this if isinstance(key, exp.Alias) else key
    if not isinstance(key, exp.Column) or isinstance(key.this, exp.Star):
        return ""
    parts = [fold_identifier(part, dialect) for part in key.parts]
    found = scope.find(parts[0]) if len(parts) == 1 else (scope.find_qualified(parts) or (None,))[0]
    return found.alias if found else ""


def _aligned(left: Columns, right: Columns, *, is_recursive: bool = False) -> Columns:
    """A set operation's columns by position, with the names of its left side."""
    protected = left.protected or right.protected
    if protected:
        raise misused(protected)
    pairs = zip(left.items, right.items, strict=False)
    influence = left.influence | right.influence
    if is_recursive or left.is_open or right.is_open:
        everything = union(item.label for item in (*left.items, *right.items))
        items = tuple(item.labelled(item.label.plus(everything)) for item in left.items)
    else:
        items = tuple(item.labelled(item.label.plus(other.label)) for item, other in pairs)
    return Columns(items, influence, is_open=left.is_open or right.is_open)


def _by_name(left: Columns, right: Columns) -> Columns:
    protected = left.protected or right.protected
    if protected:
        raise misused(protected)
    given = {item.name: item.label for item in right.items}
    items = [item.labelled(item.label.plus(given.pop(item.name, PLAIN))) for item in left.items]
    items += [Column(name, label) for name, label in given.items()]
    return Columns(tuple(items), left.influence | right.influence, is_open=left.is_open or right.is_open)


def _deduplicated(columns: Columns, dialect: str) -> Columns:
    """DuckDB numbers the second and later columns of one name."""
    names = [item.name for item in columns.items]
    if dialect != "duckdb" or len(set(names)) == len(names):
        return columns
    counts: dict[str, int] = {}
    items = []
    for item in columns.items:
        name, shown = item.name, item.shown
        if name and name in counts:
            counts[name] += 1
            name, shown = f"{name}_{counts[name]}", f"{item.title}_{counts[name]}"
        if name:
            counts.setdefault(name, 0)
        items.append(Column(name, item.label, shown))
    return Columns(tuple(items), columns.influence, columns.is_open)
