"""Table health: how a table's files lie, and what would help."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from core.portable import Bars, Model
from core.tool import tool
from engine.context import Ctx
from engine.lake.names import TABLE_NAME

if TYPE_CHECKING:  # read by the checker alone: the engine's side loads DuckDB when it measures
    from engine.maintenance.health import SizeBucket as Bucket


class GetTableHealth(Model):
    """Which table, and what counts as small."""

    table: str = Field(pattern=TABLE_NAME, max_length=512, description="Namespace and table, as `sales.orders`.")
    small_file_mb: int = Field(32, ge=1, le=4096, description="Data files below this size, in MB, count as small.")


class SizeBucket(Model):
    """One bar of the histogram of file sizes."""

    label: str = Field(description="Sizes that it stands for, in words.")
    below_mb: int | None = Field(description="Upper edge in MB, exclusive; null: everything above.")
    file_count: int = Field(description="Data files of that size.")
    size_bytes: int = Field(description="Bytes in them.")


class SnapshotPeriod(Model):
    """One bar of the timeline of snapshots."""

    since: datetime = Field(description="Start of the period (UTC); it lasts until the next one's.")
    snapshot_count: int = Field(description="Kept snapshots made in it.")


class Advice(Model):
    """One operation that would help."""

    operation: str = Field(description="Tool to call.")
    reason: str = Field(description="What was seen.")
    gain: str = Field(description="What it would change.")


Histogram = Annotated[list[SizeBucket], Bars("label", "file_count")]


class TableHealth(Model):
    """A table's files, deletes, manifests and snapshots, measured on metadata alone."""

    success: bool = Field(True, description="Always true; a failure is an error.")
    table: str = Field(description="Name of the table.")
    snapshot_count: int = Field(description="Snapshots that are kept.")
    data_file_count: int = Field(description="Data files of the current snapshot.")
    total_size_bytes: int = Field(description="Bytes in them.")
    avg_file_size_bytes: int = Field(description="Mean size of a data file.")
    small_file_count: int = Field(description="Above a third of all files, compaction usually pays.")
    recommendation: str = Field(description="What would help most, in a sentence.")
    advice: list[Advice] = Field(description="Everything that would help, most useful first.")
    row_count: int | None = Field(description="Rows before deletes; null where policies hide some of them.")
    position_delete_file_count: int = Field(description="Files of deleted positions, which every read applies.")
    equality_delete_file_count: int = Field(description="Files of deleted values; such tables are not compacted here.")
    deleted_row_count: int | None = Field(description="Positions in them; null where policies hide some rows.")
    partition_count: int | None = Field(description="Partitions with data files; null where policies hide some rows.")
    max_files_in_partition: int | None = Field(description="Data files of the partition that has most.")
    median_files_in_partition: float | None = Field(description="Data files of the median partition.")
    size_skew: float | None = Field(description="Bytes of the largest partition over those of the median one.")
    manifest_count: int = Field(description="Manifests that planning a query may open.")
    manifest_size_bytes: int = Field(description="Bytes in them.")
    projected_file_count: int = Field(description="Data files there would be about after compaction.")
    histogram: Histogram = Field(description="Data files by size.")
    timeline: Annotated[list[SnapshotPeriod], Bars("since", "snapshot_count")] = Field(
        description="Kept snapshots by time, oldest first."
    )


@tool("GET /table/{table}/health", needs="catalog.read", effect="read", toolsets=("engineer",))
async def get_table_health(ctx: Ctx, request: GetTableHealth) -> TableHealth:
    """Measure one table's files and snapshots and say which maintenance would pay.

    Use it before `compact_table` or `expire_snapshots`. It reads metadata only and never scans rows."""
    found, health = await ctx.engine.care.health(ctx.principal, request.table, small_file_mb=request.small_file_mb)
    ctx.note(f"table:lakehouse/{found.name}")
    sees_all = found.sees_all
    told = [item for item in health.advice if sees_all or not item.tells_rows]
    advice = [Advice(operation=item.operation, reason=item.reason, gain=item.gain) for item in told]
    return TableHealth(
        table=str(found.name),
        snapshot_count=health.snapshot_count,
        data_file_count=health.data_file_count,
        total_size_bytes=health.total_size_bytes,
        avg_file_size_bytes=health.avg_file_size_bytes,
        small_file_count=health.small_file_count,
        recommendation=_sentence(advice),
        advice=advice,
        row_count=health.row_count if sees_all else None,
        position_delete_file_count=health.position_delete_file_count,
        equality_delete_file_count=health.equality_delete_file_count,
        deleted_row_count=health.deleted_row_count if sees_all else None,
        partition_count=health.partition_count if sees_all else None,
        max_files_in_partition=health.max_files_in_partition if sees_all else None,
        median_files_in_partition=health.median_files_in_partition if sees_all else None,
        size_skew=health.size_skew if sees_all else None,
        manifest_count=health.manifest_count,
        manifest_size_bytes=health.manifest_size_bytes,
        projected_file_count=health.data_file_count - health.files_saved,
        histogram=show_histogram(health.histogram),
        timeline=[
            SnapshotPeriod(since=datetime.fromtimestamp(period.since, UTC), snapshot_count=period.snapshot_count)
            for period in health.timeline
        ],
    )


def show_histogram(bars: "Iterable[Bucket]") -> list[SizeBucket]:
    return [
        SizeBucket(label=bar.label, below_mb=bar.below_mb, file_count=bar.file_count, size_bytes=bar.size_bytes)
        for bar in bars
    ]


def _sentence(advice: list[Advice]) -> str:
    if not advice:
        return "Healthy: nothing needs doing."
    return f"Consider {advice[0].operation}: {advice[0].reason} {advice[0].gain}"
