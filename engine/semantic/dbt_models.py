"""dbt's newer form, where semantic models stand in `models:` beside columns and metrics have no `type_params`.

It is turned into the older form, in which everything is kept."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from core.errors import Conflict
from engine.semantic.documents import Lined
from engine.semantic.items import Item

Part = dict[str, Any]
SAID = ("name", "label", "description", "filter", "config", "synonyms", "owners", "subject_path")
MEASURED = ("fill_nulls_with", "join_to_timespine")
SIMPLE = ("agg", "expr", "agg_time_dimension")
CONVERSION = {
    "entity": "entity",
    "calculation": "calculation",
    "window": "window",
    "constant_properties": "constant_properties",
    "base_metric": "base_measure",
    "conversion_metric": "conversion_measure",
}


def older_models(top: Item) -> tuple[list[Item], list[Item]]:
    """The semantic models and metrics under `models`, in the older form; dbt's other models are left alone.

    Raises Conflict where something stands for something else."""
    models, metrics = [], []
    for item in top.items("models"):
        wanted = item.given.get("semantic_model")
        if not wanted or (isinstance(wanted, Mapping) and wanted.get("enabled") is False):
            continue
        simple = [each for each in item.items("metrics") if each.given.get("type", "simple") == "simple"]
        own = {"name": item.name(), **(wanted if isinstance(wanted, Mapping) else {})}
        made: Part = {
            "name": own["name"],
            "model": f"ref('{item.name()}')",
            **_kept(item.given, "description", "primary_entity", "connection", "synonyms"),
            **_kept(own, "config"),
            "entities": list(_entities(item)),
            "dimensions": list(_dimensions(item)),
            "measures": [_measure(each.given) for each in simple],
        }
        if item.has("agg_time_dimension"):
            made["defaults"] = {"agg_time_dimension": item.text("agg_time_dimension")}
        models.append(_renewed(item, made))
        metrics += [older_metric(each) for each in item.items("metrics")]
    return models, metrics


def older_metric(item: Item) -> Item:
    """A metric in the older form, whichever it is in."""
    given = item.given
    if "type_params" in given:
        return item
    kind = given.get("type", "simple")
    made: Part = {"type": kind, **_kept(given, *SAID)}
    taken = {"type", *SAID}
    if kind == "simple" and "agg" in given:
        params: Part = {"measure": {"name": _measure_name(given), **_kept(given, *MEASURED)}}
        taken |= {*SIMPLE, *MEASURED, "percentile", "percentile_type", "non_additive_dimension"}
    elif kind == "ratio":
        params = {key: _reference(given[key]) for key in ("numerator", "denominator") if key in given}
        taken |= {"numerator", "denominator"}
    elif kind == "derived":
        inputs = given.get("input_metrics", given.get("metrics"))
        params = {**_kept(given, "expr"), "metrics": _references(inputs)}
        taken |= {"expr", "input_metrics", "metrics"}
    elif kind == "cumulative":
        params = {"cumulative_type_params": _kept(given, "window", "grain_to_date", "period_agg")}
        params |= {"measure": _reference(given["input_metric"])} if "input_metric" in given else {}
        taken |= {"window", "grain_to_date", "period_agg", "input_metric"}
    elif kind == "conversion":
        named = {old: _reference(given[new]) for new, old in CONVERSION.items() if new in given}
        params = {"conversion_type_params": named}
        taken |= set(CONVERSION)
    else:
        return item
    rest = {key: value for key, value in given.items() if key not in taken}  # said to be unknown where it is read
    return _renewed(item, {**made, "type_params": params, **rest})


def _entities(item: Item) -> Iterator[Part]:
    for column in item.items("columns"):
        given = column.given.get("entity")
        if given is not None:
            yield _of_column(column, given)
    yield from (dict(each.given) for each in item.item("derived_semantics").items("entities"))


def _dimensions(item: Item) -> Iterator[Part]:
    for column in item.items("columns"):
        given = column.given.get("dimension")
        if given is not None:
            made = _of_column(column, given)
            yield _timed(made, column.given.get("granularity"), made.pop("validity_params", None))
    for each in item.item("derived_semantics").items("dimensions"):
        made = dict(each.given)
        yield _timed(made, made.pop("granularity", None), made.pop("validity_params", None))


def _of_column(column: Item, given: Any) -> Part:
    """An entity or dimension of a column: its kind alone, or a mapping that may give it another name."""
    if isinstance(given, str):
        given = {"type": given}
    if not isinstance(given, Mapping):
        raise Conflict(f"{column.place}: an entity or dimension is a type, or a mapping with one.")
    return {"name": column.name(), **_kept(column.given, "description"), **given, "expr": f'"{column.name()}"'}


def _timed(made: Part, grain: Any, validity: Any) -> Part:
    params = {"time_granularity": grain} if grain is not None else {}
    params |= {"validity_params": validity} if validity is not None else {}
    return {**made, "type_params": params} if params else made


def _measure(given: Mapping[str, Any]) -> Part:
    """What a simple metric aggregates."""
    made: Part = {"name": _measure_name(given), **_kept(given, *SIMPLE)}
    if made.get("agg") == "avg":
        made["agg"] = "average"
    if "expr" not in made:
        made["expr"] = given.get("name")
    if "percentile" in given:
        is_discrete = given.get("percentile_type") == "discrete"
        made["agg_params"] = {"percentile": given["percentile"], "use_discrete_percentile": is_discrete}
    last = given.get("non_additive_dimension")
    if isinstance(last, Mapping):
        renamed = {"window_agg": "window_choice", "group_by": "window_groupings"}
        made["non_additive_dimension"] = {renamed.get(key, key): value for key, value in last.items()}
    return made


def _measure_name(given: Mapping[str, Any]) -> Any:
    """The metric's own name, unless the metric is a part of what is measured."""
    return f"{given.get('name')}_unfiltered" if given.get("filter") else given.get("name")


def _references(given: Any) -> Any:
    return [_reference(each, as_mapping=True) for each in given] if isinstance(given, Sequence) else given


def _reference(given: Any, *, as_mapping: bool = False) -> Any:
    """A metric that is named alone, or with more about it."""
    if isinstance(given, str):
        return {"name": given} if as_mapping else given
    if isinstance(given, Mapping) and "metric" in given:
        return {"name" if key == "metric" else key: value for key, value in given.items()}
    return given


def _kept(given: Mapping[str, Any], *keys: str) -> Part:
    return {key: given[key] for key in keys if given.get(key) is not None}


def _renewed(item: Item, made: Part) -> Item:
    """The same place with another text."""
    lined = Lined(made)
    lined.line = item.line
    return Item(item.file, item.place.partition(" '")[0], lined, item.warnings)
