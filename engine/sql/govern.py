"""What a query reads in the place of a relation: the one place where policies change what comes out."""

from engine.policy.rules import Governed
from engine.sql.expressions import unresolved


def govern(governed: Governed, source: str) -> str:
    """The visible columns of a relation and nothing else; `source` is the FROM item that reads it.

    Masks replace columns in this list, row filters become its WHERE. All that the query does happens
    outside, so it sees only what comes out of here."""
    columns = ", ".join(quote_name(column.name) for column in governed.relation.columns)
    if not columns or not governed.is_open:  # rules are not applied yet: nothing is read under one
        raise unresolved()
    return f"(SELECT {columns} FROM {source})"  # noqa: S608 - names are quoted, the source is the connector's


def quote_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
