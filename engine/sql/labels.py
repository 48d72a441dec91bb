"""What is known of a value in a query: the base columns it comes from, and how private they are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from core.errors import QueryUnauthorized
from engine.policy.rules import Governed, Privacy

Origin = tuple[str, str]
"""A base table, by its key, and a column of it, by its exact name."""

NOTHING: frozenset[Origin] = frozenset()


@dataclass(slots=True, eq=False)
class Leaf:
    """A place in the tree where a base relation is read, and which."""

    node: exp.Table
    governed: Governed
    identity: str = ""  # name of a column that tells its rows apart, where an aggregate needs it


@dataclass(frozen=True, slots=True)
class Protected:
    """An aggregate-only value as it stands in the table, carried unchanged to where it is used.

    `carriers` are the selects it came through, each with the alias it had there: the identity of its row goes
    the same way. `is_multiplied`: something on that way can repeat its row."""

    leaf: Leaf
    column: str
    min_group: int
    carriers: tuple[tuple[exp.Select, str], ...] = ()
    is_multiplied: bool = False

    @property
    def table(self) -> str:
        return self.leaf.governed.relation.name

    def through(self, select: exp.Select, alias: str, *, is_multiplied: bool) -> "Protected":
        """The value after one more select carried it."""
        carriers = (*self.carriers, (select, alias))
        return replace(self, carriers=carriers, is_multiplied=self.is_multiplied or is_multiplied)


@dataclass(frozen=True, slots=True)
class Label:
    """`direct`: columns the value is computed from. `indirect`: columns that decided which rows it stands for."""

    is_masked: bool = False
    direct: frozenset[Origin] = NOTHING
    indirect: frozenset[Origin] = NOTHING
    protected: Protected | None = None

    @property
    def privacy(self) -> Privacy:
        return "aggregate_only" if self.protected else "masked" if self.is_masked else "public"

    @property
    def origins(self) -> frozenset[Origin]:
        return self.direct | self.indirect

    def plus(self, other: "Label") -> "Label":
        """The label of what is computed from both."""
        if other is PLAIN or other is self:
            return self
        if self is PLAIN:
            return other
        return Label(
            self.is_masked or other.is_masked,
            self.direct | other.direct,
            self.indirect | other.indirect,
            self.protected or other.protected,
        )


PLAIN = Label()


def union(labels: Iterable[Label]) -> Label:
    found = PLAIN
    for label in labels:
        found = found.plus(label)
    return found


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a relation or of a query. Without a name it is one that the engine names.

    `name` is for comparing; `shown` is as it was written, where that is known."""

    name: str
    label: Label = PLAIN
    shown: str = ""

    @property
    def title(self) -> str:
        return self.shown or self.name

    def labelled(self, label: Label) -> "Column":
        return replace(self, label=label)


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns in order, and `influence`: base columns that decide which rows there are.

    `is_open`: it may be more columns than are listed, such as the fields of a struct that is unnested."""

    items: tuple[Column, ...] = ()
    influence: frozenset[Origin] = NOTHING
    is_open: bool = False

    @property
    def protected(self) -> Protected | None:
        return next((item.label.protected for item in self.items if item.label.protected), None)

    def renamed(self, aliases: Sequence[tuple[str, str]]) -> "Columns":
        """The columns after `AS t(a, b)`: as many as there are aliases get new names, and are shown so."""
        if not aliases:
            return self
        given = tuple(Column(name, item.label, shown) for (name, shown), item in zip(aliases, self.items, strict=False))
        everything = union(item.label for item in self.items)  # a function can give more than was known of it
        more = tuple(Column(name, everything, shown) for name, shown in aliases[len(self.items) :])
        return replace(self, items=given + more + self.items[len(given) :])


@dataclass(frozen=True, slots=True)
class Output:
    """A column of a result: what it is called, how private it is, and the base columns it comes from."""

    name: str
    privacy: Privacy
    direct: frozenset[Origin] = NOTHING
    indirect: frozenset[Origin] = NOTHING


@dataclass(slots=True)
class Use:
    """An aggregate over a protected value. `column` is the reference inside `call`, `alias` its source there."""

    call: exp.Anonymous
    column: exp.Column
    alias: str
    protected: Protected
    is_computed: bool


@dataclass(slots=True)
class Block:
    """A select with aggregates over protected values."""

    select: exp.Select
    uses: list[Use] = field(default_factory=list)
    is_multiplied: bool = False  # its FROM can repeat a row, so rows are told apart by their identity
    overlaps: bool = False  # one row could fall into several of its groups, which is then checked too


def misused(protected: Protected) -> QueryUnauthorized:
    """The refusal of an aggregate-only column anywhere but in an allowed aggregate."""
    table, column, least = protected.table, protected.column, protected.min_group
    return QueryUnauthorized(
        f"Access denied: {table}.{column} may be read only in aggregates.",
        hint=f"Select count, sum, avg, stddev or variance of {column} itself, for groups of at least {least} rows; "
        "not in *, WHERE, ON, GROUP BY, ORDER BY, DISTINCT, FILTER, CASE, windows, or on its own.",
    )
