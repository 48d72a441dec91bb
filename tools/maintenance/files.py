"""A table's files beside its data: orphans and manifests."""

from pydantic import Field

from core.jobs import Progress
from core.portable import Model
from core.tool import tool
from engine.context import Ctx
from engine.lake.names import TABLE_NAME
from tools.maintenance.compaction import MAX_SHOWN, run_of

HOUR_S = 3600.0


class RemoveOrphanFiles(Model):
    """Which table, and how old a file must be."""

    table: str = Field(pattern=TABLE_NAME, max_length=512, description="Namespace and table, as `sales.orders`.")
    older_than_hours: int = Field(72, ge=72, le=1_000_000, description="Files younger than this may still be in use.")
    dry_run: bool = Field(True, description="Only list them; false deletes them.")


class OrphanFiles(Model):
    """Files that nothing refers to."""

    success: bool = Field(True, description="Always true; a failure is an error.")
    table: str = Field(description="The table, as it was named.")
    file_count: int = Field(description="Files found, and unless it was a dry run deleted.")
    size_bytes: int = Field(description="Bytes in them.")
    files: list[str] = Field(description="The first thousand, below the table's folder.")
    dry_run: bool = Field(description="Whether they are still there.")


class RewriteManifests(Model):
    """Which table."""

    table: str = Field(pattern=TABLE_NAME, max_length=512, description="Namespace and table, as `sales.orders`.")
    min_manifests: int = Field(2, ge=2, le=1_000_000, description="Fewer manifests than this stay as they are.")
    dry_run: bool = Field(False, description="Only say how many there would be.")


class RewrittenManifests(Model):
    """How many manifests there were and are."""

    success: bool = Field(True, description="Always true; a failure is an error.")
    table: str = Field(description="The table, as it was named.")
    manifests_before: int = Field(description="Manifests before.")
    manifests_after: int = Field(description="Manifests now; of a dry run, about how many there would be.")


@tool("POST /orphans", needs="tables.maintain", effect="destroy", job=True, emits=Progress)
async def remove_orphan_files(ctx: Ctx, request: RemoveOrphanFiles) -> OrphanFiles:
    """Find, and unless `dry_run` delete, files of a table that no version of it refers to.

    Failed and killed writers leave them. Look at the dry run first; nothing younger than three days is touched."""
    ctx.note(f"table:lakehouse/{request.table}")
    removed = await ctx.engine.care.jobs.remove_orphans(
        ctx.principal,
        request.table,
        run_of(ctx),
        older_than_s=request.older_than_hours * HOUR_S,
        dry_run=request.dry_run,
    )
    return OrphanFiles(
        table=request.table,
        file_count=removed.file_count,
        size_bytes=removed.size_bytes,
        files=list(removed.paths[:MAX_SHOWN]),
        dry_run=request.dry_run,
    )


@tool("POST /manifests", needs="tables.maintain", effect="write", job=True)
async def rewrite_manifests(ctx: Ctx, request: RewriteManifests) -> RewrittenManifests:
    """Join a table's many small manifests into few, so that queries plan faster.

    No data file is read or written; get_table_health says when it pays."""
    ctx.note(f"table:lakehouse/{request.table}")
    before, after = await ctx.engine.care.jobs.rewrite_manifests(
        ctx.principal, request.table, min_manifests=request.min_manifests, dry_run=request.dry_run
    )
    return RewrittenManifests(table=request.table, manifests_before=before, manifests_after=after)
