"""Semantic models: what tables mean, and how they join."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from core.errors import Unauthorized
from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.context import Ctx
from engine.semantic.definitions import ShownModel, status_of
from engine.semantic.store import Change, stale
from tools.semantic.fields import PATH, SUBJECT, VERSION, Status

NAME = r"^[A-Za-z_][A-Za-z0-9]*(_[A-Za-z0-9]+)*$"
OWN_PRIMARY = r"^([A-Za-z_][A-Za-z0-9]*(_[A-Za-z0-9]+)*)?$"
Grain = Literal["second", "minute", "hour", "day", "week", "month", "quarter", "year"]
Text = Annotated[str, Field(max_length=2000)]
Sql = Annotated[str, Field(max_length=4000)]
EXPR = "SQL over columns of the table, one row at a time; default the column of that name."
TABLE = "Table as list_tables shows it."
LABEL = "Name for people."
ABOUT = "What it means; models read it."
SYNONYMS = "Other words for it, in which people ask."
OWNERS = "Who answers for its meaning."
STATUS = "`draft`: kept for review, answers nothing; `active`."
ENTITIES = "Keys, by which models join."
DIMENSIONS = "What figures are grouped and filtered by."
MEASURES = "What is added up or counted."
PRIMARY = "Entity that its dimensions are named after, where no entity is its primary one."
TIME = "Time dimension that its measures are counted by."


class EntityPart(Model):
    """A key of a model."""

    name: str = Field(max_length=100, pattern=NAME, description="Its name; models join by entities of one name.")
    type: Literal["primary", "unique", "foreign", "natural"] = Field(
        description="primary, unique: one row of each; foreign: many rows; natural: told apart by time as well."
    )
    expr: Sql = Field("", description=EXPR)
    description: str = Field("", max_length=2000, description=ABOUT)


class DimensionPart(Model):
    """What figures are grouped and filtered by."""

    name: str = Field(max_length=100, pattern=NAME, description="Its name: `entity__name` in queries.")
    type: Literal["categorical", "time"] = Field("categorical", description="Whether it is a time.")
    expr: Sql = Field("", description=EXPR)
    time_granularity: Grain | None = Field(None, description="How fine a time is; default day.")
    label: str = Field("", max_length=255, description=LABEL)
    description: str = Field("", max_length=2000, description=ABOUT)
    synonyms: list[Text] = Field([], max_length=50, description=SYNONYMS)
    samples: list[Text] = Field([], max_length=50, description="A few of its values.")


class PercentilePart(Model):
    """Which percentile."""

    percentile: float = Field(ge=0, le=1, description="From 0 to 1: 0.95 is what 95 % of the values do not exceed.")
    use_discrete_percentile: bool = Field(False, description="A value that there is, rather than one between two.")


class NonAdditivePart(Model):
    """The time over which a measure does not add up, such as a balance: only rows of one time are measured."""

    name: str = Field(max_length=100, pattern=NAME, description="A time dimension of the model.")
    window_choice: Literal["min", "max"] = Field(
        "min", description="min: the first time of each period; max: the last."
    )
    window_groupings: list[Text] = Field(
        [], max_length=20, description="Entities of the model, each of which has a first or last time of its own."
    )


class MeasurePart(Model):
    """An aggregate over the rows of a model."""

    name: str = Field(max_length=100, pattern=NAME, description="Its name, unique among the connection's measures.")
    agg: Literal["sum", "min", "max", "average", "median", "count", "count_distinct", "sum_boolean", "percentile"] = (
        Field(description="How rows become one figure.")
    )
    agg_params: PercentilePart | None = Field(None, description="Which percentile, where it is one.")
    non_additive_dimension: NonAdditivePart | None = Field(None, description="Where it does not add up over time.")
    expr: Sql = Field("", description=f"{EXPR} `1` with sum counts rows.")
    agg_time_dimension: str = Field("", max_length=100, description="Time it is counted by, where not the model's.")
    description: str = Field("", max_length=2000, description=ABOUT)


class SemanticModelRef(Model):
    """Which semantic model."""

    model: Annotated[str, Refers("semantic_model")] = Field(
        max_length=100, description="Its name; list_semantic_models shows them."
    )


class ListSemanticModels(Paged):
    """Which models to list."""

    connection_id: Annotated[str | None, Refers("connection")] = Field(
        None, max_length=64, description="Only those of this connection."
    )
    subject_path: str = Field("", max_length=200, description="Only those at this path of subjects, or below it.")


class CreateSemanticModel(Model):
    """A model to define."""

    name: str = Field(max_length=100, pattern=NAME, description="Its name, unique in the tenant.")
    table: str = Field(min_length=1, max_length=1024, description=TABLE)
    connection_id: Annotated[str, Refers("connection")] = Field(
        "lakehouse", max_length=64, description="Id of the table's connection; default the lakehouse."
    )
    entities: list[EntityPart] = Field([], max_length=100, description=ENTITIES)
    dimensions: list[DimensionPart] = Field([], max_length=500, description=DIMENSIONS)
    measures: list[MeasurePart] = Field([], max_length=500, description=MEASURES)
    primary_entity: str = Field("", max_length=100, pattern=OWN_PRIMARY, description=PRIMARY)
    agg_time_dimension: str = Field("", max_length=100, description=TIME)
    label: str = Field("", max_length=255, description=LABEL)
    description: str = Field("", max_length=2000, description=ABOUT)
    synonyms: list[Text] = Field([], max_length=50, description=SYNONYMS)
    owners: list[Text] = Field([], max_length=50, description=OWNERS)
    subject_path: str = Field("", max_length=200, pattern=PATH, description=SUBJECT)
    status: Status | None = Field(None, description=f"{STATUS} Default active; agents only write drafts.")


class UpdateSemanticModel(SemanticModelRef):
    """What to change; fields left out, or null, stay as they are. Lists are replaced whole."""

    table: str | None = Field(None, min_length=1, max_length=1024, description=TABLE)
    entities: list[EntityPart] | None = Field(None, max_length=100, description=ENTITIES)
    dimensions: list[DimensionPart] | None = Field(None, max_length=500, description=DIMENSIONS)
    measures: list[MeasurePart] | None = Field(None, max_length=500, description=MEASURES)
    primary_entity: str | None = Field(None, max_length=100, pattern=OWN_PRIMARY, description=PRIMARY)
    agg_time_dimension: str | None = Field(None, max_length=100, description=TIME)
    label: str | None = Field(None, max_length=255, description=LABEL)
    description: str | None = Field(None, max_length=2000, description=ABOUT)
    synonyms: list[Text] | None = Field(None, max_length=50, description=SYNONYMS)
    owners: list[Text] | None = Field(None, max_length=50, description=OWNERS)
    subject_path: str | None = Field(None, max_length=200, pattern=PATH, description=SUBJECT)
    status: Status | None = Field(None, description=STATUS)
    version: int | None = Field(None, ge=1, description=VERSION)


class DeleteSemanticModel(SemanticModelRef):
    """Which model to remove."""

    version: int | None = Field(None, ge=1, description=VERSION)


class SemanticModel(Model):
    """A model, as far as you may see it."""

    name: str = Field(description="Its name.")
    connection_id: str = Field(description="Connection of its table.")
    table: str = Field(description=TABLE)
    label: str = Field(description=LABEL)
    description: str = Field(description=ABOUT)
    definition: dict[str, JsonValue] = Field(
        description="The model as it is written in YAML, without what names columns that you may not see."
    )
    is_whole: bool = Field(description="Whether you see all of it.")
    synonyms: list[str] = Field(description=SYNONYMS)
    owners: list[str] = Field(description=OWNERS)
    subject_path: str = Field(description=SUBJECT)
    status: str = Field(description=STATUS)
    version: int = Field(description="Raised by every change; update_semantic_model and delete_semantic_model take it.")
    updated_by: str = Field(description="Who wrote this version.")
    updated_at: datetime = Field(description="When it was written (UTC).")


class SemanticModelList(Listing):
    """A page of models."""

    models: list[SemanticModel] = Field(description="The models, by name.")


@tool("GET /semantic/models", needs="semantic.read", effect="read")
async def list_semantic_models(ctx: Ctx, request: ListSemanticModels) -> SemanticModelList:
    """List the semantic models over tables that you may see, by name."""
    pages = ctx.engine.pages
    window = pages.window("list_semantic_models", request, ctx.principal)
    found = await ctx.engine.semantic.definitions.models(
        ctx.principal, request.connection_id or "", request.subject_path
    )
    shown = [show(each) for each in found[window.offset : window.offset + window.size]]
    token = pages.next_token("list_semantic_models", request, ctx.principal, window, len(found))
    return SemanticModelList(models=shown, total_count=len(found), next_page_token=token)


@tool("GET /semantic/models/{model}", needs="semantic.read", effect="read")
async def get_semantic_model(ctx: Ctx, request: SemanticModelRef) -> SemanticModel:
    """Show one semantic model: its table, entities, dimensions and measures."""
    return show(await ctx.engine.semantic.definitions.model(ctx.principal, request.model))


@tool("POST /semantic/models", needs="semantic.edit", effect="write", status=201, location="/semantic/models/{name}")
async def create_semantic_model(ctx: Ctx, request: CreateSemanticModel) -> SemanticModel:
    """Say what a table means: its keys, dimensions and measures. Metrics are then made of the measures.

    propose_semantic_model drafts models from tables; import_semantic_model reads dbt's YAML. Agents write drafts, which
    a person makes active with update_semantic_model."""
    by, definitions = ctx.principal, ctx.engine.semantic.definitions
    definition = _definition({"name": request.name}, request.model_dump(exclude_none=True))
    change = Change(
        "model",
        request.name,
        definition,
        request.connection_id,
        status_of(by, request.status),
        request.subject_path,
        version=0,
    )
    await definitions.put_seen(by, change)
    ctx.note(f"semantic_model:{request.name}")
    return show(await definitions.model(by, request.name))


@tool("PATCH /semantic/models/{model}", "PUT /semantic/models/{model}", needs="semantic.edit", effect="write")
async def update_semantic_model(ctx: Ctx, request: UpdateSemanticModel) -> SemanticModel:
    """Change a semantic model, or make a draft active; the earlier version stays and can be restored.

    Give `version` so that nobody else's change is lost. Agents change drafts only."""
    by, definitions = ctx.principal, ctx.engine.semantic.definitions
    shown = await definitions.model(by, request.model)
    stored = shown.stored
    if request.version is not None and request.version != stored.version:
        raise stale(request.model)
    if not shown.is_whole:
        raise Unauthorized("You do not see all of this model.", hint="Ask somebody who does to change it.")
    path = stored.subject_path if request.subject_path is None else request.subject_path
    change = Change(
        "model",
        stored.name,
        _definition(stored.definition, request.model_dump(exclude_none=True)),
        stored.connection_id,
        status_of(by, request.status, stored.status),
        path,
        version=stored.version,
    )
    await definitions.put_seen(by, change)
    return show(await definitions.model(by, request.model))


