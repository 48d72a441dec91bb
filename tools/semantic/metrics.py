"""Metrics: figures that have a name and one meaning."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from core.errors import Conflict
from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.context import Ctx
from engine.semantic.definitions import ShownMetric, status_of
from engine.semantic.store import Change, stale
from tools.semantic.fields import PATH, SUBJECT, VERSION, Status

NAME = r"^[A-Za-z_][A-Za-z0-9]*(_[A-Za-z0-9]+)*$"
Kind = Literal["simple", "ratio", "derived", "cumulative", "conversion"]
Text = Annotated[str, Field(max_length=2000)]
KIND = "How it is made: of a measure, a ratio or an expression of metrics, accumulated over time, or a conversion."
PARAMS = (
    "What it is made of, as in dbt's YAML: {measure}; {numerator, denominator}; {expr, metrics: [{name, alias, "
    "offset_window}]}; {measure, window or grain_to_date}; {conversion_type_params}."
)
FILTERS = "Conditions that always hold, such as `{{ Dimension('customer__country') }} = 'FR'`."
LABEL = "Name for people."
ABOUT = "What it means; models read it."
SYNONYMS = "Other words for it, in which people ask."
OWNERS = "Who answers for its meaning."
STATUS = "`draft`: kept for review, answers nothing; `active`."
CONNECTION = "Id of the connection whose models it is made of; default the lakehouse."


class MetricRef(Model):
    """Which metric."""

    metric: Annotated[str, Refers("metric")] = Field(max_length=100, description="Its name; list_metrics shows them.")


class ListMetrics(Paged):
    """Which metrics to list."""

    connection_id: Annotated[str | None, Refers("connection")] = Field(
        None, max_length=64, description="Only those of this connection."
    )
    subject_path: str = Field("", max_length=200, description="Only those at this path of subjects, or below it.")


class CreateMetric(Model):
    """A metric to define."""

    name: str = Field(max_length=100, pattern=NAME, description="Its name, unique in the tenant.")
    kind: Kind = Field(description=KIND)
    type_params: dict[str, JsonValue] = Field(description=PARAMS)
    connection_id: Annotated[str, Refers("connection")] = Field("lakehouse", max_length=64, description=CONNECTION)
    filters: list[Text] = Field([], max_length=50, description=FILTERS)
    label: str = Field("", max_length=255, description=LABEL)
    description: str = Field("", max_length=2000, description=ABOUT)
    synonyms: list[Text] = Field([], max_length=50, description=SYNONYMS)
    owners: list[Text] = Field([], max_length=50, description=OWNERS)
    subject_path: str = Field("", max_length=200, pattern=PATH, description=SUBJECT)
    status: Status | None = Field(None, description=f"{STATUS} Default active; agents only write drafts.")


class UpdateMetric(MetricRef):
    """What to change; fields left out, or null, stay as they are."""

    kind: Kind | None = Field(None, description=KIND)
    type_params: dict[str, JsonValue] | None = Field(None, description=PARAMS)
    filters: list[Text] | None = Field(None, max_length=50, description=FILTERS)
    label: str | None = Field(None, max_length=255, description=LABEL)
    description: str | None = Field(None, max_length=2000, description=ABOUT)
    synonyms: list[Text] | None = Field(None, max_length=50, description=SYNONYMS)
    owners: list[Text] | None = Field(None, max_length=50, description=OWNERS)
    subject_path: str | None = Field(None, max_length=200, pattern=PATH, description=SUBJECT)
    status: Status | None = Field(None, description=STATUS)
    version: int | None = Field(None, ge=1, description=VERSION)


class DeleteMetric(MetricRef):
    """Which metric to remove."""

    version: int | None = Field(None, ge=1, description=VERSION)


class SearchMetrics(Model):
    """What to look for."""

    q: str = Field(min_length=1, max_length=500, description="Words of names, synonyms and descriptions.")
    subject_path: str = Field("", max_length=200, description="Only metrics at this path of subjects, or below it.")
    limit: int = Field(10, ge=1, le=100, description="Metrics to return at most.")


class Metric(Model):
    """A metric, and how it can be asked for."""

    name: str = Field(description="Its name.")
    kind: str = Field(description=KIND)
    connection_id: str = Field(description="Connection whose models it is made of.")
    label: str = Field(description=LABEL)
    description: str = Field(description=ABOUT)
    expression: str = Field(description="How it is computed, in short.")
    grain: str = Field(description="The finest grain of its time; empty where it has none.")
    dimensions: list[str] = Field(description="What it can be grouped and filtered by, the nearest first.")
    filters: list[str] = Field(description=FILTERS)
    joins: list[str] = Field(description="Models that those dimensions are joined from, and by which entity.")
    synonyms: list[str] = Field(description=SYNONYMS)
    owners: list[str] = Field(description=OWNERS)
    subject_path: str = Field(description=SUBJECT)
    type_params: dict[str, JsonValue] = Field(description=PARAMS)
    status: str = Field(description=STATUS)
    version: int = Field(description="Raised by every change; update_metric and delete_metric take it.")
    updated_by: str = Field(description="Who wrote this version.")
    updated_at: datetime = Field(description="When it was written (UTC).")


class MetricList(Listing):
    """A page of metrics."""

    metrics: list[Metric] = Field(description="The metrics, by name.")


class FoundMetrics(Model):
    """Metrics that fit."""

    metrics: list[Metric] = Field(description="The best first.")


@tool("GET /metrics", needs="semantic.read", effect="read")
async def list_metrics(ctx: Ctx, request: ListMetrics) -> MetricList:
    """List the metrics that you can ask for, by name.

    A metric over a table or column that you may not see is not among them. search_metrics finds one by words."""
    pages = ctx.engine.pages
    window = pages.window("list_metrics", request, ctx.principal)
    definitions = ctx.engine.semantic.definitions
    found = await definitions.metrics(ctx.principal, request.connection_id or "", request.subject_path)
    shown = [show(each) for each in await definitions.show(found[window.offset : window.offset + window.size])]
    token = pages.next_token("list_metrics", request, ctx.principal, window, len(found))
    return MetricList(metrics=shown, total_count=len(found), next_page_token=token)


@tool("GET /metrics/{metric}", needs="semantic.read", effect="read")
async def get_metric(ctx: Ctx, request: MetricRef) -> Metric:
    """Show one metric: how it is computed, and by what it can be grouped and filtered."""
    return show(await ctx.engine.semantic.definitions.metric(ctx.principal, request.metric))


@tool("GET /metrics/search", needs="semantic.read", effect="read")
async def search_metrics(ctx: Ctx, request: SearchMetrics) -> FoundMetrics:
    """Find metrics by words of their names, synonyms and descriptions, the best first.

    Then query_metric computes them."""
    found = await ctx.engine.semantic.search(ctx.principal, request.q, request.limit, request.subject_path)
    return FoundMetrics(metrics=[show(each) for each in found])


@tool("POST /metrics", needs="semantic.edit", effect="write", status=201, location="/metrics/{name}")
async def create_metric(ctx: Ctx, request: CreateMetric) -> Metric:
    """Define a metric over measures of semantic models, or over other metrics.

    What it names must be there: list_semantic_models shows the measures. Agents write drafts, which a person makes
    active with update_metric."""
    by = ctx.principal
    definition = _definition({"name": request.name}, request.model_dump(exclude_none=True))
    change = Change(
        "metric",
        request.name,
        definition,
        request.connection_id,
        status_of(by, request.status),
        request.subject_path,
        version=0,
    )
    await ctx.engine.semantic.definitions.put(by, [change])
    ctx.note(f"metric:{request.name}")
    return show(await ctx.engine.semantic.definitions.metric(by, request.name))


@tool("PATCH /metrics/{metric}", "PUT /metrics/{metric}", needs="semantic.edit", effect="write")
async def update_metric(ctx: Ctx, request: UpdateMetric) -> Metric:
    """Change a metric; the earlier version stays and can be restored.

    Give `version` so that nobody else's change is lost. Agents change drafts only."""
    by, definitions = ctx.principal, ctx.engine.semantic.definitions
    stored = (await definitions.metric(by, request.metric)).stored
    if request.version is not None and request.version != stored.version:
        raise stale(request.metric)
    given = request.model_dump(exclude_none=True)
    path = stored.subject_path if request.subject_path is None else request.subject_path
    change = Change(
        "metric",
        stored.name,
        _definition(stored.definition, given),
        stored.connection_id,
        status_of(by, request.status, stored.status),
        path,
        version=stored.version,
    )
    await definitions.put(by, [change])
    return show(await definitions.metric(by, request.metric))


