"""Versions of models, metrics, verified queries and knowledge."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field, JsonValue

from core.portable import Model, Refers
from core.tool import tool
from engine.context import Ctx
from engine.semantic.store import Stored

ONE = "Its name, or id."


class ListMetricVersions(Model):
    """Which metric."""

    metric: Annotated[str, Refers("metric")] = Field(max_length=100, description="Its name; list_metrics shows them.")


class RestoreMetric(ListMetricVersions):
    """Which version of which metric."""

    version: int = Field(ge=1, description="The version to write again.")


class ListSemanticModelVersions(Model):
    """Which semantic model."""

    model: Annotated[str, Refers("semantic_model")] = Field(
        max_length=100, description="Its name; list_semantic_models shows them."
    )


class RestoreSemanticModel(ListSemanticModelVersions):
    """Which version of which model."""

    version: int = Field(ge=1, description="The version to write again.")


class ListVerifiedQueryVersions(Model):
    """Which verified query."""

    query_id: Annotated[str, Refers("verified_query")] = Field(
        max_length=64, description="Its id; list_verified_queries shows them."
    )


class RestoreVerifiedQuery(ListVerifiedQueryVersions):
    """Which version of which verified query."""

    version: int = Field(ge=1, description="The version to write again.")


class ListKnowledgeVersions(Model):
    """Which text."""

    knowledge_id: Annotated[str, Refers("knowledge")] = Field(
        max_length=64, description="Its id; list_knowledge shows them."
    )


class RestoreKnowledge(ListKnowledgeVersions):
    """Which version of which text."""

    version: int = Field(ge=1, description="The version to write again.")


class DefinitionVersion(Model):
    """What something was."""

    version: int = Field(description="Its number.")
    status: str = Field(description="`draft` or `active`.")
    definition: dict[str, JsonValue] = Field(description="The definition as it is written in YAML.")
    subject_path: str = Field(description="Where it belonged.")
    changed_by: str = Field(description="Who wrote it.")
    changed_at: datetime = Field(description="When it was written (UTC).")


class DefinitionVersions(Model):
    """All versions that name only what you may see."""

    versions: list[DefinitionVersion] = Field(description="The versions, the newest first.")


class Restored(Model):
    """What is there now."""

    name: str = Field(description=ONE)
    version: int = Field(description="The number of the version that was written.")
    status: str = Field(description="`draft` or `active`.")


@tool("GET /metrics/{metric}/versions", needs="semantic.read", effect="read")
async def list_metric_versions(ctx: Ctx, request: ListMetricVersions) -> DefinitionVersions:
    """List what a metric has been, the newest version first."""
    return _shown(await ctx.engine.semantic.definitions.versions(ctx.principal, "metric", request.metric))


@tool("POST /metrics/{metric}/restore", needs="semantic.edit", effect="write")
async def restore_metric(ctx: Ctx, request: RestoreMetric) -> Restored:
    """Write an earlier version of a metric again, as its newest one."""
    definitions = ctx.engine.semantic.definitions
    return _restored(await definitions.restore(ctx.principal, "metric", request.metric, request.version))


@tool("GET /semantic/models/{model}/versions", needs="semantic.read", effect="read")
async def list_semantic_model_versions(ctx: Ctx, request: ListSemanticModelVersions) -> DefinitionVersions:
    """List what a semantic model has been, the newest version first."""
    return _shown(await ctx.engine.semantic.definitions.versions(ctx.principal, "model", request.model))


@tool("POST /semantic/models/{model}/restore", needs="semantic.edit", effect="write")
async def restore_semantic_model(ctx: Ctx, request: RestoreSemanticModel) -> Restored:
    """Write an earlier version of a semantic model again, as its newest one."""
    definitions = ctx.engine.semantic.definitions
    return _restored(await definitions.restore(ctx.principal, "model", request.model, request.version))


@tool("GET /verified-queries/{query_id}/versions", needs="semantic.read", effect="read")
async def list_verified_query_versions(ctx: Ctx, request: ListVerifiedQueryVersions) -> DefinitionVersions:
    """List what a verified query has been, the newest version first."""
    return _shown(await ctx.engine.semantic.verified.versions(ctx.principal, request.query_id))


@tool("POST /verified-queries/{query_id}/restore", needs="semantic.edit", effect="write")
async def restore_verified_query(ctx: Ctx, request: RestoreVerifiedQuery) -> Restored:
    """Write an earlier version of a verified query again, as its newest one."""
    return _restored(await ctx.engine.semantic.verified.restore(ctx.principal, request.query_id, request.version))


@tool("GET /knowledge/{knowledge_id}/versions", needs="semantic.read", effect="read")
async def list_knowledge_versions(ctx: Ctx, request: ListKnowledgeVersions) -> DefinitionVersions:
    """List what a text of knowledge has been, the newest version first."""
    return _shown(await ctx.engine.semantic.knowledge.versions(ctx.principal, request.knowledge_id))


@tool("POST /knowledge/{knowledge_id}/restore", needs="semantic.edit", effect="write")
async def restore_knowledge(ctx: Ctx, request: RestoreKnowledge) -> Restored:
    """Write an earlier version of a text again, as its newest one."""
    return _restored(await ctx.engine.semantic.knowledge.restore(ctx.principal, request.knowledge_id, request.version))


def _shown(found: list[Stored]) -> DefinitionVersions:
    return DefinitionVersions(
        versions=[
            DefinitionVersion(
                version=each.version,
                status=each.status,
                definition=dict(each.definition),
                subject_path=each.subject_path,
                changed_by=each.author,
                changed_at=datetime.fromtimestamp(each.updated_at, UTC),
            )
            for each in found
        ]
    )


def _restored(made: Stored) -> Restored:
    return Restored(name=made.name, version=made.version, status=made.status)
