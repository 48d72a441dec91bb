"""Records: rows of one table without SQL, under the same rules."""

from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from core.context import discard
from core.errors import Conflict
from core.portable import Model, Refers, Rows
from core.tool import tool
from engine.context import Ctx
from engine.lake.names import TABLE_NAME
from engine.lake.past import AS_OF, AS_OF_TEXT, MAX_AS_OF
from engine.sql.builder import Key, Page, no_record
from engine.sql.parts import read_part
from engine.sql.run import Facts, Statement

CONNECTION = "Id of the connection; default the lakehouse."
TABLE = "Name as list_tables shows it, for example `sales.orders`."
COLUMN = "Name of a column, as list_columns shows it."


class RecordFilter(Model):
    """A condition on one column."""

    column: str = Field(min_length=1, max_length=1024, description=COLUMN)
    operator: Literal["eq", "ne", "lt", "le", "gt", "ge", "in", "like", "is_null", "between"] = Field(
        description="How the column is compared."
    )
    value: JsonValue = Field(
        None, description="A value of the column's type; a list for in, two values for between, false: is not null."
    )


class RecordOrder(Model):
    """A column to sort by."""

    column: str = Field(min_length=1, max_length=1024, description=COLUMN)
    direction: Literal["asc", "desc"] = Field("asc", description="Rising or falling; nulls come last.")


class GetRecords(Model):
    """Which records to read."""

    connection_id: Annotated[str, Refers("connection")] = Field("lakehouse", max_length=64, description=CONNECTION)
    table: str = Field(pattern=TABLE_NAME, max_length=512, description=TABLE)
    columns: list[str] = Field([], max_length=1000, description="Columns; none means all whose values you may read.")
    filters: list[RecordFilter] = Field([], max_length=1000, description="Conditions that must all hold.")
    order: list[RecordOrder] = Field([], max_length=32, description="Sort keys; the table's own key comes last.")
    limit: int = Field(100, ge=1, le=1_000_000, description="Records at most; the platform's limit may be lower.")
    offset: int = Field(0, ge=0, le=10**12, description="Records to leave out; `next_offset` of the page before.")
    as_of: str = Field("", max_length=MAX_AS_OF, pattern=AS_OF, description=AS_OF_TEXT)
    stream: bool = Field(
        False, description="For programs on a streaming face: send the records in parts as they are read."
    )


class RecordColumn(Model):
    """A column of an answer."""

    name: str = Field(description="Name.")
    type: str = Field(description="SQL type.")


class RecordsMetadata(Model):
    """Facts about a run."""

    row_count: int = Field(description="Records in the answer.")
    execution_time_ms: int = Field(description="Milliseconds from start to last record.")
    query_id: str = Field(description="Id for get_query_status and cancel_query.")
    from_cache: bool = Field(description="Whether the answer was kept from an earlier run.")
    columns: list[RecordColumn] = Field(description="The columns, in order.")
    column_privacy: dict[str, str] = Field(description="For columns that are not public, how: `masked`.")
    has_more: bool = Field(description="Whether there are records after these.")
    next_offset: int | None = Field(description="Give it as `offset` for the records after these.")


class RecordsPage(Model):
    """Records and facts."""

    data: Rows = Field(description="One object per record; over gRPC one Arrow IPC stream, `arrow_record_batch`.")
    metadata: RecordsMetadata = Field(description="Facts about the run.")


class RecordsPart(Model):
    """Some of the records of a stream."""

    data: Rows = Field(description="One object per record; over gRPC one Arrow IPC stream, `arrow_record_batch`.")


class GetRecordById(Model):
    """Which record."""

    connection_id: Annotated[str, Refers("connection")] = Field("lakehouse", max_length=64, description=CONNECTION)
    table: str = Field(pattern=TABLE_NAME, max_length=512, description=TABLE)
    key: list[str] = Field(
        min_length=1, max_length=32, description="Value of the primary key; one for each column of a composite key."
    )
    key_columns: list[str] = Field(
        [], max_length=32, description="The key's columns, where the table does not declare them."
    )
    as_of: str = Field("", max_length=MAX_AS_OF, pattern=AS_OF, description=AS_OF_TEXT)


