"""Versions of models and metrics."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from core.portable import Model, Refers
from core.tool import tool
from engine.context import Ctx

ONE = "Name of a metric or of a semantic model."


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
    return await _versions(ctx, "metric", request.metric)


@tool("POST /metrics/{metric}/restore", needs="semantic.edit", effect="write")
async def restore_metric(ctx: Ctx, request: RestoreMetric) -> Restored:
    """Write an earlier version of a metric again, as its newest one."""
    return await _restore(ctx, "metric", request.metric, request.version)


@tool("GET /semantic/models/{model}/versions", needs="semantic.read", effect="read")
async def list_semantic_model_versions(ctx: Ctx, request: ListSemanticModelVersions) -> DefinitionVersions:
    """List what a semantic model has been, the newest version first."""
    return await _versions(ctx, "model", request.model)


@tool("POST /semantic/models/{model}/restore", needs="semantic.edit", effect="write")
async def restore_semantic_model(ctx: Ctx, request: RestoreSemanticModel) -> Restored:
    """Write an earlier version of a semantic model again, as its newest one."""
    return await _restore(ctx, "model", request.model, request.version)


async def _versions(ctx: Ctx, kind: Literal["metric", "model"], name: str) -> DefinitionVersions:
    found = await ctx.engine.semantic.definitions.versions(ctx.principal, kind, name)
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


async def _restore(ctx: Ctx, kind: Literal["metric", "model"], name: str, version: int) -> Restored:
    made = await ctx.engine.semantic.definitions.restore(ctx.principal, kind, name, version)
    return Restored(name=made.name, version=made.version, status=made.status)
