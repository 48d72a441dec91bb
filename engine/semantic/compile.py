"""A question for metrics as a definition of a query. Every measure is aggregated on rows of its own model."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import cast, get_args

from core.errors import Conflict
from engine.dates.calendar import Calendar, Unit
from engine.dates.calendar import Grain as DateGrain
from engine.semantic.binding import met, path, selected
from engine.semantic.combining import combined, every_period
from engine.semantic.conversions import converted
from engine.semantic.figures import COMPARED, Figure, compared, derived, figure_of, filled, ratio
from engine.semantic.frames import Frame, accumulated, at_start, moved, needs_range, paired, periods_of
from engine.semantic.layer import METRIC_TIME, Layer
from engine.semantic.leaves import Leaf, Rows
from engine.semantic.models import Grain, Input, Measure, Metric, SemanticModel, Window
from engine.sql.definitions import Condition, Expression, Order, Query, Selected

MAX_METRICS, MAX_GROUPS, MAX_FILTERS, MAX_LEAVES = 50, 30, 100, 12
MAX_DEPTH, MAX_FIGURES = 12, 500
MAX_OUTPUT, MAX_NESTED = 255, 2
FISCAL = "fiscal_"


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """Which metrics, by which dimensions (`entity__dimension`, `entity__dimension__month`, an entity, `metric_time`).

    start, end: half-open range of the metrics' own time. having: conditions on figures of the result. order: names of
    the result's columns, with whether it descends. versus: another range, or how much earlier one, that each figure is
    compared with. bounds: from when to when there are rows, which stand in for an open end where periods have to be
    listed."""

    metrics: Sequence[str]
    group_by: Sequence[str] = ()
    where: Sequence[Condition] = ()
    start: datetime | None = None
    end: datetime | None = None
    order: Sequence[tuple[str, bool]] = ()
    limit: int | None = None
    versus: tuple[datetime, datetime] | Window | None = None
    calendar: Calendar = field(default_factory=Calendar)
    bounds: tuple[datetime, datetime] | None = None
    dialect: str = "duckdb"
    having: Sequence[Condition] = ()


def compile_metrics(query: MetricQuery, layer: Layer) -> Query:
    """The definition that answers the query. Raises Conflict with what cannot be answered, and why."""
    _check(query)
    return _Compiler(query, layer).compile()


def lacks_bounds(query: MetricQuery, layer: Layer) -> bool:
    """Whether it must be known from when to when there are rows before the query can be compiled."""
    _check(query)
    if query.start is not None and query.end is not None:
        return False
    return _looks_back(layer, query.metrics) or (_unit(query) is not None and _is_listed(query, layer))


def times_of(query: MetricQuery, layer: Layer) -> list[tuple[str, Expression]]:
    """The tables of all measures that the query needs, with the time that each is counted by."""
    found: dict[tuple[str, str], tuple[str, Expression]] = {}
    for metric in _closure(layer, query.metrics):
        for given in () if metric.kind in ("ratio", "derived") else metric.inputs:
            model, measure = layer.measure(given.name)
            time = model.dimension(measure.time_dimension)
            if time is not None:
                found[model.name, time.name] = (model.table, time.expression)
    return list(found.values())


def _closure(layer: Layer, names: Iterable[str]) -> list[Metric]:
    """Metrics and all that they are made of, each once."""
    found: dict[str, Metric] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = layer.metric(name)
            waiting += [given.name for given in found[name].inputs if found[name].kind in ("ratio", "derived")]
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _Scope:
    """Under which conditions a figure is computed, on which metrics' way, and through which frame."""

    filters: tuple[Condition, ...]
    above: tuple[str, ...]
    frame: Frame
    is_shifted: bool = False


