"""Building SQL from a structured definition."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, JsonValue

from core.portable import Model, Refers
from core.tool import tool
from engine.context import Ctx
from engine.lake.past import AS_OF, AS_OF_TEXT, MAX_AS_OF

if TYPE_CHECKING:
    from engine.sql.build import Built

PATH = "column, alias.column or table.column; a part with a dot goes in double quotes."
CONDITION = (
    "Conditions: {column, operator, value}; operators eq ne lt le gt ge in not_in like not_like ilike is_null "
    "not_null between. in and between take a list. Instead of `value`: `other`, an expression, or `query`. "
    "Trees: {and: [...]}, {or: [...]}, {not: {...}}, {exists: query}."
)
EXPRESSION = (
    "A column's name, or {column}, {value}, {function, args, distinct, over}, {operator: + - * / % ||, args}, "
    "{cast, args}, {case: [{when, then}], otherwise}; `over` is {partition_by, order, rows_before}"
)


class JoinPair(Model):
    """Two columns that a join compares."""

    left: str = Field(min_length=1, max_length=1024, description=f"Column of a table before: {PATH}")
    right: str = Field(min_length=1, max_length=1024, description=f"Column of the joined table: {PATH}")
    operator: Literal["eq", "ne", "lt", "le", "gt", "ge"] = Field("eq", description="How they are compared.")


class BuildJoin(Model):
    """One more table."""

    type: Literal["inner", "left", "right", "full", "cross"] = Field("inner", description="Kind of join.")
    table: str | None = Field(None, min_length=1, max_length=1024, description="Name as list_tables shows it.")
    subquery: dict[str, JsonValue] | None = Field(None, description="A definition, in the place of a table.")
    alias: str | None = Field(None, min_length=1, max_length=255, description="Name in this query.")
    on: list[JoinPair] = Field([], max_length=32, description="Pairs that must all match; none for a cross join.")


class BuildMeasure(Model):
    """An aggregate."""

    aggregate: Literal["count", "sum", "avg", "min", "max", "median", "stddev", "variance", "approx_count_distinct"] = (
        Field(description="Function; not every source has all.")
    )
    column: str | None = Field(None, min_length=1, max_length=1024, description=f"{PATH} count does without.")
    expression: JsonValue = Field(None, description="An expression, instead of a column.")
    alias: str | None = Field(None, min_length=1, max_length=255, description="Name; default aggregate_column.")
    distinct: bool = Field(False, description="Whether equal values count once.")
    filters: list[JsonValue] = Field([], max_length=1000, description="Conditions on the rows that it takes.")


class BuildQuery(Model):
    """A query as data, or a question in words."""

    connection_id: Annotated[str, Refers("connection")] = Field(
        "lakehouse", max_length=64, description="Id of the connection; default the lakehouse."
    )
    natural_language: str = Field("", max_length=4000, description="A question in words, instead of a definition.")
    table: str | None = Field(None, min_length=1, max_length=1024, description="Name as list_tables shows it.")
    subquery: dict[str, JsonValue] | None = Field(None, description="A definition to read from, instead of a table.")
    alias: str | None = Field(None, min_length=1, max_length=255, description="Name of the table in this query.")
    joins: list[BuildJoin] = Field([], max_length=32, description="More tables.")
    select: list[JsonValue] = Field(
        [], max_length=1000, description=f"{EXPRESSION}; each may have an `alias`. None and no measures: all columns."
    )
    measures: list[BuildMeasure] = Field([], max_length=100, description="Aggregates.")
    distinct: bool = Field(False, description="Whether equal rows are answered once.")
    filters: list[JsonValue] = Field([], max_length=1000, description=f"All must hold. {CONDITION}")
    group: list[JsonValue] = Field(
        [], max_length=100, description="Expressions; with measures, by default all of `select`."
    )
    having: list[JsonValue] = Field([], max_length=100, description="Conditions on aliases of measures.")
    set_operations: list[JsonValue] = Field(
        [], max_length=16, description="{type: union, union_all, intersect or except; query: a definition}."
    )
    order: list[JsonValue] = Field(
        [], max_length=32, description="Aliases or columns, or {column or expression, direction, nulls}."
    )
    limit: int | None = Field(None, ge=0, le=1_000_000, description="Rows at most.")
    offset: int = Field(0, ge=0, le=10**12, description="Rows to leave out.")
    as_of: str = Field(
        "", max_length=MAX_AS_OF, pattern=AS_OF, description=f"{AS_OF_TEXT} Give it to execute_query too."
    )


class BuiltQuery(Model):
    """SQL, and what it reads."""

    sql: str = Field(description="One SELECT in the connection's dialect; execute_query runs it.")
    confidence: float = Field(description="From 0 to 1 how sure it is that this was meant; 1 for a definition.")
    tables_referenced: list[str] = Field(description="Tables that it reads.")
    columns_referenced: list[str] = Field(description="Columns that it names.")


@tool("POST /query/build", needs="query.run", effect="read")
async def build_query(ctx: Ctx, request: BuildQuery) -> BuiltQuery:
    """Make SQL from a structured definition: table, select, measures, joins, filters, order.

    Names are checked against what you may see, values become typed literals, and nothing runs: give the SQL to
    execute_query. A question under natural_language is answered as build_query_from_nl does."""
    if request.natural_language:
        asked = await ctx.engine.questions.ask(ctx.principal, request.connection_id, request.natural_language)
        return _answer(ctx, request, asked.built, asked.confidence)
    definition = request.model_dump(exclude={"connection_id", "natural_language", "as_of"}, exclude_unset=True)
    built = await ctx.engine.builder.build(ctx.principal, request.connection_id, definition, as_of=request.as_of)
    return _answer(ctx, request, built, 1.0)


def _answer(ctx: Ctx, request: BuildQuery, built: "Built", confidence: float) -> BuiltQuery:
    for table in built.tables:
        ctx.note(f"table:{request.connection_id}/{table}")
    return BuiltQuery(
        sql=built.sql, confidence=confidence, tables_referenced=built.tables, columns_referenced=built.columns
    )
