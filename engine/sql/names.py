"""Names in a definition, found among what the caller may see; hints are made of visible names only."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice

from sqlglot import exp

from core.errors import Conflict, InvalidArgument, QueryUnauthorized
from engine.catalog.views import View
from engine.lake.names import split_name
from engine.policy.rules import Governed

MAX_CANDIDATES = 2000


@dataclass(frozen=True, slots=True)
class Source:
    """One item of FROM: its columns with their types (empty where unknown), and the parts of its own name."""

    alias: str
    columns: Mapping[str, str]
    path: tuple[str, ...] = ()
    is_table: bool = False

    def column(self, name: str) -> str | None:
        """The exact name of the column meant, or None."""
        if name in self.columns:
            return name
        alike = [column for column in self.columns if column.lower() == name.lower()]
        return alike[0] if len(alike) == 1 else None


@dataclass(slots=True)
class Names:
    """What one SELECT can name. `measures` are aggregates by alias, where HAVING may use them."""

    outer: "Names | None" = None
    sources: list[Source] = field(default_factory=list)
    measures: Mapping[str, exp.Expr] = field(default_factory=dict)

    def add(self, source: Source) -> None:
        if any(known.alias.lower() == source.alias.lower() for known in self.sources):
            raise Conflict(
                f"Two tables of one query are called {source.alias[:80]!r}.", hint="Give each an alias of its own."
            )
        self.sources.append(source)

    def find(self, text: str) -> tuple[Source, str]:
        """The source and the exact column that `text` names. Raises QueryUnauthorized, Conflict."""
        for names in self._chain():
            found = names._own(text)
            if len(found) > 1:
                raise Conflict(
                    f"More than one table has a column {text[:80]!r}.",
                    hint="Write it as table.column, or alias.column.",
                )
            if found:
                return found[0]
        columns = (column for names in self._chain() for source in names.sources for column in source.columns)
        raise unknown("column", text, columns)

    def _chain(self) -> Iterator["Names"]:
        names: Names | None = self
        while names is not None:
            yield names
            names = names.outer

    def _own(self, text: str) -> list[tuple[Source, str]]:
        parts = _parts(text) or (text,)
        found = [
            (source, column)
            for source in self.sources
            if _goes_by(source, parts[:-1]) and (column := source.column(parts[-1])) is not None
        ]
        if found or len(parts) == 1:
            return found
        # Not a part of that name: then a column whose own name has the dot.
        return [(source, column) for source in self.sources if (column := source.column(text)) is not None]


def find_table(view: View, text: str) -> Governed:
    """The relation that `text` names. Raises QueryUnauthorized, the same for what is hidden and what is not there."""
    parts = _parts(text)
    governed = view.find(parts) if parts and all(parts) else None
    if governed is None or not governed.relation.columns:
        seen = (known.relation.name for name in view.names if (known := view.get(name)) is not None)
        raise unknown("table", text, seen)
    return governed


def unknown(kind: str, text: str, candidates: Iterable[str]) -> QueryUnauthorized:
    """No such name, with the visible ones that look like it."""
    listed = {name.lower(): name for name in islice(candidates, MAX_CANDIDATES)}
    close = [listed[name] for name in get_close_matches(text[:255].lower(), listed, n=3)]
    guess = f" Did you mean {', '.join(close)}?" if close else ""
    tool = "list_tables shows tables." if kind == "table" else "list_columns shows a table's columns."
    return QueryUnauthorized(hint=f"No {kind} {text[:80]!r} that you can query.{guess} {tool}")


def quoted(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=True)


def column_of(source: Source, name: str) -> exp.Column:
    return exp.Column(this=quoted(name), table=quoted(source.alias))


def _goes_by(source: Source, parts: tuple[str, ...]) -> bool:
    """Whether a source is meant by the parts before a column: its alias, or the end of its table's name."""
    known = tuple(part.lower() for part in (*source.path, source.alias))
    wanted = tuple(part.lower() for part in parts)
    return not wanted or known[-len(wanted) :] == wanted


def _parts(text: str) -> tuple[str, ...]:
    try:
        return split_name(text)
    except InvalidArgument:  # not of the form of a name, so nobody's name
        return ()
