"""The layer of a connection, and what of it each caller sees; kept while nothing changes."""

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from core.context import Principal
from core.errors import Conflict
from engine.catalog.views import View
from engine.connectors.stream import in_thread
from engine.semantic.store import SemanticStore, Stored
from engine.sql.run import Catalog

if TYPE_CHECKING:
    from engine.semantic.layer import Layer
    from engine.semantic.metricflow import Imported

MAX_KEPT = 64
T = TypeVar("T")
Items = Mapping[tuple[str, str], Stored]


@dataclass(frozen=True, slots=True)
class Seen:
    """A connection's layer through one caller's eyes."""

    layer: "Layer"
    view: View
    items: Items


class Layers:
    """Reads what is stored into layers."""

    def __init__(self, items: SemanticStore, catalog: Catalog):
        self._items = items
        self._catalog = catalog
        self._whole: OrderedDict[Hashable, tuple[Layer, Items]] = OrderedDict()
        self._seen: OrderedDict[Hashable, tuple[View, Layer]] = OrderedDict()

    async def seen(self, by: Principal, connection_id: str, *, drafts: bool = False) -> Seen:
        """What the caller sees. Raises NotFound, Unavailable as the connection does."""
        view = await self._catalog.view(by, connection_id, "")
        revision = await self._items.revision(by.tenant)
        layer, items = await self.whole(by.tenant, connection_id, revision, drafts=drafts)
        key = (by.tenant, connection_id, revision, view.spec.version, view.key, drafts)
        kept = self._seen.get(key)
        if kept is None or kept[0].snapshot is not view.snapshot:
            kept = self._seen[key] = (view, await in_thread(lambda: _seen(layer, view)))
        _trim(self._seen, key)
        return Seen(kept[1], view, items)

    async def whole(
        self, tenant: str, connection_id: str, revision: int | None = None, *, drafts: bool = False
    ) -> "tuple[Layer, Items]":
        """All active models and metrics of a connection, whoever may see them; with `drafts` those as well."""
        revision = await self._items.revision(tenant) if revision is None else revision
        key = (tenant, connection_id, revision, drafts)
        if key not in self._whole:
            stored = await self._items.all(tenant, "model", "metric")
            mine = [
                item for item in stored if item.connection_id == connection_id and (drafts or item.status == "active")
            ]
            layer = await in_thread(lambda: read_layer(mine))
            self._whole[key] = (layer, {(item.kind, item.name): item for item in mine})
        _trim(self._whole, key)
        return self._whole[key]


def read_layer(stored: Iterable[Stored]) -> "Layer":
    """The layer of these items. What cannot be read any more is left out: it was checked when it was written."""
    from engine.semantic.layer import Layer  # brings sqlglot, which a start does not need

    found = read_items((item.kind, item.definition, item.connection_id) for item in stored)
    try:
        return Layer(found.models, found.metrics)
    except Conflict:  # two processes wrote at once what does not go together
        return _agreeing(found)


def read_items(items: Iterable[tuple[str, Mapping[str, object], str]]) -> "Imported":
    """Models and metrics out of their definitions, with what is wrong in them."""
    from engine.semantic.items import Item
    from engine.semantic.metricflow import Imported, read_metric_item, read_model_item

    found = Imported()
    for kind, definition, connection_id in items:
        try:
            item = Item("", kind, dict(definition), found.warnings)
            if kind == "model":
                read_model_item(item, connection_id, found)
            else:
                read_metric_item(item, found)
        except Conflict as error:
            found.errors.append(item.note(error.message))
    return found


def _agreeing(found: "Imported") -> "Layer":
    from engine.semantic.layer import Layer

    models, metrics = list(found.models[:0]), list(found.metrics[:0])
    for model in found.models:
        try:
            Layer([*models, model], ())
        except Conflict:
            continue
        models.append(model)
    names: set[str] = set()
    for metric in found.metrics:
        if metric.name not in names:
            names.add(metric.name)
            metrics.append(metric)
    return Layer(models, metrics)


def _seen(layer: "Layer", view: View) -> "Layer":
    from engine.semantic.sight import seen

    return seen(layer, view)


def _trim(kept: OrderedDict[Hashable, T], key: Hashable) -> None:
    kept.move_to_end(key)
    while len(kept) > MAX_KEPT:
        kept.popitem(last=False)
