"""A question for metrics as a definition of a query. Every measure is aggregated on rows of its own model."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from core.errors import Conflict
from engine.semantic.binding import bound, path, selected
from engine.semantic.layer import METRIC_TIME, Layer
from engine.semantic.leaves import Leaf, Rows
from engine.semantic.models import Input, Metric
from engine.sql.definitions import Condition, Expression, Join, Measure, On, Order, Query, Selected

MAX_METRICS, MAX_GROUPS, MAX_FILTERS, MAX_LEAVES = 50, 30, 100, 12
MAX_DEPTH, MAX_PARTS, MAX_FIGURES = 12, 4000, 500
MAX_OUTPUT = 255


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """Which metrics, by which dimensions (`entity__dimension`, `entity__dimension__month`, an entity, `metric_time`).

    start, end: half-open range of the metrics' own time. order: names of `metrics` and `group_by`, with whether
    it descends."""

    metrics: Sequence[str]
    group_by: Sequence[str] = ()
    where: Sequence[Condition] = ()
    start: datetime | None = None
    end: datetime | None = None
    order: Sequence[tuple[str, bool]] = ()
    limit: int | None = None


def compile_metrics(query: MetricQuery, layer: Layer) -> Query:
    """The definition that answers the query. Raises Conflict with what cannot be answered, and why."""
    _check(query)
    return _Compiler(query, layer).compile()


@dataclass(frozen=True, slots=True)
class _Figure:
    """A metric over columns of leaves, and how many parts that has."""

    expression: Expression
    size: int = 1


class _Compiler:
    def __init__(self, query: MetricQuery, layer: Layer):
        self._query = query
        self._layer = layer
        self._leaves: dict[str, tuple[Leaf, list[str]]] = {}  # by what their rows are
        self._columns: dict[tuple[str, str], str] = {}  # by rows and measure
        self._left = MAX_FIGURES
        self._has_time = any(name.split("__")[0] == METRIC_TIME for name in query.group_by)
        self._range = _range(query)

    def compile(self) -> Query:
        query = self._query
        figures = [self._metric(self._layer.metric(name), tuple(query.where), ()) for name in query.metrics]
        keys = [f"k{number}" for number in range(len(query.group_by))]
        if len(self._leaves) > MAX_LEAVES:
            raise Conflict("The metrics come from too many places.", hint="Ask for fewer of them at once.")
        combined = _combined([(leaf.query(keys), columns) for leaf, columns in self._leaves.values()], keys)
        select = [Selected(column=path("m", key), alias=name) for key, name in zip(keys, query.group_by, strict=True)]
        select += [selected(figure.expression, name) for figure, name in zip(figures, query.metrics, strict=True)]
        order = [
            Order(column=name, direction="desc" if is_descending else "asc", nulls="last")
            for name, is_descending in query.order
        ]
        return Query(subquery=combined, alias="m", select=select, order=order, limit=query.limit)

    def _metric(self, metric: Metric, filters: tuple[Condition, ...], above: tuple[str, ...]) -> _Figure:
        self._left -= 1
        if self._left < 0:
            raise Conflict("The metrics are made of too many others.", hint="Ask for fewer of them at once.")
        if metric.name in above or len(above) > MAX_DEPTH:
            raise Conflict(f"The metric {metric.name!r} is made of itself.", hint="Correct its definition.")
        above = (*above, metric.name)
        filters += metric.filters
        if metric.kind == "simple":
            return self._measure(metric.inputs[0], filters)
        if metric.kind not in ("ratio", "derived"):
            raise Conflict(f"Metrics of the kind {metric.kind} are not computed yet.", hint="Ask for another metric.")
        figures = [self._input(given, filters, above) for given in metric.inputs]
        if metric.kind == "ratio":
            top, bottom = figures
            return _Figure(_ratio(top.expression, bottom.expression), top.size + bottom.size + 4)
        names = [given.alias or given.name for given in metric.inputs]
        return _derived(metric, dict(zip(names, figures, strict=True)))

    def _input(self, given: Input, filters: tuple[Condition, ...], above: tuple[str, ...]) -> _Figure:
        if given.obstacle:
            raise Conflict(f"{given.name!r}: {given.obstacle}.", hint="Ask for another metric.")
        if given.offset or given.offset_to or given.has_every_period:
            raise Conflict("Metrics of another period are not computed yet.", hint="Ask for another metric.")
        figure = self._metric(self._layer.metric(given.name), filters + given.filters, above)
        return _filled(figure, given)

    def _measure(self, given: Input, filters: tuple[Condition, ...]) -> _Figure:
        if given.obstacle:
            raise Conflict(f"{given.name!r}: {given.obstacle}.", hint="Ask for another metric.")
        model, measure = self._layer.measure(given.name)
        conditions = filters + given.filters + self._range
        has_time = self._has_time or any(_names_time(condition) for condition in conditions)
        rows = Rows(model, measure.time_dimension if has_time else "", conditions, tuple(self._query.group_by))
        digest = f"{model.name} {rows.time} {[each.model_dump_json(exclude_unset=True) for each in conditions]}"
        if digest not in self._leaves:
            self._leaves[digest] = (Leaf(self._layer, rows), [])
        leaf, columns = self._leaves[digest]
        name = self._columns.setdefault((digest, measure.name), f"f{len(self._columns)}")
        if name not in columns:
            leaf.add(measure, name)
            columns.append(name)
        return _filled(_Figure(Expression(column=path("m", name))), given)


def _range(query: MetricQuery) -> tuple[Condition, ...]:
    """The time range as conditions on each measure's own time."""
    return tuple(
        Condition.model_validate({"column": METRIC_TIME, "operator": operator, "value": _moment(moment)})
        for operator, moment in (("ge", query.start), ("lt", query.end))
        if moment is not None
    )


