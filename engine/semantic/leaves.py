"""Measures of one model over the same rows: the part of a metric query that is aggregated at once."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, cast, get_args

from core.errors import Conflict
from engine.semantic.binding import bound, met, path, selected
from engine.semantic.frames import Frame, Period
from engine.semantic.layer import FIGURE, METRIC_TIME, Layer, Place, Step
from engine.semantic.models import Dimension, Entity, Grain, Last, Measure, SemanticModel
from engine.sql.definitions import (
    Aggregate,
    Condition,
    Expression,
    Join,
    On,
    Over,
    Query,
    Selected,
    Values,
    When,
)
from engine.sql.definitions import Measure as Aggregated

MAX_JOINS = 32
PERIODS, LAST = "p", "w"
RAW_TIME = "metric_time@rows"
_CUTS: dict[Grain, str] = {"day": "%Y-%m-%d", "month": "%Y-%m-01", "year": "%Y-01-01"}
_AGGREGATES: dict[str, Aggregate] = {
    "sum": "sum",
    "min": "min",
    "max": "max",
    "average": "avg",
    "median": "median",
    "count": "count",
    "count_distinct": "count",
    "sum_boolean": "sum",
    "percentile": "percentile_cont",
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
    """Which rows are aggregated: of which model, by which time, under which conditions, seen through which frame.

    is_shifted: the rows of a period are of another time, so that conditions on time are conditions on the period.
    last: only the last of them. compute: the query of a metric by an entity, for conditions."""

    model: SemanticModel
    time: str
    conditions: tuple[Condition, ...]
    groups: tuple[str, ...]
    frame: Frame = field(default_factory=Frame)
    is_shifted: bool = False
    dialect: str = "duckdb"
    last: Last | None = None
    compute: Callable[[str, str], Query] | None = None


class Leaf:
    """One SELECT with GROUP BY over a model and what it joins."""

    def __init__(self, layer: Layer, rows: Rows):
        self._layer = layer
        self._rows = rows
        time = rows.model.dimension(rows.time)
        # A join compares columns: keys that are computed are made in a subquery first.
        joined = [entity.expression for entity in rows.model.entities]
        joined += [time.expression] if time is not None and rows.frame.periods else []
        self._base = _Source(rows.model, "t0", all(each.column is not None for each in joined))
        self._sources: dict[tuple[Step, ...], _Source] = {(): self._base}
        self._figures: dict[str, Join] = {}
        self._groups = [self._period(group) or self.reference(self._group(group)) for group in rows.groups]
        self._filters = [met(condition, self._filtered) for condition in [*rows.conditions, *self._range()]]
        self._measures: dict[str, Aggregated] = {}
        self._values: dict[str, Expression] = {}  # of single rows, where only the last of them are measured

    def add(self, measure: Measure, alias: str) -> None:
        term = self._base.term(measure.expression)
        if self._rows.last is not None:
            self._values[alias], term = term, Expression(column=path(LAST, alias))
        self._measures[alias] = aggregated(measure, term, alias)

    def term(self, item: Expression) -> Expression:
        """An expression over the model's own columns."""
        return self._base.term(item)

    def reference(self, name: str) -> Expression:
        """A dimension or entity by its path, `metric_time`, or `metric@entity`, from the model's rows on."""
        if FIGURE in name:
            return self._figure(name)
        place = self._place(name)
        term = self._source(place.steps).term(place.element.expression)
        grain = None if isinstance(place.element, Entity) else place.grain
        return term if grain is None else truncated(term, grain, self._rows.dialect)

    def query(self, names: list[str]) -> Query:
        """The groups under these names, and every measure under its own."""
        select = [selected(item, name) for name, item in zip(names, self._groups, strict=True)]
        joins = [
            Join(type="left", subquery=source.query(), alias=source.alias, on=[source.on])
            for source in self._sources.values()
            if source.on is not None
        ]
        joins += self._figures.values()
        is_averaged = self._rows.frame.is_averaged
        if self._rows.frame.periods:
            joins.append(self._periods())
            select += [Selected(column=path(PERIODS, "hi"), alias="hi")] if is_averaged else []
        table: dict[str, object] = {"table": self._base.model.table}
        if not self._base.is_plain:
            table = {"subquery": self._base.query()}
        made = Query.model_validate(
            {
                **table,
                "alias": self._base.alias,
                "joins": joins,
                "select": select,
                "measures": list(self._measures.values()),
                "filters": self._filters,
            }
        )
        made = self._last(made, names, self._rows.last) if self._rows.last is not None and self._values else made
        return self._averaged(made, names) if is_averaged else made

    def detail(self, names: list[str], items: Mapping[str, Expression]) -> Query:
        """The rows themselves: the groups under these names, and items under theirs."""
        made = self.query(names)
        more = [selected(item, name) for name, item in items.items()]
        return made.model_copy(update={"select": [*made.select, *more]})

    def _figure(self, name: str) -> Expression:
        """A metric of the entity that a row is of."""
        metric, _, entity = name.partition(FIGURE)
        place = self._layer.find(self._rows.model, entity)
        if not isinstance(place.element, Entity) or self._rows.compute is None:
            raise Conflict(f"A metric of each {entity[:80]!r} is no filter here.", hint="Name one of the entities.")
        if name not in self._figures:
            alias = f"m{len(self._figures)}"
            on = On(left=_column(self._source(place.steps), place.element), right=path(alias, entity))
            self._figures[name] = Join(type="left", subquery=self._rows.compute(metric, entity), alias=alias, on=[on])
        return Expression(column=path(str(self._figures[name].alias), metric))

    def _last(self, made: Query, names: list[str], last: Last) -> Query:
        """The measures over the rows of the last time of each period and entity."""
        model, dimension = self._rows.model, self._rows.model.dimension(last.dimension)
        entities = [model.entity(name) for name in last.entities]
        if dimension is None or None in entities:
            raise Conflict(f"{model.name!r} lacks the time that its rows stand at.", hint="Ask for another metric.")
        time = self._base.term(dimension.expression)
        time = truncated(time, dimension.grain, self._rows.dialect) if dimension.grain is not None else time
        parts = [self._base.term(each.expression) for each in entities if each is not None]
        parts += [item for name, item in zip(self._rows.groups, self._groups, strict=True) if self._is_of(name, last)]
        parts_of_period = ["hi"] if self._rows.frame.is_averaged else []
        over = Over(partition_by=[*parts, *(Expression(column=path(PERIODS, name)) for name in parts_of_period)])
        items = {**self._values, "at": time}
        end = Selected(function="min" if last.is_first else "max", args=[time], over=over, alias="end")
        shown = [selected(item, name) for name, item in items.items()]
        rows = made.model_copy(update={"select": [*made.select, *shown, end], "measures": []})
        kept = [*names, *parts_of_period]
        return Query(
            subquery=rows,
            alias=LAST,
            select=[Selected(column=path(LAST, name), alias=name) for name in kept],
            measures=list(self._measures.values()),
            filters=[Condition(column=path(LAST, "at"), operator="eq", other=Expression(column=path(LAST, "end")))],
        )

    def _is_of(self, group: str, last: Last) -> bool:
        """Whether a group is a period of the time that rows stand at."""
        if self._period(group) is None and group.split("__")[0] != METRIC_TIME:
            place = self._place(group)
            return not place.steps and place.element.name == last.dimension
        return self._rows.time == last.dimension

    def _averaged(self, made: Query, names: list[str]) -> Query:
        """One figure for all the parts of a period."""
        return Query(
            subquery=made,
            alias="d",
            select=[Selected(column=path("d", name), alias=name) for name in names],
            measures=[Aggregated(aggregate="avg", column=path("d", name), alias=name) for name in self._measures],
        )

    # Time

    def _periods(self) -> Join:
        """The periods, joined to the rows of each."""
        dimension = self._time()
        column = self._base.term(dimension.expression).column
        assert column is not None, "the base has plain columns, or is a subquery"
        on = [
            On(left=column, right=path(PERIODS, "lo"), operator="ge"),
            On(left=column, right=path(PERIODS, "hi"), operator="lt"),
        ]
        periods = self._rows.frame.periods
        return Join(
            values=Values(
                columns=["key", "lo", "hi"],
                types=[_kind(period.key for period in periods), *[_kind(_ends(periods))] * 2],
                rows=[
                    [moment_text(period.key), moment_text(period.start), moment_text(period.end)] for period in periods
                ],
            ),
            alias=PERIODS,
            on=on,
        )

    def _period(self, name: str) -> Expression | None:
        """The key of the period, where groups of time have ranges of their own."""
        is_time = name == METRIC_TIME or name.startswith(f"{METRIC_TIME}__")
        return Expression(column=path(PERIODS, "key")) if is_time and self._rows.frame.periods else None

    def _range(self) -> list[Condition]:
        frame = self._rows.frame
        ends = () if frame.periods else (("ge", frame.start), ("lt", frame.end))
        return [
            Condition.model_validate({"column": RAW_TIME, "operator": operator, "value": moment_text(moment)})
            for operator, moment in ends
            if moment is not None
        ]

    def _filtered(self, name: str) -> Expression:
        if name == RAW_TIME:
            return self.reference(METRIC_TIME)
        if not self._rows.is_shifted or name.split("__")[0] != METRIC_TIME:
            return self.reference(name)
        if not self._rows.frame.periods:
            raise Conflict(
                "A figure of another time has no time to filter by.", hint="Give the range instead of a filter."
            )
        return Expression(column=path(PERIODS, "key"))

    def _time(self) -> Dimension:
        dimension = self._rows.model.dimension(self._rows.time)
        if dimension is None:
            raise Conflict(
                f"The measures of {self._rows.model.name!r} have no time to count by.",
                hint="Give the model a default agg_time_dimension, or group by another dimension.",
            )
        return dimension

    def _group(self, name: str) -> str:
        """What to group by: moments that are kept to the second are no days yet."""
        dimension = self._rows.model.dimension(self._rows.time) if name == METRIC_TIME else None
        return f"{name}__{dimension.grain}" if dimension is not None else name

    def _place(self, name: str) -> Place:
        if name != METRIC_TIME and not name.startswith(f"{METRIC_TIME}__"):
            return self._layer.find(self._rows.model, name)
        return Place((), self._time(), _grain(name))

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


