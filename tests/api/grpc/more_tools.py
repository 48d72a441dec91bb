"""Tools of the shapes that only proto finds hard, for tests of the gRPC faces."""

import asyncio
import contextlib
from datetime import datetime
from typing import Any

from pydantic import Field, JsonValue

from core.context import Context
from core.errors import InvalidArgument
from core.portable import Model
from core.tool import ANYONE, tool

Ctx = Context[Any]


class Dated(Model):
    at: datetime = Field(description="A time.")
    rows: list[dict[str, JsonValue]] = Field([], description="Objects of cells.")
    cell: JsonValue = Field(None, description="A cell.")


class Hard(Model):
    """What has no plain proto3 type."""

    nullable: int | None = Field(description="Required, and None is a value.")
    records: list[dict[str, JsonValue]] = Field([], description="Objects of cells.")
    grid: list[list[float]] = Field([], description="Lists in a list.")
    cells: dict[str, JsonValue] = Field({}, description="Cells by name.")
    counts: dict[str, int] = Field({}, description="Whole numbers by name.")
    bags: dict[str, dict[str, JsonValue]] = Field({}, description="Objects by name.")
    dated: dict[str, Dated] = Field({}, description="Models by name.")
    dates: dict[str, datetime] = Field({}, description="Times by name.")
    groups: dict[str, list[str]] = Field({}, description="Lists by name.")


class Chunks(Model):
    count: int = Field(2, ge=0, description="Chunks to send.")


class Chunk(Model):
    """One piece of rows."""

    arrow_record_batch: bytes = Field(description="An Arrow IPC stream, passed on unread.")


class Sent(Model):
    row_count: int = Field(description="Rows sent.")


class Say(Model):
    text: str = Field(description="What the error says.")


class Endless(Model):
    """No arguments."""


@tool("POST /hard", needs="catalog.read", effect="read")
async def echo_hard(ctx: Ctx, request: Hard) -> Hard:
    """Answer with what was sent."""
    return request


@tool("POST /chunks", needs="query.run", effect="read", emits=Chunk)
async def stream_chunks(ctx: Ctx, request: Chunks) -> Sent:
    """Send chunks, then how many."""
    for number in range(request.count):
        await ctx.emit(Chunk(arrow_record_batch=bytes([number]) * 300))
        await ctx.emit(Say(text="a part of another tool"))
    return Sent(row_count=request.count)


@tool("POST /complain", needs=ANYONE, effect="read")
async def make_complaint(ctx: Ctx, request: Say) -> Sent:
    """Refuse, in the words given."""
    raise InvalidArgument(request.text, hint=request.text)


@tool("POST /endless", needs="catalog.read", effect="read", emits=Chunk)
async def stream_endless(ctx: Ctx, request: Endless) -> Sent:
    """Send a chunk now and then until the caller goes away."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(20):
            while not ctx.cancelled:
                await ctx.emit(Chunk(arrow_record_batch=b"x"))
                await asyncio.sleep(0.01)
    return Sent(row_count=0)


@tool(needs="catalog.read", effect="read", mcp_only=True)
async def search_nothing(ctx: Ctx, request: Endless) -> Sent:
    """Be found by models alone."""
    return Sent(row_count=0)