class _Compiler:
    def __init__(self, query: MetricQuery, layer: Layer, depth: int = 0):
        self._query = query
        self._depth = depth
        self._layer = layer
        self._leaves: dict[object, tuple[Leaf, list[str]]] = {}  # by what their rows are
        self._whole: list[tuple[Query, list[str]]] = []  # that are more than rows of one model
        self._columns: dict[tuple[object, str], str] = {}  # by rows and measure
        self._left = MAX_FIGURES
        self._has_time = any(_is_time(name) for name in query.group_by)
        self._keys = [f"k{number}" for number in range(len(query.group_by))]
        self._unit = _unit(query)
        self._start, self._end = _ends(query)
        self._frame = Frame(query.start, query.end)
        if self._unit is not None and _is_listed(query, layer):
            if self._start is None or self._end is None:
                raise needs_range()
            self._frame = Frame(periods=periods_of(self._start, self._end, self._unit, query.calendar))
        elif _looks_back(layer, query.metrics):
            self._frame = Frame(self._start if query.start else None, self._end)
        self._filled: set[object] = set()

    def compile(self) -> Query:
        query = self._query
        now = _Scope(tuple(query.where), (), self._frame)
        then = None if query.versus is None else replace(now, frame=self._earlier(), is_shifted=True)
        shown: dict[str, Expression] = {}
        for name in query.metrics:
            shown[name] = self._metric(self._layer.metric(name), now).expression
            if then is not None:
                shown |= compared(name, shown[name], self._metric(self._layer.metric(name), then).expression)
        made = [self._one(digest, leaf, columns) for digest, (leaf, columns) in self._leaves.items()] + self._whole
        if len(made) > MAX_LEAVES:
            raise Conflict("The metrics come from too many places.", hint="Ask for fewer of them at once.")
        groups = [Selected(column=path("m", key), alias=n) for key, n in zip(self._keys, query.group_by, strict=True)]
        order = [
            Order(column=name, direction="desc" if is_descending else "asc", nulls="last")
            for name, is_descending in query.order or [(name, False) for name in query.group_by if _is_time(name)]
        ]
        return Query(
            subquery=combined(made, self._keys),
            alias="m",
            select=[*groups, *(selected(figure, name) for name, figure in shown.items())],
            filters=[met(condition, figure_of(shown)) for condition in query.having],
            order=order,
            limit=query.limit,
        )

    def _one(self, digest: object, leaf: Leaf, columns: list[str]) -> tuple[Query, list[str]]:
        made = leaf.query(self._keys)
        if digest in self._filled and self._frame.periods:
            place = next(number for number, name in enumerate(self._query.group_by) if _is_time(name))
            made = every_period(made, self._frame, self._keys, place, columns)
        return made, columns

    def _earlier(self) -> Frame:
        versus = self._query.versus
        if isinstance(versus, Window):
            if not self._frame.periods and (self._frame.start is None or self._frame.end is None):
                raise needs_range()
            return moved(self._frame, versus)
        assert versus is not None, "asked for where there is one"
        return paired(self._frame, *versus, self._unit, self._query.calendar)

    def _metric(self, metric: Metric, scope: _Scope) -> Figure:
        self._left -= 1
        if self._left < 0:
            raise Conflict("The metrics are made of too many others.", hint="Ask for fewer of them at once.")
        if metric.name in scope.above or len(scope.above) > MAX_DEPTH:
            raise Conflict(f"The metric {metric.name!r} is made of itself.", hint="Correct its definition.")
        scope = replace(scope, above=(*scope.above, metric.name), filters=scope.filters + metric.filters)
        match metric.kind:
            case "simple":
                return self._measure(metric.inputs[0], scope)
            case "cumulative":
                return self._cumulative(metric, scope)
            case "conversion":
                return self._conversion(metric, scope)
        figures = [self._input(given, scope) for given in metric.inputs]
        if metric.kind == "ratio":
            top, bottom = figures
            return Figure(ratio(top.expression, bottom.expression), top.size + bottom.size + 4)
        names = [given.alias or given.name for given in metric.inputs]
        return derived(metric, dict(zip(names, figures, strict=True)))

    def _input(self, given: Input, scope: _Scope) -> Figure:
        if given.offset is not None:
            scope = replace(scope, frame=moved(scope.frame, given.offset), is_shifted=True)
        if given.offset_to is not None:
            frame = at_start(scope.frame, given.offset_to, self._query.calendar)
            scope = replace(scope, frame=frame, is_shifted=True)
        scope = replace(scope, filters=scope.filters + given.filters)
        return filled(self._metric(self._layer.metric(given.name), scope), given)

    def _cumulative(self, metric: Metric, scope: _Scope) -> Figure:
        model, measure = self._layer.measure(metric.inputs[0].name)
        base = _base_grain(model, measure)
        if self._unit is not None and self._unit.grain in ("hour", "day"):
            base = cast(Grain, self._unit.grain)
        frame = accumulated(scope.frame, metric, base, self._query.calendar)
        return self._measure(metric.inputs[0], replace(scope, frame=frame, is_shifted=True))

    def _measure(self, given: Input, scope: _Scope) -> Figure:
        model, measure = self._layer.measure(given.name)
        conditions, frame = scope.filters + given.filters, scope.frame
        has_range = bool(frame.periods) or frame.start is not None or frame.end is not None
        has_time = self._has_time or has_range or any(_names_time(condition) for condition in conditions)
        time = measure.time_dimension if has_time else ""
        groups, dialect = tuple(self._query.group_by), self._query.dialect
        rows = Rows(model, time, conditions, groups, frame, scope.is_shifted, dialect, measure.last, self._by)
        shown = tuple(each.model_dump_json(exclude_unset=True) for each in conditions)
        digest = (model.name, time, shown, frame, scope.is_shifted, given.has_every_period, measure.last)
        if digest not in self._leaves:
            self._leaves[digest] = (Leaf(self._layer, rows), [])
        if given.has_every_period:
            self._filled.add(digest)
        leaf, columns = self._leaves[digest]
        name = self._columns.setdefault((digest, measure.name), f"f{len(self._columns)}")
        if name not in columns:
            leaf.add(measure, name)
            columns.append(name)
        return filled(Figure(Expression(column=path("m", name))), given)

    def _by(self, metric: str, entity: str) -> Query:
        """A metric of each of an entity, for conditions: of all time, as its own definition has it."""
        if self._depth >= MAX_NESTED:
            raise Conflict("Filters by metrics nest too deep.", hint="Filter by fewer metrics of metrics.")
        query = MetricQuery((metric,), (entity,), calendar=self._query.calendar, dialect=self._query.dialect)
        return _Compiler(query, self._layer, self._depth + 1).compile()

    def _conversion(self, metric: Metric, scope: _Scope) -> Figure:
        """Conversions are rows of two models: they are counted in a query of their own."""
        assert metric.conversion is not None, "a conversion metric says how"
        before, after = metric.inputs
        model, measure = self._layer.measure(before.name)
        conditions = scope.filters + before.filters
        rows = Rows(
            model,
            measure.time_dimension,
            conditions,
            tuple(self._query.group_by),
            scope.frame,
            scope.is_shifted,
            self._query.dialect,
            compute=self._by,
        )
        shown = tuple(each.model_dump_json(exclude_unset=True) for each in conditions)
        key = ((metric.name, shown, scope.frame), "conversions")
        if key not in self._columns:
            self._columns[key] = name = f"f{len(self._columns)}"
            query = converted(
                self._layer, rows, metric.conversion, (self._layer.measure(after.name), after.filters), self._keys, name
            )
            self._whole.append((query, [name]))
        count = Input(after.name, fill=0 if after.fill is None else after.fill)
        made = filled(Figure(Expression(column=path("m", self._columns[key]))), count)
        if metric.conversion.calculation == "conversions":
            return made
        whole = self._measure(before, scope)
        return Figure(ratio(made.expression, whole.expression), made.size + whole.size + 4)


