"""Checking SQL without running it."""

from typing import Annotated

from pydantic import Field

from core.errors import Conflict, QueryUnauthorized
from core.portable import Model, Refers
from core.tool import tool
from engine.context import Ctx
from engine.lake.past import AS_OF, AS_OF_TEXT, MAX_AS_OF
from engine.sql.plans import MAX_SQL_CHARS
from engine.sql.run import Statement

SQL = "One SELECT in the connection's dialect (DuckDB for the lakehouse and files)."
PARAMETERS = "Values for $name or :name in the SQL."
CONNECTION = "Id of the connection; default the lakehouse."


class CheckQuery(Model):
    """A query that is not run."""

    sql: str = Field(min_length=1, max_length=MAX_SQL_CHARS, description=SQL)
    parameters: dict[str, str] = Field({}, max_length=200, description=PARAMETERS)
    connection_id: Annotated[str, Refers("connection")] = Field("lakehouse", max_length=64, description=CONNECTION)
    as_of: str = Field("", max_length=MAX_AS_OF, pattern=AS_OF, description=AS_OF_TEXT)


class QueryCheck(Model):
    """Whether a query would run, and what is wrong with it otherwise."""

    valid: bool = Field(description="Whether execute_query would start it.")
    code: str = Field(description="Error code that execute_query would answer; empty when valid.")
    message: str = Field(description="What is wrong; empty when valid.")
    hint: str = Field(description="How to repair it; empty when valid.")
    tables_referenced: list[str] = Field(description="Tables that it reads.")
    columns_referenced: list[str] = Field(description="Columns that it names.")


class QueryPlan(Model):
    """How an engine would run a query."""

    plan: str = Field(description="The engine's plan, as text.")


@tool("POST /query/validate", needs="query.run", effect="read", toolsets=("default",))
async def validate_query(ctx: Ctx, request: CheckQuery) -> QueryCheck:
    """Check a query's syntax, tables, columns, types and your right to it, without running it.

    An invalid query is an answer with `valid` false, not an error; `hint` says how to repair it."""
    try:
        prepared = await ctx.engine.sql.validate(ctx.principal, request.connection_id, _statement(request))
    except (Conflict, QueryUnauthorized) as error:
        return QueryCheck(
            valid=False,
            code=error.code,
            message=error.message,
            hint=error.hint,
            tables_referenced=[],
            columns_referenced=[],
        )
    return QueryCheck(
        valid=True,
        code="",
        message="",
        hint="",
        tables_referenced=prepared.tables,
        columns_referenced=sorted(prepared.columns),
    )


@tool("POST /query/explain", needs="query.run", effect="read")
async def explain_query(ctx: Ctx, request: CheckQuery) -> QueryPlan:
    """Show how the engine would run a query: scans, joins, estimated rows.

    Use it when a query is slow or times out. It does not run the query."""
    plan = await ctx.engine.sql.explain(ctx.principal, request.connection_id, _statement(request))
    return QueryPlan(plan=plan)


def _statement(request: CheckQuery) -> Statement:
    return Statement(sql=request.sql, parameters=request.parameters, as_of=request.as_of)
