"""Tools that stream, wait and fail midway, for tests of REST alone."""

import asyncio
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from core.context import Context
from core.errors import Conflict, NotFound, RateLimited, Unavailable
from core.jobs import JobEvent, Progress
from core.pages import Listing, Paged
from core.portable import Model
from core.tool import tool

Ctx = Context[Any]
CHUNKS: list[bytes] = []
SEEN: list[str] = []


class ArrowPart(Model):
    """One piece of a result."""

    arrow_record_batch: bytes = Field(description="A self-contained Arrow IPC stream.")


class StreamRows(Model):
    fail_after: int | None = Field(None, ge=0, description="Fail when so many parts were sent.")


class StreamedRows(Model):
    parts: int = Field(description="Parts that were sent.")


class CountUntil(Model):
    stop_at: int = Field(2, ge=0, description="Fail when so many parts were sent.")


class Sleep(Model):
    name: str = Field("sleeper", description="Under which name to note what happened.")


class WatchEvents(Model):
    after_seq: int = Field(0, ge=0, description="Events after this one.")


class Pages(Paged):
    word: str = Field("", description="What to find.")


class Page(Listing):
    items: list[str] = Field(description="What was found.")


class Refuse(Model):
    kind: Literal["rate", "down"] = Field(description="How.")


@tool("POST /rows/stream", needs="query.run", effect="read", emits=ArrowPart)
async def stream_rows(ctx: Ctx, request: StreamRows) -> StreamedRows:
    """Send the prepared chunks."""
    for number, chunk in enumerate(CHUNKS):
        if number == request.fail_after:
            raise Conflict("It broke midway.")
        await ctx.emit(ArrowPart(arrow_record_batch=chunk))
        await asyncio.sleep(0.02)
    return StreamedRows(parts=len(CHUNKS))


@tool("POST /rows/until", needs="query.run", effect="read", emits=Progress)
async def count_until(ctx: Ctx, request: CountUntil) -> StreamedRows:
    """Send parts, then fail."""
    for number in range(request.stop_at):
        await ctx.emit(Progress(message="on", done=number))
    raise NotFound("The rest is gone.")


@tool("POST /sleep", needs="query.run", effect="read", emits=Progress)
async def sleep_long(ctx: Ctx, request: Sleep) -> StreamedRows:
    """Sleep, noting how it ended."""
    SEEN.append(f"{request.name} started")
    await ctx.emit(Progress(message="sleeping"))
    try:
        await asyncio.sleep(30)
    finally:
        SEEN.append(f"{request.name} cancelled={bool(ctx.cancelled)}")
    return StreamedRows(parts=0)


@tool("GET /refusals/{kind}", needs="query.run", effect="read")
async def refuse_call(ctx: Ctx, request: Refuse) -> StreamedRows:
    """Refuse with a time to come back."""
    raise (RateLimited if request.kind == "rate" else Unavailable)("Later.", retry_after_s=1.2)


@tool("GET /rows/events", needs="query.run", effect="read", emits=JobEvent)
async def watch_events(ctx: Ctx, request: WatchEvents) -> StreamedRows:
    """Send three numbered events from a cursor on."""
    for seq in range(request.after_seq + 1, 4):
        await ctx.emit(JobEvent(seq=seq, at=datetime(2026, 1, 2, tzinfo=UTC), kind="status"))
    return StreamedRows(parts=3 - request.after_seq)


@tool("GET /pages", "POST /pages", needs="query.run", effect="read")
async def list_pages(ctx: Ctx, request: Pages) -> Page:
    """List nothing, by pages."""
    return Page(items=[f"{request.skip} {request.limit}"], total_count=0)