# Time


def _is_time(name: str) -> bool:
    return name == METRIC_TIME or name.startswith(f"{METRIC_TIME}__")


def _unit(query: MetricQuery) -> Unit | None:
    """The unit of the group by time."""
    names = [name for name in query.group_by if _is_time(name)]
    if not names:
        return None
    if names[0] == METRIC_TIME:
        return Unit("day")
    grain = names[0].partition("__")[2]
    plain = grain.removeprefix(FISCAL)
    if plain not in get_args(DateGrain) or (plain != grain and plain not in ("quarter", "half", "year")):
        return None  # a grain that only a source may know
    return Unit(cast(DateGrain, plain), is_fiscal=plain != grain)


def _is_listed(query: MetricQuery, layer: Layer) -> bool:
    """Whether groups of time are listed by us rather than cut by the source."""
    unit, names = _unit(query), [name for name in query.group_by if _is_time(name)]
    if unit is None:
        return False
    is_own = unit.is_fiscal or unit.grain == "half" or (unit.grain == "week" and query.calendar.week_start != 0)
    made = is_own or query.versus is not None or query.dialect == "sqlite"
    made = made or _looks_back(layer, query.metrics) or _is_moved(layer, query.metrics)
    if made and len(names) > 1:
        raise Conflict("Such metrics are grouped by time once.", hint="Ask for one grain of metric_time at a time.")
    return made


