"""What a query's result is made of: each column's name, privacy and lineage."""

from collections.abc import Mapping, Sequence

from engine.policy.rules import STRICTNESS, Privacy
from engine.sql.labels import Columns, Output


def outputs(columns: Columns) -> tuple[Output, ...]:
    return tuple(
        Output(item.name, item.label.privacy, item.label.direct, item.label.indirect | columns.influence)
        for item in columns.items
    )


def column_privacy(found: Sequence[Output], names: Sequence[str]) -> dict[str, Privacy]:
    """The privacy of each column of a result, by its name there.

    By position; where the engine made more columns than were written, the strictest of all holds for each."""
    if len(found) == len(names):
        return {name: output.privacy for name, output in zip(names, found, strict=True)}
    strictest: Privacy = max((output.privacy for output in found), key=STRICTNESS.__getitem__, default="public")
    return dict.fromkeys(names, strictest)


def aggregated(tables: Sequence[str]) -> Mapping[str, int]:
    """How many groupings of aggregate-only columns a query asks for, by protected table."""
    return {table: tables.count(table) for table in dict.fromkeys(tables)}
