"""The names that a place in a query can use: relations in FROM, their columns, CTEs, aliases, outer queries."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Columns:
    """Column names in lower case. `is_open`: there are more, such as `count_star()`, that the engine names."""

    names: tuple[str, ...]
    is_open: bool = False

    def has(self, name: str) -> bool:
        return self.is_open or name.lower() in self.names

    def renamed(self, aliases: list[str]) -> "Columns":
        """The columns after `AS t(a, b)`: as many as there are aliases get new names."""
        if not aliases:
            return self
        given = tuple(alias.lower() for alias in aliases)
        return Columns(given + self.names[len(given) :], self.is_open)

    def plus(self, other: "Columns") -> "Columns":
        return Columns(self.names + other.names, self.is_open or other.is_open)


@dataclass(frozen=True, slots=True)
class Cte:
    """A common table expression, with the number of tables that reading it once reads."""

    columns: Columns
    weight: int


@dataclass(frozen=True, slots=True)
class Source:
    """One item of FROM. `path` holds the parts before its name when it goes by its full name."""

    columns: Columns
    path: tuple[str, ...] = ()


@dataclass(slots=True)
class Scope:
    """One SELECT: what is in its FROM, the aliases it gives, and the scope around it."""

    outer: "Scope | None" = None
    sources: dict[str, Source] = field(default_factory=dict)
    aliases: set[str] = field(default_factory=set)
    bound: frozenset[str] = frozenset()  # parameters of lambdas and list comprehensions around the place

    def chain(self) -> Iterator["Scope"]:
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer

    def source(self, name: str) -> Source | None:
        return next((found for scope in self.chain() if (found := scope.sources.get(name.lower()))), None)

    def names_column(self, name: str) -> bool:
        """Whether a bare name is a column, an alias of this select list, or a lambda's parameter."""
        lowered = name.lower()
        return any(
            lowered in scope.bound
            or lowered in scope.aliases
            or any(source.columns.has(lowered) for source in scope.sources.values())
            for scope in self.chain()
        )

    def inner(self, bound: frozenset[str]) -> "Scope":
        """The same scope with more bound names."""
        return Scope(self.outer, self.sources, self.aliases, self.bound | bound)


Ctes = Mapping[str, Cte]
