"""What people are shown of a metric: how it is computed, by what it can be grouped, what it joins."""

from dataclasses import dataclass

from core.errors import Conflict
from engine.semantic.layer import Layer, Place
from engine.semantic.models import Grain, Metric, SemanticModel

MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Card:
    """A metric in words."""

    expression: str
    grain: str
    dimensions: tuple[str, ...]
    joins: tuple[str, ...]


def card(metric: Metric, layer: Layer) -> Card:
    bases = list(_bases(metric, layer, 0))
    shared: dict[str, Place] | None = None
    for base in bases:
        paths = layer.paths(base, depth=2)
        shared = paths if shared is None else {path: place for path, place in shared.items() if path in paths}
    steps = {step for place in (shared or {}).values() for step in place.steps}
    return Card(
        expression=_expression(metric, layer),
        grain=_grain(metric, layer) or "",
        dimensions=tuple(shared or ())[:MAX_SHOWN],
        joins=tuple(sorted(f"{step.model} by {step.entity}" for step in steps))[:MAX_SHOWN],
    )


def _bases(metric: Metric, layer: Layer, depth: int) -> list[SemanticModel]:
    """The models whose rows are measured."""
    found: dict[str, SemanticModel] = {}
    for given in metric.inputs[:1] if metric.kind == "conversion" else metric.inputs:
        if metric.kind in ("ratio", "derived"):
            inner = layer.metrics.get(given.name)
            models = _bases(inner, layer, depth + 1) if inner is not None and depth < 6 else []
        else:
            models = [layer.measure(given.name)[0]] if given.name in layer.measures else []
        found |= {model.name: model for model in models}
    return list(found.values())


def _expression(metric: Metric, layer: Layer) -> str:
    if metric.kind == "ratio":
        return " / ".join(given.name for given in metric.inputs)
    if metric.kind == "derived":
        return metric.text
    parts = [_aggregate(given.name, layer) for given in metric.inputs]
    if metric.conversion is not None:
        within = (
            f" within {metric.conversion.window.count} {metric.conversion.window.grain}s"
            if metric.conversion.window
            else ""
        )
        return f"{metric.conversion.calculation}: {parts[0]} to {parts[1]} by {metric.conversion.entity}{within}"
    if metric.kind == "cumulative":
        over = f"the last {metric.window.count} {metric.window.grain}s" if metric.window else ""
        over = over or (f"the {metric.to_date} so far" if metric.to_date else "all time so far")
        return f"{parts[0]} over {over}"
    return parts[0]


def _aggregate(name: str, layer: Layer) -> str:
    try:
        _, measure = layer.measure(name)
    except Conflict:
        return name
    return f"{measure.aggregation}({measure.text})"


def _grain(metric: Metric, layer: Layer) -> Grain | None:
    """The finest grain of its time, where it has one."""
    if metric.kind in ("ratio", "derived"):
        inner = layer.metrics.get(metric.inputs[0].name) if metric.inputs else None
        return _grain(inner, layer) if inner is not None and inner.kind != metric.kind else None
    if not metric.inputs or metric.inputs[0].name not in layer.measures:
        return None
    model, measure = layer.measure(metric.inputs[0].name)
    time = model.dimension(measure.time_dimension)
    return time.grain if time is not None else None