def _looks_back(layer: Layer, names: Iterable[str]) -> bool:
    """Whether some metric is cumulative, or made of one that is."""
    return any(metric.kind == "cumulative" for metric in _closure(layer, names))


def _is_moved(layer: Layer, names: Iterable[str]) -> bool:
    """Whether some metric is of other periods than those asked for, or also of those without rows."""
    inputs = [given for metric in _closure(layer, names) for given in metric.inputs]
    return any(given.offset or given.offset_to or given.has_every_period for given in inputs)


def _ends(query: MetricQuery) -> tuple[datetime | None, datetime | None]:
    """The range asked for; from the first row, or to the last, where an end is open."""
    first, last = query.bounds or (None, None)
    start = query.start if query.start is not None else first
    end = query.end if query.end is not None else last
    return start, end


def _base_grain(model: SemanticModel, measure: Measure) -> Grain:
    """The shortest period of a cumulative figure: a day, or longer where the time is."""
    time = model.dimension(measure.time_dimension)
    grain = time.grain if time is not None else None
    return "day" if grain in (None, "second", "minute", "hour") else grain


def _names_time(condition: Condition) -> bool:
    return f'"{METRIC_TIME}' in condition.model_dump_json(exclude_unset=True)


def _check(query: MetricQuery) -> None:
    if not query.metrics:
        raise Conflict("The query names no metric.", hint="list_metrics shows them.")
    filters = (*query.where, *query.having)
    given = (query.metrics, MAX_METRICS), (query.group_by, MAX_GROUPS), (filters, MAX_FILTERS)
    if any(len(items) > most for items, most in given) or len(query.order) > MAX_GROUPS:
        raise Conflict("The query has too many parts.", hint="Ask for less at once.")
    if query.start is not None and query.end is not None and query.start >= query.end:
        raise Conflict("The range ends before it begins.", hint="Its end is the first moment that is no part of it.")
    outputs = [*query.group_by, *query.metrics]
    if query.versus is not None:
        outputs += [f"{name}_{what}" for name in query.metrics for what in COMPARED]
    if len({name.lower() for name in outputs}) != len(outputs) or max(map(len, outputs)) > MAX_OUTPUT:
        raise Conflict("A name is asked for twice, or is too long.", hint="Name each metric and dimension once.")
    unknown = [name for name, _ in query.order if name not in outputs]
    if unknown:
        raise Conflict(f"The result has no {unknown[0][:80]!r} to order by.", hint=f"It has {', '.join(outputs)}.")
