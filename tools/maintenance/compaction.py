"""Compaction: few, well-filled files in the place of many small ones."""

import json
from typing import TYPE_CHECKING, Literal

from pydantic import Field, JsonValue

from core.errors import Conflict
from core.jobs import Progress
from core.portable import Model
from core.tool import tool
from engine.context import Ctx
from engine.lake.names import TABLE_NAME
from engine.maintenance.planning import CompactionOptions, CompactionPlan, FileGroup
from engine.maintenance.table_jobs import Run
from tools.maintenance.health import Histogram, show_histogram

if TYPE_CHECKING:  # pyiceberg comes with the first change of a table
    from engine.maintenance.compaction import CompactionResult

MAX_SHOWN = 1_000
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


class CompactionGroup(Model):
    """Files that are rewritten and committed together."""

    partition: str | None = Field(description="Values of its partition, as JSON; null where policies hide any.")
    file_count: int = Field(description="Data files that are rewritten.")
    size_bytes: int = Field(description="Bytes in them.")
    delete_file_count: int = Field(description="Files of deleted rows that are applied.")
    expected_file_count: int = Field(description="Data files there will be about.")


class CompactedTable(TableOperation):
    """What a compaction did, or with `dry_run` would do."""

    groups: list[CompactionGroup] = Field(description="The plan of a dry run; the first thousand groups.")
    histogram_before: Histogram = Field(description="Data files by size, before.")
    histogram_after: Histogram = Field(description="Data files by size, after; of a dry run about.")


@tool("POST /compact", needs="tables.maintain", effect="write", job=True, emits=Progress, toolsets=("engineer",))
async def compact_table(ctx: Ctx, request: CompactTable) -> CompactedTable:
    """Rewrite a table's small files, deleted rows or disorder into few, well-filled files.

    The rows stay the same; writers may go on meanwhile. See get_table_health first, and `dry_run` for the plan. Each
    group of files is a commit of its own: a cancelled run keeps what it has done."""
    options, care = _options(request), ctx.engine.care
    ctx.note(f"table:lakehouse/{request.table}")
    found, before = await care.health(ctx.principal, request.table, small_file_mb=request.target_file_mb)
    if request.dry_run:
        from engine.maintenance.health import project

        plan = await care.jobs.plan_compaction(ctx.principal, request.table, options)
        return CompactedTable(
            operation="compact (dry run)",
            table=request.table,
            details_json=_planned(plan),
            groups=[_show(group, sees_all=found.sees_all) for group in plan.groups[:MAX_SHOWN]],
            histogram_before=show_histogram(before.histogram),
            histogram_after=show_histogram(project(before.histogram, plan)),
        )
    result = await care.jobs.compact(ctx.principal, request.table, options, run_of(ctx))
    _, after = await care.health(ctx.principal, request.table, small_file_mb=request.target_file_mb)
    return CompactedTable(
        operation="compact",
        table=request.table,
        details_json=_done(result),
        groups=[],
        histogram_before=show_histogram(before.histogram),
        histogram_after=show_histogram(after.histogram),
    )


def run_of(ctx: Ctx) -> Run:
    """How the long work of this call tells of itself; the same id when its job is taken up again."""

    async def tell(message: str, done: int, total: int) -> None:
        await ctx.emit(Progress(message=message, done=done, total=total))

    return Run(ctx.job.job_id if ctx.job else ctx.request_id, tell, ctx.cancelled, ctx.job)


def _planned(plan: CompactionPlan) -> str:
    return json.dumps(
        {
            "rewritten_files": plan.rewritten_files,
            "new_files": plan.expected_files,
            "rewritten_bytes": plan.size_bytes,
            "groups": len(plan.groups),
            "files_in_table": plan.file_count,
        }
    )


def _done(result: "CompactionResult") -> str:
    return json.dumps(
        {
            "rewritten_files": result.rewritten_files,
            "new_files": result.new_files,
            "rewritten_bytes": result.rewritten_bytes,
            "new_bytes": result.new_bytes,
            "groups": result.groups,
            "conflicts": result.conflicts,
        }
    )


def _show(group: FileGroup, *, sees_all: bool) -> CompactionGroup:
    return CompactionGroup(
        partition=group.partition if sees_all else None,
        file_count=len(group.files),
        size_bytes=group.size_bytes,
        delete_file_count=len(group.deletes),
        expected_file_count=group.expected_files,
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
