"""Results that are kept for an hour: their rows a page at a time, and what is in their columns."""

from typing import Any

from pydantic import Field, JsonValue

from core.errors import NotFound
from core.portable import Model, Rows
from core.tool import SIGNED_IN, tool
from engine.context import Ctx
from engine.results.kept import KeptTable
from engine.sql.rows import make_rows, sliced

RESULT = "`query_id` of an execute_query of yours, or the id of a handle `headwater://results/{id}`."
MAX_PAGE = 10_000


class GetResult(Model):
    """Which part of which result."""

    query_id: str = Field(min_length=1, max_length=64, description=RESULT)
    offset: int = Field(0, ge=0, description="Rows to leave out.")
    limit: int = Field(1000, ge=1, le=MAX_PAGE, description="Rows wanted at most.")
    profile: bool = Field(False, description="Say of each column what is in it.")


class ResultColumn(Model):
    """A column of a result."""

    name: str = Field(description="Its name.")
    type: str = Field(description="SQL type.")
    privacy: str = Field(description="`public`, `masked` or `aggregate_only`.")


class ColumnProfile(Model):
    """What is in one column of a result."""

    column: str = Field(description="Its name.")
    nulls: int = Field(description="Rows without a value.")
    distinct: int | None = Field(description="Different values; null where that is not told.")
    min: JsonValue = Field(description="Least value; long text is cut.")
    max: JsonValue = Field(description="Greatest value; long text is cut.")


class ResultMetadata(Model):
    """Facts about a kept result."""

    tool: str = Field(description="The tool that made it.")
    row_count: int = Field(description="Rows of the whole result.")
    offset: int = Field(description="Rows before this page.")
    truncated: bool = Field(description="Whether the query had more rows than the result holds.")
    columns: list[ResultColumn] = Field(description="The columns, in order.")


class ResultPage(Model):
    """A part of a result."""

    data: Rows = Field(description="Rows from `offset` on; none where the result was not rows.")
    metadata: ResultMetadata = Field(description="Facts about the result.")
    profile: list[ColumnProfile] = Field(description="By column, of all rows of the result; the first 200 columns.")
    value: JsonValue = Field(description="The whole result, where it was not rows.")


@tool("GET /results/{query_id}", needs=SIGNED_IN, effect="read")
async def get_result(ctx: Ctx, request: GetResult) -> ResultPage:
    """Read on in a result of yours of the last hour.

    Nothing is run again. It is gone when your permission for the tool that made it is gone, or when other rules
    hold for the tables that were read: then run the query again."""
    found = await ctx.engine.results.load(ctx.principal, request.query_id)
    made_by = found.facts.tool if isinstance(found, KeptTable) else found.tool
    if made_by not in {permitted.name for permitted in ctx.call.tools()}:
        raise NotFound(f"No result {request.query_id!r}.", hint="Results are kept for an hour; run the call again.")
    if not isinstance(found, KeptTable):
        return _whole(made_by, found.value)
    for table in found.facts.tables:
        ctx.note(f"table:{found.facts.connection_id}/{table}")
    return _page(found, request)


def _whole(made_by: str, value: Any) -> ResultPage:
    metadata = ResultMetadata(tool=made_by, row_count=0, offset=0, truncated=False, columns=[])
    return ResultPage(data=Rows(list), metadata=metadata, profile=[], value=value)


def _page(found: KeptTable, request: GetResult) -> ResultPage:
    privacy = found.facts.column_privacy
    whole = make_rows(found.schema, found.batches, privacy=privacy).preview
    rows = make_rows(
        found.schema,
        sliced(found.batches, request.offset, request.limit),
        privacy=privacy,
        result_id=request.query_id,
    )
    assert whole is not None, "rows made from Arrow have a preview"
    return ResultPage(
        data=rows,
        metadata=ResultMetadata(
            tool=found.facts.tool,
            row_count=whole.row_count,
            offset=request.offset,
            truncated=found.facts.is_truncated,
            columns=[ResultColumn(name=item.name, type=item.type, privacy=item.privacy) for item in whole.columns],
        ),
        profile=[ColumnProfile(**entry) for entry in whole.profile()] if request.profile else [],
        value=None,
    )
