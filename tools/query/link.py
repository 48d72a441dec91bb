"""Which tables, columns and values a question is about."""

from datetime import date, datetime
from typing import Annotated

from pydantic import Field

from core.errors import Conflict
from core.portable import Model, Refers
from core.tool import tool
from engine.context import Ctx

DATE = r"^([0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]))?$"


class LinkQuestion(Model):
    """A question in words."""

    question: str = Field(min_length=1, max_length=4000, description="The question.")
    connection_id: Annotated[str, Refers("connection")] = Field(
        "lakehouse", max_length=64, description="Id of the connection; default the lakehouse."
    )
    current_date: str = Field(
        "", pattern=DATE, description="What `today` is in the question, YYYY-MM-DD; default today in UTC."
    )
    max_tables: int = Field(8, ge=1, le=40, description="Tables wanted at most, unless there are few in all.")


class QuestionColumn(Model):
    """A column of a table that the question may be about."""

    name: str = Field(description="Its name.")
    family: str = Field(description="number, text, date, time, boolean or other.")
    samples: list[str] = Field(description="Some of its values, which are data; all where there are few.")


class QuestionTable(Model):
    """A table that the question may be about."""

    name: str = Field(description="Its name, as SQL takes it.")
    score: float = Field(description="How much the question speaks of it; comparable within one answer.")
    columns: list[QuestionColumn] = Field(description="Its columns that you may read as they are.")


class QuestionJoin(Model):
    """Two columns along which tables join."""

    left: str = Field(description="table.column")
    right: str = Field(description="table.column")


class QuestionValue(Model):
    """Words of the question that a column holds."""

    text: str = Field(description="The words.")
    table: str = Field(description="Table of the column.")
    column: str = Field(description="The column.")
    value: str = Field(description="The value as it stands there; it is data.")


class QuestionRange(Model):
    """A phrase about time, and how it is read."""

    text: str = Field(description="The phrase.")
    start: datetime | None = Field(description="First moment; null: open.")
    end: datetime | None = Field(description="First moment that is no part of it any more; null: open.")
    convention: str = Field(description="How it was read, where it could be read otherwise.")


class QuestionContext(Model):
    """The part of a connection that a question is about."""

    tables: list[QuestionTable] = Field(description="Tables, those that the question speaks of most first.")
    joins: list[QuestionJoin] = Field(description="How they join.")
    values: list[QuestionValue] = Field(description="Values that the question names.")
    date_ranges: list[QuestionRange] = Field(description="What it says about time; ranges are half-open.")
    unlinked: list[str] = Field(description="Its words that stand for nothing there.")


@tool("POST /query/link", needs="query.run", effect="read")
async def link_question(ctx: Ctx, request: LinkQuestion) -> QuestionContext:
    """Find the tables, columns, joins and values that a question is about, and its ranges of time.

    What to show somebody, or a model, who is to write SQL for the question. Only what you may see is looked at."""
    linked, samples = await ctx.engine.questions.link(
        ctx.principal,
        request.connection_id,
        request.question,
        today=_day(request.current_date),
        limit=request.max_tables,
    )
    return QuestionContext(
        tables=[
            QuestionTable(
                name=table.name,
                score=table.score,
                columns=[
                    QuestionColumn(name=item.name, family=item.family, samples=list(samples.get(item.path, ())))
                    for item in table.columns
                    if item.is_readable
                ],
            )
            for table in linked.tables
        ],
        joins=[
            QuestionJoin(left=f"{child.table}.{child.name}", right=f"{parent.table}.{parent.name}")
            for child, parent in linked.joins
        ],
        values=[
            QuestionValue(text=item.text, table=item.column.table, column=item.column.name, value=item.value)
            for item in linked.values
        ],
        date_ranges=[
            QuestionRange(text=text, start=start, end=end, convention=convention)
            for text, start, end, convention in linked.ranges
        ],
        unlinked=list(linked.unlinked),
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:  # a 30th of February
        raise Conflict(f"There is no {text}.", hint="Give a day of the calendar as YYYY-MM-DD.") from None
