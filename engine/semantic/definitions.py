"""Models and metrics of every tenant as each caller sees them, and who may change them."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from core.context import Principal
from core.errors import Conflict, NotFound, QueryUnauthorized, Unauthorized, Unavailable
from engine.connectors.stream import in_thread
from engine.semantic.layers import Layers, Seen, read_items
from engine.semantic.store import Change, Kind, SemanticStore, Status, Stored, missing, stale, taken
from engine.sql.run import Catalog
from engine.store.db import Store

if TYPE_CHECKING:
    from engine.semantic.cards import Card
    from engine.semantic.layer import Layer
    from engine.semantic.models import Metric, SemanticModel

MAX_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class FoundMetric:
    """A metric that the caller may see, in the layer that it is in for them."""

    stored: Stored
    metric: "Metric"
    layer: "Layer"


@dataclass(frozen=True, slots=True)
class ShownMetric:
    """A metric that the caller may see."""

    stored: Stored
    metric: "Metric"
    card: "Card"


@dataclass(frozen=True, slots=True)
class ShownModel:
    """What the caller may see of a model. `definition` is without the rest."""

    stored: Stored
    model: "SemanticModel"
    definition: Mapping[str, Any]
    is_whole: bool


class Definitions:
    """Models and metrics. What is not active is shown to those who may change it, and answers nothing."""

    def __init__(self, store: Store, *, catalog: Catalog, clock: Callable[[], float] = time.time):
        self.items = SemanticStore(store, clock=clock)
        self.layers = Layers(self.items, catalog)

    async def layer(self, by: Principal, connection_id: str = "lakehouse") -> "Layer | None":
        """What the caller can ask of a connection, or None when nothing is defined for it."""
        found = (await self.layers.seen(by, connection_id)).layer
        return found if found.metrics else None

    # Reading

    async def metric(self, by: Principal, name: str) -> ShownMetric:
        """Raises NotFound, the same for one that is hidden and for none."""
        stored = await self.items.get(by.tenant, "metric", name)
        seen = await self._around(by, stored)
        if seen is None or name not in seen.layer.metrics:
            raise missing("metric", name)
        return await in_thread(lambda: _metric(stored, seen.layer))

    async def model(self, by: Principal, name: str) -> ShownModel:
        """Raises NotFound, the same for one that is hidden and for none."""
        stored = await self.items.get(by.tenant, "model", name)
        seen = await self._around(by, stored)
        if seen is None or name not in seen.layer.models:
            raise missing("model", name)
        return _model(stored, seen.layer.models[name])

    async def metrics(self, by: Principal, connection_id: str = "", subject_path: str = "") -> list[FoundMetric]:
        """All that the caller sees, by name; of one connection, and below one path of subjects, where that is given."""
        found = await self._all(by, "metric", connection_id, subject_path)
        return [
            FoundMetric(stored, seen.layer.metrics[stored.name], seen.layer)
            for stored, seen in found
            if stored.name in seen.layer.metrics
        ]

    async def show(self, found: Sequence[FoundMetric]) -> list[ShownMetric]:
        """Metrics with what they can be asked by, which takes a look at all that they join."""
        return await in_thread(lambda: [_metric(each.stored, each.layer) for each in found])

    async def models(self, by: Principal, connection_id: str = "", subject_path: str = "") -> list[ShownModel]:
        """As `metrics`."""
        found = await self._all(by, "model", connection_id, subject_path)
        return [
            _model(stored, seen.layer.models[stored.name]) for stored, seen in found if stored.name in seen.layer.models
        ]

    async def _all(self, by: Principal, kind: Kind, connection_id: str, path: str) -> list[tuple[Stored, Seen]]:
        views: dict[str, Seen | None] = {}
        found = []
        for stored in await self.items.all(by.tenant, kind):
            if (connection_id and stored.connection_id != connection_id) or not is_below(stored.subject_path, path):
                continue
            if stored.status == "draft" and not by.may("semantic.edit"):
                continue
            if stored.connection_id not in views:
                views[stored.connection_id] = await self._around(by, stored)
            seen = views[stored.connection_id]
            if seen is not None:
                found.append((stored, seen))
        return found

    async def _around(self, by: Principal, stored: Stored) -> Seen | None:
        """What the caller sees of the layer that an item is in; None when not even its connection."""
        drafts = by.may("semantic.edit")
        if stored.status == "draft" and not drafts:
            return None
        try:
            return await self.layers.seen(by, stored.connection_id, drafts=drafts)
        except (NotFound, Unavailable):  # no connection, or nobody can say what it holds
            return None

    # Writing

    async def put(self, by: Principal, changes: Sequence[Change]) -> list[Stored]:
        """Write models and metrics that go together, or none of them.

        Raises Conflict when they mean nothing, NotFound for a connection that is not there, Unauthorized for agents
        that would make something active."""
        changes = [await self._allowed(by, change) for change in changes]
        for connection_id in {change.connection_id for change in changes}:
            mine = [change for change in changes if change.connection_id == connection_id]
            await self._check(by, connection_id, mine, gone=())
        return await self.items.put(by, changes)

    async def put_seen(self, by: Principal, change: Change) -> Stored:
        """Write one model whose table and columns the caller sees. Raises QueryUnauthorized, and as `put` does."""
        seen = await self.layers.seen(by, change.connection_id, drafts=True)
        await in_thread(lambda: _check_seen(change, seen))
        return (await self.put(by, [change]))[0]

    async def delete(self, by: Principal, kind: Kind, name: str, version: int | None) -> None:
        """Raises NotFound, and Conflict when something else needs it, or `version` is no longer the present one."""
        stored = (await self.metric(by, name)).stored if kind == "metric" else (await self.model(by, name)).stored
        if version is not None and version != stored.version:
            raise stale(name)
        if by.via == "agent" and stored.status == "active":
            raise _not_for_agents()
        await self._check(by, stored.connection_id, (), gone=((kind, name),))
        await self.items.delete(by, stored)

    async def restore(self, by: Principal, kind: Kind, name: str, number: int) -> Stored:
        """Write an earlier version again, as the newest one. Raises NotFound, Conflict, Unauthorized."""
        wanted = next((past for past in await self.versions(by, kind, name) if past.version == number), None)
        if wanted is None:
            raise NotFound(f"{name[:80]!r} has no version {number}.", hint="list_semantic_versions shows them.")
        change = Change(
            kind, name, wanted.definition, wanted.connection_id, wanted.status, wanted.subject_path, version=None
        )
        return (await self.put(by, [change]))[0]

    async def versions(self, by: Principal, kind: Kind, name: str) -> list[Stored]:
        """The versions of something that the caller sees whole, the newest first. Raises NotFound."""
        shown = await self.metric(by, name) if kind == "metric" else await self.model(by, name)
        if isinstance(shown, ShownModel) and not shown.is_whole:
            raise missing(kind, name)
        past = await self.items.versions(by.tenant, kind, name)
        return [version for version in past if await self._could_see(by, version, shown.stored)]

    async def _could_see(self, by: Principal, version: Stored, now: Stored) -> bool:
        """Whether an earlier version names only what the caller sees today."""
        if version.version == now.version:
            return True
        seen = await self._around(by, replace(version, status=now.status))
        if seen is None or version.is_deleted:
            return False
        whole, _ = await self.layers.whole(by.tenant, version.connection_id, drafts=True)
        return await in_thread(lambda: _is_within(version, whole, seen))

    async def _allowed(self, by: Principal, change: Change) -> Change:
        """The change as this caller may make it: an agent only drafts, and only where no active one is."""
        if by.via != "agent":
            return change
        try:
            present = await self.items.get(by.tenant, change.kind, change.name)
        except NotFound:
            present = None
        if present is not None and present.status == "active":
            raise _not_for_agents()
        return replace(change, status="draft")

    async def _check(
        self, by: Principal, connection_id: str, changes: Sequence[Change], gone: Iterable[tuple[str, str]]
    ) -> None:
        """Whether everything still goes together. Raises Conflict with what does not."""
        await self.layers.seen(by, connection_id)  # the connection is there
        stored = await self.items.all(by.tenant, "model", "metric")
        names = {(change.kind, change.name) for change in changes} | set(gone)
        for item in stored:
            if (item.kind, item.name) in names and item.connection_id != connection_id:
                raise Conflict(
                    f"The name {item.name[:80]!r} is taken by a {item.kind} of another connection.",
                    hint="Choose another name.",
                )
        new = {(change.kind, change.name) for change in changes if change.version == 0}
        for item in stored:
            if (item.kind, item.name) in new:
                raise taken(item.name)
        kept = [item for item in stored if item.connection_id == connection_id and (item.kind, item.name) not in names]
        await in_thread(lambda: _check_together(kept, changes))


def status_of(by: Principal, wanted: Status | None, present: Status | None = None) -> Status:
    """The status that a caller may give. Raises Unauthorized for an agent that wants more than a draft."""
    if by.via == "agent":
        if wanted == "active" or present == "active":
            raise _not_for_agents()
        return "draft"
    return wanted or present or "active"


def is_below(path: str, wanted: str) -> bool:
    """Whether a path of subjects is another or lies under it."""
    return not wanted or path == wanted or path.startswith(wanted.rstrip("/") + "/")


def _not_for_agents() -> Unauthorized:
    return Unauthorized("An agent only writes drafts.", hint="A person reviews a draft and makes it active.")


def _metric(stored: Stored, layer: "Layer") -> ShownMetric:
    from engine.semantic.cards import card  # brings sqlglot, as all of the layer does

    metric = layer.metrics[stored.name]
    return ShownMetric(stored, metric, card(metric, layer))


def _model(stored: Stored, model: "SemanticModel") -> ShownModel:
    """The definition without the parts that the caller does not see."""
    definition, is_whole = dict(stored.definition), True
    for key, parts in (
        ("entities", model.entities),
        ("dimensions", model.dimensions),
        ("measures", model.measures),
    ):
        given = definition.get(key)
        if not isinstance(given, list):
            continue
        names = {part.name for part in parts}
        definition[key] = [each for each in given if isinstance(each, dict) and each.get("name") in names]
        is_whole = is_whole and len(definition[key]) == len(given)
    time = (definition.get("defaults") or {}).get("agg_time_dimension")
    if time is not None and model.dimension(time) is None:
        del definition["defaults"]
    if not is_whole:
        definition.pop("description", None)
    return ShownModel(stored, model, definition, is_whole)


def _check_together(kept: Sequence[Stored], changes: Sequence[Change]) -> None:
    """Drafts go with everything that is there; what is active goes together without them."""
    _check_parts(kept, changes, only_new=True)
    _check_parts(
        [item for item in kept if item.status == "active"],
        [change for change in changes if change.status == "active"],
        only_new=False,
    )


def _check_parts(kept: Sequence[Stored], changes: Sequence[Change], *, only_new: bool) -> None:
    from engine.semantic.layer import Layer
    from engine.semantic.soundness import problems

    new = read_items([(change.kind, change.definition, change.connection_id) for change in changes])
    if new.errors:
        raise Conflict(f"{new.errors[0].place}: {new.errors[0].message}", hint="Correct it, and try again.")
    old = read_items([(item.kind, item.definition, item.connection_id) for item in kept])
    layer = Layer([*old.models, *new.models], [*old.metrics, *new.metrics])
    looked_at = new.metrics if only_new else [*layer.metrics.values()]
    known = [] if only_new or not changes else problems(Layer(old.models, old.metrics), old.metrics)
    before = {metric.name for metric, _ in known}
    found = [(metric, why) for metric, why in problems(layer, looked_at) if metric.name not in before]
    if found:
        shown = " ".join(f"{metric.name}: {why}" for metric, why in found[:MAX_PROBLEMS])
        raise Conflict(f"This does not go together. {shown}", hint="Write what belongs together at once, or in order.")


def _check_seen(change: Change, seen: Seen) -> None:
    from engine.semantic.sight import unknown_parts

    read = read_items([(change.kind, change.definition, change.connection_id)])
    if read.errors:
        raise Conflict(f"{read.errors[0].place}: {read.errors[0].message}", hint="Correct it, and try again.")
    for model in read.models:
        for problem in unknown_parts(model, seen.view):
            raise QueryUnauthorized(hint=problem)


def _is_within(version: Stored, whole: "Layer", seen: Seen) -> bool:
    from engine.semantic.layer import Layer
    from engine.semantic.sight import seen as seen_part

    read = read_items([(version.kind, version.definition, version.connection_id)])
    try:
        if version.kind == "model":
            part = seen_part(Layer(read.models, ()), seen.view)
            return [*part.models.values()] == read.models
        layer = Layer(
            whole.models.values(), read.metrics + [m for m in whole.metrics.values() if m.name != version.name]
        )
    except Conflict:
        return False
    return version.name in seen_part(layer, seen.view).metrics