def aggregated(measure: Measure, item: Expression, alias: str) -> Aggregated:
    """A measure over its expression."""
    if measure.aggregation == "sum_boolean":
        test = Condition(expression=item, operator="eq", value=True)
        item = Expression(case=[When(when=test, then=Expression(value=1))], otherwise=Expression(value=0))
    return Aggregated(
        aggregate="percentile_disc" if measure.is_discrete else _AGGREGATES[measure.aggregation],
        expression=item,
        alias=alias,
        distinct=measure.aggregation == "count_distinct",
        fraction=measure.fraction,
    )


def truncated(term: Expression, grain: Grain, dialect: str) -> Expression:
    """The beginning of the period that a time is in."""
    if dialect != "sqlite":
        return Expression(function="date_trunc", args=[Expression(value=grain), term])
    if grain not in _CUTS:
        raise Conflict(
            f"SQLite cannot cut times to a {grain}.", hint="Group by metric_time of that grain, or by day, month, year."
        )
    return Expression(function="strftime", args=[Expression(value=_CUTS[grain]), term])


def _kind(moments: Iterable[datetime]) -> Literal["date", "timestamp"]:
    return (
        "date" if all(moment == datetime(moment.year, moment.month, moment.day) for moment in moments) else "timestamp"
    )


def _ends(periods: Iterable[Period]) -> Iterator[datetime]:
    for period in periods:
        yield from (period.start, period.end)


def moment_text(moment: datetime) -> str:
    """A day, or a moment to the second, as conditions have it."""
    is_day = moment == datetime(moment.year, moment.month, moment.day)
    return moment.isoformat(sep=" ").removesuffix(" 00:00:00") if is_day else moment.isoformat(" ", "seconds")


def _column(source: _Source, entity: Entity) -> str:
    column = source.term(entity.expression).column
    assert column is not None, "the model of a plain source has plain keys, and a subquery has columns"
    return column


def _grain(name: str) -> Grain | None:
    _, _, grain = name.partition("__")
    if grain and grain not in get_args(Grain):
        raise Conflict(f"There is no grain {grain[:40]!r}.", hint=f"Use one of {', '.join(get_args(Grain))}.")
    return cast(Grain, grain) if grain else None
