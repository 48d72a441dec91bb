"""The names that a place in a query can use: relations in FROM, their columns, CTEs, aliases, outer queries."""

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sqlglot import exp

from engine.connectors.connector import RelationInfo
from engine.sql.labels import PLAIN, Block, Column, Columns, Label, Origin, union

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
# Where a bare name may be an alias of the select list; DuckDB also knows those given earlier in the list itself.
_ALIASES_IN: Mapping[str, frozenset[str]] = {
    "duckdb": frozenset({"expressions", "distinct", "where", "group", "having", "qualify", "windows", "order"}),
    "sqlite": frozenset({"where", "group", "having", "order"}),
    "postgres": frozenset({"group", "order", "distinct"}),
    "spark": frozenset({"expressions", "group", "having", "order"}),
}


def fold(name: str, dialect: str, *, is_quoted: bool = False) -> str:
    """A name as the engine compares it: ASCII letters fold only, in PostgreSQL not those in quotes, in Spark all."""
    if dialect == "spark":
        return name.lower()
    return name if is_quoted and dialect == "postgres" else name.translate(_LOWER)


def fold_identifier(node: exp.Expr, dialect: str) -> str:
    return fold(node.name, dialect, is_quoted=bool(node.args.get("quoted")))


def shadowed(relation: RelationInfo, dialect: str) -> frozenset[str]:
    """Columns that differ from one before them in case only: by their names an engine reads the first one."""
    seen: set[str] = set()
    found: set[str] = set()
    for column in relation.columns:
        name = fold(column.name, dialect, is_quoted=True)
        if name in seen:
            found.add(column.name)
        seen.add(name)
    return frozenset(found)


def column_aliases(alias: exp.Expr | None, dialect: str) -> list[tuple[str, str]]:
    """The names in `AS t(a, b)`, as they are compared and as they are written."""
    items = alias.args.get("columns") or [] if alias is not None else []
    return [(fold_identifier(item, dialect), item.name) for item in items]


@dataclass(slots=True)
class Cte:
    """A common table expression, with the number of tables that reading it once reads, and where it is read."""

    columns: Columns
    weight: int
    readers: list[exp.Table] = field(default_factory=list)


Ctes = Mapping[str, Cte]


@dataclass(slots=True)
class Source:
    """One item of FROM. `path` holds the parts before its name when it goes by its full name."""

    columns: Columns
    path: tuple[str, ...] = ()
    is_sampled: bool = False
    is_exact: bool = True  # its columns are those that a star gives, no more and no less

    def find(self, name: str) -> Label | None:
        """The label of a column; of both where two have one name, of which the engine takes one."""
        found = [item.label for item in self.columns.items if item.name == name]
        return union(found) if found else None

    def unnamed(self) -> Label | None:
        """The label of columns whose names only the engine knows; None when all are known."""
        found = [item.label for item in self.columns.items if not item.name]
        return union(found) if found or self.columns.is_open else None


@dataclass(frozen=True, slots=True)
class Found:
    """What a name stands for; `alias` is the item of FROM when it is a column of this very select."""

    name: str
    label: Label
    alias: str = ""
    is_outer: bool = False


