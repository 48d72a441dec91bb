"""Semantic models as files, and as proposals."""

from typing import Annotated, Literal

from pydantic import Field

from core.portable import Model, Refers
from core.tool import tool
from engine.context import Ctx
from engine.semantic.definitions import status_of
from engine.semantic.importing import Wanted
from engine.semantic.notes import Note

CONNECTION = "Id of the connection whose tables they are about; default the lakehouse."
File = Annotated[str, Field(max_length=262_144)]


class ImportSemanticModel(Model):
    """Files to read."""

    files: dict[str, File] = Field(
        min_length=1,
        max_length=500,
        description="Texts by file name: YAML of dbt (MetricFlow), of Open Semantic Interchange, or of export.",
    )
    connection_id: Annotated[str, Refers("connection")] = Field("lakehouse", max_length=64, description=CONNECTION)
    status: Literal["draft", "active"] | None = Field(
        None, description="What they become; default active. Agents only write drafts."
    )
    dry_run: bool = Field(False, description="Only check: answer errors and warnings, write nothing.")
    check_keys: bool = Field(True, description="Whether declared keys are looked at in the data.")


class ImportNote(Model):
    """Something about a place in a file."""

    file: str = Field(description="File.")
    line: int = Field(description="Line; 0 where it is about the whole file.")
    place: str = Field(description="Model, metric or part.")
    message: str = Field(description="What there is to say.")


class ImportReport(Model):
    """What was written, and what to look at."""

    models: list[str] = Field(description="Names of the models that were written.")
    metrics: list[str] = Field(description="Names of the metrics that were written.")
    warnings: list[ImportNote] = Field(
        description="Keys that mean nothing here, tables and columns that are not there, keys that repeat."
    )
    errors: list[ImportNote] = Field(description="Of a dry run: what would keep all of it from being imported.")


class ExportSemanticModel(Model):
    """What to write."""

    connection_id: Annotated[str, Refers("connection")] = Field("lakehouse", max_length=64, description=CONNECTION)
    subject_path: str = Field("", max_length=200, description="Only what is at this path of subjects, or below it.")


class ExportedModel(Model):
    """A file for a repository."""

    yaml: str = Field(description="Models and metrics that you may see; import_semantic_model reads it again.")


class ProposeSemanticModel(Model):
    """Tables to look at."""

    connection_id: Annotated[str, Refers("connection")] = Field("lakehouse", max_length=64, description=CONNECTION)
    tables: list[Annotated[str, Field(min_length=1, max_length=1024)]] = Field(
        [], max_length=60, description="Tables as list_tables shows them; default all, where they are not too many."
    )


class ProposedModel(Model):
    """Drafts to be reviewed."""

    models: list[str] = Field(description="Names of the drafts of models.")
    metrics: list[str] = Field(description="Names of the drafts of metrics.")
    yaml: str = Field(description="All of it, to be read and corrected.")
    notes: list[str] = Field(description="What was chosen where the schema leaves it open.")


@tool("POST /semantic/import", needs="semantic.edit", effect="write")
async def import_semantic_model(ctx: Ctx, request: ImportSemanticModel) -> ImportReport:
    """Read semantic models and metrics from files of dbt (MetricFlow) or Open Semantic Interchange.

    All of it is written, or nothing. What is there under the same names is replaced by a new version. Warnings name
    the file and line of tables and columns that are not there, and of declared keys that repeat."""
    wanted = Wanted(
        request.connection_id,
        status_of(ctx.principal, request.status),
        is_trial=request.dry_run,
        checks_keys=request.check_keys,
    )
    report = await ctx.engine.semantic.exchange.load(ctx.principal, request.files, wanted)
    return ImportReport(
        models=[each.name for each in report.models],
        metrics=[each.name for each in report.metrics],
        warnings=[_note(each) for each in report.warnings],
        errors=[_note(each) for each in report.errors],
    )


@tool("GET /semantic/export", needs="semantic.read", effect="read")
async def export_semantic_model(ctx: Ctx, request: ExportSemanticModel) -> ExportedModel:
    """Write a connection's active models and metrics as one YAML file, to be kept in a repository."""
    text = await ctx.engine.semantic.exchange.dump(ctx.principal, request.connection_id, request.subject_path)
    return ExportedModel(yaml=text)


@tool("POST /semantic/propose", needs="semantic.edit", effect="write")
async def propose_semantic_model(ctx: Ctx, request: ProposeSemanticModel) -> ProposedModel:
    """Draft models and first metrics from tables: keys, joins, dimensions and measures.

    Keys are found by name and looked at in the data. Drafts answer nothing: a person reviews and corrects them, and
    makes them active with update_semantic_model and update_metric."""
    proposed = await ctx.engine.semantic.propose(ctx.principal, request.connection_id, request.tables)
    return ProposedModel(
        models=[each.name for each in proposed.items if each.kind == "model"],
        metrics=[each.name for each in proposed.items if each.kind == "metric"],
        yaml=proposed.yaml,
        notes=proposed.notes,
    )


def _note(note: Note) -> ImportNote:
    return ImportNote(file=note.file, line=note.line, place=note.place, message=note.message)
