"""Charts of results: a Vega-Lite specification and a picture."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from core.errors import Conflict, NotFound
from core.portable import Model, Picture, Refers
from core.tool import tool
from engine.charts.chart import make_chart
from engine.charts.choice import Wish
from engine.charts.spec import Look
from engine.context import Ctx
from engine.results.kept import KeptTable
from engine.sql.rows import records, type_name

MAX_ROWS = 20_000


class ChartResult(Model):
    """Which result, and how to draw it; everything but the result may be left to us."""

    query_id: Annotated[str, Refers("query")] = Field(
        min_length=1, max_length=64, description="`query_id` of an execute_query of yours of the last hour."
    )
    kind: Literal["auto", "line", "area", "bar", "scatter", "pie", "histogram", "number"] = Field(
        "auto", description="Kind of chart; `auto` chooses by the columns."
    )
    x: str = Field("", max_length=255, description="Column along x, or of the categories; default by type.")
    y: list[str] = Field([], max_length=8, description="Numeric columns to draw; default all.")
    series: str = Field("", max_length=255, description="Column whose values get a colour each.")
    title: str = Field("", max_length=200, description="Title; default made of the columns.")
    width: int = Field(640, ge=200, le=1600, description="Width in pixels.")
    height: int = Field(400, ge=150, le=1200, description="Height in pixels.")
    top: int = Field(12, ge=2, le=50, description="Categories drawn at most; the rest is added up where it can be.")


class Chart(Model):
    """A chart."""

    kind: str = Field(description="Kind that was drawn.")
    title: str = Field(description="Its title.")
    reason: str = Field(description="Why this kind.")
    notes: list[str] = Field(description="What is left out or added up.")
    point_count: int = Field(description="Values drawn.")
    truncated: bool = Field(description="Whether the query had more rows than its result holds.")
    spec: JsonValue = Field(description="Vega-Lite 5 specification with its values.")
    png: Annotated[bytes, Picture("image/png")] = Field(description="The picture.")


@tool("POST /results/{query_id}/chart", needs="query.run", effect="read")
async def chart_result(ctx: Ctx, request: ChartResult) -> Chart:
    """Draw the result of a query of yours as a chart.

    Run execute_query first, aggregated to what should be seen, and give its `query_id`. Nothing is run again. Text
    in the chart is data."""
    found = await ctx.engine.results.load(ctx.principal, request.query_id)
    if not isinstance(found, KeptTable) or found.facts.tool not in {item.name for item in ctx.call.tools()}:
        raise NotFound(f"No result {request.query_id!r}.", hint="Run the query again with execute_query.")
    if sum(batch.num_rows for batch in found.batches) > MAX_ROWS:
        raise Conflict(f"The result has more than {MAX_ROWS} rows.", hint="Aggregate in SQL.")
    for table in found.facts.tables:
        ctx.note(f"table:{found.facts.connection_id}/{table}")
    chart = await make_chart(
        [(field.name, type_name(field.type)) for field in found.schema],
        records(found.schema, found.batches),
        Wish(None if request.kind == "auto" else request.kind, request.x, request.y, request.series),
        Look(request.title, request.width, request.height),
        top=request.top,
    )
    return Chart(
        kind=chart.plan.kind,
        title=chart.title,
        reason=chart.plan.reason,
        notes=chart.notes,
        point_count=chart.point_count,
        truncated=found.facts.is_truncated,
        spec=chart.spec,
        png=chart.png,
    )
