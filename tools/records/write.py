"""Records: rows of one table added, changed and deleted, under the rules that hold for reading it."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from core.portable import Model, Refers
from core.tool import tool
from engine.context import Ctx
from engine.lake.names import TABLE_NAME
from engine.records.records import Asked
from engine.records.wishes import Change, Deletion, Insertion, Outcome, Wish
from tools.records.read import CONNECTION, TABLE, RecordFilter

FILTERS = "Conditions that must all hold; at least one, so that no call empties a table by mistake."
DRY_RUN = "Only check and count; nothing is written."
VALUE = "Texts for dates, decimals and large numbers; base64 for bytes."


class InsertRecords(Model):
    """Records to add."""

    connection_id: Annotated[str, Refers("connection")] = Field("lakehouse", max_length=64, description=CONNECTION)
    table: str = Field(pattern=TABLE_NAME, max_length=512, description=TABLE)
    records: list[dict[str, JsonValue]] = Field(
        min_length=1,
        max_length=10_000,
        description=f"One object per record, by column name; columns left out are null, or the default. {VALUE}",
    )
    on_conflict: Literal["error", "ignore", "update"] = Field(
        "error", description="For a key that is there already: refuse the call, leave the record out, or change it."
    )
    key_columns: list[str] = Field(
        [], max_length=32, description="The columns that tell records apart; by default the key the table declares."
    )
    dry_run: bool = Field(False, description=DRY_RUN)


class UpdateRecords(Model):
    """New values for some records."""

    connection_id: Annotated[str, Refers("connection")] = Field("lakehouse", max_length=64, description=CONNECTION)
    table: str = Field(pattern=TABLE_NAME, max_length=512, description=TABLE)
    filters: list[RecordFilter] = Field(min_length=1, max_length=1000, description=FILTERS)
    values: dict[str, JsonValue] = Field(
        min_length=1, max_length=1000, description=f"The new value of each column to change. {VALUE}"
    )
    dry_run: bool = Field(False, description=DRY_RUN)


class DeleteRecords(Model):
    """Which records to delete."""

    connection_id: Annotated[str, Refers("connection")] = Field("lakehouse", max_length=64, description=CONNECTION)
    table: str = Field(pattern=TABLE_NAME, max_length=512, description=TABLE)
    filters: list[RecordFilter] = Field(min_length=1, max_length=1000, description=FILTERS)
    dry_run: bool = Field(False, description=DRY_RUN)


class WrittenRecords(Model):
    """What was written, or with `dry_run` would be."""

    affected: int = Field(description="Records inserted, updated and deleted, in all.")
    inserted: int = Field(description="Records added.")
    updated: int = Field(description="Records that met the condition and were given the values.")
    deleted: int = Field(description="Records deleted.")
    skipped: int = Field(description="Records left out because their key is there already.")
    dry_run: bool = Field(description="Whether it was only counted.")
    snapshot_id: str | None = Field(description="The lakehouse table's new snapshot; null where there is none.")


@tool("POST /catalog/records/insert", needs="records.write", effect="write")
async def insert_records(ctx: Ctx, request: InsertRecords) -> WrittenRecords:
    """Add records to one table, all of them or none; with `on_conflict` update this is an upsert.

    For files and more than 10,000 records use create_import_job. Values must fit their columns exactly. Masked
    columns cannot be written, and what is written must lie within the rows that you may see. With an idempotency
    key a repeated call adds nothing twice."""
    wish = Insertion(request.records, request.on_conflict, request.key_columns)
    return await _write(ctx, request, wish)


@tool("POST /catalog/records/update", needs="records.write", effect="write")
async def update_records(ctx: Ctx, request: UpdateRecords) -> WrittenRecords:
    """Give all records that meet the filters new values; try it with `dry_run` first.

    Only records that you may see are changed, and they must stay within those. Masked columns can be neither
    filtered nor written."""
    return await _write(ctx, request, Change(_conditions(request.filters), request.values))


@tool("POST /catalog/records/delete", needs="records.write", effect="destroy")
async def delete_records(ctx: Ctx, request: DeleteRecords) -> WrittenRecords:
    """Delete all records that meet the filters, of those that you may see; try it with `dry_run` first.

    In the lakehouse rollback_table brings them back until their snapshot expires."""
    return await _write(ctx, request, Deletion(_conditions(request.filters)))


async def _write(ctx: Ctx, request: InsertRecords | UpdateRecords | DeleteRecords, wish: Wish) -> WrittenRecords:
    asked = Asked(request.dry_run, ctx.idempotency_key, ctx.cancelled, ctx.deadline)
    ctx.note(f"table:{request.connection_id}/{request.table}")
    async with ctx.engine.quotas.query_slot(ctx.principal):
        done = await ctx.engine.records.write(ctx.principal, request.connection_id, request.table, wish, asked)
    return _show(done, dry_run=request.dry_run)


def _conditions(filters: list[RecordFilter]) -> list[dict[str, JsonValue]]:
    """As a definition has them: without a value where there is none."""
    return [each.model_dump(exclude={"value"} if each.value is None else None) for each in filters]


def _show(done: Outcome, *, dry_run: bool) -> WrittenRecords:
    return WrittenRecords(
        affected=done.affected,
        inserted=done.inserted,
        updated=done.updated,
        deleted=done.deleted,
        skipped=done.skipped,
        dry_run=dry_run,
        snapshot_id=None if done.snapshot_id is None else str(done.snapshot_id),
    )
