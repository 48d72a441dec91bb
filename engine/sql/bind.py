"""A checked query as text for the engine, each base relation replaced, at its leaf, by what the caller may see."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.errors import UnsupportedError

from core.errors import QueryUnauthorized
from engine.policy.rules import Governed
from engine.sql.classify import check_kind
from engine.sql.dialects import print_sql
from engine.sql.expressions import Leaf, Resolved, unresolved
from engine.sql.govern import govern
from engine.sql.parse import parse, too_complex
from engine.sql.resolve import Visible, resolve
from engine.sql.titles import name_outputs

MAX_PUSHED_LIMIT = 1_000_001  # a larger LIMIT would make the engine collect what it could stream


@dataclass(frozen=True, slots=True)
class Prepared:
    """A query that was checked and printed, with a marker in the place of each base relation."""

    template: str
    markers: Mapping[str, Governed]
    parameters: frozenset[str]
    columns: frozenset[str]
    shape: str
    dialect: str

    @property
    def tables(self) -> list[str]:
        return sorted({governed.relation.name for governed in self.markers.values()})

    def fill(self, sources: Mapping[str, str]) -> str:
        """The statement to run, given the FROM item of each table. Raises QueryUnauthorized when one is gone."""
        sql = self.template
        for marker, governed in self.markers.items():
            source = sources.get(governed.source.name)
            if source is None:
                raise unresolved()
            sql = sql.replace(marker, govern(governed, source))
        return sql


def prepare(sql: str, visible: Visible, dialect: str, *, max_rows: int) -> Prepared:
    """Parse, classify, resolve and print. Raises QueryUnauthorized."""
    parsed = parse(sql, dialect)
    query = check_kind(parsed.tree)
    name_outputs(query, dialect)
    found = resolve(query, visible, dialect)
    markers = _mark(found.leaves)
    _limit(query, max_rows + 1)
    if dialect == "postgres":
        _number(query, found)
    try:
        template = print_sql(query, dialect)
    except RecursionError:
        raise too_complex() from None
    except UnsupportedError:
        raise QueryUnauthorized(
            "Access denied: the query uses a form that cannot be carried over safely.",
            hint="Write that part in plain SQL.",
        ) from None
    return Prepared(template, markers, frozenset(found.parameters), frozenset(found.columns), parsed.shape, dialect)


def _mark(leaves: list[Leaf]) -> dict[str, Governed]:
    """Put a name that no query can contain, because nobody can guess it, in the place of each leaf."""
    batch = secrets.token_hex(8)
    markers = {}
    for number, leaf in enumerate(leaves):
        marker = f"leaf_{batch}_{number}_"
        if not leaf.node.args.get("alias"):
            leaf.node.set("alias", exp.TableAlias(this=leaf.node.this.copy()))
        leaf.node.set("this", exp.Identifier(this=marker, quoted=False))
        leaf.node.set("db", None)
        leaf.node.set("catalog", None)
        markers[marker] = leaf.governed
    return markers


def _limit(query: exp.Query, most: int) -> None:
    """At most `most` rows; a query's own smaller limit stays, and computed ones are cut while streaming."""
    limit = query.args.get("limit")
    if most > MAX_PUSHED_LIMIT or (limit is not None and not _is_above(limit, most)):
        return
    query.set("limit", exp.Limit(expression=exp.Literal.number(most)))


def _is_above(limit: exp.Expr, most: int) -> bool:
    value = limit.args.get("expression")
    is_plain = isinstance(limit, exp.Limit) and isinstance(value, exp.Literal) and not limit.args.get("limit_options")
    return is_plain and isinstance(value, exp.Literal) and value.is_int and int(value.this) > most


def _number(query: exp.Query, found: Resolved) -> None:
    """PostgreSQL's parameters are numbered: in the order of their sorted names."""
    numbers = {name: number for number, name in enumerate(sorted(found.parameters), start=1)}
    for node in list(query.find_all(exp.Placeholder)):
        node.replace(exp.Parameter(this=exp.Literal.number(numbers[node.this])))
