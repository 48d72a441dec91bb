"""Semantic models and metrics out of YAML: MetricFlow's, as dbt projects hold it, with a few keys of our own."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from pydantic import JsonValue

from core.errors import Conflict, InvalidArgument
from engine.lake.names import split_name
from engine.semantic.dbt_models import older_metric, older_models
from engine.semantic.documents import read_document
from engine.semantic.items import Item
from engine.semantic.metric_items import read_meta, read_metric
from engine.semantic.models import (
    Aggregation,
    Dimension,
    Entity,
    EntityKind,
    Grain,
    Input,
    Last,
    Measure,
    Metric,
    SemanticModel,
)
from engine.semantic.notes import Note

Kind = Literal["model", "metric"]
MAX_FILES, MAX_TOTAL_CHARS, MAX_PARTS = 500, 2 * 1024 * 1024, 5000
_NAMED = r"""['"]([A-Za-z0-9_$-]{1,255})['"]"""
_REF = re.compile(rf"(ref|source)\(\s*{_NAMED}\s*(?:,\s*{_NAMED}\s*)?\)")


@dataclass(frozen=True, slots=True)
class Source:
    """How something is written, and where. `connection` is the one that it asks for itself."""

    definition: dict[str, JsonValue]
    file: str
    line: int
    connection: str = ""

    def note(self, place: str, message: str) -> Note:
        return Note(self.file, place, message, self.line)


@dataclass(slots=True)
class Imported:
    """What the files say. With `errors`, something is left out; `warnings` name keys that mean nothing here."""

    models: list[SemanticModel] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    errors: list[Note] = field(default_factory=list)
    warnings: list[Note] = field(default_factory=list)
    sources: dict[tuple[Kind, str], Source] = field(default_factory=dict)


Reader = Callable[[Item, str, Imported], None]
"""Reads what another form keeps under keys of its own."""


def read_metricflow(files: Mapping[str, str], connection: str, others: Mapping[str, Reader] | None = None) -> Imported:
    """Models and metrics of all files, given by their names; `others` read the keys of other forms.

    Raises Conflict when it is too much."""
    if len(files) > MAX_FILES or sum(map(len, files.values())) > MAX_TOTAL_CHARS:
        raise Conflict(
            f"That is more than {MAX_FILES} files or {MAX_TOTAL_CHARS} characters.", hint="Import it in parts."
        )
    found = Imported()
    for file, text in files.items():
        _read_file(file, text, connection, found, others or {})
        if len(found.models) + len(found.metrics) > MAX_PARTS:
            raise Conflict(f"That is more than {MAX_PARTS} models and metrics.", hint="Import them in parts.")
    return found


def _read_file(file: str, text: str, connection: str, found: Imported, others: Mapping[str, Reader]) -> None:
    try:
        document = read_document(text)
        top = Item(file, "", {} if document is None else document, found.warnings)
        for key, read in others.items():
            if top.has(key):
                read(top, connection, found)
        newer, metrics = older_models(top)
        models = top.items("semantic_models") + newer
        metrics += [older_metric(each) for each in top.items("metrics")]
    except Conflict as error:
        found.errors.append(Note(file, "", error.message))
        return
    for item in models:
        try:
            read_model_item(item, connection, found)
        except Conflict as error:
            found.errors.append(item.note(error.message))
    for item in metrics:
        try:
            read_metric_item(item, found)
        except Conflict as error:
            found.errors.append(item.note(error.message))
    top.close("saved_queries", "version", "sources", "exposures")


def read_model_item(item: Item, connection: str, found: Imported) -> None:
    """One model, and the metrics that its measures ask for. Raises Conflict."""
    definition, asked = item.rest(), item.name("connection", "")
    model, made = _model(item, asked or connection)
    found.models.append(model)
    found.metrics += made
    source = Source(_without_metrics(definition), item.file, item.line, asked)
    _keep(found, "model", model.name, source, item)
    for metric in made:
        written: dict[str, JsonValue] = {
            "name": metric.name,
            "type": "simple",
            **({"description": metric.description} if metric.description else {}),
            "type_params": {"measure": metric.inputs[0].name},
        }
        _keep(found, "metric", metric.name, Source(written, item.file, item.line, asked), item)


def read_metric_item(item: Item, found: Imported) -> None:
    """One metric. Raises Conflict."""
    definition, asked = item.rest(), item.name("connection", "")
    metric = read_metric(item)
    found.metrics.append(metric)
    _keep(found, "metric", metric.name, Source(definition, item.file, item.line, asked), item)


def _keep(found: Imported, kind: Kind, name: str, source: Source, item: Item) -> None:
    if (kind, name) in found.sources:
        found.errors.append(item.note(f"A {kind} called {name!r} stands in {found.sources[kind, name].file} already."))
    found.sources[kind, name] = source


def _without_metrics(definition: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The model without the wish for metrics, which are kept as such."""
    measures = definition.get("measures")
    if not isinstance(measures, list):
        return definition
    kept: list[JsonValue] = [
        {key: value for key, value in each.items() if key not in ("create_metric", "create_metric_display_name")}
        if isinstance(each, dict)
        else each
        for each in measures
    ]
    return {**definition, "measures": kept}


# Models


def _model(item: Item, connection: str) -> tuple[SemanticModel, list[Metric]]:
    """A model, and the metrics that its measures ask for themselves."""
    defaults, entities = item.item("defaults"), tuple(_entity(each) for each in item.items("entities"))
    time = defaults.name("agg_time_dimension", "")
    defaults.close()
    dimensions = tuple(_dimension(each) for each in item.items("dimensions"))
    read = [_measure(each, time) for each in item.items("measures")]
    for kind in (entities, dimensions, tuple(measure for measure, _ in read)):
        names = [part.name for part in kind]
        if len(set(names)) != len(names):
            raise Conflict("Two entities, dimensions or measures have the same name.")
    own = [entity.name for entity in entities if entity.kind == "primary"]
    given = item.name("primary_entity", "")
    if len(own) > 1 or (own and given and own != [given]):
        raise Conflict("A model has one primary entity.")
    synonyms, owners, subject_path = read_meta(item)
    model = SemanticModel(
        name=item.name(),
        table=_table(item),
        connection=connection,
        description=item.text("description"),
        primary=own[0] if own else given,
        entities=entities,
        dimensions=dimensions,
        measures=tuple(measure for measure, _ in read),
        synonyms=synonyms,
        owners=owners,
        label=item.text("label"),
        subject_path=subject_path,
    )
    _check_times(model)
    item.close()
    return model, [
        Metric(measure.name, "simple", (Input(measure.name),), description=measure.description)
        for measure, is_metric in read
        if is_metric
    ]


def _table(item: Item) -> str:
    """`table: shop.orders`; else `ref('orders')`, `source('raw', 'orders')`, or where dbt has put it."""
    if item.has("table"):
        parts = _parts(item.text("table"))
        item.text("model")
        return ".".join(_quoted(part) for part in parts)
    if item.has("node_relation"):
        relation = item.item("node_relation")
        named = [relation.text(key) for key in ("schema_name", "alias")]
        relation.close("database", "relation_name")
        item.text("model")
        return ".".join(_quoted(part) for part in named if part)
    found = _REF.fullmatch(item.text("model", None).removeprefix("{{").removesuffix("}}").strip())
    if found is None or (found[1] == "source" and found[3] is None):
        raise Conflict("'model' must be ref('table') or source('schema', 'table').")
    if found[1] == "source":
        return f"{_quoted(found[2])}.{_quoted(found[3])}"
    return _quoted(found[3] or found[2])


def _parts(text: str) -> tuple[str, ...]:
    try:
        return split_name(text)
    except InvalidArgument as error:
        raise Conflict(f"'table': {error.message}") from None


def _quoted(part: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_$-]{1,255}", part):
        raise Conflict("The name of the table holds other characters than letters, digits, _, $ and -.")
    return part if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part) else f'"{part}"'


def _entity(item: Item) -> Entity:
    name = item.name()
    kind = cast(EntityKind, item.choice("type", get_args(EntityKind)))
    made = Entity(name, kind, item.expression("expr", name), item.text("description"))
    item.close("label", "role", "config")
    return made


def _dimension(item: Item) -> Dimension:
    name = item.name()
    kind = item.choice("type", ("categorical", "time"))
    parameters = item.item("type_params")
    grain = cast(Grain, parameters.choice("time_granularity", get_args(Grain), "day")) if kind == "time" else None
    validity = parameters.item("validity_params")
    is_validity = bool(validity.rest())
    made = Dimension(
        name,
        item.expression("expr", name),
        grain,
        item.text("description"),
        is_validity,
        item.text("label"),
        item.texts("synonyms"),
        item.texts("samples"),
    )
    parameters.close()
    item.close("is_partition", "config")
    return made


def _measure(item: Item, time: str) -> tuple[Measure, bool]:
    name = item.name()
    aggregation = cast(Aggregation, item.choice("agg", get_args(Aggregation)))
    parameters = item.item("agg_params")
    fraction = parameters.number("percentile")
    if (aggregation == "percentile") != (fraction is not None) or not 0 <= (fraction or 0) <= 1:
        raise Conflict("A percentile, and nothing else, says which: agg_params: {percentile: 0.95}, from 0 to 1.")
    made = Measure(
        name,
        aggregation,
        item.expression("expr", name),
        item.name("agg_time_dimension", time),
        item.text("description"),
        item.text("expr", name),
        _last(item.item("non_additive_dimension")),
        None if fraction is None else float(fraction),
        parameters.flag("use_discrete_percentile"),
    )
    parameters.close("use_approximate_percentile")
    is_metric = item.flag("create_metric")
    item.close("label", "create_metric_display_name", "config")
    return made, is_metric


def _last(item: Item) -> Last | None:
    """Where a measure does not add up over a time."""
    if not item.rest():
        return None
    made = Last(
        item.name(), item.choice("window_choice", ("min", "max"), "min") == "min", item.texts("window_groupings")
    )
    item.close()
    return made


def _check_times(model: SemanticModel) -> None:
    for measure in model.measures:
        if measure.last is not None:
            dimension = model.dimension(measure.last.dimension)
            if dimension is None or not dimension.is_time or None in map(model.entity, measure.last.entities):
                raise Conflict(
                    f"The measure {measure.name!r} does not add up over something that is no time dimension of the "
                    "model, or for something that is none of its entities."
                )
        if measure.time_dimension:
            dimension = model.dimension(measure.time_dimension)
            if dimension is None or not dimension.is_time:
                raise Conflict(f"The measure {measure.name!r} counts time by something that is no time dimension.")
