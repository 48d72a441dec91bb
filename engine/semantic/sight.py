"""What of a layer one caller sees: models over tables and columns that exist for them, metrics made of those alone."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from core.errors import Conflict, InvalidArgument
from engine.catalog.views import View
from engine.lake.names import split_name
from engine.policy.rules import Governed
from engine.semantic.layer import FIGURE, METRIC_TIME, Layer
from engine.semantic.models import Input, Last, Metric, SemanticModel
from engine.sql.definitions import Condition, Expression

IsKnown = Callable[[Iterable[str]], bool]
MAX_DEPTH = 16
READABLE = frozenset({"public", "masked"})


def seen(layer: Layer, view: View) -> Layer:
    """The layer with only what the caller may know of."""
    models = [model for each in layer.models.values() if (model := _seen_model(each, view)) is not None]
    found = Layer(models, ())
    metrics = [metric for metric in layer.metrics.values() if _is_seen(metric, layer, found)]
    return Layer(models, metrics)


def governed_of(table: str, view: View) -> Governed | None:
    """The relation of a model's table, or None when it does not exist for the caller."""
    try:
        governed = view.find(split_name(table))
    except InvalidArgument:
        return None
    return governed if governed is not None and governed.relation.columns else None


def unknown_parts(model: SemanticModel, view: View) -> Iterator[str]:
    """The table, or the columns, that the caller does not see."""
    governed = governed_of(model.table, view)
    if governed is None:
        yield f"There is no table {model.table[:200]!r} that you can query."
        return
    known = {column.name.lower() for column in governed.relation.columns}
    parts = [(entity.name, entity.expression) for entity in model.entities]
    parts += [(dimension.name, dimension.expression) for dimension in model.dimensions]
    for name, expression in parts + [(measure.name, measure.expression) for measure in model.measures]:
        for column in dict.fromkeys(columns_of(expression)):
            if column.lower() not in known:
                yield f"{name!r}: {model.table[:200]!r} has no column {column[:80]!r} that you can query."


def columns_of(*parts: Expression | Condition | None) -> Iterator[str]:
    """The names that expressions and conditions use."""
    for part in parts:
        if part is None:
            continue
        if part.column is not None:
            yield part.column
        if isinstance(part, Condition):
            yield from columns_of(part.expression, part.other, part.none_of)
            yield from columns_of(*(part.all_of or ()), *(part.any_of or ()))
        else:
            yield from columns_of(*part.args, part.otherwise)
            for branch in part.case or ():
                yield from columns_of(branch.when, branch.then)


def _seen_model(model: SemanticModel, view: View) -> SemanticModel | None:
    governed = governed_of(model.table, view)
    if governed is None:
        return None
    privacy = {column.name.lower(): governed.privacy(column.name) for column in governed.relation.columns}
    is_known, is_readable = partial(_all_in, privacy, privacy), partial(_all_in, privacy, _readable(privacy))
    dimensions = tuple(each for each in model.dimensions if is_readable(columns_of(each.expression)))
    times = {each.name for each in dimensions}
    measures = tuple(
        each if not each.time_dimension or each.time_dimension in times else replace(each, time_dimension="")
        for each in model.measures
        if is_known(columns_of(each.expression)) and _stands(each.last, times, model, is_known)
    )
    entities = tuple(each for each in model.entities if is_known(columns_of(each.expression)))
    return replace(model, dimensions=dimensions, measures=measures, entities=entities)


def _stands(last: Last | None, times: set[str], model: SemanticModel, is_known: IsKnown) -> bool:
    """Whether the time and the entities that a measure is the last of are there for the caller."""
    if last is None:
        return True
    entities = [model.entity(name) for name in last.entities]
    return last.dimension in times and all(each and is_known(columns_of(each.expression)) for each in entities)


def _readable(privacy: Mapping[str, str]) -> frozenset[str]:
    return frozenset(name for name, kind in privacy.items() if kind in READABLE)


def _all_in(privacy: Mapping[str, str], wanted: Iterable[str], columns: Iterable[str]) -> bool:
    allowed = set(wanted)
    return all(column.lower() in allowed for column in columns)


def _is_seen(metric: Metric, whole: Layer, part: Layer) -> bool:
    """Whether all that a metric is made of in the whole layer is there for the caller as well."""
    return not _parts(metric, whole) - _parts(metric, whole, part)


def _parts(metric: Metric, whole: Layer, part: Layer | None = None) -> set[str]:
    """The measures and dimensions that a metric names, as far as they are found in `part`."""
    found: set[str] = set()
    _collect(metric, whole, part or whole, (), found)
    return found


def _collect(metric: Metric, whole: Layer, part: Layer, filters: tuple[Condition, ...], found: set[str]) -> None:
    stack: list[tuple[Metric, tuple[Condition, ...], int]] = [(metric, filters, 0)]
    while stack:
        at, above, depth = stack.pop()
        for given in at.inputs:
            conditions = (*above, *at.filters, *given.filters)
            for name in columns_of(*conditions):
                other = whole.metrics.get(name.rpartition(FIGURE)[0])
                if other is not None and depth < MAX_DEPTH:
                    stack.append((other, (), depth + 1))
            if at.kind in ("ratio", "derived"):
                inner = whole.metrics.get(given.name)
                if inner is not None and depth < MAX_DEPTH:
                    stack.append((inner, conditions, depth + 1))
            else:
                _measured(given, conditions, part, found)


def _measured(given: Input, conditions: tuple[Condition, ...], part: Layer, found: set[str]) -> None:
    try:
        model, measure = part.measure(given.name)
    except Conflict:
        return
    found.add(f"{given.name}@{measure.time_dimension}")
    for name in columns_of(*conditions):
        if name.split("__")[0] == METRIC_TIME:
            continue
        try:
            part.find(model, name.rpartition(FIGURE)[2])
        except Conflict:
            continue
        found.add(f"{given.name}.{name}")
