"""Whether the metrics of a layer mean something: what they name is there, and none is made of itself."""

from collections.abc import Iterable, Iterator

from core.errors import Conflict
from engine.semantic.layer import FIGURE, METRIC_TIME, Layer
from engine.semantic.models import Input, Metric
from engine.semantic.sight import columns_of
from engine.sql.definitions import Condition

MAX_DEPTH, MAX_STEPS = 12, 500


def problems(layer: Layer, metrics: Iterable[Metric]) -> Iterator[tuple[Metric, str]]:
    """The metrics that cannot be asked for, and why."""
    for metric in metrics:
        try:
            _Walk(layer).check(metric, (), ())
        except Conflict as error:
            yield metric, error.message


class _Walk:
    def __init__(self, layer: Layer):
        self._layer = layer
        self._left = MAX_STEPS

    def check(self, metric: Metric, above: tuple[str, ...], filters: tuple[Condition, ...]) -> None:
        self._left -= 1
        if metric.name in above or len(above) > MAX_DEPTH:
            raise Conflict(f"The metric {metric.name!r} is made of itself.")
        if self._left < 0:
            raise Conflict(f"The metric {metric.name!r} is made of too many others.")
        for given in metric.inputs:
            conditions = (*filters, *metric.filters, *given.filters)
            if metric.kind in ("ratio", "derived"):
                self.check(self._layer.metric(given.name), (*above, metric.name), conditions)
            else:
                self._measure(metric, given, conditions)
        if metric.expression is not None:
            unknown = set(columns_of(metric.expression)) - {given.alias or given.name for given in metric.inputs}
            if unknown:
                raise Conflict(f"The metric {metric.name!r} names {min(unknown)!r}, which is none of its inputs.")

    def _measure(self, metric: Metric, given: Input, conditions: tuple[Condition, ...]) -> None:
        model, measure = self._layer.measure(given.name)
        if metric.kind in ("cumulative", "conversion") and not measure.time_dimension:
            raise Conflict(f"The measure {measure.name!r} has no time to count by, which {metric.name!r} needs.")
        if metric.conversion is not None and model.entity(metric.conversion.entity) is None:
            raise Conflict(f"{model.name!r} has no entity {metric.conversion.entity!r}, which {metric.name!r} needs.")
        if metric.conversion is not None and given is not metric.inputs[0]:
            return  # conditions are on the rows before the conversion
        for name in columns_of(*conditions):
            metric_name, _, entity = name.rpartition(FIGURE)
            if metric_name:
                self.check(self._layer.metric(metric_name), (metric.name,), ())
            if name.split("__")[0] != METRIC_TIME:
                self._layer.find(model, entity)
