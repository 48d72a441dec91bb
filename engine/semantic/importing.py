"""Files of semantic models: read whole or not at all, checked against the data, and written the same way again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.context import Principal
from core.errors import Conflict, PlatformError
from engine.catalog.views import View
from engine.connectors.stream import in_thread
from engine.semantic.definitions import Definitions, FoundMetric, ShownModel
from engine.semantic.notes import Note
from engine.semantic.store import Change, Status, Stored
from engine.sql.builder import QueryBuilder
from engine.sql.facts import Statement
from engine.sql.run import SqlService

if TYPE_CHECKING:
    from engine.semantic.metricflow import Imported
    from engine.semantic.models import Entity, SemanticModel

MAX_KEYS = 40
KEY_TIMEOUT_S = 3.0
MAX_KEY_ROWS = 20_000_000
MAX_ERRORS = 10


@dataclass(frozen=True, slots=True)
class Wanted:
    """How files are imported. status: what they become; None: active, or drafts where an agent asks."""

    connection_id: str
    status: Status
    is_trial: bool = False
    checks_keys: bool = True


@dataclass(frozen=True, slots=True)
class Report:
    """What was written, and what to look at. With errors nothing was, which only a trial tells this way."""

    models: list[Stored] = field(default_factory=list)
    metrics: list[Stored] = field(default_factory=list)
    warnings: list[Note] = field(default_factory=list)
    errors: list[Note] = field(default_factory=list)


class Exchange:
    """Imports and exports."""

    def __init__(self, definitions: Definitions, builder: QueryBuilder, sql: SqlService):
        self._definitions = definitions
        self._builder = builder
        self._sql = sql

    async def load(self, by: Principal, files: Mapping[str, str], wanted: Wanted) -> Report:
        """Read the files and write all that they hold, or nothing.

        Raises Conflict with file and line of what is wrong, NotFound for a connection that is not there."""
        seen = await self._definitions.layers.seen(by, wanted.connection_id, drafts=True)
        read = await in_thread(lambda: _read(files, wanted.connection_id))
        warnings = [*read.warnings, *await in_thread(lambda: _unknown(read, seen.view))]
        if wanted.checks_keys and not read.errors:
            warnings += await self._repeated(by, wanted.connection_id, read, seen.view)
        errors = [*read.errors, *_foreign(read, wanted.connection_id)]
        changes = [_change(kind, name, source.definition, wanted) for (kind, name), source in read.sources.items()]
        if errors and not wanted.is_trial:
            raise _refused(errors)
        if wanted.is_trial:
            return Report([], [], warnings, errors)
        try:
            written = await self._definitions.put(by, changes)
        except Conflict as error:
            raise Conflict(f"Nothing was imported. {error.message}"[:2000], hint=error.hint) from None
        models = [each for each in written if each.kind == "model"]
        return Report(models, [each for each in written if each.kind == "metric"], warnings)

    async def unload(self, by: Principal, connection_id: str) -> None:
        """Take away all models and metrics of a connection, such as one that was only made to try something.

        Raises Conflict when one of them is changed meanwhile."""
        items = self._definitions.items
        for stored in await items.all(by.tenant, "metric", "model"):
            if stored.connection_id == connection_id:
                await items.delete(by, stored)

    async def dump(self, by: Principal, connection_id: str, subject_path: str = "") -> str:
        """All that the caller sees of a connection's active models and metrics, as one file. Raises NotFound."""
        await self._definitions.layers.seen(by, connection_id)
        models = await self._definitions.models(by, connection_id, subject_path)
        metrics = await self._definitions.metrics(by, connection_id, subject_path)
        return await in_thread(lambda: _dump(models, metrics))

    async def _repeated(self, by: Principal, connection_id: str, read: "Imported", view: View) -> list[Note]:
        """The declared keys that more than one row has."""
        found = []
        keys = [
            (model, entity)
            for model in read.models
            if not model.has_versions
            for entity in model.entities
            if entity.kind in ("primary", "unique")
        ]
        for model, entity in keys[:MAX_KEYS]:
            if await self._is_repeated(by, connection_id, model, entity, view):
                source = read.sources["model", model.name]
                why = f"The {entity.kind} key {entity.name!r} is not unique: joining it may repeat what is measured."
                found.append(source.note(f"semantic_models {model.name!r}", why))
        return found

    async def _is_repeated(
        self, by: Principal, connection_id: str, model: "SemanticModel", entity: "Entity", view: View
    ) -> bool:
        from engine.semantic.sight import governed_of

        governed = governed_of(model.table, view)
        if governed is None or (governed.source.row_count or 0) > MAX_KEY_ROWS:
            return False
        key = entity.expression.model_dump(mode="json", by_alias=True, exclude_unset=True)
        measures = [
            {"aggregate": "count", "expression": key, "alias": "given"},
            {"aggregate": "count", "expression": key, "distinct": True, "alias": "different"},
        ]
        definition: dict[str, Any] = {"table": model.table, "measures": measures}
        try:
            built = await self._builder.build(by, connection_id, definition)
            answer = await self._sql.execute(by, connection_id, Statement(built.sql, timeout_s=KEY_TIMEOUT_S))
        except PlatformError:
            return False  # a key that cannot be looked at is no reason to warn
        rows = answer.rows.records()
        return bool(rows) and rows[0]["given"] != rows[0]["different"]


