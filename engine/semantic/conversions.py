"""Conversions: rows of one model that follow rows of another, of the same entity, within a window.

Each later row counts once, for the last of the earlier ones that it follows."""

from core.errors import Conflict
from engine.semantic.binding import bound, met, path, selected
from engine.semantic.layer import Layer
from engine.semantic.leaves import Leaf, Rows, aggregated
from engine.semantic.models import Conversion, Measure, SemanticModel, Window
from engine.sql.definitions import Condition, Expression, Join, On, Order, Over, Query, Selected

Later = tuple[tuple[SemanticModel, Measure], tuple[Condition, ...]]
_DUCKDB = {
    "second": "to_seconds",
    "minute": "to_minutes",
    "hour": "to_hours",
    "day": "to_days",
    "week": "to_weeks",
    "month": "to_months",
    "year": "to_years",
}
CLOCK = ("second", "minute", "hour")
_INTERVAL = ("year", "month", "week", "day", "hour", "minute", "second")


def converted(layer: Layer, rows: Rows, how: Conversion, later: Later, keys: list[str], name: str) -> Query:
    """The later measure over converted rows, by the groups of the earlier ones."""
    (model, measure), filters = later
    before = _before(layer, rows, how, keys)
    after = _after(model, measure, how, filters)
    on = [
        On(left=path("b", "entity"), right=path("a", "entity")),
        On(left=path("a", "time"), right=path("b", "time"), operator="ge"),
        *(On(left=path("b", f"same{n}"), right=path("a", f"same{n}")) for n in range(len(how.same))),
    ]
    if how.window is not None:
        on.append(On(left=path("a", "time"), right=path("b", "until"), operator="lt"))
    last = Over(
        partition_by=[Expression(column=path("a", "row"))], order=[Order(column=path("b", "time"), direction="desc")]
    )
    pairs = Query(
        subquery=before,
        alias="b",
        joins=[Join(subquery=after, alias="a", on=on)],
        select=[
            *(Selected(column=path("b", key), alias=key) for key in keys),
            Selected(column=path("a", "value"), alias="value"),
            Selected(function="row_number", over=last, alias="place"),
        ],
    )
    return Query(
        subquery=pairs,
        alias="c",
        select=[Selected(column=path("c", key), alias=key) for key in keys],
        measures=[aggregated(measure, Expression(column=path("c", "value")), name)],
        filters=[Condition(column=path("c", "place"), operator="eq", value=1)],
    )


def _before(layer: Layer, rows: Rows, how: Conversion, keys: list[str]) -> Query:
    """The earlier rows: groups, entity, time, until when a later row may follow, and what must be the same."""
    leaf = Leaf(layer, rows)
    entity, time = rows.model.entity(how.entity), rows.model.dimension(rows.time)
    if entity is None or time is None:
        raise Conflict(f"{rows.model.name!r} has no entity {how.entity!r}, or no time.", hint="Correct the metric.")
    items = {"entity": leaf.term(entity.expression), "time": leaf.term(time.expression)}
    if how.window is not None:
        items["until"] = later_by(items["time"], how.window, rows.dialect, is_day=time.grain not in CLOCK)
    for number, (name, _) in enumerate(how.same):
        items[f"same{number}"] = leaf.term(_property(rows.model, name))
    return leaf.detail(keys, items)


def _after(model: SemanticModel, measure: Measure, how: Conversion, filters: tuple[Condition, ...]) -> Query:
    """The later rows, each with a number of its own."""
    entity, time = model.entity(how.entity), model.dimension(measure.time_dimension)
    if entity is None or time is None:
        raise Conflict(f"{model.name!r} has no entity {how.entity!r}, or no time.", hint="Correct the metric.")

    def own(column: str) -> Expression:
        return Expression(column=path("s", column))

    def named(name: str) -> Expression:
        return bound(_property(model, name.split("__")[-1]), own)

    key, moment = bound(entity.expression, own), bound(time.expression, own)
    number = Over(order=[Order(expression=key), Order(expression=moment)])
    return Query(
        table=model.table,
        alias="s",
        select=[
            selected(key, "entity"),
            selected(moment, "time"),
            selected(bound(measure.expression, own), "value"),
            Selected(function="row_number", over=number, alias="row"),
            *(selected(named(name), f"same{n}") for n, (_, name) in enumerate(how.same)),
        ],
        filters=[met(condition, named) for condition in filters],
    )


def later_by(term: Expression, by: Window, dialect: str, *, is_day: bool) -> Expression:
    """A time so much later. Raises Conflict where the source has no way to say so."""
    count, grain = by.count, by.grain
    if grain == "quarter":
        count, grain = 3 * count, "month"
    if dialect == "duckdb":
        return Expression(
            operator="+", args=[term, Expression(function=_DUCKDB[grain], args=[Expression(value=count)])]
        )
    if dialect == "postgres":
        parts = [Expression(value=count if name == grain else 0) for name in _INTERVAL]
        return Expression(operator="+", args=[term, Expression(function="make_interval", args=parts)])
    if dialect == "sqlite":
        count, grain = (7 * count, "day") if grain == "week" else (count, grain)
        kind = "date" if is_day and grain not in CLOCK else "datetime"
        return Expression(function=kind, args=[term, Expression(value=f"+{count} {grain}s")])
    raise Conflict(f"Windows of conversions are not computed on {dialect}.", hint="Leave the window out.")


def _property(model: SemanticModel, name: str) -> Expression:
    found = model.dimension(name) or model.entity(name)
    if found is None:
        raise Conflict(f"{model.name!r} has no dimension {name[:80]!r}.", hint="Correct the metric.")
    return found.expression
