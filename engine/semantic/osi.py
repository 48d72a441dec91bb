"""Semantic models in the form of Open Semantic Interchange, as definitions in our own form."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sqlglot import exp

from core.errors import Conflict
from engine.semantic.expressions import parse_text
from engine.semantic.items import Item
from engine.semantic.metricflow import Imported, Kind, Source, read_metric_item, read_model_item

MAX_PARTS = 20
_AGGREGATES = {
    "sum": "sum",
    "avg": "average",
    "min": "min",
    "max": "max",
    "median": "median",
    "count": "count",
}
_TABLE = re.compile(r"[^\s;()]{1,1000}")
_ONE = {"sum", "avg", "min", "max", "median"}
Part = dict[str, Any]


def read_osi(top: Item, connection: str, found: Imported) -> None:
    """Datasets become models, relationships entities, aggregate expressions measures and metrics."""
    for model in top.items("semantic_model"):
        try:
            _Reader(model, connection, found).read()
        except Conflict as error:
            found.errors.append(model.note(error.message))


class _Reader:
    def __init__(self, item: Item, connection: str, found: Imported):
        self._item = item
        self._connection = connection
        self._found = found
        self._models: dict[str, Part] = {}
        self._places: dict[str, Item] = {}
        self._keys: dict[str, tuple[str, ...]] = {}

    def read(self) -> None:
        for dataset in self._item.items("datasets"):
            self._dataset(dataset)
        for relationship in self._item.items("relationships"):
            self._relationship(relationship)
        metrics = [written for each in self._item.items("metrics") for written in self._metric(each)]
        _context(self._item)
        self._item.text("name")
        self._item.text("description")
        self._item.close("custom_extensions")
        for name, definition in self._models.items():
            self._put(self._places[name], definition, read_model_item)
        for place, definition in metrics:
            self._put(place, definition, read_metric_item)

    def _put(self, place: Item, definition: Part, read: Any) -> None:
        item = Item(place.file, place.place, definition, self._found.warnings)
        try:
            read(item, self._connection, self._found) if read is read_model_item else read(item, self._found)
        except Conflict as error:
            self._found.errors.append(place.note(error.message))
            return
        kind: Kind = "model" if read is read_model_item else "metric"
        source = self._found.sources[kind, definition["name"]]
        self._found.sources[kind, definition["name"]] = Source(source.definition, place.file, place.line)

    # Datasets

    def _dataset(self, item: Item) -> None:
        name, source = item.name(), item.text("source", None)
        if not _TABLE.fullmatch(source):
            raise Conflict(f"The dataset {name!r}: 'source' must be a table, not a query.")
        synonyms, about = _context(item)
        made: Part = {"name": name, "table": source, "description": item.text("description") or about}
        made |= {"synonyms": list(synonyms)} if synonyms else {}
        key = item.texts("primary_key")
        made["entities"] = [{"name": name, "type": "primary", "expr": _joined(key)}] if key else []
        fields = [_field(each) for each in item.items("fields")]
        made["dimensions"] = fields
        times = [field["name"] for field in fields if field["type"] == "time"]
        if times:
            made["defaults"] = {"agg_time_dimension": times[0]}
        if len(times) > 1:
            self._found.warnings.append(
                item.note(f"Its metrics count time by {times[0]!r}, the first of {len(times)}.")
            )
        if not key:
            made["primary_entity"] = name
        made["measures"] = []
        item.close("unique_keys", "custom_extensions", "label")
        self._models[name], self._places[name], self._keys[name] = made, item, key

    def _relationship(self, item: Item) -> None:
        name, here, there = item.name(), item.text("from", None), item.text("to", None)
        columns, targets = item.texts("from_columns"), item.texts("to_columns")
        if here not in self._models or there not in self._models:
            raise Conflict(f"The relationship {name!r} names a dataset that is not there.")
        if not columns or len(columns) != len(targets):
            raise Conflict(f"The relationship {name!r} pairs as many columns on one side as on the other.")
        taken = {entity["name"] for entity in self._models[here]["entities"]}
        entity = there
        if targets != self._keys[there] or there in taken:
            entity = name
            self._models[there]["entities"].append({"name": entity, "type": "unique", "expr": _joined(targets)})
        self._models[here]["entities"].append({"name": entity, "type": "foreign", "expr": _joined(columns)})
        _context(item)
        item.close("custom_extensions")

    # Metrics

    def _metric(self, item: Item) -> Iterator[tuple[Item, Part]]:
        name, text = item.name(), _expression(item)
        synonyms, about = _context(item)
        said: Part = {"description": item.text("description") or about}
        said |= {"synonyms": list(synonyms)} if synonyms else {}
        item.close("custom_extensions", "label")
        tree = parse_text(text)
        calls = [call for call in tree.find_all(exp.Anonymous) if call.name.lower() in _AGGREGATES]
        if not calls or len(calls) > MAX_PARTS:
            raise Conflict(
                f"The metric {name!r}: its expression has no aggregate that is read: {', '.join(_ONE)}, count."
            )
        if len(calls) == 1 and calls[0] is tree:
            yield item, {"name": name, "type": "simple", **said, "type_params": {"measure": self._measure(name, tree)}}
            return
        inputs = []
        for number, call in enumerate(calls):
            part = f"{name}_part_{number + 1}"
            measure = self._measure(part, call)
            yield item, {"name": part, "type": "simple", "type_params": {"measure": measure}}
            call.replace(exp.column(part))
            inputs.append({"name": part})
        params = {"expr": tree.sql(), "metrics": inputs}
        yield item, {"name": name, "type": "derived", **said, "type_params": params}

    def _measure(self, name: str, call: exp.Expr) -> str:
        """The aggregate as a measure of the dataset whose columns it names; its name."""
        arguments = call.args.get("expressions") or []
        inner = arguments[0] if len(arguments) == 1 else None
        kind = _AGGREGATES[call.name.lower()]
        if isinstance(inner, exp.Distinct) and kind == "count" and len(inner.expressions) == 1:
            inner, kind = inner.expressions[0], "count_distinct"
        owners = {column.table for column in inner.find_all(exp.Column)} if inner is not None else set()
        owners -= {""}
        if isinstance(inner, exp.Star) or inner is None or len(owners) != 1 or next(iter(owners)) not in self._models:
            raise Conflict(f"The metric {name!r}: an aggregate names columns of one dataset, as in SUM(orders.amount).")
        for column in inner.find_all(exp.Column):
            column.set("table", None)
        model = self._models[next(iter(owners))]
        measure = f"{name}_measure"
        model["measures"].append({"name": measure, "agg": kind, "expr": inner.sql()})
        return measure


def _field(item: Item) -> Part:
    dimension = item.item("dimension")
    is_time = dimension.flag("is_time")
    dimension.close("time_grain")
    synonyms, about = _context(item)
    made: Part = {"name": item.name(), "type": "time" if is_time else "categorical", "expr": _expression(item)}
    made |= {"type_params": {"time_granularity": "day"}} if is_time else {}
    said = item.text("description") or about
    made |= {"description": said} if said else {}
    made |= {"synonyms": list(synonyms)} if synonyms else {}
    item.close("label", "custom_extensions")
    return made


def _expression(item: Item) -> str:
    """The expression in standard SQL, else in the first dialect there is."""
    given = item.given.get("expression")
    if isinstance(given, str):
        return item.text("expression")
    item.has("expression")
    listed = given if isinstance(given, list) else (given or {}).get("dialects") if isinstance(given, Mapping) else None
    texts = {
        str(each.get("dialect")): each.get("expression")
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, Mapping)
    }
    item.take("expression")
    text = texts.get("ANSI_SQL") or next(iter(texts.values()), None)
    if not isinstance(text, str):
        raise Conflict("'expression' must give a text for a dialect, such as ANSI_SQL.")
    return text.strip()


def _context(item: Item) -> tuple[tuple[str, ...], str]:
    """Synonyms, and what else is said to models."""
    if isinstance(item.given.get("ai_context"), str):
        return (), item.text("ai_context")
    context = item.item("ai_context")
    found = context.texts("synonyms"), context.text("instructions")
    context.close("examples", "sample_data")
    return found


def _joined(columns: tuple[str, ...]) -> str:
    """A key of one column or of several, as one value."""
    quoted = ['"' + column.replace('"', '""') + '"' for column in columns]
    return quoted[0] if len(quoted) == 1 else "concat(" + ", '|', ".join(quoted) + ")"
