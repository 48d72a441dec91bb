"""One metric out of a mapping."""

import re
from typing import cast, get_args

from core.errors import Conflict
from engine.semantic.expressions import read_expression
from engine.semantic.items import Item
from engine.semantic.models import Calculation, Conversion, Grain, Input, Metric, MetricKind, PeriodPart, Window

MAX_COUNT = 10_000
MAX_PATH = 200
_WINDOW = re.compile(r"(\d{1,5})\s+([a-z]+?)s?")
_PATH = re.compile(r"[^/\x00-\x1f\x7f]{1,64}(/[^/\x00-\x1f\x7f]{1,64}){0,2}")


def read_metric(item: Item) -> Metric:
    """Raises Conflict."""
    kind = cast(MetricKind, item.choice("type", get_args(MetricKind)))
    parameters = item.item("type_params")
    synonyms, owners, subject_path = read_meta(item)
    common: dict[str, object] = {
        "name": item.name(),
        "filters": item.filters("filter"),
        "label": item.text("label"),
        "description": item.text("description"),
        "synonyms": synonyms,
        "owners": owners,
        "subject_path": subject_path,
    }
    made = _KINDS[kind](parameters, common)
    parameters.close()
    item.close("time_granularity")
    return made


def read_meta(item: Item) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Synonyms, owners and the path of subjects: keys of our own, or among the free texts where dbt keeps them."""
    config = item.item("config")
    meta = config.item("meta")
    synonyms = item.texts("synonyms") + meta.texts("synonyms")
    owners = item.texts("owners") + meta.texts("owners") + meta.texts("owner")
    config.close("group", "enabled")
    return synonyms, owners, read_path(item.text("subject_path") or meta.text("subject_path"))


def read_path(text: str) -> str:
    """`domain/layer1/layer2`, or nothing. Raises Conflict."""
    if text and not _PATH.fullmatch(text):
        raise Conflict("'subject_path' has up to three parts, as in `sales/orders/returns`.")
    return text


def read_window(text: str) -> Window:
    """`7 days`. Raises Conflict."""
    found = _WINDOW.fullmatch(text.lower())
    if found is None or found[2] not in get_args(Grain) or not 0 < int(found[1]) <= MAX_COUNT:
        raise Conflict("A window is a count and a grain, such as `7 days` or `1 month`.")
    return Window(int(found[1]), cast(Grain, found[2]))


def _simple(parameters: Item, common: dict[str, object]) -> Metric:
    return Metric(kind="simple", inputs=(_input(parameters, "measure"),), **common)  # type: ignore[arg-type]


def _ratio(parameters: Item, common: dict[str, object]) -> Metric:
    inputs = (_input(parameters, "numerator"), _input(parameters, "denominator"))
    return Metric(kind="ratio", inputs=inputs, **common)  # type: ignore[arg-type]


def _derived(parameters: Item, common: dict[str, object]) -> Metric:
    text = parameters.text("expr", None)
    inputs = tuple(_read_input(each) for each in parameters.items("metrics"))
    names = [given.alias or given.name for given in inputs]
    if len(set(names)) != len(names):
        raise Conflict("Two inputs have the same name; give one an alias.")
    return Metric(kind="derived", inputs=inputs, expression=read_expression(text), text=text, **common)  # type: ignore[arg-type]


def _cumulative(parameters: Item, common: dict[str, object]) -> Metric:
    """Older files keep window and grain_to_date beside the measure, newer ones in a mapping of their own."""
    newer = parameters.item("cumulative_type_params")
    window = newer.text("window") or parameters.text("window")
    to_date = newer.text("grain_to_date") or parameters.text("grain_to_date")
    part = cast(PeriodPart, newer.choice("period_agg", get_args(PeriodPart), "first"))
    newer.close()
    if window and to_date:
        raise Conflict("A cumulative metric has a window or a grain_to_date, not both.")
    return Metric(
        kind="cumulative",
        inputs=(_input(parameters, "measure"),),
        window=read_window(window) if window else None,
        to_date=_grain(to_date),
        period_part=part,
        **common,  # type: ignore[arg-type]
    )


def _conversion(parameters: Item, common: dict[str, object]) -> Metric:
    own = parameters.item("conversion_type_params")
    window = own.text("window")
    pairs = []
    for each in own.items("constant_properties"):
        pairs.append((each.text("base_property", None), each.text("conversion_property", None)))
        each.close()
    made = Metric(
        kind="conversion",
        inputs=(_input(own, "base_measure"), _input(own, "conversion_measure")),
        conversion=Conversion(
            own.name("entity"),
            cast(Calculation, own.choice("calculation", get_args(Calculation), "conversion_rate")),
            read_window(window) if window else None,
            tuple(pairs),
        ),
        **common,  # type: ignore[arg-type]
    )
    own.close()
    return made


_KINDS = {
    "simple": _simple,
    "ratio": _ratio,
    "derived": _derived,
    "cumulative": _cumulative,
    "conversion": _conversion,
}


def _grain(text: str) -> Grain | None:
    if text and text not in get_args(Grain):
        raise Conflict(f"A grain is one of {', '.join(get_args(Grain))}.")
    return cast(Grain, text) if text else None


def _input(parameters: Item, key: str) -> Input:
    """A measure or a metric by its name alone, or with more about it."""
    if not parameters.has(key):
        raise Conflict(f"The key {key!r} is missing.")
    if isinstance(parameters.given[key], str):
        return Input(parameters.name(key))
    return _read_input(parameters.item(key))


def _read_input(item: Item) -> Input:
    offset, offset_to = item.text("offset_window"), item.text("offset_to_grain")
    if offset and offset_to:
        raise Conflict("An input has an offset_window or an offset_to_grain, not both.")
    made = Input(
        item.name(),
        item.name("alias", ""),
        item.filters("filter"),
        item.number("fill_nulls_with"),
        offset=read_window(offset) if offset else None,
        offset_to=_grain(offset_to),
        has_every_period=item.flag("join_to_timespine"),
    )
    item.close()
    return made
