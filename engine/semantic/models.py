"""What figures mean: models over tables, how they join, and the metrics that are made of their measures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import JsonValue

from engine.sql.definitions import Condition, Expression

EntityKind = Literal["primary", "unique", "foreign", "natural"]
Grain = Literal["second", "minute", "hour", "day", "week", "month", "quarter", "year"]
Aggregation = Literal["sum", "min", "max", "average", "median", "count", "count_distinct", "sum_boolean", "percentile"]
MetricKind = Literal["simple", "ratio", "derived", "cumulative", "conversion"]
MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class Entity:
    """A key of a model, by which models join. `natural` ones do not: their rows are told apart by time as well."""

    name: str
    kind: EntityKind
    expression: Expression


@dataclass(frozen=True, slots=True)
class Dimension:
    """What figures are grouped and filtered by. Expressions name columns of the model's table.

    is_validity: says from or until when a row holds, so that a model with one has several rows of a key."""

    name: str
    expression: Expression
    grain: Grain | None = None
    description: str = ""
    is_validity: bool = False

    @property
    def is_time(self) -> bool:
        return self.grain is not None


@dataclass(frozen=True, slots=True)
class Measure:
    """An aggregate over a model's rows. `obstacle` says why it cannot be computed yet, empty where it can."""

    name: str
    aggregation: Aggregation
    expression: Expression
    time_dimension: str = ""
    description: str = ""
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class SemanticModel:
    """A table and its meaning. `primary` is the entity that its own dimensions are named after."""

    name: str
    table: str
    connection: str
    description: str = ""
    primary: str = ""
    entities: tuple[Entity, ...] = ()
    dimensions: tuple[Dimension, ...] = ()
    measures: tuple[Measure, ...] = ()
    synonyms: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()

    def entity(self, name: str) -> Entity | None:
        return next((entity for entity in self.entities if entity.name == name), None)

    def dimension(self, name: str) -> Dimension | None:
        return next((dimension for dimension in self.dimensions if dimension.name == name), None)

    @property
    def has_versions(self) -> bool:
        return any(dimension.is_validity for dimension in self.dimensions)


@dataclass(frozen=True, slots=True)
class Input:
    """A measure or metric that a metric is made of. Conditions name dimensions as `entity__dimension`.

    fill: what stands where there is no figure."""

    name: str
    alias: str = ""
    filters: tuple[Condition, ...] = ()
    fill: int | float | None = None
    obstacle: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that people ask for.

    inputs: the measure of a simple one; numerator and denominator; the metrics that `expression` names.
    parameters: what a kind that is not computed yet says of itself, as it was written."""

    name: str
    kind: MetricKind
    inputs: tuple[Input, ...] = ()
    expression: Expression | None = None
    filters: tuple[Condition, ...] = ()
    label: str = ""
    description: str = ""
    synonyms: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    parameters: Mapping[str, JsonValue] = field(default_factory=dict)
