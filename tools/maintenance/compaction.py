"""Compaction: few, well-filled files in the place of many small ones."""

import json
from typing import Literal

from pydantic import Field, JsonValue

from core.errors import Conflict
from core.jobs import Progress
from core.portable import Model
from core.tool import tool
from engine.context import Ctx
from engine.lake.names import TABLE_NAME
from engine.maintenance.planning import CompactionOptions

MB = 1024 * 1024
TARGET, MINIMUM = "target-file-size-bytes", "min-input-files"


class CompactTable(Model):
    """Which table, and how."""

    table: str = Field(pattern=TABLE_NAME, max_length=512, description="Namespace and table, as `sales.orders`.")
    strategy: Literal["binpack", "sort", "zorder"] = Field(
        "binpack", description="`binpack` joins small files; `sort` and `zorder` rewrite all, ordered by `order_by`."
    )
    options: dict[str, JsonValue] = Field(
        {}, max_length=20, description="Iceberg's names for the fields below: target-file-size-bytes, min-input-files."
    )
    where: str = Field("", max_length=4000, description="Only files that may hold such rows, as `day >= '2026-01-01'`.")
    target_file_mb: int = Field(128, ge=1, le=4096, description="Size of new files to aim at, in MB.")
    min_input_files: int = Field(5, ge=2, le=100_000, description="Fewer small files than this stay as they are.")
    order_by: list[str] = Field([], max_length=8, description="Columns for `sort` and `zorder`.")
    dry_run: bool = Field(False, description="Only say what would be done.")


class TableOperation(Model):
    """What an operation did to a table."""

    success: bool = Field(True, description="Always true; a failure is an error.")
    operation: str = Field(description="What was done.")
    table: str = Field(description="The table, as it was named.")
    details_json: str = Field(description="Counts, as JSON text.")


@tool("POST /compact", needs="tables.maintain", effect="write", job=True, emits=Progress, toolsets=("engineer",))
async def compact_table(ctx: Ctx, request: CompactTable) -> TableOperation:
    """Rewrite a table's small files, deleted rows or disorder into few, well-filled files.

    The rows stay the same; writers may go on meanwhile. See get_table_health first, and `dry_run` for the plan. Each
    group of files is a commit of its own: a cancelled run keeps what it has done."""
    options = _options(request)
    ctx.note(f"table:lakehouse/{request.table}")
    if request.dry_run:
        plan = await ctx.engine.care.plan_compaction(ctx.principal, request.table, options)
        return _answer(
            request,
            "compact (dry run)",
            rewritten_files=plan.rewritten_files,
            new_files=plan.expected_files,
            rewritten_bytes=plan.size_bytes,
            groups=len(plan.groups),
            files_in_table=plan.file_count,
        )

    async def tell(message: str, done: int, total: int) -> None:
        await ctx.emit(Progress(message=message, done=done, total=total))

    result = await ctx.engine.care.compact(
        ctx.principal,
        request.table,
        options,
        run_id=ctx.job.job_id if ctx.job else ctx.request_id,
        tell=tell,
        cancelled=ctx.cancelled,
    )
    return _answer(
        request,
        "compact",
        rewritten_files=result.rewritten_files,
        new_files=result.new_files,
        rewritten_bytes=result.rewritten_bytes,
        new_bytes=result.new_bytes,
        groups=result.groups,
        conflicts=result.conflicts,
    )


def _options(request: CompactTable) -> CompactionOptions:
    unknown = request.options.keys() - {TARGET, MINIMUM}
    if unknown:
        raise Conflict(f"Unknown option {min(unknown)[:64]!r}.", hint=f"Known ones are {TARGET} and {MINIMUM}.")
    return CompactionOptions(
        strategy=request.strategy,
        target_mb=max(1, _number(request.options, TARGET, request.target_file_mb * MB) // MB),
        min_input_files=max(2, _number(request.options, MINIMUM, request.min_input_files)),
        order_by=tuple(request.order_by),
        where=request.where,
    )


def _number(options: dict[str, JsonValue], name: str, default: int) -> int:
    value = options.get(name, default)
    text = str(value)
    if not text.isdigit() or (name == TARGET and not MB <= int(text) <= 4096 * MB):
        raise Conflict(f"{name} is not a sensible number.", hint="target-file-size-bytes: from 1 MB to 4 GB.")
    return int(text)


def _answer(request: CompactTable, operation: str, **details: int) -> TableOperation:
    return TableOperation(operation=operation, table=request.table, details_json=json.dumps(details))