@tool("DELETE /semantic/models/{model}", needs="semantic.edit", effect="destroy", status=204)
async def delete_semantic_model(ctx: Ctx, request: DeleteSemanticModel) -> Empty:
    """Remove a semantic model. One whose measures a metric needs stays until the metric is gone."""
    await ctx.engine.semantic.definitions.delete(ctx.principal, "model", request.model, request.version)
    return Empty()


def _definition(present: Any, given: dict[str, Any]) -> dict[str, JsonValue]:
    """The definition in the form of the YAML, with what is given in the place of what was."""
    made: dict[str, Any] = dict(present)
    if "table" in given:
        made.pop("model", None)
        made.pop("node_relation", None)
    for key in ("table", "primary_entity", "label", "description", "synonyms", "owners", "subject_path"):
        if key in given:
            made[key] = given[key]
    for key in ("entities", "dimensions", "measures"):
        if key in given:
            made[key] = [_part(each) for each in given[key]]
    if "agg_time_dimension" in given:
        made["defaults"] = {"agg_time_dimension": given["agg_time_dimension"]} if given["agg_time_dimension"] else ""
    return {key: value for key, value in made.items() if value not in ("", []) or key == "name"}


def _part(given: dict[str, Any]) -> dict[str, Any]:
    made = {key: value for key, value in given.items() if value not in ("", [], None)}
    grain = made.pop("time_granularity", None)
    if made.get("type") == "time":
        made["type_params"] = {"time_granularity": grain or "day"}
    return made


def show(shown: ShownModel) -> SemanticModel:
    stored, model = shown.stored, shown.model
    return SemanticModel(
        name=model.name,
        connection_id=stored.connection_id,
        table=model.table,
        label=model.label,
        description=str(shown.definition.get("description") or ""),
        definition=dict(shown.definition),
        is_whole=shown.is_whole,
        synonyms=list(model.synonyms),
        owners=list(model.owners),
        subject_path=stored.subject_path,
        status=stored.status,
        version=stored.version,
        updated_by=stored.author,
        updated_at=datetime.fromtimestamp(stored.updated_at, UTC),
    )
