"""Asking for metrics."""

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, JsonValue

from core.errors import Conflict
from core.portable import Model, Refers, Rows
from core.tool import tool
from engine.context import Ctx
from engine.dates.calendar import Calendar
from engine.dates.ranges import Range
from engine.semantic.asking import Asked, Compiled

if TYPE_CHECKING:
    from engine.semantic.readings import MetricReading

DATE = r"^([0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]))?$"
Name = Annotated[str, Field(min_length=1, max_length=100)]
Path = Annotated[str, Field(min_length=1, max_length=500)]
Grain = Literal[
    "", "hour", "day", "week", "month", "quarter", "half", "year", "fiscal_quarter", "fiscal_half", "fiscal_year"
]


class MetricOrder(Model):
    """What to sort by."""

    name: str = Field(min_length=1, max_length=500, description="A metric or dimension of the result.")
    direction: Literal["asc", "desc"] = Field("asc", description="Which comes first.")


class QueryMetric(Model):
    """Metrics, by what, when, and where."""

    metrics: list[Name] = Field([], max_length=50, description="Names; search_metrics finds them.")
    question: str = Field(
        "",
        max_length=4000,
        description=(
            "A question in words, instead of metrics, dimensions, filters and times: `revenue by country last month`. "
            "Words that nothing stands for make it decline, with the nearest metrics."
        ),
    )
    dimensions: list[Path] = Field(
        [], max_length=30, description="What to group by, as get_metric shows it: `customer__country`."
    )
    filters: list[JsonValue] = Field(
        [],
        max_length=100,
        description=(
            "Conditions on dimensions, all of which must hold: {column: 'customer__country', operator: 'eq', value: "
            "'FR'}, trees of and, or, not, or text: `{{ Dimension('customer__country') }} = 'FR'`."
        ),
    )
    having: list[JsonValue] = Field(
        [],
        max_length=100,
        description="Conditions on figures of the result: `revenue > 100`, or {column, operator, value} as in filters.",
    )
    time_range: str = Field(
        "",
        max_length=200,
        description=(
            "When: words (`last quarter`, `since March 2025`, `this month vs last month`) or 2025-01-01/2025-04-01, "
            "without its end. Empty: all time."
        ),
    )
    grain: Grain = Field("", description="Also group by time, in periods of this length.")
    compare: Literal[
        "none",
        "previous_period",
        "previous_day",
        "previous_week",
        "previous_month",
        "previous_quarter",
        "previous_year",
    ] = Field("none", description="Compare each figure with an earlier one: adds _previous, _change and _growth.")
    order: list[MetricOrder] = Field([], max_length=30, description="How to sort; by time unless given.")
    limit: int = Field(0, ge=0, le=1_000_000, description="Rows wanted at most, after sorting; 0: all.")
    connection_id: Annotated[str | None, Refers("connection")] = Field(
        None, max_length=64, description="Id of the connection; default that of the first metric."
    )
    current_date: str = Field("", pattern=DATE, description="What `today` is, YYYY-MM-DD; default today in UTC.")
    week_start: Literal["monday", "sunday"] = Field("monday", description="Day that weeks begin with.")
    fiscal_month: int = Field(1, ge=1, le=12, description="Month that fiscal years begin with.")
    dry_run: bool = Field(False, description="Only compile: answer the SQL and the range, run nothing.")


class TimeSpan(Model):
    """A half-open range of time."""

    start: datetime | None = Field(description="First moment; null: open.")
    end: datetime | None = Field(description="First moment that is no part of it any more; null: open.")
    grain: str = Field(description="The unit it was said in.")
    convention: str = Field(description="How it was read, where it could be read otherwise.")


class MetricColumn(Model):
    """A column of the result."""

    name: str = Field(description="A dimension or a metric.")
    type: str = Field(description="SQL type; empty for a dry run.")