@tool("DELETE /metrics/{metric}", needs="semantic.edit", effect="destroy", status=204)
async def delete_metric(ctx: Ctx, request: DeleteMetric) -> Empty:
    """Remove a metric. One that others are made of stays until they are gone."""
    await ctx.engine.semantic.definitions.delete(ctx.principal, "metric", request.metric, request.version)
    return Empty()


def _definition(present: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, JsonValue]:
    """The definition with what is given in the place of what was."""
    made = dict(present)
    for name, key in (("kind", "type"), ("filters", "filter")):
        if name in given:
            made[key] = given[name]
    for name in ("type_params", "label", "description", "synonyms", "owners", "subject_path"):
        if name in given:
            made[name] = given[name]
    if "type_params" in made and not isinstance(made["type_params"], dict):
        raise Conflict("type_params is no object.", hint="get_metric shows one.")
    empty: tuple[Any, ...] = ("", [])
    return {key: value for key, value in made.items() if value not in empty}


def show(shown: ShownMetric) -> Metric:
    stored, metric, card = shown.stored, shown.metric, shown.card
    filters = stored.definition.get("filter") or []
    return Metric(
        name=metric.name,
        kind=metric.kind,
        connection_id=stored.connection_id,
        label=metric.label,
        description=metric.description,
        expression=card.expression,
        grain=card.grain,
        dimensions=list(card.dimensions),
        filters=[filters] if isinstance(filters, str) else filters,
        joins=list(card.joins),
        synonyms=list(metric.synonyms),
        owners=list(metric.owners),
        subject_path=stored.subject_path,
        type_params=dict(stored.definition.get("type_params") or {}),
        status=stored.status,
        version=stored.version,
        updated_by=stored.author,
        updated_at=datetime.fromtimestamp(stored.updated_at, UTC),
    )