def _derived(metric: Metric, figures: dict[str, _Figure]) -> _Figure:
    assert metric.expression is not None, "a derived metric has an expression"
    size = 0

    def figure(name: str) -> Expression:
        nonlocal size
        if name not in figures:
            raise Conflict(
                f"The metric {metric.name!r} names {name[:80]!r}, which is none of its inputs.",
                hint=f"Its inputs are {', '.join(figures)}.",
            )
        size += figures[name].size + 1
        if size > MAX_PARTS:
            raise Conflict(f"The metric {metric.name!r} has too many parts.", hint="Simplify its definition.")
        return figures[name].expression

    return _Figure(bound(metric.expression, figure), size)


def _ratio(top: Expression, bottom: Expression) -> Expression:
    zero = Expression(function="nullif", args=[Expression(cast="double", args=[bottom]), Expression(value=0)])
    return Expression(operator="/", args=[Expression(cast="double", args=[top]), zero])


def _filled(figure: _Figure, given: Input) -> _Figure:
    if given.fill is None:
        return figure
    filled = Expression(function="coalesce", args=[figure.expression, Expression(value=given.fill)])
    return _Figure(filled, figure.size + 2)


def _combined(leaves: list[tuple[Query, list[str]]], keys: list[str]) -> Query:
    """All leaves side by side, one row per group. Groups of only one leaf stay, nulls are groups as others are."""
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


def _names_time(condition: Condition) -> bool:
    return f'"{METRIC_TIME}' in condition.model_dump_json(exclude_unset=True)


def _moment(moment: datetime) -> str:
    is_day = moment == moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return f"{moment:%Y-%m-%d}" if is_day else moment.isoformat(sep=" ", timespec="seconds")


def _check(query: MetricQuery) -> None:
    if not query.metrics:
        raise Conflict("The query names no metric.", hint="list_metrics shows them.")
    given = (query.metrics, MAX_METRICS), (query.group_by, MAX_GROUPS), (query.where, MAX_FILTERS)
    if any(len(items) > most for items, most in given) or len(query.order) > MAX_GROUPS:
        raise Conflict("The query has too many parts.", hint="Ask for less at once.")
    outputs = [*query.group_by, *query.metrics]
    if len({name.lower() for name in outputs}) != len(outputs) or max(map(len, outputs)) > MAX_OUTPUT:
        raise Conflict("A name is asked for twice, or is too long.", hint="Name each metric and dimension once.")
    unknown = [name for name, _ in query.order if name not in outputs]
    if unknown:
        raise Conflict(f"The result has no {unknown[0][:80]!r} to order by.", hint=f"It has {', '.join(outputs)}.")
