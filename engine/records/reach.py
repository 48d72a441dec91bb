"""What of a table one caller may name, find and write: the governed projection, seen from the writing side."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import ValidationError
from sqlglot import exp

from core.errors import Conflict, QueryUnauthorized
from engine.connectors.connector import ColumnInfo
from engine.lake.names import split_name
from engine.policy.rules import Governed
from engine.records.wishes import Filters
from engine.sql.definitions import Condition, Query
from engine.sql.dialects import print_sql
from engine.sql.filters import SOURCE, print_filter
from engine.sql.names import Names, Source, unknown
from engine.sql.scopes import shadowed
from engine.sql.terms import Terms

Put = Callable[[exp.Literal], exp.Expr]
"""Takes a text of the caller's out of a statement, and gives what stands in its place."""


@dataclass(frozen=True)
class Reach:
    """Statements read or write the table under `alias`: what SQLite changes goes by its own name only."""

    governed: Governed
    dialect: str

    @property
    def alias(self) -> str:
        return split_name(self.governed.source.name)[-1] if self.dialect == "sqlite" else SOURCE

    @cached_property
    def columns(self) -> Mapping[str, ColumnInfo]:
        """The columns that may be written and filtered: those that are read as they are."""
        visible = self.governed.relation.columns
        return {column.name: column for column in visible if self.governed.privacy(column.name) == "public"}

    @cached_property
    def policy(self) -> str:
        """The condition that every row the caller touches meets, before and after; empty when there is none."""
        governed = self.governed
        texts = [
            print_filter(item, governed.source, governed.facts, self.dialect, self.alias) for item in governed.filters
        ]
        return " AND ".join(texts)

    @property
    def broken(self) -> str:
        """The condition of rows that the caller may not leave behind."""
        return f"NOT coalesce(({self.policy}), {'0' if self.dialect == 'sqlite' else 'false'})"

    def check(self) -> None:
        """Refuse what cannot be written at all. Raises Conflict."""
        if self.governed.source.kind == "view":
            raise Conflict("A view is not written.", hint="Write the tables below it.")
        if shadowed(self.governed.source, self.dialect):
            raise Conflict(
                "Two columns of the table differ in case only, so it is not written here.", hint="Rename one."
            )

    def name(self, text: str) -> str:
        """The exact name of a column that may be written. Raises QueryUnauthorized."""
        found = self._names.sources[0].column(text)
        if found is not None:
            return found
        self._refuse_protected(text)
        raise unknown("column", text, self.columns)

    def records(self, given: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The records under the columns' exact names. Raises QueryUnauthorized, Conflict."""
        known: dict[str, str] = {}
        found = []
        for number, record in enumerate(given):
            for name in record:
                if name not in known:
                    known[name] = self.name(name)
            found.append({known[name]: value for name, value in record.items()})
            if len(found[-1]) != len(record):
                raise Conflict(f"records[{number}] names a column twice.", hint="Write each column's name one way.")
        return found

    def matching(self, filters: Filters, put: Put | None = None) -> str:
        """The condition of the rows that the caller means, within those that they see.

        Raises QueryUnauthorized, Conflict."""
        for condition in filters:
            self._refuse_protected(str(condition.get("column", "")))
        try:
            conditions = [Condition.model_validate(dict(condition)) for condition in filters]
        except ValidationError:
            raise Conflict("A filter is not a condition on one column.", hint="Give column, operator, value.") from None
        tree = exp.Paren(this=Terms(self.dialect, _no_query).all_of(conditions, self._names))
        if put is not None:
            for literal in list(tree.find_all(exp.Literal)):
                if literal.is_string:
                    literal.replace(put(literal))
        own = print_sql(tree, self.dialect)
        return f"{self.policy} AND {own}" if self.policy else own

    @cached_property
    def _names(self) -> Names:
        types = {name: column.data_type for name, column in self.columns.items()}
        return Names(sources=[Source(self.alias, types, is_table=True)])

    def _refuse_protected(self, text: str) -> None:
        """A masked column is no secret: say what is the matter with it."""
        plain = text.strip('"').lower()
        for column in self.governed.relation.columns:
            if column.name.lower() == plain and column.name not in self.columns:
                word = self.governed.privacy(column.name).replace("_", " ")
                raise QueryUnauthorized(
                    f"Access denied: the column {column.name[:80]!r} is {word} for you.",
                    hint="Such columns can be neither filtered nor written.",
                )


def refused(count: int, what: str) -> QueryUnauthorized:
    """Rows would be written that the caller could not see afterwards."""
    return QueryUnauthorized(
        f"Access denied: {count} {what} would be outside the rows that you may see.",
        hint="Your policies must allow what is written; nothing was changed.",
    )


def _no_query(query: Query, outer: Names | None) -> tuple[exp.Query, dict[str, str]]:
    raise Conflict("A filter holds no query.", hint="Compare with values.")
