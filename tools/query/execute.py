"""Running SQL: whole answers, and streams of Arrow."""

from typing import Annotated

from pydantic import Field

from core.portable import Model, Refers, Rows
from core.tool import tool
from engine.context import Ctx
from engine.lake.past import AS_OF, AS_OF_TEXT, MAX_AS_OF
from engine.sql.plans import MAX_SQL_CHARS
from engine.sql.run import Facts, Statement

SQL = "One SELECT in the connection's dialect (DuckDB for the lakehouse and files), over tables of the connection."
PARAMETERS = "Values for $name or :name in the SQL; they are bound, never put into its text."
CONNECTION = "Id of the connection; default the lakehouse."


class ExecuteQuery(Model):
    """A query and its bounds."""

    sql: str = Field(min_length=1, max_length=MAX_SQL_CHARS, description=SQL)
    parameters: dict[str, str] = Field({}, max_length=200, description=PARAMETERS)
    timeout_seconds: int = Field(0, ge=0, le=3600, description="Seconds that it may run; 0 means the platform's limit.")
    connection_id: Annotated[str, Refers("connection")] = Field("lakehouse", max_length=64, description=CONNECTION)
    max_rows: int = Field(0, ge=0, le=1_000_000, description="Rows wanted at most; 0 means the platform's limit.")
    no_cache: bool = Field(False, description="Run it even where an equal answer of the last minutes is kept.")
    as_of: str = Field("", max_length=MAX_AS_OF, pattern=AS_OF, description=AS_OF_TEXT)


class QueryColumn(Model):
    """A column of a result."""

    name: str = Field(description="Name; a repeated name gets _2, _3.")
    type: str = Field(description="SQL type.")


class QueryMetadata(Model):
    """Facts about a run."""

    row_count: int = Field(description="Rows in the answer.")
    execution_time_ms: int = Field(description="Milliseconds from start to last row.")
    query_id: str = Field(description="Id for get_query_status and cancel_query.")
    from_cache: bool = Field(description="Whether the answer was kept from an earlier run.")
    truncated: bool = Field(description="Whether there were more rows than the answer may hold.")
    columns: list[QueryColumn] = Field(description="The columns, in order.")
    column_privacy: dict[str, str] = Field(description="For columns that are not public: `masked` or `aggregate_only`.")
    private_row_count: int = Field(description="Rows or groups left out because they stand for too few people.")
    rows_scanned: int = Field(description="Rows read from tables, as far as the source says.")
    bytes_scanned: int = Field(description="Bytes read from tables, as far as the source says.")


class QueryAnswer(Model):
    """Rows and facts."""

    data: Rows = Field(description="One object per row; over gRPC one Arrow IPC stream, `arrow_record_batch`.")
    metadata: QueryMetadata = Field(description="Facts about the run.")


class QueryChunk(Model):
    """A part of a result."""

    arrow_record_batch: bytes = Field(description="A self-contained Arrow IPC stream of a megabyte or two.")


class QueryStreamEnd(Model):
    """What is known when the last part was sent."""

    metadata: QueryMetadata = Field(description="Facts about the run.")


@tool("POST /query/execute", "POST /query", needs="query.run", effect="read", toolsets=("default",))
async def execute_query(ctx: Ctx, request: ExecuteQuery) -> QueryAnswer:
    """Run one SELECT and return its rows.

    Read the tables first (list_tables, get_table), aggregate in SQL rather than fetch rows, and look at
    `metadata.truncated`. It only reads; large results come faster with execute_query_stream."""
    async with ctx.engine.quotas.query_slot(ctx.principal):
        answer = await ctx.engine.sql.execute(
            ctx.principal, request.connection_id, _statement(request, "execute_query"), cancelled=ctx.cancelled
        )
    _note(ctx, request.connection_id, answer.facts)
    return QueryAnswer(data=answer.rows, metadata=_metadata(answer.facts))


@tool("POST /query/stream", needs="query.run", effect="read", emits=QueryChunk)
async def execute_query_stream(ctx: Ctx, request: ExecuteQuery) -> QueryStreamEnd:
    """Run one SELECT and stream its rows as Arrow IPC, a megabyte or two at a time.

    For programs that read many rows; a model should aggregate with execute_query instead."""

    async def send(chunk: bytes) -> None:
        await ctx.emit(QueryChunk(arrow_record_batch=chunk))

    async with ctx.engine.quotas.query_slot(ctx.principal):
        facts = await ctx.engine.sql.stream(
            ctx.principal, request.connection_id, _statement(request), send=send, cancelled=ctx.cancelled
        )
    _note(ctx, request.connection_id, facts)
    return QueryStreamEnd(metadata=_metadata(facts))


def _statement(request: ExecuteQuery, keep_for: str = "") -> Statement:
    return Statement(
        sql=request.sql,
        parameters=request.parameters,
        timeout_s=request.timeout_seconds or None,
        max_rows=request.max_rows or None,
        may_reuse=not request.no_cache,
        as_of=request.as_of,
        keep_for=keep_for,
    )


def _note(ctx: Ctx, connection_id: str, facts: Facts) -> None:
    for table in facts.tables:
        ctx.note(f"table:{connection_id}/{table}")


def _metadata(facts: Facts) -> QueryMetadata:
    return QueryMetadata(
        row_count=facts.row_count,
        execution_time_ms=facts.execution_time_ms,
        query_id=facts.query_id,
        from_cache=facts.from_cache,
        truncated=facts.is_truncated,
        columns=[QueryColumn(name=name, type=kind) for name, kind in facts.columns],
        column_privacy=dict(facts.column_privacy),
        private_row_count=facts.private_row_count,
        rows_scanned=facts.rows_scanned,
        bytes_scanned=facts.bytes_scanned,
    )
