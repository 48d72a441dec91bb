"""Snapshots: a table's past, how much of it is kept, and going back to it."""

import json
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from core.jobs import Progress
from core.pages import Listing, Paged
from core.portable import Model
from core.tool import tool
from engine.context import Ctx
from engine.lake.history import SnapshotEntry
from engine.lake.names import TABLE_NAME
from engine.maintenance.found import Found
from tools.maintenance.compaction import MAX_SHOWN, TableOperation, run_of

HOUR_S = 3600.0
TableField = Annotated[str, Field(pattern=TABLE_NAME, max_length=512)]


class ListSnapshots(Paged):
    """Which table."""

    table: TableField = Field(description="Namespace and table, as `sales.orders`.")


class Snapshot(Model):
    """One version of a table."""

    snapshot_id: str = Field(description="Id; a whole number too long for some JSON readers, so it is text.")
    parent_id: str | None = Field(description="The version before it.")
    committed_at: datetime = Field(description="When it was made (UTC).")
    operation: str = Field(description="`append`, `overwrite`, `delete` or `replace` (same rows, other files).")
    added_rows: int | None = Field(description="Rows that it added; null where policies hide some.")
    deleted_rows: int | None = Field(description="Rows that it deleted; null where policies hide some.")
    added_files: int = Field(description="Data files that it added.")
    deleted_files: int = Field(description="Data files that it took away.")
    is_current: bool = Field(description="Whether readers see it now.")
    refs: list[str] = Field(description="Branches and tags that name it.")


class SnapshotList(Listing):
    """A page of snapshots, newest first."""

    snapshots: list[Snapshot] = Field(description="The snapshots.")
    items: list[Snapshot] = Field(description="The same list.")


class ExpireSnapshots(Model):
    """Which snapshots go."""

    table: TableField = Field(description="Namespace and table, as `sales.orders`.")
    retain_last: int = Field(5, ge=1, le=100_000, description="Newest snapshots of each branch that stay.")
    older_than: datetime | None = Field(None, description="Only snapshots made before this time; null: of any age.")
    older_than_hours: int = Field(0, ge=0, le=1_000_000, description="Only snapshots older than this; 0: of any age.")
    dry_run: bool = Field(False, description="Only say which would go.")


class ExpiredSnapshots(TableOperation):
    """What an expiry did, or with `dry_run` would do."""

    snapshot_ids: list[str] = Field(description="Snapshots that went; the first thousand.")


class RollbackTable(Model):
    """Where to go back to: one of the two."""

    table: TableField = Field(description="Namespace and table, as `sales.orders`.")
    snapshot_id: str = Field("", max_length=20, pattern=r"^(-?\d+)?$", description="Id as list_snapshots shows it.")
    timestamp: datetime | None = Field(None, description="The version that was current at this time.")


@tool("GET /table/{table}/snapshots", needs="catalog.read", effect="read", toolsets=("engineer",))
async def list_snapshots(ctx: Ctx, request: ListSnapshots) -> SnapshotList:
    """List a lakehouse table's versions, newest first, with what each changed.

    `rollback_table` goes back to one, `create_table_ref` gives one a name that keeps it."""
    found, entries, history = await ctx.engine.care.snapshots(ctx.principal, request.table)
    named: dict[int, list[str]] = {}
    for ref in history.refs.values():
        named.setdefault(ref.snapshot_id, []).append(ref.name)
    pages = ctx.engine.pages
    window = pages.window("list_snapshots", request, ctx.principal)
    page = entries[window.offset : window.offset + window.size]
    shown = [
        _show(found, entry, named.get(entry.snapshot_id, []), is_current=entry.snapshot_id == history.current_id)
        for entry in page
    ]
    return SnapshotList(
        snapshots=shown,
        items=shown,
        next_page_token=pages.next_token("list_snapshots", request, ctx.principal, window, len(entries)),
        total_count=len(entries),
    )


@tool("POST /expire", needs="tables.maintain", effect="destroy", job=True, emits=Progress, toolsets=("engineer",))
async def expire_snapshots(ctx: Ctx, request: ExpireSnapshots) -> ExpiredSnapshots:
    """Expire a table's old snapshots and delete the files that only they used.

    What a branch or tag names always stays. Time travel to expired snapshots ends; it cannot be undone. See `dry_run`
    first."""
    ctx.note(f"table:lakehouse/{request.table}")
    done = await ctx.engine.care.jobs.expire(
        ctx.principal,
        request.table,
        run_of(ctx),
        retain_last=request.retain_last,
        older_than=_seconds(request.older_than),
        older_than_s=request.older_than_hours * HOUR_S,
        dry_run=request.dry_run,
    )
    details = {
        "expired_snapshots": len(done.snapshot_ids),
        "kept_snapshots": done.kept_snapshots,
        "deleted_files": done.deleted_files,
        "freed_bytes": done.freed_bytes,
    }
    return ExpiredSnapshots(
        operation="expire (dry run)" if request.dry_run else "expire",
        table=request.table,
        details_json=json.dumps(details),
        snapshot_ids=[str(number) for number in done.snapshot_ids[:MAX_SHOWN]],
    )


@tool("POST /table/{table}/rollback", needs="tables.maintain", effect="destroy")
async def rollback_table(ctx: Ctx, request: RollbackTable) -> TableOperation:
    """Make an earlier version of a table the current one.

    Later versions stay listed until they expire, so that it can be undone with their id."""
    ctx.note(f"table:lakehouse/{request.table}")
    snapshot_id = await ctx.engine.care.roll_back(
        ctx.principal,
        request.table,
        snapshot_id=int(request.snapshot_id) if request.snapshot_id else None,
        at=_seconds(request.timestamp),
    )
    details = {"snapshot_id": str(snapshot_id)}
    return TableOperation(operation="rollback", table=request.table, details_json=json.dumps(details))


def _show(found: Found, entry: SnapshotEntry, refs: list[str], *, is_current: bool) -> Snapshot:
    def number(name: str) -> int:
        return int(entry.summary.get(name, "0"))

    return Snapshot(
        snapshot_id=str(entry.snapshot_id),
        parent_id=None if entry.parent_id is None else str(entry.parent_id),
        committed_at=datetime.fromtimestamp(entry.at, UTC),
        operation=entry.operation,
        added_rows=number("added-records") if found.sees_all else None,
        deleted_rows=number("deleted-records") if found.sees_all else None,
        added_files=number("added-data-files"),
        deleted_files=number("deleted-data-files"),
        is_current=is_current,
        refs=sorted(refs),
    )


def _seconds(at: datetime | None) -> float | None:
    """A time without a zone is UTC."""
    return None if at is None else (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
