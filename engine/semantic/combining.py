"""Aggregates of several models side by side, one row per group."""

from engine.semantic.binding import path
from engine.semantic.frames import Frame
from engine.sql.definitions import Expression, Join, Measure, On, Query, Selected, Values


def combined(leaves: list[tuple[Query, list[str]]], keys: list[str]) -> Query:
    """All leaves with their columns. Groups of only one leaf stay, nulls are groups as others are."""
    made, columns = leaves[0]
    for query, own in leaves[1:]:
        shared = [
            Selected(function="coalesce", args=[Expression(column=path(side, key)) for side in ("l", "r")], alias=key)
            for key in keys
        ]
        sides = [("l", name) for name in columns] + [("r", name) for name in own]
        join = Join(
            type="full" if keys else "cross",
            subquery=query,
            alias="r",
            on=[On(left=path("l", key), right=path("r", key)) for key in keys],
        )
        if keys:  # a full join leaves groups with a null in them apart: max puts them together
            measures = [Measure(aggregate="max", column=path(side, name), alias=name) for side, name in sides]
            made = Query(subquery=made, alias="l", joins=[join], select=shared, measures=measures)
        else:
            select = [Selected(column=path(side, name), alias=name) for side, name in sides]
            made = Query(subquery=made, alias="l", joins=[join], select=select)
        columns = columns + own
    return made


def every_period(made: Query, frame: Frame, keys: list[str], place: int, columns: list[str]) -> Query:
    """The rows of a leaf, and one for each period that has none."""
    moments = [period.key for period in frame.periods]
    is_days = all((moment.hour, moment.minute, moment.second) == (0, 0, 0) for moment in moments)
    texts = [moment.isoformat(sep=" ").removesuffix(" 00:00:00" if is_days else "") for moment in moments]
    given = Values(columns=["key"], types=["date" if is_days else "timestamp"], rows=[[text] for text in texts])
    join = Join(type="left", subquery=made, alias="q", on=[On(left=path("s", "key"), right=path("q", keys[place]))])
    select = [
        Selected(column=path("s", "key") if number == place else path("q", key), alias=key)
        for number, key in enumerate(keys)
    ]
    select += [Selected(column=path("q", name), alias=name) for name in columns]
    return Query(values=given, alias="s", joins=[join], select=select)