def _read(files: Mapping[str, str], connection_id: str) -> "Imported":
    from engine.semantic.metricflow import read_metricflow
    from engine.semantic.osi import read_osi

    read = read_metricflow(files, connection_id, {"semantic_model": read_osi})
    if not read.models and not read.metrics and not read.errors:
        raise Conflict(
            "The files hold no semantic models and no metrics.",
            hint="Their keys are semantic_models and metrics (dbt), or semantic_model (OSI).",
        )
    return read


def _unknown(read: "Imported", view: View) -> list[Note]:
    """Tables and columns that the caller does not see."""
    from engine.semantic.sight import unknown_parts

    notes = []
    for model in read.models:
        source = read.sources["model", model.name]
        notes += [source.note(f"semantic_models {model.name!r}", why) for why in unknown_parts(model, view)]
    return notes


def _foreign(read: "Imported", connection_id: str) -> list[Note]:
    return [
        source.note(
            f"{kind}s {name!r}", f"It is of the connection {source.connection[:64]!r}, not of {connection_id!r}."
        )
        for (kind, name), source in read.sources.items()
        if source.connection not in ("", connection_id)
    ]


def _change(kind: Any, name: str, definition: Mapping[str, Any], wanted: Wanted) -> Change:
    kept = {key: value for key, value in definition.items() if key != "connection"}
    path = kept.get("subject_path") or (kept.get("config") or {}).get("meta", {}).get("subject_path") or ""
    return Change(kind, name, kept, wanted.connection_id, wanted.status, str(path))


def _refused(errors: Sequence[Note]) -> Conflict:
    lines = [f"{note.file}:{note.line} {note.place}: {note.message}" for note in errors[:MAX_ERRORS]]
    more = f" And {len(errors) - MAX_ERRORS} more." if len(errors) > MAX_ERRORS else ""
    return Conflict(
        f"Nothing was imported. {' '.join(lines)}{more}"[:4000],
        hint="Correct the files; dry_run tells all that is wrong.",
    )


def _dump(models: Sequence[ShownModel], metrics: Sequence[FoundMetric]) -> str:
    from engine.semantic.documents import write_document

    document: dict[str, Any] = {}
    if models:
        document["semantic_models"] = [each.definition for each in models if each.stored.status == "active"]
    if metrics:
        document["metrics"] = [dict(each.stored.definition) for each in metrics if each.stored.status == "active"]
    return write_document(document)