@dataclass(slots=True)
class Scope:
    """One SELECT: what is in its FROM, the aliases it gives, and the scope around it."""

    dialect: str
    outer: "Scope | None" = None
    sources: dict[str, Source] = field(default_factory=dict)
    row: list[tuple[str, Column]] = field(default_factory=list)  # what * stands for: aliases of FROM and columns
    merged: set[str] = field(default_factory=set)  # columns that USING or NATURAL made one of two
    aliases: dict[str, Label] = field(default_factory=dict)
    later: set[str] = field(default_factory=set)  # aliases that come further on in the select list
    outputs: dict[str, Label] = field(default_factory=dict)  # all names of the select list, for ORDER BY
    bound: list[frozenset[str]] = field(default_factory=list)  # parameters of lambdas around the place
    clause: str = "from"
    influence: set[Origin] = field(default_factory=set)
    block: Block | None = None
    is_correlated: bool = False
    filters_by_alias: bool = False

    def chain(self) -> Iterator["Scope"]:
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer

    def add(self, alias: str, source: Source) -> None:
        self.sources[alias] = source
        self.row.extend((alias, column) for column in source.columns.items)
        self.influence |= source.columns.influence

    def is_bound(self, name: str) -> bool:
        return any(name in names for names in self.bound)

    def _alias(self, name: str) -> Label | None:
        return self.aliases.get(name) if self.clause in _ALIASES_IN[self.dialect] else None

    def find(self, name: str) -> Found | None:
        """A bare name, as the engine binds it: nearest SELECT first, there a column before an alias.

        Where it could also be what only the engine knows, the labels of both are taken."""
        maybe: list[Label] = []
        for scope in self.chain():
            if scope.is_bound(name):
                return Found(name, PLAIN)
            holders = [(alias, label) for alias, item in scope.sources.items() if (label := item.find(name))]
            if holders and scope is not self and scope.clause == "from":
                # A lateral subquery: should the engine not look at what stands beside it, it looks further out.
                maybe += [label for _, label in holders]
                continue
            if holders:
                self._reach(scope)
                label = union([*maybe, *(label for _, label in holders)])
                alias = holders[0][0] if len(holders) == 1 and scope is self and not maybe else ""
                return Found(name, label, alias, is_outer=scope is not self)
            unnamed = [label for item in scope.sources.values() if (label := item.unnamed())]
            given = scope._alias(name)
            if given is not None:
                self._reach(scope)
                scope.filters_by_alias |= scope.clause == "where"
                maybe.append(given)
                if scope is self:
                    return Found(name, union([*maybe, *unnamed]))
            elif name in scope.later and scope.clause == "expressions" and "expressions" in _ALIASES_IN[self.dialect]:
                return None  # the engine refuses it too: not before it is defined
            maybe += unnamed
        if maybe:
            self._reach(None)
        return Found(name, union(maybe)) if maybe else None

    def find_qualified(self, parts: list[str]) -> tuple[Found, int] | None:
        """`table.column` with what may stand around it, and how many parts precede the table's name."""
        maybe: list[Label] = []
        drop = 0
        for scope in self.chain():
            for end in range(len(parts) - 1, 0, -1):
                source = scope.sources.get(parts[end - 1])
                path = tuple(parts[: end - 1])
                if source is None or (path and source.path[-len(path) :] != path):
                    continue
                label = source.find(parts[end])
                if label is not None and scope is not self and scope.clause == "from":
                    maybe.append(label)
                    drop = end - 1
                    break
                if label is not None:
                    self._reach(scope)
                    is_own = scope is self and not maybe
                    alias = parts[end - 1] if is_own and end == len(parts) - 1 else ""
                    return Found(parts[end], union([*maybe, label]), alias, is_outer=scope is not self), end - 1
                unnamed = source.unnamed()
                if unnamed is not None:
                    maybe.append(unnamed)
                    drop = end - 1
            holders = self._structs(scope, parts[0])
            if holders is not None:
                self._reach(scope)
                return Found(parts[0], union([*maybe, *holders])), 0
        if maybe:
            self._reach(None)
        return (Found(parts[drop + 1], union(maybe)), drop) if maybe else None

    def _structs(self, scope: "Scope", name: str) -> list[Label] | None:
        """In DuckDB and Spark the first part of `a.b` may be a column that holds a struct, or a lambda's parameter."""
        if self.dialect not in ("duckdb", "spark"):
            return None
        if scope.is_bound(name):
            return []
        found = [label for item in scope.sources.values() if (label := item.find(name))]
        if not found and (given := scope._alias(name)):
            found = [given]
        return found or None

    def _reach(self, holder: "Scope | None") -> None:
        """Every select between a name and where it comes from depends on the rows outside of it."""
        for scope in self.chain():
            if scope is holder:
                return
            scope.is_correlated = True

    def source(self, name: str) -> Source | None:
        return next((found for scope in self.chain() if (found := scope.sources.get(name))), None)
