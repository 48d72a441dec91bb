"""Measures of one model over the same rows: the part of a metric query that is aggregated at once."""

from dataclasses import dataclass, field
from typing import cast, get_args

from core.errors import Conflict
from engine.semantic.binding import bound, met, path, selected
from engine.semantic.layer import METRIC_TIME, Layer, Place, Step
from engine.semantic.models import Entity, Grain, Measure, SemanticModel
from engine.sql.definitions import (
    Aggregate,
    Condition,
    Expression,
    Join,
    On,
    Query,
    When,
)
from engine.sql.definitions import Measure as Aggregated

MAX_JOINS = 32
_AGGREGATES: dict[str, Aggregate] = {
    "sum": "sum",
    "min": "min",
    "max": "max",
    "average": "avg",
    "median": "median",
    "count": "count",
    "count_distinct": "count",
    "sum_boolean": "sum",
}


@dataclass(slots=True)
class _Source:
    """One item of FROM. A joined one is a subquery, so that an expression is null where there is no row."""

    model: SemanticModel
    alias: str
    is_plain: bool
    outputs: dict[str, Expression] = field(default_factory=dict)
    on: On | None = None

    def term(self, item: Expression) -> Expression:
        """An expression over the model's columns, as it is written outside."""
        if self.is_plain:
            return bound(item, lambda column: Expression(column=path(self.alias, column)))
        for name, known in self.outputs.items():
            if known == item:
                return Expression(column=path(self.alias, name))
        name = f"c{len(self.outputs)}"
        self.outputs[name] = item
        return Expression(column=path(self.alias, name))

    def query(self) -> Query:
        select = [
            selected(bound(item, lambda column: Expression(column=path("s", column))), name)
            for name, item in self.outputs.items()
        ]
        return Query(table=self.model.table, alias="s", select=select)


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows are aggregated: of which model, by which time, under which conditions."""

    model: SemanticModel
    time: str
    conditions: tuple[Condition, ...]
    groups: tuple[str, ...]


class Leaf:
    """One SELECT with GROUP BY over a model and what it joins."""

    def __init__(self, layer: Layer, rows: Rows):
        self._layer = layer
        self._rows = rows
        # A join compares columns: keys that are computed are made in a subquery first.
        is_plain = all(entity.expression.column is not None for entity in rows.model.entities)
        self._base = _Source(rows.model, "t0", is_plain)
        self._sources: dict[tuple[Step, ...], _Source] = {(): self._base}
        self._groups = [self.reference(self._group(group)) for group in rows.groups]
        self._filters = [met(condition, self.reference) for condition in rows.conditions]
        self._measures: dict[str, Aggregated] = {}

    def add(self, measure: Measure, alias: str) -> None:
        if measure.obstacle:
            raise Conflict(f"The measure {measure.name!r}: {measure.obstacle}.", hint="Ask for another metric.")
        item = self._base.term(measure.expression)
        if measure.aggregation == "sum_boolean":
            test = Condition(expression=item, operator="eq", value=True)
            item = Expression(case=[When(when=test, then=Expression(value=1))], otherwise=Expression(value=0))
        self._measures[alias] = Aggregated(
            aggregate=_AGGREGATES[measure.aggregation],
            expression=item,
            alias=alias,
            distinct=measure.aggregation == "count_distinct",
        )

    def reference(self, name: str) -> Expression:
        """A dimension or entity by its path, or `metric_time`, from the model's rows on."""
        place = self._place(name)
        term = self._source(place.steps).term(place.element.expression)
        grain = None if isinstance(place.element, Entity) else place.grain
        return term if grain is None else truncated(term, grain)

    def query(self, names: list[str]) -> Query:
        """The groups under these names, and every measure under its own."""
        select = [selected(item, name) for name, item in zip(names, self._groups, strict=True)]
        joins = [
            Join(type="left", subquery=source.query(), alias=source.alias, on=[source.on])
            for source in self._sources.values()
            if source.on is not None
        ]
        table: dict[str, object] = {"table": self._base.model.table}
        if not self._base.is_plain:
            table = {"subquery": self._base.query()}
        return Query.model_validate(
            {
                **table,
                "alias": self._base.alias,
                "joins": joins,
                "select": select,
                "measures": list(self._measures.values()),
                "filters": self._filters,
            }
        )

    def _group(self, name: str) -> str:
        """What to group by: moments that are kept to the second are no days yet."""
        dimension = self._rows.model.dimension(self._rows.time) if name == METRIC_TIME else None
        return f"{name}__{dimension.grain}" if dimension is not None else name

    def _place(self, name: str) -> Place:
        if name != METRIC_TIME and not name.startswith(f"{METRIC_TIME}__"):
            return self._layer.find(self._rows.model, name)
        dimension = self._rows.model.dimension(self._rows.time)
        if dimension is None:
            raise Conflict(
                f"The measures of {self._rows.model.name!r} have no time to count by.",
                hint="Give the model a default agg_time_dimension, or group by another dimension.",
            )
        return Place((), dimension, _grain(name))

    def _source(self, steps: tuple[Step, ...]) -> _Source:
        if steps in self._sources:
            return self._sources[steps]
        before, step = self._source(steps[:-1]), steps[-1]
        if len(self._sources) > MAX_JOINS:
            raise Conflict("The query joins too many models.", hint="Group by fewer dimensions.")
        source = _Source(self._layer.models[step.model], f"t{len(self._sources)}", is_plain=False)
        left, right = before.model.entity(step.entity), source.model.entity(step.entity)
        assert left is not None and right is not None, "the layer found the way"
        source.on = On(left=_column(before, left), right=_column(source, right))
        self._sources[steps] = source
        return source


def truncated(term: Expression, grain: Grain) -> Expression:
    return Expression(function="date_trunc", args=[Expression(value=grain), term])


def _column(source: _Source, entity: Entity) -> str:
    column = source.term(entity.expression).column
    assert column is not None, "the model of a plain source has plain keys, and a subquery has columns"
    return column


def _grain(name: str) -> Grain | None:
    _, _, grain = name.partition("__")
    if grain and grain not in get_args(Grain):
        raise Conflict(f"There is no grain {grain[:40]!r}.", hint=f"Use one of {', '.join(get_args(Grain))}.")
    return cast(Grain, grain) if grain else None