class Record(Model):
    """One record."""

    record: dict[str, JsonValue] = Field(description="The columns whose values you may read.")
    column_privacy: dict[str, str] = Field(description="For columns that are not public, how: `masked`.")


@tool("POST /catalog/records", needs="query.run", effect="read", emits=RecordsPart)
async def get_records(ctx: Ctx, request: GetRecords) -> RecordsPage:
    """Read records of one table: columns, filters, order, page by page.

    For sums and joins use execute_query or build_query. There is no count of all records: `has_more` and
    `next_offset` lead on. Masked columns come masked and are filtered as such."""
    page = Page(
        table=request.table,
        columns=request.columns,
        filters=[_condition(each) for each in request.filters],
        order=[each.model_dump() for each in request.order],
        limit=request.limit,
        offset=request.offset,
        as_of=request.as_of,
    )
    built = await ctx.engine.builder.page(ctx.principal, request.connection_id, page)
    statement = Statement(sql=built.sql, max_rows=request.limit, as_of=request.as_of)
    if request.stream and ctx.emit is not discard:
        data, facts = await _stream(ctx, request.connection_id, statement)
    else:
        data, facts = await _execute(ctx, request.connection_id, statement)
    return RecordsPage(data=data, metadata=_metadata(facts, request.offset))


@tool("GET /catalog/records/{connection_id}/{table}", needs="query.run", effect="read")
async def get_record_by_id(ctx: Ctx, request: GetRecordById) -> Record:
    """Read the one record with a primary key.

    PostgreSQL, SQLite and DuckDB tables and Iceberg identifier fields declare their key; for others name its
    columns under `key_columns`."""
    key = Key(request.table, request.key, request.key_columns, request.as_of)
    built = await ctx.engine.builder.record(ctx.principal, request.connection_id, key)
    data, facts = await _execute(ctx, request.connection_id, Statement(sql=built.sql, as_of=request.as_of))
    found = data.records()
    if not found:
        raise no_record(request.table)
    if len(found) > 1:
        raise Conflict("More than one record has that key.", hint="Name more columns under key_columns.")
    return Record(record=found[0], column_privacy=dict(facts.column_privacy))


async def _execute(ctx: Ctx, connection_id: str, statement: Statement) -> tuple[Rows, Facts]:
    async with ctx.engine.quotas.query_slot(ctx.principal):
        answer = await ctx.engine.sql.execute(ctx.principal, connection_id, statement, cancelled=ctx.cancelled)
    _note(ctx, connection_id, answer.facts)
    return answer.rows, answer.facts


async def _stream(ctx: Ctx, connection_id: str, statement: Statement) -> tuple[Rows, Facts]:
    async def send(chunk: bytes) -> None:
        await ctx.emit(RecordsPart(data=read_part(chunk)))

    async with ctx.engine.quotas.query_slot(ctx.principal):
        facts = await ctx.engine.sql.stream(ctx.principal, connection_id, statement, send=send, cancelled=ctx.cancelled)
    _note(ctx, connection_id, facts)
    return Rows(list, lambda compression: b""), facts


def _condition(given: RecordFilter) -> dict[str, Any]:
    condition: dict[str, Any] = {"column": given.column, "operator": given.operator}
    return condition if given.operator == "is_null" and given.value is None else {**condition, "value": given.value}


def _note(ctx: Ctx, connection_id: str, facts: Facts) -> None:
    for table in facts.tables:
        ctx.note(f"table:{connection_id}/{table}")


def _metadata(facts: Facts, offset: int) -> RecordsMetadata:
    return RecordsMetadata(
        row_count=facts.row_count,
        execution_time_ms=facts.execution_time_ms,
        query_id=facts.query_id,
        from_cache=facts.from_cache,
        columns=[RecordColumn(name=name, type=kind) for name, kind in facts.columns],
        column_privacy=dict(facts.column_privacy),
        has_more=facts.is_truncated,
        next_offset=offset + facts.row_count if facts.is_truncated else None,
    )
