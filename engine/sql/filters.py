"""Row filters: expressions of policies, read with our own parser and checked like any other before they are printed."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp

from core.errors import QueryUnauthorized
from engine.connectors.connector import RelationInfo
from engine.policy.rules import RowFilter
from engine.sql.calls import check_call
from engine.sql.dialects import print_sql
from engine.sql.nodes import EXPRESSIONS, check_type, refuse_part
from engine.sql.parse import parse
from engine.sql.scopes import shadowed

PRINCIPAL = "principal"
SOURCE = "governed_source"
MAX_FILTER = 4000
_NOT_HERE: frozenset[type[exp.Expr]] = frozenset(
    {
        *(exp.Placeholder, exp.Window, exp.WindowSpec, exp.Order, exp.Ordered, exp.Filter, exp.WithinGroup),
        *(exp.Distinct, exp.Alias, exp.TableSample, exp.Limit, exp.Offset, exp.Fetch, exp.Group, exp.Having),
        *(exp.Qualify, exp.Where, exp.GroupingSets, exp.Rollup, exp.Cube, exp.IgnoreNulls, exp.RespectNulls),
        *(exp.Exists, exp.Any, exp.All, exp.Kwarg, exp.PropertyEQ),
    }
)
_VOLATILE = frozenset(
    {
        *("random", "uuid", "uuidv4", "uuidv7", "gen_random_uuid", "clock_timestamp"),
        *("likelihood", "likely", "unlikely", "rand", "randn", "shuffle"),
    }
)


@dataclass(frozen=True, slots=True)
class ReadFilter:
    """A filter that was checked: the columns it names, as they are called, and the caller's attributes it reads."""

    tree: exp.Expr
    columns: tuple[str, ...]
    facts: tuple[str, ...]


def read_filter(text: str, relation: RelationInfo, dialect: str, names: Mapping[str, str] | None = None) -> ReadFilter:
    """Raises QueryUnauthorized for what is not one condition over the relation's own columns.

    `names` tells what columns are called now, by their names in lower case when the filter was written."""
    if len(text) > MAX_FILTER:
        raise refuse_part("filter")
    if dialect == "spark" and '"' in text:
        raise QueryUnauthorized(
            "Access denied: in Spark what stands in double quotes is a text.",
            hint="Put texts in single quotes, and names in backticks.",
        )
    tree = parse(f"SELECT 1 WHERE {text}\n", dialect).tree
    where = tree.args.get("where")
    parts = {name for name, value in tree.args.items() if value}
    if not isinstance(tree, exp.Select) or where is None or parts != {"expressions", "where"}:
        raise refuse_part("filter")
    reader = _Reader(relation, dialect, names or {})
    root = exp.Paren(this=where.this)
    reader.read(where.this)
    return ReadFilter(root.this, tuple(sorted(reader.columns)), tuple(sorted(reader.facts)))


def print_filter(
    row_filter: RowFilter,
    relation: RelationInfo,
    facts: Mapping[str, tuple[str, ...]],
    dialect: str,
    source: str = SOURCE,
) -> str:
    """The condition as text for the engine, over the alias `source`, with the caller's attributes as literals."""
    found = read_filter(row_filter.expression, relation, dialect, dict(row_filter.columns))
    if not shadowed(relation, dialect).isdisjoint(found.columns):
        raise refuse_part("filter")
    holder = exp.Paren(this=found.tree)
    for node in list(holder.find_all(exp.Column)):
        if isinstance(node.this, exp.Identifier) and _fact(node) is not None:
            _put_fact(node, facts)
        else:
            _put_column(node, relation, dict(row_filter.columns), source)
    return print_sql(holder, dialect)


class _Reader:
    def __init__(self, relation: RelationInfo, dialect: str, names: Mapping[str, str]):
        self._relation = relation
        self._dialect = dialect
        self._names = names
        self.columns: set[str] = set()
        self.facts: set[str] = set()

    def read(self, node: exp.Expr) -> None:
        if isinstance(node, exp.Column):
            self._column(node)
            return
        if isinstance(node, exp.DataType):
            check_type(node)
            return
        if isinstance(node, exp.Anonymous):
            check_call(node, self._dialect)
            if node.name.lower() in _VOLATILE:
                raise refuse_part("volatile function")
        elif type(node) not in EXPRESSIONS or type(node) in _NOT_HERE:
            raise refuse_part(node.key)
        for child in node.iter_expressions():
            self.read(child)

    def _column(self, node: exp.Column) -> None:
        fact = _fact(node)
        if fact is not None:
            self.facts.add(fact)
            if fact == "roles" and not _is_in_list(node):
                raise QueryUnauthorized(
                    "Access denied: principal.roles is a list.", hint="Write 'finance' IN principal.roles."
                )
            return
        if not isinstance(node.this, exp.Identifier):
            raise refuse_part("star")
        self.columns.add(column_name(self._relation, node.parts[0].name, self._names))


def column_name(relation: RelationInfo, name: str, names: Mapping[str, str]) -> str:
    """The column's exact name. Raises QueryUnauthorized."""
    known = [column.name for column in relation.columns]
    wanted = names.get(name.lower(), name)
    if wanted in known:
        return wanted
    alike = [item for item in known if item.lower() == wanted.lower()]
    if len(alike) != 1:
        raise QueryUnauthorized(
            f"Access denied: the filter names {name[:80]!r}, which is no column of the table.",
            hint="list_columns shows its columns; the caller's attributes are written principal.name.",
        )
    return alike[0]


def _fact(node: exp.Column) -> str | None:
    parts = node.parts
    is_fact = len(parts) == 2 and parts[0].name.lower() == PRINCIPAL
    return parts[1].name if is_fact else None


def _is_in_list(node: exp.Column) -> bool:
    return isinstance(node.parent, exp.In) and node.parent.this is not node


def _put_fact(node: exp.Column, facts: Mapping[str, tuple[str, ...]]) -> None:
    """The caller's value as a literal. In an IN list a value may hold several, with commas between them."""
    name, parent = _fact(node) or "", node.parent
    values = [value for value in facts.get(name, ()) if "\0" not in value]
    if isinstance(parent, exp.In) and parent.this is not node:
        if name not in ("roles", "subject"):
            values = [part.strip() for value in values for part in value.split(",")]
        literals: list[exp.Expr] = [exp.Literal.string(value) for value in values] or [exp.Null()]
        others = [item for item in parent.expressions if item is not node]
        parent.set("field", None)
        parent.set("expressions", [*others, *literals])
        return
    node.replace(exp.Literal.string(values[0]) if len(values) == 1 else exp.Null())


def _put_column(node: exp.Column, relation: RelationInfo, names: Mapping[str, str], source: str) -> None:
    """The column of the source and no other: an alias or a column outside must not take its place."""
    first, *fields = node.parts
    found: exp.Expr = exp.Column(
        this=exp.Identifier(this=column_name(relation, first.name, names), quoted=True),
        table=exp.Identifier(this=source, quoted=True),
    )
    for part in fields:
        found = exp.Dot(this=exp.Paren(this=found), expression=exp.Identifier(this=part.name, quoted=True))
    node.replace(found)
