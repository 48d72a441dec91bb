"""Queries that run or ran: their state, and stopping them."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from core.portable import Model, Refers
from core.tool import tool
from engine.context import Ctx
from engine.sql.queries import QueryState

QUERY = "Id from a query's metadata."


class WhichQuery(Model):
    """Which query; callers see their own."""

    query_id: Annotated[str, Refers("query")] = Field(min_length=1, max_length=64, description=QUERY)


class QueryStatus(Model):
    """One run of a query."""

    query_id: str = Field(description="Id of the run.")
    status: str = Field(description="`running`, `succeeded`, `failed` or `cancelled`.")
    connection_id: str = Field(description="Connection that it reads.")
    row_count: int | None = Field(description="Rows answered, once it has ended.")
    execution_time_ms: int | None = Field(description="Milliseconds it took, once it has ended.")
    error_code: str = Field(description="Code of the error that ended it, else empty.")
    started_at: datetime = Field(description="When it started.")
    ended_at: datetime | None = Field(description="When it ended.")


@tool("POST /query/{query_id}/cancel", needs="query.run", effect="write")
async def cancel_query(ctx: Ctx, request: WhichQuery) -> QueryStatus:
    """Stop a running query of yours, wherever it runs.

    It stops within half a second; one that has already ended stays as it is. Ask get_query_status."""
    return _status(await ctx.engine.sql.queries.cancel(ctx.principal, request.query_id))


@tool("GET /query/{query_id}", needs="query.run", effect="read")
async def get_query_status(ctx: Ctx, request: WhichQuery) -> QueryStatus:
    """Say whether a query of yours runs, and how it ended.

    It holds no rows; those came with the answer."""
    return _status(await ctx.engine.sql.queries.get(ctx.principal, request.query_id))


def _status(state: QueryState) -> QueryStatus:
    return QueryStatus(
        query_id=state.query_id,
        status=state.status,
        connection_id=state.connection_id,
        row_count=state.row_count,
        execution_time_ms=state.execution_time_ms,
        error_code=state.error_code,
        started_at=_time(state.started_at),
        ended_at=None if state.ended_at is None else _time(state.ended_at),
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
