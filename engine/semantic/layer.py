"""All models and metrics of a connection together: what a name means, and how models join."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TypeVar, cast, get_args

from core.errors import Conflict
from engine.semantic.models import Dimension, Entity, Grain, Input, Measure, Metric, SemanticModel

MAX_LINKS, MAX_WAYS = 4, 64
METRIC_TIME = "metric_time"
FIGURE = "@"  # `orders@customer`: a metric of each of an entity, in conditions
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Step:
    """One join along an entity, into a model that has one row of it."""

    entity: str
    model: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path of names leads to from a model, and the grain that it asks for."""

    steps: tuple[Step, ...]
    element: Dimension | Entity
    grain: Grain | None = None


class Layer:
    """Models and metrics by their names. Raises Conflict when a name is given twice."""

    def __init__(self, models: Iterable[SemanticModel], metrics: Iterable[Metric]):
        self.models: dict[str, SemanticModel] = {}
        self.metrics: dict[str, Metric] = {}
        self._measures: dict[str, tuple[SemanticModel, Measure]] = {}
        self._targets: dict[str, list[SemanticModel]] = {}
        for model in models:
            _put(self.models, "model", model.name, model)
            for measure in model.measures:
                _put(self._measures, "measure", measure.name, (model, measure))
            for entity in model.entities:
                if entity.kind in ("primary", "unique") and not model.has_versions:
                    self._targets.setdefault(entity.name, []).append(model)
        for metric in metrics:
            _put(self.metrics, "metric", metric.name, metric)
        self.metrics = {name: self._of_measures(metric) for name, metric in self.metrics.items()}

    def _of_measures(self, metric: Metric) -> Metric:
        """A metric that accumulates or converts other metrics, as one of their measures."""
        if metric.kind not in ("cumulative", "conversion"):
            return metric
        return replace(metric, inputs=tuple(self._of_measure(given) for given in metric.inputs))

    def _of_measure(self, given: Input) -> Input:
        named = self.metrics.get(given.name)
        if given.name in self._measures or named is None or named.kind != "simple":
            return given
        inner = named.inputs[0]
        return replace(inner, filters=(*named.filters, *inner.filters, *given.filters), fill=given.fill or inner.fill)

    def plus(self, *metrics: Metric) -> "Layer":
        """The layer with more metrics. Raises Conflict when one has a name that is taken."""
        return Layer(self.models.values(), [*self.metrics.values(), *metrics])

    @property
    def measures(self) -> Mapping[str, tuple[SemanticModel, Measure]]:
        return self._measures

    def metric(self, name: str) -> Metric:
        if name not in self.metrics:
            raise Conflict(f"There is no metric {name[:80]!r}.", hint=_guess(name, self.metrics))
        return self.metrics[name]

    def measure(self, name: str) -> tuple[SemanticModel, Measure]:
        if name not in self._measures:
            raise Conflict(f"There is no measure {name[:80]!r}.", hint=_guess(name, self._measures))
        return self._measures[name]

    def measured(self, metrics: Iterable[Metric]) -> list[SemanticModel]:
        """The models whose rows metrics measure, each once."""
        found: dict[str, SemanticModel] = {}
        waiting, been = list(metrics), set[str]()
        while waiting:
            metric = waiting.pop(0)
            for given in metric.inputs if metric.name not in been else ():
                if metric.kind in ("ratio", "derived"):
                    waiting.append(self.metric(given.name))
                else:
                    model, _ = self.measure(given.name)
                    found.setdefault(model.name, model)
            been.add(metric.name)
        return list(found.values())

    def shared(self, bases: Sequence[SemanticModel]) -> dict[str, Place]:
        """What measures of all these models can be grouped by."""
        found = self.paths(bases[0])
        for base in bases[1:]:
            others = self.paths(base)
            found = {path: place for path, place in found.items() if path in others}
        return found

    def find(self, base: SemanticModel, path: str) -> Place:
        """What `entity__dimension` or `entity__dimension__month` means for a measure of a model.

        Raises Conflict where it means nothing, more than one thing, or would repeat the measure's rows."""
        names = path.split("__")
        found = self._places(base, names, None)
        if not found and len(names) > 1 and names[-1] in get_args(Grain):
            grain = cast(Grain, names[-1])
            found = self._places(base, names[:-1], grain)
        if not found:
            raise self._unreachable(base, names)
        shortest = min(len(place.steps) for place in found)
        nearest = [place for place in found if len(place.steps) == shortest]
        if len(nearest) > 1:
            ways = ", ".join(" > ".join(step.model for step in place.steps) for place in nearest[:5])
            raise Conflict(
                f"{path[:80]!r} means more than one thing for {base.name!r}: {ways}.",
                hint="Rename one of the dimensions, or name the entities on the way to it.",
            )
        return nearest[0]

    def _places(self, base: SemanticModel, names: list[str], grain: Grain | None) -> list[Place]:
        *links, last = names
        if len(links) > MAX_LINKS:
            return []
        found = []
        for model, steps in self._ways(base, links):
            element: Dimension | Entity | None = model.dimension(last) if links else None
            element = element or model.entity(last)
            if element is not None and (grain is None or (isinstance(element, Dimension) and element.is_time)):
                found.append(Place(steps, element, grain))
        return found

    def _ways(self, base: SemanticModel, links: list[str]) -> list[tuple[SemanticModel, tuple[Step, ...]]]:
        """The models that a row of `base` has one row of along these entities."""
        at: list[tuple[SemanticModel, tuple[Step, ...]]] = [(base, ())]
        for link in links:
            following = []
            for model, steps in at:
                if link == model.primary:
                    following.append((model, steps))
                if model.entity(link) is None:
                    continue
                been = {base.name, *(step.model for step in steps)}
                for target in self._targets.get(link, []):
                    if target.name not in been:
                        following.append((target, (*steps, Step(link, target.name))))
            at = following[:MAX_WAYS]
        return at

    def _unreachable(self, base: SemanticModel, names: list[str]) -> Conflict:
        *links, last = names
        holders = [model for model in self.models.values() if model.dimension(last) or model.entity(last)]
        link = links[-1] if links else ""
        is_many = any((entity := model.entity(link)) and entity.kind in ("foreign", "natural") for model in holders)
        if link and is_many:
            return Conflict(
                f"{'__'.join(names)[:80]!r} has many rows for one of {base.name!r}: joining it would repeat what is "
                "measured.",
                hint="Group by a dimension of which each row has one, or ask for a metric of the other model.",
            )
        hint = _guess("__".join(names), self._near(base))
        return Conflict(f"{'__'.join(names)[:80]!r} cannot be reached from {base.name!r}.", hint=hint)

    def paths(self, base: SemanticModel, *, depth: int = MAX_LINKS, most: int = 300) -> dict[str, Place]:
        """What a model's measures can be grouped by, the nearest first, and where each path leads."""
        found: dict[str, Place] = {}
        links: list[tuple[str, ...]] = [(base.primary,)] if base.primary else []
        links += [(entity.name,) for entity in base.entities if entity.name != base.primary]
        while links and len(found) < most:
            link = links.pop(0)
            ways = self._ways(base, list(link))
            for element in sorted({each.name for model, _ in ways for each in model.dimensions}):
                self._note(found, base, (*link, element))
            for model, steps in ways if len(link) < depth else ():
                more = [entity.name for entity in model.entities if entity.name not in link and steps]
                links += [longer for name in more if (longer := (*link, name)) not in links]
        for entity in base.entities:
            self._note(found, base, (entity.name,))
        return found

    def _note(self, found: dict[str, Place], base: SemanticModel, names: tuple[str, ...]) -> None:
        path = "__".join(names)
        try:
            found.setdefault(path, self.find(base, path))
        except Conflict:  # more than one thing goes by that name
            return

    def _near(self, base: SemanticModel) -> list[str]:
        """Paths that a model can be grouped by, one join away at most."""
        links = [entity.name for entity in base.entities] + ([base.primary] if base.primary else [])
        return [METRIC_TIME, *(entity.name for entity in base.entities)] + [
            f"{link}__{dimension.name}"
            for link in links
            for model, _ in self._ways(base, [link])
            for dimension in model.dimensions
        ]


def _guess(name: str, known: Iterable[str]) -> str:
    listed = list(known)
    close = get_close_matches(name[:255], listed, n=5, cutoff=0.5) or listed[:10]
    return f"Did you mean {', '.join(close)}?" if close else "Nothing has been defined yet."


def _put(kept: dict[str, T], kind: str, name: str, item: T) -> None:
    if name in kept:
        raise Conflict(f"Two {kind}s are called {name[:80]!r}.", hint="Rename one of them.")
    kept[name] = item
