"""SQL from a question in words."""

from datetime import date
from typing import Annotated

from pydantic import Field

from core.errors import Conflict
from core.portable import Model, Refers
from core.tool import tool
from engine.context import Ctx

DATE = r"^([0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]))?$"


class BuildQueryFromNl(Model):
    """A question in words."""

    natural_language: str = Field(
        min_length=1, max_length=4000, description="The question, for example `Total revenue by region last quarter`."
    )
    connection_id: Annotated[str, Refers("connection")] = Field(
        "lakehouse", max_length=64, description="Id of the connection; default the lakehouse."
    )
    current_date: str = Field(
        "", pattern=DATE, description="What `today` is in the question, YYYY-MM-DD; default today in UTC."
    )
    ext_knowledge: str = Field(
        "", max_length=8000, description="What to know beside the data: definitions of terms, how to match."
    )


class PlannedQuery(Model):
    """SQL for a question, and how far it can be trusted."""

    sql: str = Field(description="One SELECT in the connection's dialect; execute_query runs it.")
    confidence: float = Field(description="From 0 to 1 how sure it is that this was meant.")
    tables_referenced: list[str] = Field(description="Tables that it reads.")
    columns_referenced: list[str] = Field(description="Columns that it names.")
    assumptions: list[str] = Field(description="What was chosen where the question leaves it open.")
    date_ranges: list[str] = Field(description="How phrases about time were read.")


@tool("POST /query/build-from-nl", needs="query.run", effect="read")
async def build_query_from_nl(ctx: Ctx, request: BuildQueryFromNl) -> PlannedQuery:
    """Make SQL from a question in words, without a model: measures, groups, filters, dates, top-N.

    Words are matched with tables, columns and values that you may see. Words that stand for nothing there make it
    decline, with the words named. Nothing of the answer runs: give the SQL to execute_query if it is sure enough."""
    today = _day(request.current_date)
    asked = await ctx.engine.questions.ask(
        ctx.principal,
        request.connection_id,
        request.natural_language,
        today=today,
        knowledge=request.ext_knowledge,
    )
    for table in asked.built.tables:
        ctx.note(f"table:{request.connection_id}/{table}")
    return PlannedQuery(
        sql=asked.built.sql,
        confidence=asked.confidence,
        tables_referenced=asked.built.tables,
        columns_referenced=asked.built.columns,
        assumptions=list(asked.doubts),
        date_ranges=list(asked.conventions),
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:  # a 30th of February
        raise Conflict(f"There is no {text}.", hint="Give a day of the calendar as YYYY-MM-DD.") from None
