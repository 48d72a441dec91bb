"""`COLUMNS(...)`, `* LIKE ...` and stars, written out as the columns that they stand for.

The engine never chooses columns by a pattern: we choose, among those that are visible, by the names they have here."""

import re
from collections.abc import Callable, Sequence

from sqlglot import exp

from core.errors import QueryUnauthorized
from engine.sql.labels import Column
from engine.sql.nodes import refuse_part
from engine.sql.scopes import Scope, fold
from engine.sql.stars import Entry, entries, star_of

MAX_SPREAD = 2000
_GROUP = re.compile(r"\\[0-9]")
_PATTERNS = (exp.Like, exp.ILike, exp.SimilarTo, exp.Glob)
_HINT = "Write COLUMNS(*), COLUMNS('regular expression'), COLUMNS(c -> c LIKE '%x%'), or name the columns."
Test = Callable[[str], bool]


def spread(item: exp.Expr, scope: Scope) -> list[exp.Expr] | None:
    """The items that one of a select list stands for; None for one that is not chosen by COLUMNS or a pattern."""
    if scope.dialect != "duckdb":
        return None
    pattern = _starred(item)
    if pattern is not None:
        return [_reference(entry, scope) for entry in pattern_entries(item, pattern, scope)]
    calls = columns_calls(item)
    if not calls:
        return None
    if any(call != calls[0] for call in calls):
        raise QueryUnauthorized("Access denied: an expression uses COLUMNS in two different ways.", hint=_HINT)
    argument = calls[0].expressions[0] if len(calls[0].expressions) == 1 else None
    chosen = _chosen(argument, scope)
    if not chosen:
        raise QueryUnauthorized("Access denied: COLUMNS stands for no column that you can query.", hint=_HINT)
    return [_filled(item, argument, entry, scope) for entry in chosen]


def columns_calls(item: exp.Expr) -> list[exp.Anonymous]:
    """Every COLUMNS of an expression, but for those in queries inside it."""
    inside = item.walk(prune=lambda node: isinstance(node, exp.Query))
    return [node for node in inside if isinstance(node, exp.Anonymous) and node.name.lower() == "columns"]


def write_out(star: exp.Star, found: Sequence[Entry], scope: Scope) -> list[exp.Expr] | None:
    """References to columns of FROM, named as a star names them; None where only the engine knows all of them."""
    if scope.dialect not in ("duckdb", "postgres") or not 0 < len(found) <= MAX_SPREAD:
        return None
    if any(not source.is_exact or source.unnamed() for source in scope.sources.values()):
        return None
    replaced = [entry.name for entry in found if entry.value is not None]
    if len(set(replaced)) < len(replaced):
        return None  # DuckDB gives only the first of them
    if any(isinstance(node, exp.Column) and node.table for node in star.args.get("except_") or []) and scope.merged:
        return None  # of columns joined by name it leaves out one side only
    items = [_find_reference(entry, scope) for entry in found]
    return None if any(item is None for item in items) else [item for item in items if item is not None]


def _starred(item: exp.Expr) -> exp.Star | None:
    """The star in `* LIKE 'x%'`."""
    star = star_of(item)
    if star is not None:
        return star if star.args.get("ilike") else None
    inner = item.this if isinstance(item, exp.Not) else item
    return star_of(inner.this) if isinstance(inner, _PATTERNS) else None


def pattern_entries(item: exp.Expr, star: exp.Star, scope: Scope) -> list[Entry]:
    inner = item.this if isinstance(item, exp.Not) else item
    if star.args.get("ilike"):
        holder, test = item, _like(star.args["ilike"], is_folded=True)
    else:
        holder, test = inner.this, _pattern(inner)
    is_negated = isinstance(item, exp.Not)
    found = [entry for entry in entries(holder, star, scope) if test(entry.column.title) != is_negated]
    if not found:
        raise QueryUnauthorized("Access denied: no column that you can query has such a name.", hint=_HINT)
    return found


def _chosen(argument: exp.Expr | None, scope: Scope) -> list[Entry]:
    star = star_of(argument) if argument is not None else None
    if argument is not None and star is not None:
        if star.args.get("ilike") or star.args.get("replace"):
            raise refuse_part("columns")
        return entries(argument, star, scope)
    row = entries(exp.Star(), exp.Star(), scope)
    if isinstance(argument, exp.Literal) and argument.is_string:
        matches = _matching(argument.this, [entry.column.title for entry in row], is_partial=True)
        return [entry for entry, is_match in zip(row, matches, strict=True) if is_match]
    if isinstance(argument, exp.Array) and all(_is_text(item) for item in argument.expressions):
        wanted = {fold(item.this, scope.dialect) for item in argument.expressions}
        return [entry for entry in row if entry.column.name in wanted]
    if isinstance(argument, exp.Lambda) and len(argument.expressions) == 1:
        test = _test(argument.this, argument.expressions[0].name)
        return [entry for entry in row if test(entry.column.title)]
    raise QueryUnauthorized("Access denied: COLUMNS is used in a way that is not allowed.", hint=_HINT)


def _filled(item: exp.Expr, argument: exp.Expr | None, entry: Entry, scope: Scope) -> exp.Expr:
    """The item with one column in the place of COLUMNS, under the name that the engine would give it."""
    made, reference = item.copy(), _reference(entry, scope)
    if isinstance(made, exp.Anonymous) and made.name.lower() == "columns":
        return reference
    for call in columns_calls(made):
        bare = reference.this if isinstance(reference, exp.Alias) else reference
        call.replace(bare.copy())
    if not isinstance(made, exp.Alias):
        return exp.Alias(this=made, alias=exp.to_identifier(entry.column.title, quoted=True))
    name = made.args["alias"].name
    if isinstance(argument, exp.Literal) and _GROUP.search(name):
        made.set("alias", exp.to_identifier(_grouped(argument.this, entry.column.title, name), quoted=True))
    return made