class MetricAnswer(Model):
    """Figures, and how they were computed."""

    data: Rows = Field(description="One object per row; over gRPC one Arrow IPC stream.")
    columns: list[MetricColumn] = Field(description="The columns, in order.")
    row_count: int = Field(description="Rows in the answer.")
    truncated: bool = Field(description="Whether there were more rows than the answer may hold.")
    private_row_count: int = Field(description="Groups left out because they stand for too few people.")
    query_id: str = Field(description="Id for get_query_status; empty for a dry run.")
    sql: str = Field(description="The SELECT that was made, in the connection's dialect.")
    tables: list[str] = Field(description="Tables that it reads.")
    connection_id: str = Field(description="Connection that it ran on.")
    time_range: TimeSpan | None = Field(description="How time_range was read.")
    compared_with: TimeSpan | None = Field(description="The range that it is compared with.")
    confidence: float = Field(description="From 0 to 1 how sure it is that a question meant this; 1 without one.")
    assumptions: list[str] = Field(description="How a question was read where it leaves something open.")


@tool("POST /metrics/query", needs="query.run", effect="read")
async def query_metric(ctx: Ctx, request: QueryMetric) -> MetricAnswer:
    """Compute metrics, by dimensions and over time, as they are defined.

    Name them, or ask in words with `question`. Prefer it to SQL where a metric exists: joins, filters and periods are
    right by definition. Filters hold before anything is added up. Dimensions that would repeat what is measured are
    refused."""
    compiled, reading = await _compiled(ctx, request)
    for table in compiled.built.tables:
        ctx.note(f"table:{compiled.connection_id}/{table}")
    if request.dry_run:
        return _answer(compiled, reading, Rows(list))
    async with ctx.engine.quotas.query_slot(ctx.principal):
        answer = await ctx.engine.semantic.asking.run(
            ctx.principal, compiled, max_rows=None, cancelled=ctx.cancelled, keep_for="query_metric"
        )
    facts = answer.facts
    return _answer(compiled, reading, answer.rows).model_copy(
        update={
            "columns": [MetricColumn(name=name, type=kind) for name, kind in facts.columns],
            "row_count": facts.row_count,
            "truncated": facts.is_truncated,
            "private_row_count": facts.private_row_count,
            "query_id": facts.query_id,
        }
    )


async def _compiled(ctx: Ctx, request: QueryMetric) -> "tuple[Compiled, MetricReading | None]":
    calendar = Calendar(week_start=6 if request.week_start == "sunday" else 0, fiscal_month=request.fiscal_month)
    semantic, today = ctx.engine.semantic, _day(request.current_date)
    if request.question and not request.metrics:
        connection_id = request.connection_id or "lakehouse"
        reading = await semantic.read_question(
            ctx.principal, request.question, connection_id, today=today, calendar=calendar
        )
        return await semantic.compile_reading(ctx.principal, connection_id, reading), reading
    asked = Asked(
        metrics=request.metrics,
        dimensions=request.dimensions,
        filters=[_condition(each) for each in request.filters],
        having=[_condition(each) for each in request.having],
        time_range=request.time_range,
        grain=request.grain,
        compare=request.compare,
        order=[(each.name, each.direction == "desc") for each in request.order],
        limit=request.limit or None,
        calendar=calendar,
    )
    return await semantic.compile(ctx.principal, asked, request.connection_id or "", today=today), None


def _answer(compiled: Compiled, reading: "MetricReading | None", rows: Rows) -> MetricAnswer:
    names = [*compiled.query.group_by, *compiled.query.metrics]
    return MetricAnswer(
        data=rows,
        columns=[MetricColumn(name=name, type="") for name in names],
        row_count=0,
        truncated=False,
        private_row_count=0,
        query_id="",
        sql=compiled.built.sql,
        tables=compiled.built.tables,
        connection_id=compiled.connection_id,
        time_range=_span(compiled.range),
        compared_with=_span(compiled.versus),
        confidence=1.0 if reading is None else reading.confidence,
        assumptions=[] if reading is None else [*reading.assumed, *reading.conventions],
    )


def _span(meant: Range | None) -> TimeSpan | None:
    if meant is None:
        return None
    return TimeSpan(start=meant.start, end=meant.end, grain=meant.grain, convention=meant.convention)


def _condition(given: JsonValue) -> str | dict[str, JsonValue]:
    if isinstance(given, (str, dict)):
        return given
    raise Conflict(
        "A filter is a text or an object.", hint="{column: 'customer__country', operator: 'eq', value: 'FR'}"
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:  # a 30th of February
        raise Conflict(f"There is no {text}.", hint="Give a day of the calendar as YYYY-MM-DD.") from None
