"""A checked query as text for the engine, each base relation replaced, at its leaf, by what the caller may see."""

import logging
import secrets
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp
from sqlglot.errors import UnsupportedError

from core.errors import QueryUnauthorized
from engine.policy.rules import Governed, Privacy
from engine.sql.aggregates import count_suppressed, suppress
from engine.sql.calm import is_calm
from engine.sql.classify import check_kind
from engine.sql.dialects import print_sql
from engine.sql.expressions import Resolved, unresolved
from engine.sql.govern import govern
from engine.sql.labels import Block, Leaf, Origin, Output, Use
from engine.sql.outputs import aggregated, column_privacy, outputs
from engine.sql.parse import half_read, parse, too_complex
from engine.sql.relations import Visible
from engine.sql.resolve import resolve
from engine.sql.titles import name_outputs

log = logging.getLogger("headwater.sql")
_BATCH = secrets.token_hex(8)
# A number for each row of a relation, whatever number it is.
_IDENTITY = {
    "duckdb": "row_number() OVER ()",
    "postgres": "row_number() OVER ()",
    "sqlite": "row_number() OVER ()",
    "spark": "monotonically_increasing_id()",  # its row_number() needs an order
}
MAX_PUSHED_LIMIT = 1_000_001  # a larger LIMIT would make the engine collect what it could stream


@dataclass(frozen=True, slots=True)
class Prepared:
    """A query that was checked and printed, with a marker in the place of each base relation.

    `identities` names, for some markers, a column to be added that tells the rows apart. `aggregated` counts the
    groupings of aggregate-only columns by table: what the daily budget is charged. `suppressed` is a query of one
    number, how many of their groups were too small; None when there are no such groups."""

    template: str
    markers: Mapping[str, Governed]
    parameters: frozenset[str]
    columns: frozenset[str]
    shape: str
    dialect: str
    outputs: tuple[Output, ...] = ()
    origins: frozenset[Origin] = frozenset()
    identities: Mapping[str, str] = field(default_factory=dict)
    aggregated: Mapping[str, int] = field(default_factory=dict)
    suppressed: "Prepared | None" = None
    is_calm: bool = False  # nothing in it can fail on rows that a row filter takes out

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
            read = govern(governed, source, self.dialect, is_calm=self.is_calm)
            identity = self.identities.get(marker)
            if identity:
                number = _IDENTITY[self.dialect]
                read = f"(SELECT *, {number} AS {identity} FROM {read} AS {marker})"  # noqa: S608 - ours
            sql = sql.replace(marker, read)
        return sql

    def column_privacy(self, names: Sequence[str]) -> dict[str, Privacy]:
        """How private each column of the result is; `names` are those of the result, in order."""
        return column_privacy(self.outputs, names)


def prepare(sql: str, visible: Visible, dialect: str, *, max_rows: int) -> Prepared:
    """Parse, classify, resolve and print. Raises QueryUnauthorized."""
    try:
        return _prepare(sql, visible, dialect, max_rows)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, AssertionError) as error:
        # A tree from which sqlglot left out what every statement has. The error may hold a literal, so it stays here.
        place = traceback.extract_tb(error.__traceback__)[-1]
        log.warning("half understood: %s in %s, line %s", type(error).__name__, place.name, place.lineno)
        raise half_read() from None


def _prepare(sql: str, visible: Visible, dialect: str, max_rows: int) -> Prepared:
    parsed = parse(sql, dialect)
    query = check_kind(parsed.tree)
    name_outputs(query, dialect)
    found = resolve(query, visible, dialect)
    calm = is_calm(query, dialect)
    markers = _mark(found.leaves)
    _rename_ctes(found)
    checked = suppress(found.blocks, found.stars)
    counting = count_suppressed(checked) if checked else None
    _limit(query, max_rows + 1)
    identities = {marker: leaf.identity for marker, leaf in markers.items() if leaf.identity}
    bare = Prepared(
        template=_print(query, dialect),
        markers={marker: leaf.governed for marker, leaf in markers.items()},
        parameters=frozenset(found.parameters),
        columns=frozenset(found.columns),
        shape=parsed.shape,
        dialect=dialect,
        outputs=outputs(found.output),
        is_calm=calm,
        origins=frozenset(found.origins),
        identities=identities,
        aggregated=aggregated([use.protected.table for block in found.blocks for use in _by_table(block)]),
    )
    return bare if counting is None else replace(bare, suppressed=_counted(bare, counting))


def _counted(prepared: Prepared, query: exp.Expr) -> Prepared:
    parameters = frozenset(node.name for node in query.find_all(exp.Placeholder))
    template = _print(query, prepared.dialect)
    markers = {marker: governed for marker, governed in prepared.markers.items() if marker in template}
    return replace(prepared, template=template, markers=markers, parameters=parameters, outputs=(), aggregated={})


def _by_table(block: Block) -> list[Use]:
    """One use for each table that a block aggregates."""
    return list({use.protected.table: use for use in block.uses}.values())


def _print(query: exp.Expr, dialect: str) -> str:
    if dialect == "postgres":
        _number(query)
    try:
        return print_sql(query, dialect)
    except RecursionError:
        raise too_complex() from None
    except UnsupportedError:
        raise QueryUnauthorized(
            "Access denied: the query uses a form that cannot be carried over safely.",
            hint="Write that part in plain SQL.",
        ) from None


def _mark(leaves: list[Leaf]) -> dict[str, Leaf]:
    """Put a name that no query can contain, because nobody can guess it, in the place of each leaf."""
    batch = secrets.token_hex(8)
    markers = {}
    for number, leaf in enumerate(leaves):
        marker = f"leaf_{batch}_{number}_"
        _redirect(leaf.node, marker)
        leaf.node.set("db", None)
        leaf.node.set("catalog", None)
        markers[marker] = leaf
    return markers


def _rename_ctes(found: Resolved) -> None:
    """Give every CTE such a name too: an engine that looked for it elsewhere would find nothing."""
    for number, (node, cte) in enumerate(found.ctes):
        name = f"with_{_BATCH}_{number}_"
        for reader in cte.readers:
            _redirect(reader, name)
        node.args["alias"].set("this", exp.Identifier(this=name, quoted=False))


def _redirect(table: exp.Table, name: str) -> None:
    """Read from another name under the alias that the query uses."""
    alias = table.args.get("alias")
    if alias is None:
        table.set("alias", exp.TableAlias(this=table.this.copy()))
    elif alias.this is None:
        alias.set("this", table.this.copy())
    table.set("this", exp.Identifier(this=name, quoted=False))


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


def _number(query: exp.Expr) -> None:
    """PostgreSQL's parameters are numbered: in the order of their sorted names."""
    placeholders = list(query.find_all(exp.Placeholder))
    numbers = {name: number for number, name in enumerate(sorted({node.this for node in placeholders}), start=1)}
    for node in placeholders:
        node.replace(exp.Parameter(this=exp.Literal.number(numbers[node.this])))
