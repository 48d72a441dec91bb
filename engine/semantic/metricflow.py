"""Semantic models and metrics out of MetricFlow's YAML, as dbt projects hold it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast, get_args

from core.errors import Conflict
from engine.semantic.documents import read_document
from engine.semantic.expressions import read_expression
from engine.semantic.items import Item, Note
from engine.semantic.models import (
    Aggregation,
    Dimension,
    Entity,
    EntityKind,
    Grain,
    Input,
    Measure,
    Metric,
    MetricKind,
    SemanticModel,
)

MAX_FILES, MAX_TOTAL_CHARS, MAX_PARTS = 500, 2 * 1024 * 1024, 5000
_NAMED = r"""['"]([A-Za-z0-9_$-]{1,255})['"]"""
_REF = re.compile(rf"(ref|source)\(\s*{_NAMED}\s*(?:,\s*{_NAMED}\s*)?\)")


@dataclass(slots=True)
class Imported:
    """What the files say. With `errors`, something is left out; `warnings` name keys that mean nothing here."""

    models: list[SemanticModel] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    errors: list[Note] = field(default_factory=list)
    warnings: list[Note] = field(default_factory=list)


def read_metricflow(files: Mapping[str, str], connection: str) -> Imported:
    """Models and metrics of all files, given by their names. Raises Conflict when it is too much."""
    if len(files) > MAX_FILES or sum(map(len, files.values())) > MAX_TOTAL_CHARS:
        raise Conflict(
            f"That is more than {MAX_FILES} files or {MAX_TOTAL_CHARS} characters.", hint="Import it in parts."
        )
    found = Imported()
    for file, text in files.items():
        _read_file(file, text, connection, found)
        if len(found.models) + len(found.metrics) > MAX_PARTS:
            raise Conflict(f"That is more than {MAX_PARTS} models and metrics.", hint="Import them in parts.")
    return found


def _read_file(file: str, text: str, connection: str, found: Imported) -> None:
    try:
        document = read_document(text)
        top = Item(file, "", {} if document is None else document, found.warnings)
        models, metrics = top.items("semantic_models"), top.items("metrics")
    except Conflict as error:
        found.errors.append(Note(file, "", error.message))
        return
    for item in models:
        try:
            model, made = _model(item, connection)
        except Conflict as error:
            found.errors.append(Note(file, item.place, error.message))
        else:
            found.models.append(model)
            found.metrics += made
    for item in metrics:
        try:
            found.metrics.append(_metric(item))
        except Conflict as error:
            found.errors.append(Note(file, item.place, error.message))
    top.close("saved_queries", "version", "models", "sources", "exposures")


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
    synonyms, owners = _meta(item)
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
    )
    _check_times(model)
    item.close("label")
    return model, [
        Metric(measure.name, "simple", (Input(measure.name),), description=measure.description)
        for measure, is_metric in read
        if is_metric
    ]


def _table(item: Item) -> str:
    """`ref('orders')`, `source('raw', 'orders')`, or where dbt has put it."""
    if item.has("node_relation"):
        relation = item.item("node_relation")
        parts = [relation.text(key) for key in ("schema_name", "alias")]
        relation.close("database", "relation_name")
        item.text("model")
        return ".".join(_quoted(part) for part in parts if part)
    found = _REF.fullmatch(item.text("model", None).removeprefix("{{").removesuffix("}}").strip())
    if found is None or (found[1] == "source" and found[3] is None):
        raise Conflict("'model' must be ref('table') or source('schema', 'table').")
    if found[1] == "source":
        return f"{_quoted(found[2])}.{_quoted(found[3])}"
    return _quoted(found[3] or found[2])


def _quoted(part: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_$-]{1,255}", part):
        raise Conflict("The name of the table holds other characters than letters, digits, _, $ and -.")
    return part if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", part) else f'"{part}"'


def _entity(item: Item) -> Entity:
    name = item.name()
    kind = cast(EntityKind, item.choice("type", get_args(EntityKind)))
    made = Entity(name, kind, item.expression("expr", name))
    item.text("description")
    item.close("label", "role", "config")
    return made


def _dimension(item: Item) -> Dimension:
    name = item.name()
    kind = item.choice("type", ("categorical", "time"))
    parameters = item.item("type_params")
    grain = cast(Grain, parameters.choice("time_granularity", get_args(Grain), "day")) if kind == "time" else None
    validity = parameters.item("validity_params")
    is_validity = bool(validity.rest())
    made = Dimension(name, item.expression("expr", name), grain, item.text("description"), is_validity)
    parameters.close()
    item.close("label", "is_partition", "config")
    return made


def _measure(item: Item, time: str) -> tuple[Measure, bool]:
    name = item.name()
    aggregation = cast(Aggregation, item.choice("agg", get_args(Aggregation)))
    obstacle = "percentiles are not computed yet" if aggregation == "percentile" else ""
    if item.item("non_additive_dimension").rest():
        obstacle = "measures that do not add up over a dimension are not computed yet"
    made = Measure(
        name,
        aggregation,
        item.expression("expr", name),
        item.name("agg_time_dimension", time),
        item.text("description"),
        obstacle,
    )
    is_metric = item.flag("create_metric")
    item.close("label", "agg_params", "create_metric_display_name", "config")
    return made, is_metric


def _check_times(model: SemanticModel) -> None:
    for measure in model.measures:
        if measure.time_dimension:
            dimension = model.dimension(measure.time_dimension)
            if dimension is None or not dimension.is_time:
                raise Conflict(f"The measure {measure.name!r} counts time by something that is no time dimension.")


def _meta(item: Item) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Synonyms and owners, which dbt keeps among free texts."""
    config = item.item("config")
    meta = config.item("meta")
    found = meta.texts("synonyms"), (*meta.texts("owners"), *meta.texts("owner"))
    config.close("group", "enabled")
    return found


# Metrics


def _metric(item: Item) -> Metric:
    kind = cast(MetricKind, item.choice("type", get_args(MetricKind)))
    parameters = item.item("type_params")
    inputs: tuple[Input, ...] = ()
    expression = None
    written = {}
    match kind:
        case "simple":
            inputs = (_input(parameters, "measure"),)
        case "ratio":
            inputs = (_input(parameters, "numerator"), _input(parameters, "denominator"))
        case "derived":
            inputs = tuple(_read_input(each) for each in parameters.items("metrics"))
            expression = read_expression(parameters.text("expr", None))
        case "cumulative" | "conversion":
            written = parameters.rest()
    synonyms, owners = _meta(item)
    made = Metric(
        name=item.name(),
        kind=kind,
        inputs=inputs,
        expression=expression,
        filters=item.filters("filter"),
        label=item.text("label"),
        description=item.text("description"),
        synonyms=synonyms,
        owners=owners,
        parameters=written,
    )
    parameters.close()
    item.close("time_granularity")
    return made


def _input(parameters: Item, key: str) -> Input:
    """A measure or a metric by its name alone, or with more about it."""
    if not parameters.has(key):
        raise Conflict(f"The key {key!r} is missing.")
    if isinstance(parameters.given[key], str):
        return Input(parameters.name(key))
    return _read_input(parameters.item(key))


def _read_input(item: Item) -> Input:
    obstacle = ""
    if item.text("offset_window") or item.text("offset_to_grain"):
        obstacle = "metrics of another period are not computed yet"
    if item.flag("join_to_timespine"):
        obstacle = "figures for periods without rows are not computed yet"
    made = Input(item.name(), item.name("alias", ""), item.filters("filter"), item.number("fill_nulls_with"), obstacle)
    item.close()
    return made
