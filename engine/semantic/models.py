"""What figures mean: models over tables, how they join, and the metrics that are made of their measures."""

from dataclasses import dataclass
from typing import Literal

from engine.sql.definitions import Condition, Expression

EntityKind = Literal["primary", "unique", "foreign", "natural"]
Grain = Literal["second", "minute", "hour", "day", "week", "month", "quarter", "year"]
Aggregation = Literal["sum", "min", "max", "average", "median", "count", "count_distinct", "sum_boolean", "percentile"]
MetricKind = Literal["simple", "ratio", "derived", "cumulative", "conversion"]
PeriodPart = Literal["first", "last", "average"]
Calculation = Literal["conversion_rate", "conversions"]
MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class Window:
    """A length of time: so many of a grain."""

    count: int
    grain: Grain


@dataclass(frozen=True, slots=True)
class Entity:
    """A key of a model, by which models join. `natural` ones do not: their rows are told apart by time as well."""

    name: str
    kind: EntityKind
    expression: Expression
    description: str = ""


@dataclass(frozen=True, slots=True)
class Dimension:
    """What figures are grouped and filtered by. Expressions name columns of the model's table.

    is_validity: says from or until when a row holds, so that a model with one has several rows of a key."""

    name: str
    expression: Expression
    grain: Grain | None = None
    description: str = ""
    is_validity: bool = False
    label: str = ""
    synonyms: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()

    @property
    def is_time(self) -> bool:
        return self.grain is not None


@dataclass(frozen=True, slots=True)
class Last:
    """The rows of the last time that there is, or the first, for each of some entities: of what stands at a time, such
    as a balance, and does not add up over it. Of each period where a query groups by that time."""

    dimension: str
    is_first: bool = False
    entities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """An aggregate over a model's rows, or over the last of them.

    fraction: which percentile, from 0 to 1; is_discrete: the percentile is a value that there is. text: the expression
    as it was written, for people."""

    name: str
    aggregation: Aggregation
    expression: Expression
    time_dimension: str = ""
    description: str = ""
    text: str = ""
    last: Last | None = None
    fraction: float | None = None
    is_discrete: bool = False


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
    label: str = ""
    subject_path: str = ""

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

    fill: what stands where there is no figure. offset: how much earlier the figure is of; offset_to: the figure is of
    the first day of that period."""

    name: str
    alias: str = ""
    filters: tuple[Condition, ...] = ()
    fill: int | float | None = None
    offset: Window | None = None
    offset_to: Grain | None = None
    has_every_period: bool = False


@dataclass(frozen=True, slots=True)
class Conversion:
    """How rows of the first measure become rows of the second: the same entity, no earlier, within the window.

    same: pairs of dimensions, of the one and the other model, that must be equal."""

    entity: str
    calculation: Calculation = "conversion_rate"
    window: Window | None = None
    same: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure that people ask for.

    inputs: the measure of a simple or cumulative one; numerator and denominator; the metrics that `expression` names;
    the measures before and after a conversion. window, to_date: how far back a cumulative one reaches, to the first
    day there is when neither is given; period_part: which of its figures stands for a longer period."""

    name: str
    kind: MetricKind
    inputs: tuple[Input, ...] = ()
    expression: Expression | None = None
    filters: tuple[Condition, ...] = ()
    label: str = ""
    description: str = ""
    synonyms: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    window: Window | None = None
    to_date: Grain | None = None
    period_part: PeriodPart = "first"
    conversion: Conversion | None = None
    subject_path: str = ""
    text: str = ""