def _reference(entry: Entry, scope: Scope) -> exp.Expr:
    found = _find_reference(entry, scope)
    if found is None:
        raise QueryUnauthorized(
            "Access denied: COLUMNS covers columns that cannot be told apart by their names.",
            hint="Give each column of the subqueries in FROM a name of its own.",
        )
    return found


def _find_reference(entry: Entry, scope: Scope) -> exp.Expr | None:
    column, source = entry.column, scope.sources[entry.alias]
    if not entry.name or not source.is_exact or source.unnamed():
        return None
    name = exp.to_identifier(entry.name, quoted=True)
    is_bare = entry.name in scope.merged or entry.alias.startswith("?")
    if is_bare:
        if sum(other.name == entry.name for _, other in scope.row) != 1:
            return None
        found: exp.Expr = exp.Column(this=name)
    elif sum(other.name == entry.name for other in source.columns.items) == 1:
        found = exp.Column(this=name, table=exp.to_identifier(entry.alias, quoted=True))
    else:
        return None
    if entry.value is not None:
        return exp.Alias(this=entry.value, alias=exp.to_identifier(column.title, quoted=True))
    return found if column.name == entry.name else exp.Alias(this=found, alias=_quoted(column))


def _quoted(column: Column) -> exp.Identifier:
    return exp.to_identifier(column.title, quoted=True)


# Names by a pattern. RE2 takes time in proportion to the name, whatever the pattern.


def _matching(pattern: str, names: Sequence[str], *, is_partial: bool) -> list[bool]:
    import pyarrow as pa  # heavy, and few queries have patterns
    import pyarrow.compute as pc

    whole = pattern if is_partial else f"^(?:{pattern})$"
    try:
        found = pc.match_substring_regex(pa.array(names, pa.string()), whole)
    except pa.ArrowInvalid:
        raise QueryUnauthorized(
            "Access denied: the regular expression in COLUMNS cannot be read.", hint="Write it as RE2 does."
        ) from None
    return [bool(item) for item in found.to_pylist()]


def _grouped(pattern: str, name: str, template: str) -> str:
    import pyarrow as pa  # as above
    import pyarrow.compute as pc

    try:
        found = pc.replace_substring_regex(
            pa.array([name], pa.string()), f"^(?s:.*?)(?:{pattern})(?s:.*)$", template, max_replacements=1
        )
    except pa.ArrowInvalid:
        raise QueryUnauthorized(
            "Access denied: the alias of COLUMNS names a group that its expression does not have.", hint=_HINT
        ) from None
    return str(found[0].as_py())


def _is_text(node: exp.Expr | None) -> bool:
    return isinstance(node, exp.Literal) and bool(node.is_string)


def _like(node: exp.Expr | None, *, is_folded: bool = False) -> Test:
    if not isinstance(node, exp.Literal) or not node.is_string:
        raise QueryUnauthorized("Access denied: names are compared with texts.", hint=_HINT)
    parts = {"%": ".*", "_": "."}
    text = "".join(parts.get(letter) or re.escape(letter) for letter in node.this)
    return lambda name: _matching(f"(?s{'i' if is_folded else ''}:{text})", [name], is_partial=False)[0]


def _pattern(node: exp.Expr) -> Test:
    test = _positive(node)
    return (lambda name: not test(name)) if node.args.get("negate") else test


def _positive(node: exp.Expr) -> Test:
    if isinstance(node, (exp.Like, exp.ILike)):
        return _like(node.expression, is_folded=isinstance(node, exp.ILike))
    if not _is_text(node.expression):
        raise QueryUnauthorized("Access denied: names are compared with texts.", hint=_HINT)
    text: str = node.expression.this
    if isinstance(node, exp.SimilarTo):
        return lambda name: _matching(text, [name], is_partial=False)[0]
    if isinstance(node, exp.Glob) and not set(text) & set("[]\\"):
        parts = {"*": ".*", "?": "."}
        glob = "".join(parts.get(letter) or re.escape(letter) for letter in text)
        return lambda name: _matching(f"(?s:{glob})", [name], is_partial=False)[0]
    raise QueryUnauthorized("Access denied: names are compared in a way that is not allowed.", hint=_HINT)


def _test(node: exp.Expr, parameter: str) -> Test:
    """A condition on a name, as a lambda in COLUMNS has it."""
    if isinstance(node, exp.Paren):
        return _test(node.this, parameter)
    if isinstance(node, exp.Not):
        inner = _test(node.this, parameter)
        return lambda name: not inner(name)
    if isinstance(node, (exp.And, exp.Or)):
        left, right = _test(node.left, parameter), _test(node.right, parameter)
        if isinstance(node, exp.And):
            return lambda name: left(name) and right(name)
        return lambda name: left(name) or right(name)
    if node.this is None or not isinstance(node.this, (exp.Identifier, exp.Column)) or node.this.name != parameter:
        raise QueryUnauthorized("Access denied: COLUMNS is used in a way that is not allowed.", hint=_HINT)
    if isinstance(node, _PATTERNS):
        return _pattern(node)
    if isinstance(node, (exp.EQ, exp.NEQ)) and _is_text(node.expression):
        text, is_equal = node.expression.this, isinstance(node, exp.EQ)
        return lambda name: (name == text) == is_equal
    if isinstance(node, exp.In) and node.expressions and all(_is_text(item) for item in node.expressions):
        texts = {item.this for item in node.expressions}
        return lambda name: name in texts
    raise QueryUnauthorized("Access denied: COLUMNS is used in a way that is not allowed.", hint=_HINT)
